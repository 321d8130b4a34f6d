//! The server of the world: the engine, its open and its written batch, crashes and restarts.

use super::*;

impl World {
    pub(super) fn restart(&mut self) {
        if self.server.is_some() {
            return;
        }
        self.epoch += 1;
        let mut config = Config::new([7; 32]);
        config.lease_ms = self.lease_ms;
        config.undelivered_ms = self.lease_ms / 2;
        config.cancel_grace_ms = 10_000;
        config.timeout_grace_ms = 5000;
        config.runner_gone_ms = self.lease_ms * 2;
        if let Some(Planted::InEngine(bug)) = self.planted {
            config.bug = Some(bug);
        }
        let now = Now { mono_ms: 0, wall: self.now().wall };
        let engine = Engine::restore(config, self.disk.snapshot(), now);
        self.rules.restart(&self.disk, self.now_ms, self.jumped);
        self.server = Some(Server {
            engine,
            open: Batch::default(),
            writing: None,
            booted_ms: self.now_ms,
            epoch: self.epoch,
            parked: BTreeMap::new(),
        });
    }

    pub(super) fn crash(&mut self) {
        if let Some(server) = self.server.take() {
            self.crashes += 1;
            self.fault_count += 1;
            if let Some(batch) = server.writing {
                // What was being written is there or is not; nobody was told.
                if self.random.per_mille(500) {
                    let mut changes = batch.changes;
                    if self.server_bug(ServerBug::TearBatches) {
                        changes.truncate(changes.len() / 2);
                    }
                    // A refusal shows again when the world rests.
                    let _ = self.commit(&changes);
                }
            }
            let down = *self.random.pick(&[10, 500, 3000, 20_000]);
            self.at(self.now_ms + down, Event::Restart);
        }
        if self.faults.crash_every_ms > 0 {
            let next = self.now_ms + self.random.between(1, 2 * self.faults.crash_every_ms);
            self.at(next, Event::Crash);
        }
    }

    /// Moves what the engine wants written and told into the open batch, with the reply of the op that just ran.
    pub(super) fn collect(&mut self, reply: Option<(To, Reply)>) -> Result<(), String> {
        let ack_early = self.server_bug(ServerBug::AckBeforeCommit);
        let polls_early = self.server_bug(ServerBug::AnswerPollsBeforeCommit);
        let Some(server) = &mut self.server else { return Ok(()) };
        let mut effects = Vec::new();
        let known = server.open.changes.len();
        server.engine.drain(&mut server.open.changes, &mut effects);
        let mut early = Vec::new();
        let mut granted = Vec::new();
        for effect in effects {
            let Effect::PollAnswered { poll, leases } = effect else { continue };
            granted.extend(leases.clone());
            let Some((to, number, spec)) = server.parked.remove(&poll) else { continue };
            let reply = Reply::Leases { poll: number, session: spec.session, leases };
            if polls_early {
                early.push((to, reply))
            } else {
                server.open.replies.push((to, reply))
            }
        }
        if let Some((_, Reply::Leases { leases, .. })) = &reply {
            granted.extend(leases.clone());
        }
        let parked = server.parked.values().map(|(_, _, spec)| spec.name.clone()).collect();
        self.rules.follow(&server.open.changes[known..], &parked)?;
        self.rules.leased(&granted)?;
        if let Some(reply) = reply {
            if ack_early { early.push(reply) } else { server.open.replies.push(reply) }
        }
        for (to, reply) in early {
            self.answer(to, reply);
        }
        self.write();
        Ok(())
    }

    /// Starts to write the open batch when the writer is idle.
    fn write(&mut self) {
        let Some(server) = &mut self.server else { return };
        let nothing = server.open.changes.is_empty() && server.open.replies.is_empty();
        if server.writing.is_some() || nothing {
            return;
        }
        server.writing = Some(std::mem::take(&mut server.open));
        let epoch = server.epoch;
        let done = self.now_ms + self.random.between(0, self.faults.disk_ms);
        self.at(done, Event::CommitDone(epoch));
    }

    pub(super) fn commit_done(&mut self, epoch: u64) -> Result<(), String> {
        let Some(server) = self.server.as_mut().filter(|server| server.epoch == epoch) else {
            return Ok(());
        };
        let batch = server.writing.take().unwrap_or_default();
        let before = self.disk.clone();
        self.commit(&batch.changes)?;
        self.oracle.committed(&batch.changes, &before, &self.disk)?;
        self.rules.committed(&batch.changes);
        for change in &batch.changes {
            if let Change::JobRunning { id, attempt, .. } = change {
                self.mix(id.0 << 8 | u64::from(attempt.0));
            }
        }
        for (to, reply) in batch.replies {
            self.answer(to, reply);
        }
        self.check_parked()?;
        self.write();
        Ok(())
    }

