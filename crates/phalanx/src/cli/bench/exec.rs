//! `exec` over many real source trees against the same in plain shell: `git clone --shared`, the step, `git diff`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;

use super::{Figure, figure, median};

#[derive(Args)]
pub struct Exec {
    /// A folder of source trees [default: the crates that cargo unpacked]
    #[arg(long, value_name = "DIR")]
    trees: Option<PathBuf>,
    /// How many of them
    #[arg(long, default_value_t = 60)]
    count: usize,
    /// Measurements, of which the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

const STEP: &str = "echo '# bench' >> Cargo.toml";

impl Exec {
    pub async fn run(&self) -> anyhow::Result<Vec<Figure>> {
        let work = tempfile::tempdir()?;
        let repositories = work.path().join("repositories");
        let trees = self.find()?;
        let files = make_repositories(&trees, &repositories)?;
        let spec = work.path().join("spec.yaml");
        std::fs::write(
            &spec,
            format!(
                "name: bench\nsteps:\n  - run: {STEP}\nchangesetTemplate:\n  title: t\n  branch: b\n  commit:\n    message: m\n"
            ),
        )?;
        let (mut cold, mut cached, mut shell) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.rounds {
            shell.push(plain_shell(&repositories, &work.path().join(format!("shell-{round}")))?);
            let data = work.path().join(format!("data-{round}"));
            cold.push(exec(&spec, &repositories, &data, trees.len())?);
            cached.push(exec(&spec, &repositories, &data, trees.len())?);
        }
        let (cold, cached, shell) = (median(&mut cold), median(&mut cached), median(&mut shell));
        Ok(vec![
            figure(
                format!("plain shell over {} trees ({files} files)", trees.len()),
                format!("{shell:.2} s"),
                None,
            ),
            figure("exec, cold", format!("{cold:.2} s"), None),
            figure("exec, cached", format!("{cached:.2} s"), None),
            figure("exec cold / plain shell", format!("{:.2}", cold / shell), Some("≤ 1.3")),
            figure("exec cached / plain shell", format!("{:.2}", cached / shell), Some("≤ 0.2")),
        ])
    }

    fn find(&self) -> anyhow::Result<Vec<PathBuf>> {
        let folder = match &self.trees {
            Some(folder) => folder.clone(),
            None => {
                let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
                let home =
                    home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
                let sources = home.context("find cargo's folder")?.join("registry/src");
                let first = std::fs::read_dir(&sources)
                    .with_context(|| format!("read `{}`", sources.display()))?
                    .next();
                first.context("cargo unpacked nothing; give --trees DIR")??.path()
            }
        };
        let mut trees: Vec<PathBuf> =
            std::fs::read_dir(&folder)?.filter_map(|e| Some(e.ok()?.path())).collect();
        trees.retain(|tree| tree.join("Cargo.toml").is_file());
        trees.sort();
        // Spread over the alphabet, not all of one family.
        let every = (trees.len() / self.count.max(1)).max(1);
        let trees: Vec<PathBuf> = trees.into_iter().step_by(every).take(self.count).collect();
        ensure!(
            trees.len() == self.count,
            "only {} trees with a Cargo.toml in `{}`",
            trees.len(),
            folder.display()
        );
        Ok(trees)
    }
}

fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    command
}

fn make_repositories(trees: &[PathBuf], target: &Path) -> anyhow::Result<usize> {
    let mut files = 0;
    for tree in trees {
        let name = tree.file_name().context("a tree has a name")?;
        let folder = target.join(name);
        std::fs::create_dir_all(target)?;
        ensure!(Command::new("cp").arg("-a").arg(tree).arg(&folder).status()?.success());
        for arguments in [
            &["init", "-q", "-b", "main"][..],
            &["add", "--all", "--force"],
            &["-c", "user.name=bench", "-c", "user.email=b@b", "commit", "-q", "-m", "tree"],
        ] {
            ensure!(git(&folder).args(arguments).status()?.success(), "git {arguments:?}");
        }
        let listed = git(&folder).args(["ls-files"]).output()?;
        files += listed.stdout.iter().filter(|byte| **byte == b'\n').count();
    }
    Ok(files)
}

fn plain_shell(repositories: &Path, work: &Path) -> anyhow::Result<f64> {
    std::fs::create_dir_all(work)?;
    let script = format!(
        "ls {0} | xargs -P {2} -I@ sh -c 'git clone -q --shared {0}/@ {1}/@ && cd {1}/@ && ( {STEP3} ) && git diff > {1}/@.patch && rm -rf {1}/@'",
        repositories.display(),
        work.display(),
        crate::cli::runner::processors(),
        STEP3 = STEP.replace('\'', "\""),
    );
    let began = Instant::now();
    let done =
        Command::new("sh").args(["-c", &script]).env("GIT_CONFIG_GLOBAL", "/dev/null").status()?;
    ensure!(done.success(), "the plain shell failed");
    Ok(began.elapsed().as_secs_f64())
}

fn exec(spec: &Path, repositories: &Path, data: &Path, count: usize) -> anyhow::Result<f64> {
    let out = data.with_extension("out");
    let began = Instant::now();
    let done = Command::new(std::env::current_exe()?)
        .arg("exec")
        .arg("-f")
        .arg(spec)
        .arg("--repos-in")
        .arg(repositories)
        .arg("-o")
        .arg(&out)
        .arg("--data-directory")
        .arg(data)
        .stderr(Stdio::null())
        .status()?;
    let took = began.elapsed().as_secs_f64();
    ensure!(done.success(), "exec failed: {done}");
    let patches = std::fs::read_dir(&out)?
        .filter_map(|e| e.ok())
        .filter(|e| e.path().extension().is_some_and(|x| x == "patch"));
    let patches = patches.count();
    ensure!(patches == count, "{patches} of {count} patches");
    Ok(took)
}
