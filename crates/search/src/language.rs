//! Languages that `lang:` knows: by the name of a file, never by its content.

/// A language.
#[derive(Debug, PartialEq, Eq)]
pub struct Language {
    pub name: &'static str,
    /// Other names, in small letters.
    aliases: &'static [&'static str],
    /// In small letters, without the dot.
    extensions: &'static [&'static str],
    /// Names of whole files.
    files: &'static [&'static str],
}

impl Language {
    /// The language of that name or alias, in any case of letters.
    pub fn named(name: &str) -> Option<&'static Self> {
        let fits = |known: &str| known.eq_ignore_ascii_case(name);
        LANGUAGES.iter().find(|it| fits(it.name) || it.aliases.iter().any(|alias| fits(alias)))
    }

    /// Whether a file of that path is written in it.
    pub fn has_path(&self, path: &str) -> bool {
        let file = path.rsplit('/').next().unwrap_or(path);
        self.files.contains(&file)
            || file.rsplit_once('.').is_some_and(|(_, end)| {
                self.extensions.iter().any(|it| it.eq_ignore_ascii_case(end))
            })
    }

    /// Whether a file may be taken for either.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.extensions.iter().any(|it| other.extensions.contains(it))
            || self.files.iter().any(|it| other.files.contains(it))
    }
}

const fn language(
    name: &'static str,
    aliases: &'static [&'static str],
    extensions: &'static [&'static str],
    files: &'static [&'static str],
) -> Language {
    Language { name, aliases, extensions, files }
}

