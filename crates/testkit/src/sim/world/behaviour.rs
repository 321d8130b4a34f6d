//! What runners, clients and the operator do, and what they make of answers.

use model::{NewJob, Terms};

use super::*;

impl World {
    pub(super) fn told(&mut self, to: To, reply: Reply) -> Result<(), String> {
        match (to, reply) {
            (To::Runner(number), reply) => self.runner_told(number, reply),
            (To::Client(number), Reply::Accepted { key, body, first, count, group, jobs }) => {
                let mine = |request: &Request| match request {
                    Request::Submit { key: k, body: b, .. } => (*k, *b) != (key, body),
                    _ => true,
                };
                self.clients[number].retain(mine);
                self.oracle.submitted((key, body), (first, count, group), &jobs)?;
                if self.random.per_mille(100) && !self.healed {
                    // The same key for something else: must be refused.
                    let body = self.next_body;
                    self.next_body += 1;
                    let request = Request::Submit { key, body, group: false, jobs };
                    self.send(To::Client(number), request);
                }
                Ok(())
            }
            (To::Operator, Reply::Canceled { job, queued }) => {
                self.oracle.canceled(job, queued);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn runner_told(&mut self, number: usize, reply: Reply) -> Result<(), String> {
        let now_ms = self.now_ms;
        if self.runners[number].stopped_until_ms > now_ms {
            return Ok(());
        }
        let kind = self.runners[number].kind;
        match reply {
            Reply::Registered => self.runners[number].registered = true,
            Reply::UnknownRunner => self.runners[number].registered = false,
            Reply::Superseded => {
                // As a new process: it knows nothing of the old one's jobs.
                let runner = &mut self.runners[number];
                runner.spec.session = Session(runner.spec.session.0 + 1 + now_ms);
                runner.registered = false;
                runner.held.clear();
                runner.poll = None;
            }
            Reply::Leases { poll, session, leases } => {
                if self.runners[number].poll.is_some_and(|(number, _)| number == poll) {
                    self.runners[number].poll = None;
                }
                if session != self.runners[number].spec.session {
                    return Ok(());
                }
                for lease in leases {
                    self.take(number, &lease, kind)?;
                }
            }
            Reply::Renewed { asked, known, cancel } => {
                let runner = &mut self.runners[number];
                if kind != Kind::Lies {
                    runner.held.retain(|(job, _), _| known.contains(job) || !asked.contains(job));
                }
                for ((job, _), held) in runner.held.iter_mut() {
                    if cancel.contains(job) && held.reported_ms.is_none() {
                        held.done_ms = now_ms;
                        held.outcome = Outcome::Killed;
                    }
                }
            }
            Reply::Ended { job, attempt, recorded } => {
                self.runners[number].held.remove(&(job, attempt));
                if let Some(recorded) = recorded {
                    self.oracle.completed(job, attempt, &recorded)?;
                }
            }
            Reply::Accepted { .. } | Reply::Canceled { .. } | Reply::Nothing => {}
        }
        Ok(())
    }

    fn take(&mut self, number: usize, lease: &Lease, kind: Kind) -> Result<(), String> {
        self.oracle.granted(lease, &self.runners[number].spec)?;
        let long = if kind == Kind::Slow { 20_000 } else { 3000 };
        let done_ms = self.now_ms + self.random.between(0, long);
        let outcome = actors::outcome(&mut self.random);
        let held = Held { token: lease.token, done_ms, outcome, reported_ms: None };
        let runner = &mut self.runners[number];
        runner.old.push((lease.job, lease.token));
        runner.held.entry((lease.job, lease.attempt)).or_insert(held);
        if self.random.per_mille(300) {
            self.send(To::Runner(number), Request::Start { job: lease.job, token: lease.token });
        }
        Ok(())
    }

    pub(super) fn wake_runner(&mut self, number: usize) {
        let now_ms = self.now_ms;
        let to = To::Runner(number);
        let kind = self.runners[number].kind;
        {
            let runner = &mut self.runners[number];
            if runner.stopped_until_ms > now_ms {
                let again = runner.stopped_until_ms;
                if again < u64::MAX {
                    self.at(again, Event::Wake(to));
                }
                return;
            }
            if now_ms >= runner.stops_at_ms && matches!(kind, Kind::Dies | Kind::Pauses) {
                let pause = if kind == Kind::Dies { u64::MAX } else { now_ms + 3 * self.lease_ms };
                runner.stopped_until_ms = pause;
                runner.stops_at_ms = if kind == Kind::Dies { u64::MAX } else { now_ms + 60_000 };
                self.fault_count += 1;
                self.at(now_ms + 1, Event::Wake(to));
                return;
            }
        }
        let runner = self.runners[number].clone();
        if !runner.registered {
            self.send(to, Request::Register(runner.spec.clone()));
        } else {
            self.ask_for_work(number, &runner);
        }
        let every = if kind == Kind::Slow { self.lease_ms - 1000 } else { self.lease_ms / 4 };
        if !runner.held.is_empty() && now_ms - runner.renewed_ms >= every {
            let jobs = runner.held.iter().map(|((job, _), held)| (*job, held.token)).collect();
            self.send(to, Request::Renew { runner: runner.spec.clone(), jobs });
            self.runners[number].renewed_ms = now_ms;
        }
        for ((job, attempt), held) in &runner.held {
            let again = held.reported_ms.is_none_or(|at| now_ms - at > 1500);
            if held.done_ms <= now_ms && again {
                self.oracle.complete_sent(*job);
                let request = Request::Complete {
                    job: *job,
                    token: held.token,
                    outcome: held.outcome.clone(),
                };
                self.send(to, request);
                if let Some(held) = self.runners[number].held.get_mut(&(*job, *attempt)) {
                    held.reported_ms = Some(now_ms);
                }
            } else if self.random.per_mille(100) {
                self.send(to, Request::AppendLog { job: *job, token: held.token });
            }
        }
        if kind == Kind::Lies && !self.healed {
            self.lie(number, &runner);
        }
        let next = now_ms + self.random.between(50, 400);
        self.at(next, Event::Wake(to));
    }

    fn ask_for_work(&mut self, number: usize, runner: &Runner) {
        let room = (runner.held.len() as u32) < runner.spec.slots;
        let to = To::Runner(number);
        match runner.poll {
            None if room => {
                let poll = runner.next_poll;
                self.runners[number].next_poll += 1;
                self.runners[number].poll = Some((poll, self.now_ms));
                let waits: &[u64] = if self.oracle.gentle { &[0, 500] } else { &[0, 500, 3000] };
                let wait_ms = *self.random.pick(waits);
                self.send(to, Request::Poll { runner: runner.spec.clone(), poll, wait_ms });
            }
            Some((poll, sent))
                if self.now_ms - sent > if self.oracle.gentle { 1500 } else { 4000 } =>
            {
                self.runners[number].poll = Some((poll, self.now_ms));
                self.send(to, Request::Poll { runner: runner.spec.clone(), poll, wait_ms: 500 });
            }
            _ => {}
        }
    }

    fn lie(&mut self, number: usize, runner: &Runner) {
        let to = To::Runner(number);
        if runner.old.is_empty() || !self.random.per_mille(300) {
            return;
        }
        self.fault_count += 1;
        let (job, token) = *self.random.pick(&runner.old);
        match self.random.below(5) {
            0 => {
                let mut forged = token;
                forged.0[self.random.clone().below(20) as usize] ^= 1;
                self.random.next();
                let outcome = Outcome::Failed { exit: 99 };
                self.send(to, Request::Complete { job, token: forged, outcome });
            }
            1 => {
                // An old attempt's token, or a live one's: with another result than it will report.
                self.oracle.complete_sent(job);
                let outcome = Outcome::Failed { exit: 98 };
                self.send(to, Request::Complete { job, token, outcome });
            }
            2 => {
                let other = JobId(job.0 + self.random.below(5));
                self.send(to, Request::Complete { job: other, token, outcome: Outcome::Succeeded });
            }
            3 => self.send(to, Request::Release { job, token }),
            _ => {
                let jobs = runner.old.iter().copied().take(5).collect();
                self.send(to, Request::Renew { runner: runner.spec.clone(), jobs });
            }
        }
    }

    pub(super) fn wake_client(&mut self, number: usize) {
        let to = To::Client(number);
        // What was not answered is asked again, when asking again is safe.
        let open: Vec<Request> = self.clients[number].clone();
        for request in &open {
            self.send(to, request.clone());
        }
        if !self.healed && self.now_ms < HEAL_MS - 5000 && open.len() < 3 {
            let body = self.next_body;
            self.next_body += 1;
            let count = self.random.between(1, 6);
            let uniform = self.oracle.uniform;
            // Mostly a job that is live for the client; some of them are over when the child arrives.
            let parents: Vec<JobId> = self.disk.live.keys().rev().take(20).copied().collect();
            let jobs: Vec<_> = (0..count)
                .map(|i| {
                    let job = actors::job(&mut self.random, uniform, body * 100 + i, &parents);
                    self.reusing(job)
                })
                .collect();
            let key = (number as u64) << 32 | body;
            let group = self.random.per_mille(500);
            let request = Request::Submit { key: Some(key), body, group, jobs: jobs.clone() };
            self.send(to, request.clone());
            self.clients[number].push(request);
        }
        if !self.healed || !self.clients[number].is_empty() {
            let next = self.now_ms + self.random.between(500, 4000);
            self.at(next, Event::Wake(to));
        }
    }

    /// A door looks for a result before it submits.
    fn reusing(&self, job: Arc<NewJob>) -> Arc<NewJob> {
        let reuses = self.rules.offer(&job);
        let terms = Terms { reuses, ..job.terms.clone() };
        Arc::new(NewJob { terms, ..(*job).clone() })
    }

    pub(super) fn wake_operator(&mut self) {
        if self.healed {
            for runner in 0..self.runners.len() {
                self.send(To::Operator, Request::Drain { runner, drain: false });
            }
            self.at(self.now_ms + 2000, Event::Wake(To::Operator));
            return;
        }
        let highest = self.disk.specs.last_key_value().map_or(1, |(id, _)| id.0);
        let job = JobId(self.random.between(1, highest));
        match self.random.below(10) {
            0..=2 => self.send(To::Operator, Request::Cancel { job }),
            3 => {
                let last = self.disk.groups.last_key_value().map_or(1, |(id, _)| id.0);
                let group = GroupId(self.random.between(1, last));
                self.send(To::Operator, Request::CancelGroup { group });
            }
            4..=5 => {
                // Best at the moment when its end is on its way to the disk.
                let ending = self.server.as_ref().and_then(|server| {
                    let writing = server.writing.as_ref().map_or(&[][..], |batch| &batch.changes);
                    writing.iter().chain(&server.open.changes).find_map(|change| match change {
                        Change::JobFinished { id, .. } => Some(*id),
                        _ => None,
                    })
                });
                if let Some(job) = ending {
                    self.oracle.retry_sent(job);
                    self.at(self.now_ms, Event::Arrive(To::Operator, Request::Retry { job }));
                }
                self.oracle.retry_sent(job);
                // A repeated request may retry twice.
                self.oracle.retry_sent(job);
                self.send(To::Operator, Request::Retry { job });
            }
            6 => {
                let runner = self.random.below(self.runners.len() as u64) as usize;
                let drain = self.random.per_mille(400);
                self.send(To::Operator, Request::Drain { runner, drain });
            }
            7 => {
                let runner = self.random.below(self.runners.len() as u64) as usize;
                self.send(To::Operator, Request::Deregister { runner });
            }
            8 => {
                // A new process under an old name.
                let number = self.random.below(self.runners.len() as u64) as usize;
                let runner = &mut self.runners[number];
                runner.spec.session = Session(runner.spec.session.0 + 1);
                if self.random.per_mille(700) {
                    // It comes back on another machine.
                    runner.spec.dimensions =
                        Dimensions::of(self.random.pick::<&[_]>(&actors::OFFERS));
                }
                runner.registered = false;
                runner.held.clear();
                runner.poll = None;
            }
            _ => {
                let runner = self.random.below(self.runners.len() as u64) as usize;
                self.send(To::Operator, Request::Lose { runner });
            }
        }
        let next = self.now_ms + self.random.between(200, 3000);
        self.at(next, Event::Wake(To::Operator));
    }
}
