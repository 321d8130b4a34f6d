//! Thousands of repositories that cost little: bare, alike, their files hard links to those of one.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::cli::bench::git::git;

/// A repository's name; teams have a hundredth each.
pub fn name(number: u64) -> String {
    format!("team-{:02}/service-{number:05}", number % TEAMS)
}

pub const TEAMS: u64 = 100;

pub const DEFINITION: &str = "name: upgrade
description: Upgrades the library everywhere
on:
  - repositoriesMatchingQuery: repo:^team-
steps:
  - run: ./upgrade.sh
  - run: make check
changesetTemplate:
  title: Upgrade the library in ${{ repository.name }}
  body: It was old.
  branch: phalanx/upgrade
  commit:
    message: Upgrade the library
";

const README: &str = "A service\n\nIt serves.\n";

/// What a job changed: a line, a file of its own, and now and then hundreds of files.
pub fn patch(number: u64) -> (String, Vec<String>) {
    let mut patch = "diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n@@ -1,3 +1,4 @@\n A service\n \n It serves.\n+It is new.\n".to_owned();
    let mut added = Vec::new();
    for file in 0..if number.is_multiple_of(500) { 300 } else { 1 } {
        let path = format!("notes/{number}-{file}.md");
        let lines = 20 + number % 60;
        patch.push_str(&format!("diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{lines} @@\n"));
        for line in 0..lines {
            patch.push_str(&format!("+Line {line} of what service {number} should know.\n"));
        }
        added.push(path);
    }
    (patch, added)
}

/// Makes them in a folder that is there and empty.
pub fn repositories(folder: &Path, count: u64) -> anyhow::Result<()> {
    let parent = folder.parent().context("the folder is in another")?;
    let (tree, first) = (parent.join("tree"), parent.join("first.git"));
    fs::create_dir_all(&tree)?;
    git(&tree, &["init", "-q", "-b", "main"])?;
    fs::write(tree.join("README.md"), README)?;
    fs::write(tree.join("upgrade.sh"), "#!/bin/sh\necho 'It is new.' >> README.md\n")?;
    git(&tree, &["add", "--all"])?;
    git(&tree, &["commit", "-q", "-m", "tree"])?;
    git(parent, &["clone", "-q", "--bare", "tree", "first.git"])?;
    git(&first, &["repack", "-q", "-a", "-d"])?;
    git(&first, &["pack-refs", "--all"])?;
    let packs = first.join("objects/pack");
    let mut shared = vec![first.join("HEAD"), first.join("config"), first.join("packed-refs")];
    shared.extend(fs::read_dir(&packs)?.filter_map(|entry| Some(entry.ok()?.path())));
    for number in 0..count {
        let repository = folder.join(name(number));
        fs::create_dir_all(repository.join("objects/pack"))?;
        fs::create_dir_all(repository.join("refs/heads"))?;
        for file in &shared {
            fs::hard_link(file, repository.join(file.strip_prefix(&first)?))?;
        }
    }
    Ok(())
}
