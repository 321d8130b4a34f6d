//! A checked request becomes a job.

use std::sync::Arc;

use engine::ops::{Refused, SubmitOp, SubmitOutcome};
use model::{
    JobId, JobState, NewJob, Order, Outcome, Priority, Requirements, Reuse, ReuseKey, Slice, Terms,
};
use prost::Message;
use rand::RngExt;

use super::{TERMINATION_QUEUE, hand, queue_of};
use crate::config::templates::Deployment;
use crate::config::{Config, Pool, SchedulingAlgorithm};
use crate::proto::stored::StoredTask;
use crate::proto::swarming::TaskRequestResponse;
use crate::prpc::{Code, Status};
use crate::server::{Caller, Server, now};
use crate::tasks::view::{TaskView, timestamp};
use crate::validate::fill::{Stored, is_active, task_request};
use crate::validate::hash::properties_hash;
use crate::validate::task::{KnownParent, TagFacts};
use crate::validate::{NewTask, TaskId};

/// What is known when all rules are applied, before anything is stored.
pub(crate) struct Draft {
    task: NewTask,
    tags: Vec<String>,
    parent: Option<JobId>,
    authenticated: String,
    order: Order,
}

impl Draft {
    /// Applies what pool, parent and caller decide.
    pub fn new(
        server: &Server,
        config: &Config,
        pool: &Pool,
        caller: &Caller,
        may_be_urgent: bool,
        mut task: NewTask,
    ) -> Result<Self, Status> {
        task.set_realm(pool.default_task_realm.as_deref())?;
        let parent = parent(server, &mut task)?;
        task.clamp_priority(may_be_urgent);
        let chosen = pool.deployment.as_ref().map(|deployment| {
            deployment.choose(task.template, rand::rng().random_range(Deployment::CHANCES))
        });
        let (template_name, template) = chosen.unwrap_or(("none", None));
        if let Some(template) = template {
            for slice in &mut task.slices {
                let applied = template.apply(&mut slice.properties);
                applied.map_err(|why| Status::invalid(format!("applying task template: {why}")))?;
            }
        }
        if let Some(default) = &config.default_cipd {
            for slice in &mut task.slices {
                slice.properties.set_default_cipd(default);
            }
        }
        let order = pool.scheduling_algorithm;
        Ok(Self::finish(config, order, caller, parent, task, template_name))
    }

    /// A termination: made by the server itself, so no rule of a pool applies.
    pub fn termination(config: &Config, caller: &Caller, task: NewTask) -> Self {
        Self::finish(config, SchedulingAlgorithm::Fifo, caller, None, task, "none")
    }

    fn finish(
        config: &Config,
        algorithm: SchedulingAlgorithm,
        caller: &Caller,
        parent: Option<JobId>,
        task: NewTask,
        task_template: &str,
    ) -> Self {
        let tags = task.all_tags(TagFacts {
            authenticated: &caller.identity,
            pool_version: &config.revision,
            task_template,
            rbe: None,
        });
        let order = match algorithm {
            SchedulingAlgorithm::Fifo => Order::Oldest,
            SchedulingAlgorithm::Lifo => Order::Newest,
        };
        Self { task, tags, parent, authenticated: caller.identity.clone(), order }
    }

    /// As it would be shown.
    pub fn request(&self, id: Option<TaskId>, created_ms: i64) -> TaskRequestResponse {
        task_request(
            &self.task,
            &Stored {
                id,
                created: timestamp(created_ms),
                authenticated: &self.authenticated,
                tags: &self.tags,
            },
        )
    }

    /// Stores it. A request with a key that was used before gives the task that it made.
    async fn create(self, server: &Server) -> Result<TaskView, Status> {
        let key = self.task.request_uuid.as_ref().map(|uuid| {
            let hash = blake3::hash(format!("{}:{uuid}", self.authenticated).as_bytes());
            <[u8; 16]>::try_from(&hash.as_bytes()[..16]).expect("sixteen of thirty-two bytes")
        });
        let claimed = match key {
            None => None,
            Some(key) => Some(server.creating.claim(key).await),
        };
        if let Some(key) = key
            && let Some(view) = server.dispatcher.reader().job_by_request_key(key)?
            && now().0.saturating_sub(view.created.0) < REQUEST_KEY_MS
        {
            return TaskView::of_job(server, view);
        }
        let created_ms = i64::try_from(now().0).unwrap_or(i64::MAX);
        let id = server.ids.next(created_ms, rand::random());
        let reuses = self.reusable(server)?;
        let stored = self.stored(id, reuses.is_some());
        let job = Arc::new(self.job(id, key, reuses, stored.encode_to_vec()));
        let op = SubmitOp { key: None, group: None, jobs: vec![job.clone()] };
        let outcome = server.dispatcher.submit(op).await;
        drop(claimed);
        match outcome {
            SubmitOutcome::Accepted { first_job, .. } => {
                // It may be over already: nobody could run it, or its result was there. If not, a bot that waited may have it
                // by now; clients are told of the task as it was made, pending.
                let over = match server.dispatcher.is_live(first_job) {
                    true => None,
                    false => server.dispatcher.reader().job(first_job)?,
                };
                match over {
                    Some(view) => TaskView::of_job(server, view),
                    None => Ok(TaskView::pending(id, first_job, job, stored)),
                }
            }
            SubmitOutcome::Refused(Refused::TooMany { what, max }) => {
                let why = format!("there are {max} {what} already; try again later");
                Err(Status::new(Code::ResourceExhausted, why))
            }
            SubmitOutcome::Refused(Refused::Invalid { what }) => {
                Err(Status::invalid(format!("bad request: {what}")))
            }
            SubmitOutcome::Duplicate { .. } | SubmitOutcome::Refused(Refused::KeyReused) => {
                Err(Status::new(Code::Internal, "a request without a key cannot be repeated"))
            }
        }
    }

