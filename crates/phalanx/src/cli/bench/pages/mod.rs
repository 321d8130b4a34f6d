//! Every page of the web UI while one execution has thousands of jobs: how long the server takes, and what it weighs.

mod play;
mod watch;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::{Value, json};

use self::play::Player;
use self::world::DEFINITION;
use super::http::Connection;
use super::server::ServerProcess;
use super::{Figure, figure, percentile};

#[derive(Args)]
pub struct Pages {
    /// Jobs of the execution, each of a repository of its own
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1000..=60_000))]
    jobs: u64,
    /// How often each page is asked for
    #[arg(long, default_value_t = 9)]
    times: usize,
}

const GOAL_MS: f64 = 300.0;
/// Runners that play, and the seconds for which the server is watched.
const PLAYERS: u64 = 8;
const WATCHED_S: u64 = 10;
/// Long enough that no lease ends while pages are asked for.
const LEASE_MS: u64 = 60 * 60 * 1000;

impl Pages {
    pub async fn run(&self) -> anyhow::Result<Vec<Figure>> {
        let jobs = self.jobs;
        let place = tempfile::tempdir()?;
        let folder = place.path().join("repositories");
        std::fs::create_dir_all(&folder)?;
        world::repositories(&folder, jobs)?;
        let data = place.path().join("data");
        std::fs::create_dir_all(&data)?;
        let server = Arc::new(ServerProcess::start(&data, false, LEASE_MS)?);
        let mut graph = Graph(server.user().await?);
        let mut lines = Vec::new();
        let mut seconds = |what: String, began: Instant| {
            lines.push(figure(what, format!("{:.1} s", began.elapsed().as_secs_f64()), None));
        };

        let began = Instant::now();
        let host = json!({ "name": "folder", "kind": "GIT", "url": "", "include": [folder] });
        graph.ask(ADD_CODE_HOST, json!({ "input": host })).await?;
        graph.until(REPOSITORIES, json!({}), "/repositories/totalCount", jobs).await?;
        seconds(format!("{jobs} repositories listed"), began);
        let search = json!({ "name": "teams", "query": "repo:^team- count:all" });
        graph.ask(CREATE_SAVED_SEARCH, search).await?;
        let action = graph
            .ask(CREATE_ACTION, json!({ "name": "upgrade", "definition": DEFINITION }))
            .await?;
        let action = action["createAction"]["id"].clone();
        let began = Instant::now();
        let started = graph.ask(START, json!({ "action": action })).await?;
        let execution = started["createActionExecution"]["id"].clone();
        let id = json!({ "id": execution });
        let made = graph.ask(EXECUTION, id.clone()).await?;
        ensure!(made["node"]["counts"]["total"] == jobs, "not {jobs} jobs: {made}");
        seconds(format!("planned and submitted: {jobs} jobs of one execution"), began);

        let mut players = Vec::new();
        for number in 0..PLAYERS {
            players.push(Player::new(&server, number).await?);
        }
        // So slowly that the server could do much more, first unseen and then seen.
        let rate = (jobs / 100).max(1);
        let pause = Duration::from_secs_f64(PLAYERS as f64 / rate as f64);
        let seen = rate * WATCHED_S;
        let idle = self.play(&server, &mut players, seen, 1, pause).await?;
        let (took, mut all) = tokio::sync::mpsc::unbounded_channel();
        let watchers: Vec<_> = watch::OPEN
            .map(|open| tokio::spawn(watch::watch(server.clone(), open, took.clone())))
            .into();
        drop(took);
        let watched = self.play(&server, &mut players, seen, 1, pause).await?;
        for watcher in &watchers {
            ensure!(!watcher.is_finished(), "a watcher ended early");
            watcher.abort();
        }
        let mut answers = Vec::new();
        while let Some(took) = all.recv().await {
            answers.push(took);
        }
        ensure!(answers.len() as u64 > WATCHED_S, "the open pages did not hear of changes");

        let began = Instant::now();
        self.play(&server, &mut players, jobs * 8 / 10 - 2 * seen, 20, Duration::ZERO).await?;
        seconds("the rest of four fifths of them ended, with logs and patches".to_owned(), began);
        let percent = |part: f64| format!("{:.0} %", part * 100.0);
        let of = format!("server's processor time, {rate} jobs/s end");
        lines.push(figure(format!("{of}, nobody watches"), percent(idle), None));
        lines.push(figure(format!("{of}, 5 pages are open"), percent(watched), None));
        lines.push(figure(
            format!("  {} answers to them: worst", answers.len()),
            format!("{:.1} ms", percentile(&mut answers, 1.0)),
            Some("≤ 300 ms"),
        ));

        let mut worst = (0.0f64, String::new());
        let counts = graph.ask(EXECUTION, id.clone()).await?["node"]["counts"].clone();
        lines.push(figure(said(&counts), HEADINGS, None));
        let names = Names::find(&mut graph, &execution, None).await?;
        self.look(&server, &names, &mut lines, &mut worst).await?;

        // Its end, what it leaves, and a campaign of that.
        graph.ask(CANCEL, id.clone()).await?;
        for player in &mut players {
            player.stop().await?;
        }
        graph.until(EXECUTION, id.clone(), "/node/counts/running", 0).await?;
        let began = Instant::now();
        graph.ask(SUBMIT_PARTIAL, id.clone()).await?;
        let ended = graph.ask(EXECUTION, id.clone()).await?["node"].clone();
        let patches = ended["counts"]["withPatch"].as_u64().context("a number of patches")?;
        let viewer = graph.ask("{ viewer { id } }", json!({})).await?["viewer"]["id"].clone();
        let campaign = json!({ "namespace": viewer, "name": "upgrade", "patchSet": ended["patchSet"]["id"], "draft": true });
        let made = graph.ask(CREATE_CAMPAIGN, json!({ "input": campaign })).await?;
        let campaign = json!({ "name": "upgrade" });
        graph.until(CAMPAIGN, campaign.clone(), "/campaign/counts/total", patches).await?;
        let what = format!("{patches} patches became changesets of a campaign");
        lines.push(figure(what, format!("{:.1} s", began.elapsed().as_secs_f64()), None));
        let push = json!({ "campaign": made["createCampaign"]["id"], "glob": "team-07/*" });
        let pushed = graph.ask(PUSH, push).await?["bulkChangesets"]["total"].clone();
        let pushed = pushed.as_u64().context("a number of changesets")?;
        graph.until(CAMPAIGN, campaign, "/campaign/counts/pushedOnly", pushed).await?;
        let text = format!("ended; a campaign of {patches} changesets, {pushed} pushed");
        lines.push(figure(text, HEADINGS, None));
        let names = Names::find(&mut graph, &execution, Some("upgrade")).await?;
        self.look(&server, &names, &mut lines, &mut worst).await?;

        let goal = format!("{:.1} ms", worst.0);
        lines.push(figure(format!("worst of all: {}", worst.1), goal, Some("≤ 300 ms")));
        let megabytes = |bytes: u64| format!("{} MB", bytes / 1_000_000);
        lines.push(figure(
            "memory of the server, its peak",
            megabytes(server.peak_memory()),
            Some("≤ 500 MB"),
        ));
        lines.push(figure("memory of the server, at the end", megabytes(server.memory()), None));
        Ok(lines)
    }

