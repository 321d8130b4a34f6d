//! The forge as GitHub Enterprise Server.

use serde_json::{Value, json};

use super::state::{Checks, No, Pull, PullState, Review, State, now};
use super::wire::{Answer, Asked, Reply};

pub(super) fn answer(state: &mut State, asked: &Asked) -> Answer {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match (asked.method.as_str(), path.as_slice()) {
        ("POST", ["graphql"]) => graphql(state, asked),
        (_, ["v3", rest @ ..]) => rest_api(state, asked, rest),
        _ => Err(No::NotFound),
    }
}

fn rest_api(state: &mut State, asked: &Asked, path: &[&str]) -> Answer {
    match (asked.method.as_str(), path) {
        ("GET", ["user"]) => Ok(Reply::ok(user("forge-user"))),
        ("GET", ["app"]) => Ok(Reply::ok(json!({"id": 1, "slug": "forge-app", "name": "Forge"}))),
        ("POST", ["app", "installations", _, "access_tokens"]) => {
            let token = format!("ghs_{}", state.tokens.len());
            state.tokens.push(token.clone());
            let ends = jiff::Timestamp::now() + state.options.installation_token;
            let ends = ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            Ok(Reply::Json(201, json!({"token": token, "expires_at": ends})))
        }
        ("GET", ["user", "repos"]) => Ok(Reply::list(repositories(state, ""))),
        ("GET", ["installation", "repositories"]) => {
            Ok(Reply::List(repositories(state, ""), Some("repositories")))
        }
        // Owners that begin with `user` are users.
        ("GET", ["orgs", owner, "repos"]) if !owner.starts_with("user") => owned(state, owner),
        ("GET", ["users", owner, "repos"]) => owned(state, owner),
        ("GET", ["repos", owner, name]) => {
            let name = format!("{owner}/{name}");
            state.repositories.get(&name).ok_or(No::NotFound)?;
            Ok(Reply::ok(repository(state, &name)))
        }
        (_, ["repos", owner, name, rest @ ..]) => {
            let name = format!("{owner}/{name}");
            state.repositories.get(&name).ok_or(No::NotFound)?;
            of_repository(state, asked, &name, rest)
        }
        _ => Err(No::NotFound),
    }
}

fn owned(state: &State, owner: &str) -> Answer {
    let list = repositories(state, &format!("{owner}/"));
    if list.is_empty() { Err(No::NotFound) } else { Ok(Reply::list(list)) }
}

fn of_repository(state: &mut State, asked: &Asked, name: &str, path: &[&str]) -> Answer {
    let number = path.get(1).and_then(|number| number.parse().ok()).unwrap_or(0);
    match (asked.method.as_str(), path) {
        ("GET", ["pulls"]) => list(state, asked, name),
        ("POST", ["pulls"]) => {
            let text = |field| asked.text(field).unwrap_or_default();
            let head = text("head").split(':').next_back().unwrap_or_default();
            let number = state.create(name, head, text("base"), text("title"), text("body"))?;
            state.pull(name, number).view.draft = asked.body["draft"] == json!(true);
            Ok(Reply::Json(201, pull(state, name, number)))
        }
        ("GET", ["pulls", _]) => {
            state.find(name, number)?;
            Ok(Reply::ok(pull(state, name, number)))
        }
        ("PATCH", ["pulls", _]) => {
            match asked.text("state") {
                Some(word) => state.set_open(name, number, word == "open")?,
                None => drop(state.find(name, number)?),
            }
            change(state.pull(name, number), asked);
            Ok(Reply::ok(pull(state, name, number)))
        }
        ("PUT", ["pulls", _, "merge"]) => {
            let head = state.find(name, number)?.view.head_commit.clone();
            if asked.text("sha").is_some_and(|sha| sha != head) {
                let message = "Head branch was modified. Review and try the merge again.";
                return Ok(Reply::Json(409, json!({"message": message})));
            }
            if let Err(No::Invalid(message)) = state.merge(name, number) {
                return Ok(Reply::Json(405, json!({"message": message})));
            }
            Ok(Reply::ok(json!({"sha": head, "merged": true, "message": "merged"})))
        }
        ("GET", ["pulls", _, "reviews"]) => {
            let pull = state.find(name, number)?;
            let reviews = pull.reviews.iter().enumerate();
            Ok(Reply::list(reviews.map(|(at, it)| review(at, it, &pull.updated)).collect()))
        }
        ("POST", ["pulls", _, "requested_reviewers"]) => {
            let names = [asked.texts("reviewers"), asked.texts("team_reviewers")].concat();
            state.find(name, number)?.view.reviewers.extend(names);
            Ok(Reply::Json(201, pull(state, name, number)))
        }
        ("PUT", ["issues", _, "labels"]) => {
            let pull = state.find(name, number)?;
            pull.view.labels = asked.texts("labels");
            Ok(Reply::ok(pull.view.labels.iter().map(|text| label(text)).collect()))
        }
        ("POST", ["issues", _, "comments"]) => {
            let text = asked.text("body").unwrap_or_default().to_owned();
            state.find(name, number)?.view.comments.push(text.clone());
            Ok(Reply::Json(201, json!({"id": 1, "body": text, "user": user("forge-user")})))
        }
        ("GET", ["commits", commit, "status"]) => Ok(Reply::ok(status(state, name, commit))),
        ("GET", ["commits", commit, "check-runs"]) => {
            let runs = state.checks(name, commit).map(|checks| {
                let (status, conclusion) = match checks {
                    Checks::Pending => ("in_progress", None),
                    Checks::Failed => ("completed", Some("failure")),
                    Checks::Passed => ("completed", Some("success")),
                };
                json!({"id": 1, "name": "test", "head_sha": commit, "status": status,
                    "conclusion": conclusion})
            });
            Ok(Reply::List(runs.into_iter().collect(), Some("check_runs")))
        }
        _ => Err(No::NotFound),
    }
}