    /// With nothing in flight no parked poll may fit a waiting job.
    fn check_parked(&self) -> Result<(), String> {
        let Some(server) = &self.server else { return Ok(()) };
        let quiet = server.open.changes.is_empty() && server.writing.is_none();
        if !quiet {
            return Ok(());
        }
        for (_, _, spec) in server.parked.values() {
            if let Some((stored, drained)) = self.disk.runners.get(&spec.name)
                && stored.session == spec.session
            {
                self.oracle.parked(stored, *drained, &self.disk)?;
            }
        }
        Ok(())
    }

    /// What of a request the rules ask for.
    fn input(&self, request: &Request) -> Input {
        let name = |runner: &usize| self.runners[*runner].spec.name.clone();
        match request {
            Request::Register(spec) => Input::Register(spec.clone()),
            Request::Poll { runner, .. } | Request::Renew { runner, .. } => {
                Input::Heard(runner.name.clone(), runner.session)
            }
            Request::Deregister { runner } => Input::Deregister(name(runner)),
            Request::Drain { runner, drain } => Input::Drain(name(runner), *drain),
            Request::Cancel { job } => Input::Cancel(*job),
            Request::CancelGroup { group } => Input::CancelGroup(*group),
            Request::Retry { job } => Input::Retry(*job),
            Request::Start { .. }
            | Request::AppendLog { .. }
            | Request::Complete { .. }
            | Request::Release { .. }
            | Request::Submit { .. }
            | Request::Lose { .. } => Input::Other,
        }
    }

