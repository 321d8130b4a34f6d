//! A search over many repositories against `rg` over the same files as work trees.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use campaign::scope::{Ended, PatternType, Prepared, Searcher};
use clap::Args;
use codehost::git::{Repositories, Source};
use futures::StreamExt;

use super::git::git;
use super::{Figure, figure, median};

#[derive(Args)]
pub struct Search {
    /// A folder of work trees with git; made of the crates that cargo unpacked when it is not there
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// How many of them
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// Measurements, of which the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// What is searched for: as a query, and as `rg` is told.
const QUERIES: [(&str, &str, &[&str]); 2] = [
    (r"unsafe\s+impl", r"/unsafe\s+impl/ count:all", &["-l", r"unsafe\s+impl"]),
    ("deprecated", "deprecated count:all", &["-l", "-i", "-F", "deprecated"]),
];

/// Milliseconds of one search.
struct Run {
    first: f64,
    all: f64,
    found: usize,
    ended: Ended,
}

impl Search {
    pub async fn run(&self) -> anyhow::Result<Vec<Figure>> {
        let trees = self.trees().await?;
        let mut lines = vec![figure("repositories", trees.len().to_string(), None)];
        let has_rg = Command::new("rg").arg("--version").stdout(Stdio::null()).status().is_ok();
        if !has_rg {
            lines.push(figure("rg", "not installed: nothing to compare with", None));
        }
        let data = tempfile::tempdir_in(&self.folder)?;
        let all = Repositories::open(data.path())?;
        for tree in &trees {
            let name = tree.file_name().context("a tree has a name")?.to_string_lossy();
            all.add(&name, Source::Path(tree.clone())).await?;
        }
        let all = Arc::new(all);
        // No tree of files is made yet: each text is read from git.
        let cold = run(&Arc::new(Searcher::new(all.clone())), QUERIES[0].1).await?;
        lines.push(figure("cold, making all trees: first result", ms(cold.first), None));
        lines.push(figure("cold, making all trees: all results", ms(cold.all), None));
        for (name, query, rg) in QUERIES {
            let [mut first, mut whole, mut again, mut changed, mut beside] =
                [const { Vec::new() }; 5];
            for _ in 0..self.rounds {
                // Another searcher: it knows the trees and no result.
                let searcher = Arc::new(Searcher::new(all.clone()));
                let built = run(&searcher, query).await?;
                ensure!(
                    built.ended.evaluated == trees.len(),
                    "{} evaluated",
                    built.ended.evaluated
                );
                let same = run(&searcher, query).await?;
                ensure!(same.ended.evaluated == 0 && same.found == built.found);
                commit(&trees[trees.len() / 2])?;
                let one = run(&searcher, query).await?;
                ensure!(one.ended.evaluated == 1, "{} evaluated anew", one.ended.evaluated);
                first.push(built.first);
                whole.push(built.all);
                again.push(same.all);
                changed.push(one.all);
                if has_rg {
                    beside.push(ripgrep(&self.folder, rg, &trees)?);
                }
            }
            let whole = median(&mut whole);
            let mut line = |what: &str, value: String, goal| {
                lines.push(figure(format!("{name}: {what}"), value, goal));
            };
            line("first result", ms(median(&mut first)), Some("≤ 200 ms"));
            line("all results, trees made", ms(whole), None);
            if has_rg {
                let beside = median(&mut beside);
                line("rg over the work trees", ms(beside), None);
                line("all results / rg", format!("{:.2}", whole / beside), Some("≤ 3"));
            }
            line("again, nothing changed (0 evaluated)", ms(median(&mut again)), None);
            line("again, one changed (1 evaluated)", ms(median(&mut changed)), None);
        }
        Ok(lines)
    }

    /// The work trees, made when the folder is not there.
    async fn trees(&self) -> anyhow::Result<Vec<PathBuf>> {
        if !self.folder.exists() {
            let unpacked = unpacked()?;
            std::fs::create_dir_all(&self.folder)?;
            let making = unpacked.into_iter().take(self.count).map(|tree| {
                let folder = self.folder.clone();
                tokio::task::spawn_blocking(move || make(&tree, &folder))
            });
            let at_once = crate::cli::runner::processors() as usize;
            let mut made = futures::stream::iter(making).buffer_unordered(at_once);
            while let Some(made) = made.next().await {
                made??;
            }
        }
        let mut trees = folders(&self.folder)?;
        trees.retain(|tree| tree.join(".git").is_dir());
        trees.truncate(self.count);
        ensure!(!trees.is_empty(), "no work tree with git in `{}`", self.folder.display());
        Ok(trees)
    }
}

/// The crates that cargo unpacked, of all its registries.
fn unpacked() -> anyhow::Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let mut trees = Vec::new();
    for registry in folders(&home.context("find cargo's folder")?.join("registry/src"))? {
        trees.extend(folders(&registry)?);
    }
    Ok(trees)
}

fn folders(of: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(of).with_context(|| format!("read `{}`", of.display()))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    Ok(folders)
}

fn make(tree: &Path, target: &Path) -> anyhow::Result<()> {
    let folder = target.join(tree.file_name().context("a tree has a name")?);
    ensure!(Command::new("cp").arg("-a").arg(tree).arg(&folder).status()?.success());
    git(&folder, &["init", "-q", "-b", "main"])?;
    git(&folder, &["add", "--all", "--force"])?;
    git(&folder, &["commit", "-q", "-m", "tree"])
}

fn commit(tree: &Path) -> anyhow::Result<()> {
    let count = std::fs::read(tree.join("bench.txt")).unwrap_or_default().len();
    std::fs::write(tree.join("bench.txt"), "x".repeat(count + 1))?;
    git(tree, &["add", "--all", "--force"])?;
    git(tree, &["commit", "-q", "-m", "bench"])
}

async fn run(searcher: &Arc<Searcher>, query: &str) -> anyhow::Result<Run> {
    let prepared = Prepared::new(query, PatternType::Keyword)?;
    let searcher = searcher.clone();
    let search = move || {
        let (began, mut first, mut found) = (Instant::now(), f64::NAN, 0);
        let ended = searcher.run(&prepared, None, |hit| {
            if found == 0 {
                first = began.elapsed().as_secs_f64() * 1e3;
            }
            found += hit.found.files.len();
            ControlFlow::Continue(())
        });
        Run { first, all: began.elapsed().as_secs_f64() * 1e3, found, ended }
    };
    let run = tokio::task::spawn_blocking(search).await?;
    let broken = run.ended.not_searched.first();
    ensure!(broken.is_none() && run.found > 0, "{} found; {broken:?}", run.found);
    Ok(run)
}

/// The same files: hidden ones and ignored ones too, git's own left out.
fn ripgrep(folder: &Path, arguments: &[&str], trees: &[PathBuf]) -> anyhow::Result<f64> {
    let began = Instant::now();
    let done = Command::new("rg")
        .args(["--no-config", "--no-ignore", "--hidden", "-g", "!.git"])
        .args(arguments)
        .args(trees)
        .current_dir(folder)
        .stdout(Stdio::null())
        .status()?;
    ensure!(done.success(), "rg {arguments:?}");
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

fn ms(value: f64) -> String {
    format!("{value:.0} ms")
}