fn list(state: &mut State, asked: &Asked, name: &str) -> Answer {
    let head = asked.query("head").and_then(|head| head.split_once(':'));
    let wanted = asked.query("state").unwrap_or("open");
    let mut all = Vec::new();
    for number in state.numbers(name)? {
        let view = state.view(name, number);
        let is_open = view.state == PullState::Open;
        let is_wanted = wanted == "all" || is_open == (wanted == "open");
        if is_wanted && head.is_none_or(|(_, branch)| view.head == branch) {
            all.push(pull(state, name, number));
        }
    }
    Ok(Reply::list(all))
}

fn change(pull: &mut Pull, asked: &Asked) {
    let fields = [
        ("title", &mut pull.view.title),
        ("body", &mut pull.view.body),
        ("base", &mut pull.view.base),
    ];
    for (name, field) in fields {
        if let Some(text) = asked.text(name) {
            text.clone_into(field);
        }
    }
    pull.updated = now();
}

fn graphql(state: &mut State, asked: &Asked) -> Answer {
    let query = asked.text("query").unwrap_or_default();
    let draft = query.contains("convertPullRequestToDraft");
    let is_known = draft || query.contains("markPullRequestReadyForReview");
    let id = asked.body["variables"]["id"].as_str().unwrap_or_default();
    // `PR|owner/name|number`.
    let mut parts = id.split('|').skip(1);
    let (name, number) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match state.find(name, number.parse().unwrap_or(0)) {
        Ok(pull) if is_known => {
            pull.view.draft = draft;
            Ok(Reply::ok(json!({"data": {}})))
        }
        _ => {
            let message = "Could not resolve to a node with that global id";
            Ok(Reply::ok(json!({"errors": [{"type": "NOT_FOUND", "message": message}]})))
        }
    }
}

pub(super) fn user(login: &str) -> Value {
    json!({"id": 1, "login": login})
}

fn label(text: &str) -> Value {
    json!({"id": 1, "name": text, "color": "ededed", "description": ""})
}

fn review(at: usize, (who, said): &(String, Review), when: &str) -> Value {
    let state = match said {
        Review::Approved => "APPROVED",
        Review::ChangesRequested => "CHANGES_REQUESTED",
        Review::Commented => "COMMENTED",
        Review::Dismissed => "DISMISSED",
    };
    json!({"id": at, "user": user(who), "state": state, "body": "", "submitted_at": when})
}

fn status(state: &State, name: &str, commit: &str) -> Value {
    // GitHub says `pending` where there is none.
    let word = match state.checks(name, commit) {
        Some(Checks::Failed) => "failure",
        Some(Checks::Passed) => "success",
        Some(Checks::Pending) | None => "pending",
    };
    let count = u8::from(state.checks(name, commit).is_some());
    json!({"sha": commit, "state": word, "total_count": count, "statuses": []})
}

fn repositories(state: &State, prefix: &str) -> Vec<Value> {
    let names = state.repositories.keys().filter(|name| name.starts_with(prefix));
    names.map(|name| repository(state, name)).collect()
}

/// Gitea's as well.
pub(super) fn repository(state: &State, name: &str) -> Value {
    let it = &state.repositories[name];
    let (owner, short) = name.split_once('/').unwrap_or(("", name));
    json!({
        "id": it.id, "node_id": format!("R_{}", it.id), "name": short, "full_name": name,
        "owner": user(owner), "private": true, "fork": it.fork, "archived": it.archived,
        "disabled": false, "default_branch": "main", "description": "a repository",
        "html_url": format!("{}/{name}", state.url),
        "clone_url": format!("{}/{name}.git", state.url),
        "topics": ["forge"], "permissions": {"admin": true, "push": true, "pull": true},
    })
}

fn pull(state: &mut State, name: &str, number: u64) -> Value {
    let url = state.url.clone();
    let owner = name.split('/').next().unwrap_or_default();
    let pull = state.pull(name, number);
    let view = &pull.view;
    let branch = |branch: &str, sha: &str| json!({"ref": branch, "label": format!("{owner}:{branch}"), "sha": sha});
    let is_open = view.state == PullState::Open;
    let merged_at = pull.ended.as_ref().filter(|_| view.state == PullState::Merged);
    json!({
        "id": number, "node_id": format!("PR|{name}|{number}"), "number": number,
        "url": format!("{url}/api/v3/repos/{name}/pulls/{number}"),
        "html_url": format!("{url}/{name}/pull/{number}"),
        "state": if is_open { "open" } else { "closed" },
        "title": view.title, "body": view.body, "draft": view.draft,
        "user": user("forge-user"),
        "head": branch(&view.head, &view.head_commit),
        "base": branch(&view.base, &view.head_commit),
        "labels": view.labels.iter().map(|text| label(text)).collect::<Value>(),
        "requested_reviewers": view.reviewers.iter().map(|who| user(who)).collect::<Value>(),
        "created_at": pull.created, "updated_at": pull.updated,
        "merged_at": merged_at, "closed_at": pull.ended,
    })
}
