//! Queries and what they find in the fleet.

use search::PatternType::{self, Keyword, Literal, Regexp, Standard};
use search::{FileMatch, RepositoryMatch};

use crate::fleet::fleet;
use crate::shape::parsed;

/// A line a result: `api` for a repository, `api:path` for a file, `api:path:1,3-4` with lines, `api@v1:path` of a revision.
fn found(text: &str, pattern_type: PatternType) -> String {
    let plan = search::plan(&parsed(text, pattern_type));
    let plan = plan.unwrap_or_else(|error| panic!("{text}: {error}"));
    let Ok(found) = search::evaluate_all(&plan, &fleet());
    found.iter().map(repository).collect::<Vec<_>>().join(" ")
}

fn repository(found: &RepositoryMatch) -> String {
    let name = found.repository.rsplit('/').next().expect("a name");
    let itself = found.is_result.then(|| name.to_owned());
    let files = found.files.iter().map(|it| file(name, it));
    itself.into_iter().chain(files).collect::<Vec<_>>().join(" ")
}

fn file(name: &str, file: &FileMatch) -> String {
    let revision = if file.revision == "main" { "" } else { &format!("@{}", file.revision) };
    let lines = file.lines.iter().map(|it| match it.first == it.last {
        true => it.first.to_string(),
        false => format!("{}-{}", it.first, it.last),
    });
    let lines = lines.collect::<Vec<_>>().join(",");
    let colon = if lines.is_empty() { "" } else { ":" };
    format!("{name}{revision}:{}{colon}{lines}", file.path)
}

fn check(pattern_type: PatternType, cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        assert_eq!(found(text, pattern_type), *wanted, "{text}");
        let written = parsed(text, pattern_type).to_string();
        assert_eq!(found(&written, Literal), *wanted, "{text}, written as {written}");
    }
}

#[test]
fn filters_of_repositories() {
    check(
        Standard,
        &[
            ("repo:acme", "api web"),
            ("repo:ACME", "api web"),
            ("repo:ACME case:yes", "api web"),
            ("repo:acme repo:api", "api"),
            ("repo:acme -repo:api", "web"),
            ("repo:(api|web)$", "api web"),
            ("repo:nothing", ""),
            ("fork:yes", "api web fork"),
            ("fork:only", "fork"),
            ("archived:yes", "api web old"),
            ("archived:only fork:yes", "old"),
            ("archived:ONLY", "old"),
            // Whoever names one repository means it.
            ("repo:^github\\.com/acme/fork$", "fork"),
            ("repo:^github\\.com/acme/old$", "old"),
            ("repo:^github\\.com/acme/fork$@main", "fork"),
            ("repo:^github\\.com/acme/fork$ fork:no", ""),
            ("repo:^github.com/acme/fork$", ""),
            ("repo:fork$", ""),
            ("repo:^github\\.com/acme/fork$ repo:acme", ""),
            ("repo:^github\\.com/acme/fork$ or repo:api", "api fork"),
            ("visibility:private", "web"),
            ("visibility:public", "api"),
            ("visibility:any", "api web"),
            ("repohasfile:go.mod", "api"),
            ("repohasfile:GO.MOD case:yes", "api"),
            ("-repohasfile:go.mod", "web"),
            ("repohasfile:README repohasfile:Dockerfile", ""),
            ("repo:has.path(Dockerfile)", "web"),
            ("-repo:has.path(Dockerfile)", "api"),
            ("repo:has.content(TODO)", "api web"),
            ("repo:has.content(1\\.22)", "api"),
            ("repo:has.file(path:go\\.mod content:1\\.22)", "api"),
            ("repo:has.file(path:README content:1\\.22)", ""),
            ("repo:has.topic(go)", "api"),
            ("-repo:has.topic(go)", "web"),
            ("repo:has.topic(g)", ""),
            ("repo:api or repo:web", "api web"),
            ("repo:api or repohasfile:Dockerfile", "api web"),
            ("type:repo", "api web"),
        ],
    );
}

