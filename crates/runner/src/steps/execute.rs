//! Runs one step for real, and looks at what it left.

use spec::Run as StepRun;

use super::outcome::sentence;
use super::*;
use crate::runtime::{Command, Exit, RuntimeError, Sandbox, SandboxOptions};
use crate::workspace::Tree;

/// From the polite end of a step to its forced one.
const KILL_GRACE_MS: u64 = 2000;

/// Where the steps of a job run.
pub(super) struct Ground {
    folder: JobFolder,
    tree: Option<Tree>,
    sandbox: Option<(Option<ImageRef>, Box<dyn Sandbox>)>,
}

impl Ground {
    /// Waits until nothing of the job runs. What is left is its folder.
    pub async fn close(self) -> JobFolder {
        if let Some((_, sandbox)) = self.sandbox {
            sandbox.close().await;
        }
        self.folder
    }
}

impl Run<'_> {
    pub(super) async fn execute(&mut self, planned: Planned) -> Result<(), Stop> {
        let number = planned.index + 1;
        let first_line = first_line(&planned.rendered.run);
        let started = Instant::now();
        self.prepare_ground().await?;
        let folder = self.ground.as_ref().expect("it was just prepared").folder.files();
        let (argv, mounts) = self.write_files(&planned, &folder).await?;
        let own_timeout = planned.rendered.timeout_ms.or(self.order.step_timeout_ms);
        let job_left =
            self.deadline.map(|at| at.saturating_duration_since(Instant::now()).as_millis() as u64);
        let timeout_ms = own_timeout.into_iter().chain(job_left).min();
        let command = Command {
            argv,
            env: planned.rendered.env.clone(),
            directory: self.order.path.clone(),
            mounts,
            timeout_ms,
        };
        self.recorder.notice(&format!("step {number}: {first_line}"));
        let quiet_until = SystemTime::now();
        let exit = self.run_command(&command, planned.image.as_ref()).await;
        let (stdout, stderr) = self.recorder.end_step();
        let exit = exit.map_err(|error| Stop::runtime(&error))?;
        let took = started.elapsed();
        let last_words = last_line(&stderr);
        let failed = |exit: i32, how: String| Stop::Failed {
            exit,
            message: format!("step {number} {how}: {first_line}{last_words}"),
        };
        let (state, code, stop) = match exit {
            Exit::Code(0) => (StepState::Succeeded, Some(0), None),
            Exit::Code(code) => {
                let stop = failed(code, format!("failed with exit code {code}"));
                (StepState::Failed, Some(code), Some(stop))
            }
            Exit::Signal(signal) => {
                let code = 128 + signal;
                let stop = failed(code, format!("was ended by signal {signal}"));
                (StepState::Failed, Some(code), Some(stop))
            }
            Exit::TimedOut => {
                let of_the_job =
                    own_timeout.is_none_or(|own| job_left.is_some_and(|left| left < own));
                let stop = if of_the_job {
                    Stop::TimedOut(TimeoutKind::Job)
                } else {
                    Stop::StepTimedOut { number, after_ms: own_timeout.unwrap_or(0) }
                };
                (StepState::TimedOut, None, Some(stop))
            }
            Exit::Killed => (StepState::Killed, None, Some(Stop::Killed)),
        };
        if let Some(stop) = stop {
            self.done.report(state, code, took);
            return Err(stop);
        }
        self.conclude(planned, quiet_until, stdout, stderr).await?;
        self.done.report(state, code, took);
        Ok(())
    }

    /// Makes the checkout, and brings it to where the cached steps ended.
    async fn prepare_ground(&mut self) -> Result<(), Stop> {
        if self.ground.is_some() {
            return Ok(());
        }
        let order = self.order;
        let label = label(order);
        let folder = self
            .directories
            .job(&label)
            .map_err(|error| Stop::infrastructure("the job's folder could not be made", &error))?;
        let mut tree = None;
        if let Some(checkout) = &order.checkout {
            let branch = &order.repository.branch;
            let only = order.only_fetch_workspace;
            let created =
                Tree::create(self.directories, &folder, checkout, branch, &order.path, only);
            let created =
                self.until_stopped(created).await?.map_err(|error| Stop::checkout(&error))?;
            if let Changes::Here(diff) = &self.done.changes {
                let applied = self.until_stopped(created.apply(&diff.patch)).await?;
                applied.map_err(|error| Stop::CacheUnusable(sentence(&error)))?;
            }
            tree = Some(created);
        } else if !order.path.is_empty() {
            return Err(Stop::rejected(format!(
                "without a repository there is no folder `{}`",
                order.path
            )));
        }
        self.ground = Some(Ground { folder, tree, sandbox: None });
        Ok(())
    }

    async fn run_command(
        &mut self,
        command: &Command,
        image: Option<&ImageRef>,
    ) -> Result<Exit, RuntimeError> {
        let factory = self.factory(image);
        let ground = self.ground.as_mut().expect("a step runs on prepared ground");
        if ground.sandbox.as_ref().is_some_and(|(current, _)| current.as_ref() != image)
            && let Some((_, sandbox)) = ground.sandbox.take()
        {
            sandbox.close().await;
        }
        if ground.sandbox.is_none() {
            let options = SandboxOptions {
                work_tree: ground.folder.tree(),
                scratch: ground.folder.scratch(),
                readable: ground
                    .tree
                    .as_ref()
                    .map(|tree| tree.borrowed.clone())
                    .unwrap_or_default(),
                network: self.order.network,
                limits: self.order.limits,
                label: label(self.order),
                cancel: self.cancel.clone(),
                kill_grace_ms: KILL_GRACE_MS,
            };
            ground.sandbox = Some((image.cloned(), factory.open(options, image).await?));
        }
        let (_, sandbox) = ground.sandbox.as_mut().expect("it was just opened");
        let mut run = sandbox.run(command, self.recorder);
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        loop {
            tokio::select! {
                exit = &mut run => return exit,
                _ = ticks.tick() => self.recorder.flush_partial(),
            }
        }
    }

    /// A step succeeded: what did it change, what are its outputs, and what of it is kept.
    async fn conclude(
        &mut self,
        planned: Planned,
        quiet_until: SystemTime,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    ) -> Result<(), Stop> {
        let number = planned.index + 1;
        let step = &self.order.steps[planned.index];
        let mut diff = Diff::default();
        if let Some(tree) = self.ground.as_ref().and_then(|ground| ground.tree.as_ref()) {
            let compared = self.until_stopped(tree.diff(quiet_until)).await?;
            diff = compared.map_err(|error| Stop::diff(number, &error))?;
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let result =
            StepResult { files: diff.changed.clone(), stdout: text(stdout), stderr: text(stderr) };
        let mut outputs = std::mem::take(&mut self.done.context.outputs);
        let context = TemplateContext {
            step: Some(result.clone()),
            steps_files: diff.changed.clone(),
            outputs: outputs.clone(),
            ..self.done.context.clone()
        };
        spec::render_outputs(step, &context, &mut outputs)
            .map_err(|error| Stop::rejected(format!("after step {number}: {error}")))?;
        let kept = CachedStep {
            diff: None,
            files: result.files,
            stdout: result.stdout,
            stderr: result.stderr,
            outputs,
            skipped: false,
        };
        self.done.take(planned.key.clone(), &kept);
        if let Some(key) = planned.key {
            self.store(key, kept, &diff.patch);
        }
        self.done.changes = Changes::Here(diff);
        Ok(())
    }
}

fn label(order: &JobOrder) -> String {
    format!("job-{}-attempt-{}", order.job, order.attempt)
}

/// What a step is called where its number is not enough.
fn first_line(run: &StepRun) -> String {
    let text = match run {
        StepRun::Shell(text) => {
            text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
        }
        StepRun::Argv(arguments) => arguments.join(" "),
    };
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(160).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

/// What a command that failed said last, to stand behind its own line.
fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let Some(line) = text.lines().rev().find(|line| !line.trim().is_empty()) else {
        return String::new();
    };
    let line: String = line.trim().chars().filter(|c| !c.is_control()).take(160).collect();
    format!(" — {line}")
}