    /// Ends so many jobs; the part of one processor that the server used meanwhile.
    async fn play(
        &self,
        server: &ServerProcess,
        players: &mut [Player],
        jobs: u64,
        at_once: usize,
        pause: Duration,
    ) -> anyhow::Result<f64> {
        let left = Arc::new(AtomicU64::new(jobs));
        let (began, cpu) = (Instant::now(), server.cpu());
        let all = players.iter_mut().map(|player| player.play(left.clone(), at_once, pause));
        futures::future::try_join_all(all).await?;
        let used = server.cpu() - cpu;
        Ok(used.as_secs_f64() / began.elapsed().as_secs_f64())
    }

    async fn look(
        &self,
        server: &ServerProcess,
        names: &Names,
        lines: &mut Vec<Figure>,
        worst: &mut (f64, String),
    ) -> anyhow::Result<()> {
        let cookie = format!("Cookie: phalanx_session={}\r\n", server.token);
        let mut connection = server.user().await?;
        for (_, page) in names.pages() {
            let (mut took, mut size) = (Vec::new(), 0);
            for _ in 0..self.times.max(1) {
                let began = Instant::now();
                let (status, body) = connection.get(&page, &cookie).await?;
                took.push(began.elapsed().as_secs_f64() * 1e3);
                ensure!(status == 200, "{page}: {status}");
                size = body.len();
            }
            let (middle, most) = (percentile(&mut took, 0.5), percentile(&mut took, 1.0));
            if most > worst.0 {
                *worst = (most, page.clone());
            }
            let over = if most > GOAL_MS { Some("≤ 300 ms: over it") } else { None };
            let value = format!("{middle:6.1} {most:7.1} ms {:>6} kB", size.div_ceil(1000));
            lines.push(figure(format!("  {page}"), value, over));
        }
        Ok(())
    }
}

