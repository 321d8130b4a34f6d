//! A few repositories in memory.

use std::borrow::Cow;
use std::convert::Infallible;

use search::{Repository, Revision, Visibility};

pub struct Fake {
    pub name: &'static str,
    pub is_fork: bool,
    pub is_archived: bool,
    pub visibility: Visibility,
    pub topics: Vec<String>,
    /// Revision, path and content.
    pub files: Vec<(&'static str, &'static str, &'static str)>,
}

impl Repository for Fake {
    type Error = Infallible;

    fn name(&self) -> &str {
        self.name
    }

    fn is_fork(&self) -> bool {
        self.is_fork
    }

    fn is_archived(&self) -> bool {
        self.is_archived
    }

    fn visibility(&self) -> Visibility {
        self.visibility
    }

    fn topics(&self) -> &[String] {
        &self.topics
    }

    fn revisions(&self, wanted: &[Revision]) -> Result<Vec<String>, Infallible> {
        if wanted.is_empty() {
            return Ok(vec!["main".to_owned()]);
        }
        let names = wanted.iter().filter_map(|revision| match revision {
            Revision::Named(name) => Some(name.clone()),
            Revision::Glob(_) | Revision::Exclude(_) => None,
        });
        Ok(names.filter(|name| self.files.iter().any(|(it, ..)| it == name)).collect())
    }

    fn paths(&self, revision: &str) -> Result<Vec<String>, Infallible> {
        let files = self.files.iter().filter(|(it, ..)| *it == revision);
        Ok(files.map(|(_, path, _)| (*path).to_owned()).collect())
    }

    fn contents(&self, revision: &str, path: &str) -> Result<Option<Cow<'_, [u8]>>, Infallible> {
        let mut files = self.files.iter().filter(|(it, at, _)| *it == revision && *at == path);
        Ok(files.next().map(|(.., text)| Cow::Borrowed(text.as_bytes())))
    }
}

fn fake(name: &'static str, files: &[(&'static str, &'static str, &'static str)]) -> Fake {
    Fake {
        name,
        is_fork: false,
        is_archived: false,
        visibility: Visibility::Public,
        topics: Vec::new(),
        files: files.to_vec(),
    }
}

pub fn fleet() -> Vec<Fake> {
    let api = fake(
        "github.com/acme/api",
        &[
            ("main", "README.md", "The API.\nSee docs.\n"),
            ("main", "go.mod", "module acme/api\ngo 1.22\n"),
            (
                "main",
                "cmd/main.go",
                "package main\n\nfunc main() {\n\tfmt.Println(\"hello world\")\n}\n",
            ),
            ("main", "cmd/main_test.go", "package main\n// TODO: Hello World\n// todo later\n"),
            ("v1", "go.mod", "module acme/api\ngo 1.10\n"),
        ],
    );
    let web = fake(
        "github.com/acme/web",
        &[
            ("main", "package.json", "{\n  \"name\": \"web\"\n}\n"),
            ("main", "src/api.ts", "import api\nfetch(api)\nTODO\n"),
            ("main", "Dockerfile", "FROM node:18\nRUN npm ci\n"),
        ],
    );
    let fork = fake("github.com/acme/fork", &[("main", "README.md", "a fork\n")]);
    let old = fake("github.com/acme/old", &[("main", "setup.py", "print 'hello world'\n")]);
    vec![
        Fake { topics: vec!["go".to_owned(), "service".to_owned()], ..api },
        Fake { visibility: Visibility::Private, ..web },
        Fake { is_fork: true, ..fork },
        Fake { is_archived: true, ..old },
    ]
}
