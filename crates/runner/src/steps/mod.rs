//! Runs a job: the steps that are known already come from the cache, the others run in a sandbox over a fresh checkout, and
//! what they changed becomes a patch.
//!
//! A result in the cache is the tree as git sees it; what a step leaves in ignored files is not there for the step after it
//! when that one starts from the cache (upstream's rule as well).

mod cache;
mod execute;
mod files;
mod outcome;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{Outcome, TimeoutKind};
use spec::{
    CachedStep, ChangedFiles, RenderedStep, Step, StepKeyInput, StepResult, TemplateContext,
};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use crate::runtime::Runtimes;
pub use crate::workspace::Directories;

use self::execute::Ground;
use self::outcome::Stop;
use crate::diff::{self, Diff};
use crate::job::{
    DiffStat, JobOrder, JobResult, RuntimeChoice, ServiceError, Services, StepReport, StepState,
};
use crate::logs::Recorder;
use crate::runtime::{ImageRef, OutputSink, RuntimeFactory};
use crate::workspace::JobFolder;

/// What a job leaves on the disk when nothing of it runs any more. Dropping it removes it, too, but blocks.
#[must_use]
pub struct Remains(Option<JobFolder>);

impl Remains {
    pub async fn remove(self) {
        if let Some(folder) = self.0 {
            folder.remove().await;
        }
    }
}

/// Runs `order` to its end. Never fails: what went wrong is the result. Nothing of the job runs when it returns; its folder is
/// the caller's to remove, which may happen while the result is reported.
pub async fn run_job(
    order: &JobOrder,
    services: Arc<dyn Services>,
    recorder: &Recorder,
    runtimes: &Runtimes,
    directories: &Directories,
    cancel: CancellationToken,
) -> (JobResult, Remains) {
    let deadline = order.job_timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
    let mut run = Run {
        order,
        services,
        recorder,
        runtimes,
        directories,
        cancel,
        deadline,
        images: HashMap::new(),
        done: Done::new(order),
        ground: None,
        kept: JoinSet::new(),
    };
    let result = run.all().await;
    let ground = run.ground.take();
    let close = async { Some(ground?.close().await) };
    let ((), folder) = tokio::join!(run.settle(), close);
    recorder.end_step();
    (run.finish(result), Remains(folder))
}

/// A job on its way.
struct Run<'a> {
    order: &'a JobOrder,
    services: Arc<dyn Services>,
    recorder: &'a Recorder,
    runtimes: &'a Runtimes,
    directories: &'a Directories,
    cancel: CancellationToken,
    deadline: Option<Instant>,
    /// Images by name, asked for once.
    images: HashMap<String, ImageRef>,
    done: Done,
    /// The checkout and the sandbox, once a step really runs.
    ground: Option<Ground>,
    /// Results of steps on their way into the cache.
    kept: JoinSet<Result<(), ServiceError>>,
}

/// What the steps so far came to.
struct Done {
    reports: Vec<StepReport>,
    context: TemplateContext,
    previous_key: Option<String>,
    changes: Changes,
}

/// The cumulative patch, as far as it is at hand.
enum Changes {
    None,
    /// From the cache, by digest.
    Stored(String),
    Here(Diff),
}

/// A step that is to run, with everything decided that can be decided before it does.
struct Planned {
    /// From 0.
    index: usize,
    rendered: RenderedStep,
    image: Option<ImageRef>,
    /// `None` when the result cannot be kept: without a repository there is nothing to keep it for.
    key: Option<String>,
}

impl Done {
    fn new(order: &JobOrder) -> Self {
        let context = TemplateContext {
            repository: order.repository.clone(),
            batch_change: order.batch_change.clone(),
            steps_path: order.path.clone(),
            ..Default::default()
        };
        Self { reports: Vec::new(), context, previous_key: None, changes: Changes::None }
    }

    fn report(&mut self, state: StepState, exit_code: Option<i32>, duration: Duration) {
        let number = self.reports.len() as u32 + 1;
        let duration_ms = duration.as_millis() as u64;
        self.reports.push(StepReport { number, state, exit_code, duration_ms });
    }