    pub(super) fn serve(&mut self, to: To, request: Request) -> Result<(), String> {
        let now = self.now();
        let stale_retry = self.server_bug(ServerBug::RetryFromStaleRead);
        if self.server.is_none() && self.oracle.gentle {
            // A refused connection is tried again.
            self.at(self.now_ms + 200, Event::Arrive(to, request));
            return Ok(());
        }
        self.rules.hear(self.input(&request), self.now_ms);
        let Some(server) = &mut self.server else { return Ok(()) };
        let engine = &mut server.engine;
        let reply = match request {
            Request::Register(runner) => match engine.register(RegisterOp { runner }, now) {
                RegisterOutcome::Registered => Reply::Registered,
                RegisterOutcome::SessionSuperseded => Reply::Superseded,
                RegisterOutcome::Refused { what } => {
                    return Err(format!("a good runner was refused: {what}"));
                }
            },
            Request::Poll { runner, poll, wait_ms } => {
                let key = PollKey(self.next_poll_key);
                self.next_poll_key += 1;
                let op = PollOp {
                    runner: runner.name.clone(),
                    session: runner.session,
                    poll,
                    want: WANT,
                    facts: None,
                    idle: false,
                    wait: Some((key, wait_ms)),
                };
                let leases = |leases| Reply::Leases { poll, session: runner.session, leases };
                match engine.poll(op, now) {
                    PollOutcome::Granted(granted) => leases(granted),
                    PollOutcome::Empty => leases(Vec::new()),
                    PollOutcome::Parked => {
                        server.parked.insert(key, (to, poll, runner));
                        return self.collect(None);
                    }
                    PollOutcome::UnknownRunner => Reply::UnknownRunner,
                    PollOutcome::SessionSuperseded => Reply::Superseded,
                }
            }
            Request::Renew { runner, jobs } => {
                let asked: Vec<JobId> = jobs.iter().map(|(job, _)| *job).collect();
                let jobs = jobs.into_iter().map(|(job, token)| (job, Some(token))).collect();
                let op = RenewOp { runner: runner.name, session: runner.session, jobs };
                let reply = match engine.renew(op, now) {
                    RenewOutcome::Renewed { known, cancel } => {
                        Reply::Renewed { asked, known, cancel }
                    }
                    RenewOutcome::UnknownRunner => Reply::UnknownRunner,
                    RenewOutcome::SessionSuperseded => Reply::Superseded,
                };
                // That leases go on promises nothing; a no waits like every other answer.
                let all_go_on = matches!(&reply, Reply::Renewed { asked, known, cancel }
                    if known.len() == asked.len() && cancel.is_empty());
                if all_go_on {
                    self.collect(None)?;
                    self.answer(to, reply);
                    return Ok(());
                }
                reply
            }
            Request::Start { job, token } => {
                engine.start(StartOp { job, token }, now);
                Reply::Nothing
            }
            Request::AppendLog { job, token } => {
                engine.append_log(AppendLogOp { job, token }, now);
                Reply::Nothing
            }
            Request::Complete { job, token, outcome } => {
                let attempt = token.attempt();
                let op = CompleteOp {
                    job,
                    token,
                    outcome: outcome.clone(),
                    evidence: Evidence::default(),
                };
                let recorded = match engine.complete(op, now) {
                    CompleteOutcome::Finished { recorded } => Some(recorded),
                    // As the dispatcher: the same again is fine, if it is durable.
                    CompleteOutcome::Fenced(_) => {
                        self.disk.attempts.get(&(job, attempt)).and_then(|stored| {
                            let same =
                                stored.outcome == outcome || stored.outcome == Outcome::Killed;
                            (same && stored.outcome != Outcome::RunnerLost)
                                .then(|| stored.outcome.clone())
                        })
                    }
                };
                // A liar's word for an attempt that is not its own is not news to the oracle.
                Reply::Ended { job, attempt, recorded }
            }
            Request::Release { job, token } => {
                let op = ReleaseOp { job, token, why: "released".to_owned(), undelivered: false };
                engine.release(op, now);
                Reply::Nothing
            }
            Request::Submit { key, body, group, jobs } => {
                let digest = |value: u64| {
                    let mut bytes = [0; 16];
                    bytes[..8].copy_from_slice(&value.to_be_bytes());
                    bytes
                };
                let group = group.then(|| NewGroup {
                    name: "group".into(),
                    owner: "ann".into(),
                    document: body.to_be_bytes().as_slice().into(),
                });
                let op = SubmitOp {
                    key: key.map(|key| (digest(key), digest(body))),
                    group,
                    jobs: jobs.clone(),
                };
                match engine.submit(op, now) {
                    SubmitOutcome::Accepted { first_job, jobs: count, group }
                    | SubmitOutcome::Duplicate { first_job, jobs: count, group } => {
                        Reply::Accepted { key, body, first: first_job, count, group, jobs }
                    }
                    // A deliberate second use of a key.
                    SubmitOutcome::Refused(_) => Reply::Nothing,
                }
            }
            Request::Cancel { job } => {
                match engine.cancel(CancelOp::Job { id: job, kill: true }, now) {
                    CancelOutcome::Canceled { queued, .. } => {
                        Reply::Canceled { job, queued: queued > 0 }
                    }
                    CancelOutcome::NotLive => Reply::Nothing,
                }
            }
            Request::CancelGroup { group } => {
                engine.cancel(CancelOp::Group(group), now);
                Reply::Nothing
            }
            Request::Drain { runner, drain } => {
                let name = self.runners[runner].spec.name.clone();
                engine.drain_runner(DrainOp { runner: name, drain }, now);
                Reply::Nothing
            }
            Request::Deregister { runner } => {
                let name = self.runners[runner].spec.name.clone();
                engine.deregister(DeregisterOp { runner: name }, now);
                Reply::Nothing
            }
            Request::Lose { runner } => {
                let name = self.runners[runner].spec.name.clone();
                engine.lose_runner(LoseOp { runner: name, why: "given up".to_owned() }, now);
                Reply::Nothing
            }
            Request::Retry { job } => {
                let in_flight = |batch: &Batch| {
                    batch
                        .changes
                        .iter()
                        .any(|c| matches!(c, Change::JobFinished { id, .. } if *id == job))
                };
                let flying =
                    in_flight(&server.open) || server.writing.as_ref().is_some_and(in_flight);
                let stored = self.disk.done.get(&job).map(|(_, attempts)| *attempts);
                let stored =
                    if stale_retry { stored.or_else(|| flying.then_some(0)) } else { stored };
                if let (Some(attempts), false) = (stored, flying && !stale_retry) {
                    let Some((spec, group, created)) = self.disk.specs.get(&job).cloned() else {
                        return Ok(());
                    };
                    engine.retry(RetryOp { id: job, job: spec, group, created, attempts }, now);
                }
                Reply::Nothing
            }
        };
        self.collect(Some((to, reply)))
    }
}