const HEADINGS: &str = "median  worst     size";

fn said(counts: &Value) -> String {
    format!(
        "{} succeeded, {} failed, {} timed out, {} running, {} queued",
        counts["completed"],
        counts["errored"],
        counts["timeout"],
        counts["running"],
        counts["pending"]
    )
}

const ADD_CODE_HOST: &str =
    "mutation($input: CodeHostInput!) { addCodeHost(input: $input) { id } }";
const REPOSITORIES: &str = "{ repositories(first: 1) { totalCount } }";
const CREATE_SAVED_SEARCH: &str = "mutation($name: String!, $query: String!) { createSavedSearch(name: $name, query: $query) { id } }";
const CREATE_ACTION: &str = "mutation($name: String!, $definition: JSONCString!) { createAction(name: $name, definition: $definition) { id } }";
const START: &str = "mutation($action: ID!) { createActionExecution(action: $action) { id } }";
const EXECUTION: &str = "query($id: ID!) { node(id: $id) { ... on ActionExecution {
    counts { total pending running completed errored timeout withPatch } patchSet { id patches(first: 1) { nodes { id } } } } } }";
const JOBS: &str = "query($id: ID!, $state: ActionJobState, $query: String) { node(id: $id) { ... on ActionExecution {
    jobs(first: 1, state: $state, query: $query) { nodes { number } } } } }";
const CANCEL: &str =
    "mutation($id: ID!) { cancelActionExecution(actionExecution: $id) { alwaysNil } }";
const SUBMIT_PARTIAL: &str =
    "mutation($id: ID!) { submitPartialExecution(actionExecution: $id) { id } }";
const CREATE_CAMPAIGN: &str =
    "mutation($input: CreateCampaignInput!) { createCampaign(input: $input) { id } }";
const CAMPAIGN: &str = "query($name: String!) { campaign(name: $name) { counts { total pushedOnly } campaignChangesets(first: 1) { nodes { id } } } }";
const PUSH: &str = "mutation($campaign: ID!, $glob: String!) { bulkChangesets(campaign: $campaign, operation: PUSH_ONLY, glob: $glob) { total } }";

struct Graph(Connection);

impl Graph {
    async fn ask(&mut self, query: &str, variables: Value) -> anyhow::Result<Value> {
        let body = serde_json::to_vec(&json!({ "query": query, "variables": variables }))?;
        let (status, answer) =
            self.0.post("/api/graphql", "Content-Type: application/json\r\n", &body).await?;
        ensure!(status == 200, "{query}: {status}");
        let mut answer: Value = serde_json::from_slice(&answer)?;
        ensure!(answer["errors"].is_null(), "{query}: {}", answer["errors"]);
        Ok(answer["data"].take())
    }

