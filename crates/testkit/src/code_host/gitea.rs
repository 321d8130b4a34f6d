//! The forge as Gitea.

use serde_json::{Value, json};

use super::github::{repository, user};
use super::state::{Checks, No, PullState, Review, State, now};
use super::wire::{Answer, Asked, Reply};

pub(super) fn answer(state: &mut State, asked: &Asked) -> Answer {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match (asked.method.as_str(), path.as_slice()) {
        ("GET", ["user"]) => Ok(Reply::ok(user("forge-user"))),
        ("GET", ["user", "repos"]) => Ok(Reply::list(repositories(state, ""))),
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

fn repositories(state: &State, prefix: &str) -> Vec<Value> {
    let names = state.repositories.keys().filter(|name| name.starts_with(prefix));
    names.map(|name| repository(state, name)).collect()
}

fn of_repository(state: &mut State, asked: &Asked, name: &str, path: &[&str]) -> Answer {
    let number = path.get(1).and_then(|number| number.parse().ok()).unwrap_or(0);
    match (asked.method.as_str(), path) {
        ("GET", ["pulls"]) => {
            let numbers = state.numbers(name)?;
            Ok(Reply::list(numbers.into_iter().map(|n| pull(state, name, n)).collect()))
        }
        ("POST", ["pulls"]) => {
            let text = |field| asked.text(field).unwrap_or_default();
            let (head, base) = (text("head"), text("base"));
            let number = state.create(name, head, base, text("title"), text("body"))?;
            change(state, asked, name, number);
            let labels = asked.numbers("labels");
            set_labels(state, name, number, &labels);
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
            change(state, asked, name, number);
            Ok(Reply::Json(201, pull(state, name, number)))
        }
        ("POST", ["pulls", _, "merge"]) => {
            let head = state.find(name, number)?.view.head_commit.clone();
            if asked.text("head_commit_id").is_some_and(|commit| commit != head) {
                return Ok(Reply::Json(409, json!({"message": "head out of date"})));
            }
            if let Err(No::Invalid(message)) = state.merge(name, number) {
                return Ok(Reply::Json(405, json!({"message": message})));
            }
            Ok(Reply::Empty(200))
        }
        ("GET", ["pulls", _, "reviews"]) => {
            let reviews = state.find(name, number)?.reviews.iter();
            Ok(Reply::list(reviews.map(review).collect()))
        }
        ("POST", ["pulls", _, "requested_reviewers"]) => {
            let names = [asked.texts("reviewers"), asked.texts("team_reviewers")].concat();
            state.find(name, number)?.view.reviewers.extend(names);
            Ok(Reply::Json(201, json!([])))
        }
        ("GET", ["labels"]) => {
            let names = state.repository(name).labels.iter();
            Ok(Reply::list(names.zip(1..).map(|(text, id)| label(text, id)).collect()))
        }
        ("POST", ["labels"]) => {
            let text = asked.text("name").unwrap_or_default().to_owned();
            let labels = &mut state.repository(name).labels;
            labels.push(text.clone());
            Ok(Reply::Json(201, label(&text, labels.len())))
        }
        ("PUT", ["issues", _, "labels"]) => {
            state.find(name, number)?;
            set_labels(state, name, number, &asked.numbers("labels"));
            Ok(Reply::ok(json!([])))
        }
        ("POST", ["issues", _, "comments"]) => {
            let text = asked.text("body").unwrap_or_default().to_owned();
            state.find(name, number)?.view.comments.push(text.clone());
            Ok(Reply::Json(201, json!({"id": 1, "body": text})))
        }
        ("GET", ["commits", commit, "status"]) => {
            let checks = state.checks(name, commit);
            let word = match checks {
                Some(Checks::Pending) => "pending",
                Some(Checks::Failed) => "failure",
                Some(Checks::Passed) => "success",
                None => "",
            };
            let count = u8::from(checks.is_some());
            Ok(Reply::ok(json!({"sha": commit, "state": word, "total_count": count})))
        }
        _ => Err(No::NotFound),
    }
}

fn set_labels(state: &mut State, name: &str, number: u64, ids: &[u64]) {
    let known = &state.repository(name).labels;
    let texts = ids.iter().filter_map(|id| known.get((*id as usize).checked_sub(1)?)).cloned();
    let texts = texts.collect();
    state.pull(name, number).view.labels = texts;
}

fn change(state: &mut State, asked: &Asked, name: &str, number: u64) {
    let pull = state.pull(name, number);
    if let Some(title) = asked.text("title") {
        let (draft, plain) = match title.strip_prefix("WIP:") {
            Some(plain) => (true, plain.trim_start()),
            None => (false, title),
        };
        (pull.view.draft, pull.view.title) = (draft, plain.to_owned());
    }
    if let Some(text) = asked.text("body") {
        text.clone_into(&mut pull.view.body);
    }
    if let Some(base) = asked.text("base") {
        base.clone_into(&mut pull.view.base);
    }
    pull.updated = now();
}

fn label(text: &str, id: usize) -> Value {
    json!({"id": id, "name": text, "color": "ededed", "description": ""})
}

/// Gitea marks a review as dismissed and keeps what it said.
fn review((who, said): &(String, Review)) -> Value {
    let (state, dismissed) = match said {
        Review::Approved => ("APPROVED", false),
        Review::ChangesRequested => ("REQUEST_CHANGES", false),
        Review::Commented => ("COMMENT", false),
        Review::Dismissed => ("APPROVED", true),
    };
    json!({"id": 1, "user": user(who), "state": state, "dismissed": dismissed, "stale": false})
}

fn pull(state: &mut State, name: &str, number: u64) -> Value {
    let url = state.url.clone();
    let repository = state.repository(name).id;
    let pull = state.pull(name, number);
    let view = &pull.view;
    let branch = |branch: &str, sha: &str| json!({"label": branch, "ref": branch, "sha": sha, "repo_id": repository});
    let is_merged = view.state == PullState::Merged;
    let mark = if view.draft { "WIP: " } else { "" };
    let labels = view.labels.iter().map(|text| label(text, 1)).collect::<Value>();
    json!({
        "id": 1000 + number, "number": number, "title": format!("{mark}{}", view.title),
        "html_url": format!("{url}/{name}/pulls/{number}"), "body": view.body,
        "state": if view.state == PullState::Open { "open" } else { "closed" },
        "merged": is_merged, "draft": view.draft, "user": user("forge-user"),
        "head": branch(&view.head, &view.head_commit), "base": branch(&view.base, ""),
        "labels": labels, "created_at": pull.created, "updated_at": pull.updated,
        "merged_at": pull.ended.as_ref().filter(|_| is_merged), "closed_at": pull.ended,
    })
}
