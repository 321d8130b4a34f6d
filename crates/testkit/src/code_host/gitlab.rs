//! The forge as GitLab.

use serde_json::{Value, json};

use super::state::{Checks, No, PullState, Review, State, now};
use super::wire::{Answer, Asked, Reply};

pub(super) fn answer(state: &mut State, asked: &Asked) -> Answer {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match (asked.method.as_str(), path.as_slice()) {
        ("GET", ["user"]) => Ok(Reply::ok(user("forge-user"))),
        ("GET", ["users"]) => {
            // Names that begin with `no` are nobody's.
            let name = asked.query("username").filter(|name| !name.starts_with("no"));
            Ok(Reply::list(name.into_iter().map(user).collect()))
        }
        ("GET", ["projects"]) => Ok(Reply::list(projects(state, ""))),
        ("GET", ["groups", group, "projects"]) if !group.starts_with("user") => owned(state, group),
        ("GET", ["users", owner, "projects"]) => owned(state, owner),
        ("GET", ["projects", name]) => {
            state.repositories.get(*name).ok_or(No::NotFound)?;
            Ok(Reply::ok(project(state, name)))
        }
        (_, ["projects", name, "merge_requests", rest @ ..]) => {
            state.repositories.get(*name).ok_or(No::NotFound)?;
            of_project(state, asked, name, rest)
        }
        _ => Err(No::NotFound),
    }
}

fn owned(state: &State, owner: &str) -> Answer {
    let list = projects(state, &format!("{owner}/"));
    if list.is_empty() { Err(No::NotFound) } else { Ok(Reply::list(list)) }
}

fn of_project(state: &mut State, asked: &Asked, name: &str, path: &[&str]) -> Answer {
    let number = path.first().and_then(|number| number.parse().ok()).unwrap_or(0);
    match (asked.method.as_str(), path) {
        ("GET", []) => {
            let mut all = Vec::new();
            for number in state.numbers(name)? {
                let view = state.view(name, number);
                if asked.query("source_branch").is_none_or(|branch| view.head == branch) {
                    all.push(request(state, name, number));
                }
            }
            Ok(Reply::list(all))
        }
        ("POST", []) => {
            let text = |field| asked.text(field).unwrap_or_default();
            let (head, base) = (text("source_branch"), text("target_branch"));
            let number = state.create(name, head, base, text("title"), text("description"))?;
            change(state, asked, name, number);
            Ok(Reply::Json(201, request(state, name, number)))
        }
        ("GET", [_]) => {
            state.find(name, number)?;
            Ok(Reply::ok(request(state, name, number)))
        }
        ("PUT", [_]) => {
            match asked.text("state_event") {
                Some(event) => state.set_open(name, number, event == "reopen")?,
                None => drop(state.find(name, number)?),
            }
            change(state, asked, name, number);
            Ok(Reply::ok(request(state, name, number)))
        }
        ("PUT", [_, "merge"]) => {
            let head = state.find(name, number)?.view.head_commit.clone();
            if asked.text("sha").is_some_and(|sha| sha != head) {
                let message = "SHA does not match HEAD of source branch";
                return Ok(Reply::Json(409, json!({"message": message})));
            }
            if let Err(No::Invalid(_)) = state.merge(name, number) {
                return Ok(Reply::Json(405, json!({"message": "405 Method Not Allowed"})));
            }
            Ok(Reply::ok(request(state, name, number)))
        }
        ("POST", [_, "notes"]) => {
            let text = asked.text("body").unwrap_or_default().to_owned();
            state.find(name, number)?.view.comments.push(text.clone());
            Ok(Reply::Json(201, json!({"id": 1, "body": text})))
        }
        ("GET", [_, "approvals"]) => {
            let reviews = latest(state, name, number)?;
            let approved = reviews.iter().filter(|(_, review)| *review == Review::Approved);
            let approved: Vec<_> = approved.map(|(who, _)| json!({"user": user(who)})).collect();
            let left = u8::from(approved.is_empty());
            Ok(Reply::ok(json!({"approved": left == 0, "approvals_required": 1,
                "approvals_left": left, "approved_by": approved})))
        }
        ("GET", [_, "reviewers"]) => {
            let reviews = latest(state, name, number)?;
            let words = reviews.iter().map(|(who, review)| {
                let word = match review {
                    Review::Approved => "approved",
                    Review::ChangesRequested => "requested_changes",
                    Review::Commented => "reviewed",
                    Review::Dismissed => "unapproved",
                };
                json!({"user": user(who), "state": word})
            });
            Ok(Reply::ok(words.collect()))
        }
        _ => Err(No::NotFound),
    }
}