    /// A step has this result, from the cache or from a run.
    fn take(&mut self, key: Option<String>, step: &CachedStep) {
        let result = StepResult {
            files: step.files.clone(),
            stdout: step.stdout.clone(),
            stderr: step.stderr.clone(),
        };
        self.context.steps_files = step.files.clone();
        self.context.previous_step = Some(result);
        self.context.outputs = step.outputs.clone();
        self.previous_key = key;
    }
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), Stop> {
        self.check_mounts()?;
        match self.steps(self.order.use_cache).await {
            Err(Stop::CacheUnusable(why)) => {
                self.recorder
                    .notice(&format!("the cached changes cannot be used, so all steps run: {why}"));
                if let Some(ground) = self.ground.take() {
                    ground.close().await.remove().await;
                }
                self.done = Done::new(self.order);
                self.steps(false).await
            }
            other => other,
        }
    }

    async fn steps(&mut self, use_cache: bool) -> Result<(), Stop> {
        let mut missed = None;
        if use_cache && self.order.checkout.is_some() {
            missed = self.replay().await?;
            if let Changes::Stored(digest) = &self.done.changes {
                self.fetch_changes(&digest.clone()).await?;
            }
        }
        while self.done.reports.len() < self.order.steps.len() {
            let planned = match missed.take() {
                Some(planned) => Some(planned),
                None => self.plan().await?,
            };
            if let Some(planned) = planned {
                self.execute(planned).await?;
            }
        }
        Ok(())
    }

    /// Decides on the next step: whether it runs, and what exactly. `None` when it is skipped.
    async fn plan(&mut self) -> Result<Option<Planned>, Stop> {
        let index = self.done.reports.len();
        let number = index + 1;
        let step = &self.order.steps[index];
        let wanted = spec::evaluate_condition(&step.r#if, &self.done.context).map_err(|error| {
            Stop::rejected(format!("step {number}: its `if` cannot be evaluated: {error}"))
        })?;
        if !wanted {
            self.recorder.notice(&format!("step {number}: skipped, its condition is not true"));
            self.done.report(StepState::Skipped, None, Duration::ZERO);
            return Ok(None);
        }
        let rendered = spec::render_step(step, &self.done.context).map_err(|error| {
            Stop::rejected(format!("step {number} cannot be rendered: {error}"))
        })?;
        let image = self.image(number, &rendered).await?;
        let key = self.key(step, &rendered, image.as_ref())?;
        Ok(Some(Planned { index, rendered, image, key }))
    }

    /// The image that a step runs in; `None` for a process.
    async fn image(
        &mut self,
        number: usize,
        rendered: &RenderedStep,
    ) -> Result<Option<ImageRef>, Stop> {
        let Some(name) = &rendered.container else { return Ok(None) };
        if self.order.runtime == RuntimeChoice::Process {
            return Ok(None);
        }
        if let Some(known) = self.images.get(name) {
            return Ok(Some(known.clone()));
        }
        let Some(docker) = self.runtimes.docker.clone() else {
            return Err(Stop::rejected(format!(
                "step {number} runs in the container image `{name}`, and this runner has no Docker; \
                 with `--runtime process` the step runs as a process instead"
            )));
        };
        let resolved = self.until_stopped(docker.resolve(name)).await?;
        let image = resolved.map_err(|error| Stop::runtime(&error))?;
        self.images.insert(name.clone(), image.clone());
        Ok(Some(image))
    }

    fn key(
        &self,
        step: &Step,
        rendered: &RenderedStep,
        image: Option<&ImageRef>,
    ) -> Result<Option<String>, Stop> {
        let Some(checkout) = &self.order.checkout else { return Ok(None) };
        let mounts = files::mount_digests(self.order, step)?;
        Ok(Some(spec::step_key(&StepKeyInput {
            repository: &checkout.name,
            revision: &checkout.commit,
            path: &self.order.path,
            only_fetch_workspace: self.order.only_fetch_workspace,
            step: rendered,
            outputs: &step.outputs,
            context: &self.done.context,
            image_digest: image.map(|image| image.digest.as_str()),
            mounts: &mounts,
            previous_key: self.done.previous_key.as_deref(),
            runtime: if image.is_some() { "docker" } else { "process" },
        })))
    }

    fn check_mounts(&self) -> Result<(), Stop> {
        for step in &self.order.steps {
            files::mount_digests(self.order, step)?;
        }
        let with_container = self.order.steps.iter().any(|step| step.container.is_some());
        if with_container && self.order.runtime == RuntimeChoice::Process {
            self.recorder
                .notice("steps run as processes of this runner; their `container` is not used");
        }
        Ok(())
    }

    /// Waits for something other than a step, no longer than the job may take.
    async fn until_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let timeout = async {
            match self.deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // A job that was cancelled begins nothing any more.
            biased;
            () = self.cancel.cancelled() => Err(Stop::Killed),
            () = timeout => Err(Stop::TimedOut(TimeoutKind::Job)),
            done = work => Ok(done),
        }
    }

    fn factory(&self, image: Option<&ImageRef>) -> Arc<dyn RuntimeFactory> {
        match (image, &self.runtimes.docker) {
            (Some(_), Some(docker)) => docker.clone(),
            _ => self.runtimes.process.clone(),
        }
    }

    /// Puts the result together.
    fn finish(mut self, result: Result<(), Stop>) -> JobResult {
        let outcome = match &result {
            Ok(()) => Outcome::Succeeded,
            Err(stop) => stop.outcome(|text| self.recorder.redact(text)),
        };
        let try_again = result.as_ref().is_err_and(Stop::may_be_tried_again);
        let message = result.as_ref().err().map(|stop| self.recorder.redact(&stop.message()));
        if let Some(message) = &message {
            self.recorder.notice(message);
        }
        while self.done.reports.len() < self.order.steps.len() {
            self.done.report(StepState::NotRun, None, Duration::ZERO);
        }
        let diff = match self.done.changes {
            Changes::Here(diff) if result.is_ok() => diff,
            _ => Diff::default(),
        };
        let wants_patch = result.is_ok() && self.order.checkout.is_some();
        JobResult {
            outcome,
            message,
            try_again,
            patch: wants_patch.then_some(diff.patch),
            steps: self.done.reports,
            changed: diff.changed,
            diff_stat: diff.stat,
            outputs: self.done.context.outputs,
        }
    }
}