#[test]
fn filters_of_files() {
    check(
        Standard,
        &[
            ("file:go.mod", "api:go.mod"),
            ("file:GO.MOD", "api:go.mod"),
            ("file:GO.MOD case:yes", ""),
            ("file:main -file:test", "api:cmd/main.go"),
            ("file:main file:test", "api:cmd/main_test.go"),
            ("file:(^|/)Dockerfile$", "web:Dockerfile"),
            ("lang:go", "api:cmd/main.go api:cmd/main_test.go"),
            ("lang:go -file:_test", "api:cmd/main.go"),
            ("repo:web -lang:typescript", "web:Dockerfile web:package.json"),
            ("lang:docker or lang:md", "api:README.md web:Dockerfile"),
            ("file:has.content(todo)", "api:cmd/main_test.go web:src/api.ts"),
            ("file:go -file:has.content(todo)", "api:cmd/main.go api:go.mod"),
            ("repo:api@v1 file:.", "api@v1:go.mod"),
            ("repo:api rev:main:v1 file:go.mod", "api:go.mod api@v1:go.mod"),
            ("repo:api@v9", ""),
            ("repo:api@v1", "api"),
            ("repo:api@v1 repohasfile:README", ""),
            ("repo:web type:path", "web:Dockerfile web:package.json web:src/api.ts"),
        ],
    );
}

#[test]
fn patterns() {
    check(
        Standard,
        &[
            ("hello world", "api:cmd/main.go:4 api:cmd/main_test.go:2"),
            ("hello world archived:yes", "api:cmd/main.go:4 api:cmd/main_test.go:2 old:setup.py:1"),
            ("Hello World case:yes", "api:cmd/main_test.go:2"),
            ("hello  world", ""),
            // Lines side by side stay apart: only places that share a line are one.
            ("todo", "api:cmd/main_test.go:2,3 web:src/api.ts:3"),
            ("fmt.Println(\"hello world\")", "api:cmd/main.go:4"),
            ("func main() {", "api:cmd/main.go:3"),
            // Names, paths and contents.
            ("api", "api api:README.md:1 api:go.mod:1 web:src/api.ts:1,2"),
            ("api type:repo", "api"),
            ("api type:path", "web:src/api.ts"),
            ("api type:file", "api:README.md:1 api:go.mod:1 web:src/api.ts:1,2"),
            ("api type:repo type:path", "api web:src/api.ts"),
            ("content:api", "api:README.md:1 api:go.mod:1 web:src/api.ts:1,2"),
            ("api file:mod", "api:go.mod:1"),
            ("todo and fetch", "web:src/api.ts:2,3"),
            ("todo and npm", ""),
            ("fetch or npm", "web:Dockerfile:2 web:src/api.ts:2"),
            ("todo and not fetch", "api:cmd/main_test.go:2,3"),
            ("file:go not main", "api:go.mod"),
            ("repo:web -content:todo", "web:Dockerfile web:package.json"),
            ("not web type:repo", "api"),
            (
                "(repo:api hello) or (repo:web npm)",
                "api:cmd/main.go:4 api:cmd/main_test.go:2 web:Dockerfile:2",
            ),
            ("repo:web hello or npm", "web:Dockerfile:2"),
            ("(repo:api go) or file:go.mod", "api:cmd/main.go api:cmd/main_test.go api:go.mod:2"),
            ("/^func .* \\{$/", "api:cmd/main.go:3"),
            ("/main\\(\\) {/", "api:cmd/main.go:3"),
            ("/package main\\s+func/", "api:cmd/main.go:1-3"),
            ("content:/^}$/", "api:cmd/main.go:5 web:package.json:3"),
            ("file:Dockerfile /x*/", "web:Dockerfile:1,2"),
            ("hello select:repo", "api"),
            ("api select:repo", "api web"),
            ("api select:file", "api:README.md api:go.mod web:src/api.ts"),
            ("go select:content", "api:go.mod:2"),
            ("hello count:1", "api:cmd/main.go:4"),
            ("repo:acme count:1", "api"),
            ("api count:2", "api api:README.md:1"),
            ("repo:acme count:all", "api web"),
        ],
    );
    check(
        Regexp,
        &[
            ("func main", "api:cmd/main.go:3"),
            ("hel+o w.rld", "api:cmd/main.go:4 api:cmd/main_test.go:2"),
            ("package hello", ""),
        ],
    );
    check(
        Keyword,
        &[
            ("world hello", "api:cmd/main.go:4 api:cmd/main_test.go:2"),
            ("\"world hello\"", ""),
            // One word in the path, one in the content.
            ("test todo", "api:cmd/main_test.go:2,3"),
            ("acme api", "api api:go.mod:1"),
        ],
    );
}