/// GitLab keeps one word for each reviewer; a comment does not change an approval.
fn latest(state: &mut State, name: &str, number: u64) -> Result<Vec<(String, Review)>, No> {
    let mut latest: Vec<(String, Review)> = Vec::new();
    for (who, review) in &state.find(name, number)?.reviews {
        match latest.iter_mut().find(|(known, _)| known == who) {
            Some((_, before)) if *review != Review::Commented => *before = *review,
            Some(_) => {}
            None => latest.push((who.clone(), *review)),
        }
    }
    Ok(latest)
}

fn change(state: &mut State, asked: &Asked, name: &str, number: u64) {
    let pull = state.pull(name, number);
    if let Some(title) = asked.text("title") {
        let (draft, plain) = match title.strip_prefix("Draft:") {
            Some(plain) => (true, plain.trim_start()),
            None => (false, title),
        };
        (pull.view.draft, pull.view.title) = (draft, plain.to_owned());
    }
    if let Some(text) = asked.text("description") {
        text.clone_into(&mut pull.view.body);
    }
    if let Some(base) = asked.text("target_branch") {
        base.clone_into(&mut pull.view.base);
    }
    if let Some(labels) = asked.text("labels") {
        let labels = labels.split(',').filter(|label| !label.is_empty());
        pull.view.labels = labels.map(str::to_owned).collect();
    }
    if asked.body.get("reviewer_ids").is_some() {
        pull.view.reviewers = asked.numbers("reviewer_ids").into_iter().map(name_of).collect();
    }
    pull.updated = now();
}

/// A user's id tells the name, so that none has to be remembered: its bytes, at most eight.
fn user(name: &str) -> Value {
    let id = name.bytes().take(6).fold(0u64, |id, byte| id << 8 | u64::from(byte));
    json!({"id": id, "username": name, "name": name})
}

fn name_of(id: u64) -> String {
    let bytes = id.to_be_bytes().into_iter().filter(|byte| *byte != 0);
    bytes.map(char::from).collect()
}

fn projects(state: &State, prefix: &str) -> Vec<Value> {
    let names = state.repositories.keys().filter(|name| name.starts_with(prefix));
    names.map(|name| project(state, name)).collect()
}

fn project(state: &State, name: &str) -> Value {
    let it = &state.repositories[name];
    json!({
        "id": it.id, "path_with_namespace": name, "default_branch": "main",
        "visibility": "private", "archived": it.archived, "topics": ["forge"],
        "description": "a repository", "web_url": format!("{}/{name}", state.url),
        "http_url_to_repo": format!("{}/{name}.git", state.url),
    })
}

fn request(state: &mut State, name: &str, number: u64) -> Value {
    let url = state.url.clone();
    let project = state.repository(name).id;
    let commit = state.view(name, number).head_commit;
    let status = state.checks(name, &commit).map(|checks| match checks {
        Checks::Pending => "running",
        Checks::Failed => "failed",
        Checks::Passed => "success",
    });
    let pipeline = status.map(|status| json!({"id": 1, "sha": commit, "status": status}));
    let pull = state.pull(name, number);
    let view = &pull.view;
    let (word, merged_at, closed_at) = match view.state {
        PullState::Open => ("opened", None, None),
        PullState::Closed => ("closed", None, pull.ended.as_ref()),
        PullState::Merged => ("merged", pull.ended.as_ref(), None),
    };
    let mark = if view.draft { "Draft: " } else { "" };
    json!({
        "id": 1000 + number, "iid": number, "project_id": project, "source_project_id": project,
        "target_project_id": project, "title": format!("{mark}{}", view.title),
        "description": view.body, "state": word, "draft": view.draft,
        "source_branch": view.head, "target_branch": view.base, "sha": view.head_commit,
        "labels": view.labels, "author": user("forge-user"),
        "reviewers": view.reviewers.iter().map(|who| user(who)).collect::<Value>(),
        "web_url": format!("{url}/{name}/-/merge_requests/{number}"), "head_pipeline": pipeline,
        "created_at": pull.created, "updated_at": pull.updated,
        "merged_at": merged_at, "closed_at": closed_at,
    })
}