    /// The result of an equal task that went well, and the slice that it equals.
    fn reusable(&self, server: &Server) -> Result<Option<Reuse>, Status> {
        let oldest_ms = u64::from(server.config().settings.reusable_task_age_secs) * 1000;
        for (slice, key) in (0..).zip(self.reuse_keys()) {
            let Some(key) = key else { continue };
            let Some((job, _)) = server.dispatcher.reader().reusable(key)? else { continue };
            let Some(view) = server.dispatcher.reader().job(job)? else { continue };
            // It may have been tried again since, and failed.
            let good = matches!(
                view.state,
                JobState::Finished { outcome: Outcome::Succeeded, .. } if view.attempts > 0
            );
            if good && now().0.saturating_sub(view.created.0) <= oldest_ms {
                return Ok(Some(Reuse { job, slice }));
            }
        }
        Ok(None)
    }

    fn reuse_keys(&self) -> impl Iterator<Item = Option<ReuseKey>> {
        let secret = self.task.secret.as_deref();
        self.task.slices.iter().map(move |slice| {
            let of_slice = secret.filter(|_| slice.properties.has_secret);
            let hash = || ReuseKey(properties_hash(&slice.properties, of_slice));
            slice.properties.idempotent.then(hash)
        })
    }

    fn stored(&self, id: TaskId, is_reused: bool) -> StoredTask {
        let task = &self.task;
        let mut request = self.request(Some(id), id.created_ms());
        request.properties = None;
        StoredTask {
            request: Some(request),
            // A task that is never run needs none.
            secret: task.secret.clone().filter(|_| !is_reused).unwrap_or_default(),
            pubsub_auth_token: task
                .pubsub
                .as_ref()
                .map_or_else(String::new, |p| p.auth_token.clone()),
            pool: task.pool.clone(),
        }
    }

    fn job(
        &self,
        id: TaskId,
        key: Option<[u8; 16]>,
        reuses: Option<Reuse>,
        payload: Vec<u8>,
    ) -> NewJob {
        let task = &self.task;
        let slices = task.slices.iter().zip(self.reuse_keys()).map(|(slice, reuse_key)| {
            let mut requirements = Requirements::default();
            for constraint in slice.properties.filter.constraints() {
                if constraint.key == "pool" {
                    continue;
                }
                let named: Vec<String> = match constraint.key.as_str() {
                    // A bot, or a runner of ours that serves the pool.
                    "id" => constraint.values.iter().map(|id| hand(id).to_string()).collect(),
                    _ => Vec::new(),
                };
                let values = constraint.values.iter().chain(&named).map(String::as_str);
                let values: Vec<&str> = values.collect();
                requirements
                    .add(&constraint.key, &values)
                    .expect("a dimension that was checked is within the engine's limits");
            }
            if task.is_terminate() {
                for id in slice.properties.dimensions.get("id").into_iter().flatten() {
                    let name = hand(id).to_string();
                    requirements.add("id", &[&name]).expect("the id of a bot is a dimension");
                }
            }
            Slice {
                requirements,
                expires_after_ms: Some(u64::from(slice.expiration_secs) * 1000),
                wait_for_capacity: slice.wait_for_capacity,
                reuse_key,
            }
        });
        NewJob {
            queue: match task.is_terminate() {
                true => TERMINATION_QUEUE.into(),
                false => queue_of(&task.pool).into(),
            },
            owner: self.authenticated.as_str().into(),
            priority: Priority(task.priority),
            slices: slices.collect(),
            // The bot watches the clock; when it goes silent the lease ends.
            timeout_ms: None,
            lost_runner_retries: 0,
            payload: payload.into(),
            terms: Terms {
                order: self.order,
                lease_ms: Some(u64::from(task.bot_ping_tolerance_secs) * 1000),
                parent: self.parent,
                reuses,
                wire_id: u64::try_from(id.number()).ok(),
                request_key: key,
                labels: self.tags.iter().map(|tag| tag.as_str().into()).collect(),
                notify: task.pubsub.is_some(),
            },
        }
    }
}

/// Makes a task, whether or not its client stays to hear of it: one that asks again must find what it made.
pub(crate) async fn create(server: &Arc<Server>, draft: Draft) -> Result<TaskView, Status> {
    let server = server.clone();
    let made = tokio::spawn(async move { draft.create(&server).await });
    made.await.map_err(|error| Status::internal(&error))?
}

/// How long a request is known by its key: 7 days, as luci-go's `tasks/create.go`.
const REQUEST_KEY_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// The job of the task that asks for this one, which must live.
fn parent(server: &Server, task: &mut NewTask) -> Result<Option<JobId>, Status> {
    let Some(parent) = &task.parent else { return Ok(None) };
    let view = TaskView::find(server, parent.id)?;
    let known = view.as_ref().map(|view| KnownParent {
        is_active: is_active(view.state()),
        is_terminate: &*view.job.job.queue == TERMINATION_QUEUE,
        user: &view.request().user,
    });
    task.set_parent(known.as_ref())?;
    Ok(view.map(|view| view.job.id))
}