    /// Asks until a number is as it should be.
    async fn until(
        &mut self,
        query: &str,
        variables: Value,
        what: &str,
        wanted: u64,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            let answer = self.ask(query, variables.clone()).await?;
            let now = answer.pointer(what).and_then(Value::as_u64);
            if now == Some(wanted) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{what} is {now:?}, not {wanted}, for five minutes");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What the addresses of pages are made of.
struct Names {
    /// Numbers of jobs with a patch, with a large one, that failed and that runs, as far as there are any.
    jobs: Vec<u64>,
    last_job: u64,
    campaign: Option<OfCampaign>,
}

struct OfCampaign {
    name: &'static str,
    changeset: String,
    patch_set: String,
    patch: String,
}

impl Names {
    async fn find(
        graph: &mut Graph,
        execution: &Value,
        campaign: Option<&'static str>,
    ) -> anyhow::Result<Self> {
        let mut jobs = BTreeSet::new();
        // The first of all has a patch of hundreds of files.
        let large = json!({ "id": execution, "query": world::name(0) });
        let states = ["COMPLETED", "ERRORED", "RUNNING", "PENDING", "CANCELED"];
        let of = states.map(|state| json!({ "id": execution, "state": state }));
        for wanted in of.into_iter().chain([large]) {
            let found = graph.ask(JOBS, wanted).await?;
            jobs.extend(found.pointer("/node/jobs/nodes/0/number").and_then(Value::as_u64));
        }
        let node = graph.ask(EXECUTION, json!({ "id": execution })).await?["node"].clone();
        let last_job = node["counts"]["total"].as_u64().context("a number of jobs")?;
        let campaign = match campaign {
            None => None,
            Some(name) => {
                let found = graph.ask(CAMPAIGN, json!({ "name": name })).await?;
                let id = |value: Option<&Value>| -> anyhow::Result<String> {
                    Ok(value.and_then(Value::as_str).context("an id")?.replace('=', "%3D"))
                };
                let changesets = "/campaign/campaignChangesets/nodes/0/id";
                Some(OfCampaign {
                    name,
                    changeset: id(found.pointer(changesets))?,
                    patch_set: id(node.pointer("/patchSet/id"))?,
                    patch: id(node.pointer("/patchSet/patches/nodes/0/id"))?,
                })
            }
        };
        Ok(Self { jobs: jobs.into_iter().collect(), last_job, campaign })
    }

    /// Routes as the web UI names them, with addresses of each.
    fn pages(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        let mut add = |route: &'static str, more: &[&str]| {
            all.extend(more.iter().map(|more| (route, more.to_string())));
        };
        let late = URL_SAFE_NO_PAD.encode((self.last_job.saturating_sub(50)).to_string());
        let repository = world::name(self.last_job / 2);
        add("/", &["/"]);
        add("/actions", &["/actions", "/actions?q=up"]);
        add("/actions/new", &["/actions/new"]);
        add("/actions/{name}", &["/actions/upgrade"]);
        add("/actions/{name}/edit", &["/actions/upgrade/edit"]);
        add("/actions/{name}/versions", &["/actions/upgrade/versions"]);
        add("/actions/{name}/settings", &["/actions/upgrade/settings"]);
        add(
            "/executions",
            &["/executions", "/executions?state=PROCESSING", "/executions?state=ERRORED"],
        );
        let of = |more: &str| format!("/executions/1{more}");
        let searched = of(&format!("?q={repository}"));
        let last = of(&format!("?after={late}"));
        let states = ["COMPLETED", "ERRORED", "TIMEOUT", "CANCELED", "RUNNING", "PENDING"];
        let states = states.map(|state| of(&format!("?state={state}")));
        add("/executions/{number}", &[&of(""), &searched, &of("?q=nothing-has-this-name"), &last]);
        add("/executions/{number}", &states.each_ref().map(String::as_str));
        let jobs = format!("/jobs?after={late}");
        add("/jobs", &["/jobs", "/jobs?state=ERRORED", "/jobs?state=CANCELED", &jobs]);
        for job in &self.jobs {
            let of = |more: &str| format!("/jobs/{job}{more}");
            let tabs = [of(""), of("?tab=diff"), of("?tab=details")];
            add("/jobs/{number}", &tabs.each_ref().map(String::as_str));
        }
        let first = self.jobs[0];
        let of = |more: &str| format!("/jobs/{first}{more}");
        add("/jobs/{number}/diff/raw", &[&of("/diff/raw")]);
        add("/jobs/{number}/log", &[&of("/log")]);
        add("/jobs/{number}/log/raw", &[&of("/log/raw")]);
        add("/saved-searches", &["/saved-searches"]);
        add("/saved-searches/{name}", &["/saved-searches/teams"]);
        add("/campaigns", &["/campaigns"]);
        add("/campaigns/new", &["/campaigns/new"]);
        if let Some(OfCampaign { name, changeset, patch_set, patch }) = &self.campaign {
            let of = |more: &str| format!("/campaigns/{name}{more}");
            add("/campaigns/{name}", &[&of(""), &of("?phase=UNPUBLISHED"), &of("?q=service-001")]);
            add("/campaigns/{name}/edit", &[&of("/edit")]);
            add("/campaigns/{name}/track", &[&of("/track")]);
            add("/campaigns/{name}/preview", &[&of("/preview")]);
            add("/changesets/{id}", &[&format!("/changesets/{changeset}")]);
            add("/patch-sets/{id}", &[&format!("/patch-sets/{patch_set}")]);
            add("/patches/{id}", &[&format!("/patches/{patch}")]);
            add("/patches/{id}/raw", &[&format!("/patches/{patch}/raw")]);
        }
        add("/runners", &["/runners"]);
        add("/runners/{name}", &["/runners/runner-0"]);
        add("/repositories", &["/repositories", &format!("/repositories?q={repository}")]);
        add("/repositories/{*name}", &[&format!("/repositories/{repository}")]);
        add("/code-hosts", &["/code-hosts"]);
        add("/code-hosts/{name}", &["/code-hosts/folder"]);
        add("/search", &["/search", "/search?q=repo:team-07", "/search?q=It+serves"]);
        add("/palette", &["/palette?q=service-0012"]);
        add("/settings", &["/settings"]);
        // There are no bots and tasks in this world; `bench lists` has them.
        for page in ["/botlist", "/bot", "/tasklist", "/task", "/fleet"] {
            add(page, &[page]);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_of_the_web_ui_is_asked_for() {
        let router = include_str!("../../../../../web/src/lib.rs");
        // What is no page: the stream of changes, a part of a form, what needs no session, assets, and addresses of before.
        let others = [
            "/live",
            "/actions/schedule",
            "/login",
            "/csp-report",
            "/assets/{version}/{file}",
            "/restricted/bots",
            "/restricted/bot/{id}",
            "/user/tasks",
            "/user/task/{id}",
            "/tasks/{id}",
        ];
        let mut routes = BTreeSet::new();
        for route in router.split(".route(").skip(1) {
            let (before, after) = route.split_once("get(").unwrap_or((route, ""));
            if !after.is_empty() && !before.contains(".route(") {
                routes.extend(before.split('"').nth(1));
            }
        }
        routes.retain(|route| !others.contains(route));
        let of = || "x".to_owned();
        let campaign = OfCampaign { name: "x", changeset: of(), patch_set: of(), patch: of() };
        let names = Names { jobs: vec![1], last_job: 1, campaign: Some(campaign) };
        let asked: BTreeSet<&str> = names.pages().into_iter().map(|(route, _)| route).collect();
        assert!(routes.len() > 30, "{routes:?}");
        assert_eq!(asked, routes);
    }
}