const LANGUAGES: &[Language] = &[
    language("Ada", &[], &["adb", "ads"], &[]),
    language("Assembly", &["asm", "nasm"], &["asm", "s"], &[]),
    language("Batchfile", &["bat", "batch"], &["bat", "cmd"], &[]),
    language(
        "Bazel",
        &["starlark", "bzl"],
        &["bzl", "star", "bazel"],
        &["BUILD", "WORKSPACE", "BUILD.bazel", "WORKSPACE.bazel", "MODULE.bazel"],
    ),
    language("C", &[], &["c", "h"], &[]),
    language("C#", &["csharp", "cs"], &["cs", "csx"], &[]),
    language(
        "C++",
        &["cpp", "cplusplus"],
        &["cpp", "cc", "cxx", "c++", "hpp", "hh", "hxx", "h", "h++", "inl", "ipp", "tpp"],
        &[],
    ),
    language("CMake", &[], &["cmake"], &["CMakeLists.txt"]),
    language("Clojure", &["clj"], &["clj", "cljs", "cljc", "edn"], &[]),
    language("CSS", &[], &["css"], &[]),
    language("CSV", &[], &["csv"], &[]),
    language("CUDA", &[], &["cu", "cuh"], &[]),
    language("Dart", &[], &["dart"], &[]),
    language("Diff", &["patch"], &["diff", "patch"], &[]),
    language(
        "Dockerfile",
        &["docker", "containerfile"],
        &["dockerfile", "containerfile"],
        &["Dockerfile", "Containerfile"],
    ),
    language("Elixir", &[], &["ex", "exs"], &["mix.lock"]),
    language("Elm", &[], &["elm"], &[]),
    language("Erlang", &[], &["erl", "hrl"], &["rebar.config"]),
    language("F#", &["fsharp"], &["fs", "fsi", "fsx"], &[]),
    language("Fortran", &[], &["f90", "f95", "f03", "f08", "f", "for"], &[]),
    language("Go", &["golang"], &["go"], &[]),
    language("Go Module", &["go.mod", "gomod"], &[], &["go.mod"]),
    language("GraphQL", &["gql"], &["graphql", "gql", "graphqls"], &[]),
    language("Groovy", &[], &["groovy", "gradle", "gvy"], &["Jenkinsfile"]),
    language("HCL", &["terraform", "tf"], &["hcl", "tf", "tfvars", "nomad"], &[]),
    language("HTML", &[], &["html", "htm", "xhtml"], &[]),
    language("Haskell", &["hs"], &["hs", "lhs"], &[]),
    language("INI", &["dosini"], &["ini", "cfg", "properties"], &[".editorconfig", ".gitconfig"]),
    language(
        "JSON",
        &[],
        &["json", "geojson", "webmanifest", "jsonl"],
        &["composer.lock", ".prettierrc", ".eslintrc"],
    ),
    language("JSX", &[], &["jsx"], &[]),
    language("Java", &[], &["java"], &[]),
    language("JavaScript", &["js", "node"], &["js", "mjs", "cjs", "jsx", "es6"], &["Jakefile"]),
    language("Jsonnet", &[], &["jsonnet", "libsonnet"], &[]),
    language("Julia", &[], &["jl"], &[]),
    language("Jupyter Notebook", &["jupyter", "ipython notebook"], &["ipynb"], &[]),
    language("Kotlin", &["kt"], &["kt", "kts", "ktm"], &[]),
    language("LaTeX", &["tex"], &["tex", "sty", "cls", "ltx"], &[]),
    language("Less", &[], &["less"], &[]),
    language("Lua", &[], &["lua"], &[]),
    language(
        "Makefile",
        &["make", "mf"],
        &["mk", "mak", "make"],
        &["Makefile", "makefile", "GNUmakefile"],
    ),
    language("Markdown", &["md", "pandoc"], &["md", "markdown", "mdx", "mkd"], &[]),
    language("Nix", &["nixos"], &["nix"], &[]),
    language("OCaml", &[], &["ml", "mli", "mll", "mly"], &[]),
    language("Objective-C", &["objc", "objectivec"], &["m", "h"], &[]),
    language("Objective-C++", &["objc++"], &["mm"], &[]),
    language("PHP", &[], &["php", "phtml", "php3", "php4", "php5"], &[]),
    language("Perl", &[], &["pl", "pm", "t"], &[]),
    language("PowerShell", &["posh", "pwsh"], &["ps1", "psd1", "psm1"], &[]),
    language("Prolog", &[], &["pro", "prolog"], &[]),
    language("Protocol Buffer", &["protobuf", "protocol buffers", "proto"], &["proto"], &[]),
    language("Puppet", &[], &["pp"], &["Puppetfile"]),
    language("Python", &["py", "python3"], &["py", "pyi", "pyw"], &["SConstruct", "SConscript"]),
    language("R", &["rscript"], &["r", "rmd"], &[".Rprofile"]),
    language(
        "Ruby",
        &["rb"],
        &["rb", "rake", "gemspec", "ru"],
        &["Gemfile", "Rakefile", "Podfile", "Vagrantfile", "Fastfile"],
    ),
    language("Rust", &["rs"], &["rs"], &[]),
    language("SCSS", &[], &["scss"], &[]),
    language("SQL", &[], &["sql"], &[]),
    language("Sass", &[], &["sass"], &[]),
    language("Scala", &[], &["scala", "sbt", "sc"], &[]),
    language("Scheme", &[], &["scm", "ss", "sld"], &[]),
    language(
        "Shell",
        &["sh", "bash", "zsh", "shell-script"],
        &["sh", "bash", "zsh", "ksh"],
        &[".bashrc", ".bash_profile", ".profile", ".zshrc", "PKGBUILD"],
    ),
    language("Solidity", &[], &["sol"], &[]),
    language("Svelte", &[], &["svelte"], &[]),
    language("Swift", &[], &["swift"], &[]),
    language("TOML", &[], &["toml"], &["Cargo.lock", "Pipfile", "poetry.lock"]),
    language("TSX", &[], &["tsx"], &[]),
    language("Text", &["plain text", "txt"], &["txt"], &["LICENSE", "README", "NOTICE"]),
    language("Thrift", &[], &["thrift"], &[]),
    language("TypeScript", &["ts"], &["ts", "tsx", "mts", "cts"], &[]),
    language("Visual Basic", &["vb", "vb.net", "visual basic .net"], &["vb", "vbs"], &[]),
    language("Vim Script", &["viml", "vim", "vimscript"], &["vim"], &[".vimrc", ".gvimrc"]),
    language("Vue", &[], &["vue"], &[]),
    language(
        "XML",
        &[],
        &["xml", "xsd", "xsl", "xslt", "svg", "csproj", "pom", "plist", "wsdl"],
        &[],
    ),
    language("YAML", &["yml"], &["yaml", "yml"], &[".clang-format"]),
    language("Zig", &[], &["zig"], &[]),
];

#[cfg(test)]
mod tests {
    use super::LANGUAGES;

    #[test]
    fn the_table_is_in_small_letters_and_no_name_means_two_languages() {
        let mut names = std::collections::HashSet::new();
        for language in LANGUAGES {
            for name in language.aliases.iter().chain([&language.name]) {
                assert!(names.insert(name.to_ascii_lowercase()), "{name} is there twice");
            }
            for text in language.aliases.iter().chain(language.extensions) {
                assert_eq!(*text, text.to_ascii_lowercase());
            }
        }
    }
}
