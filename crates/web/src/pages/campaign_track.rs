//! Pull requests that somebody else made become a campaign's: it counts them and shows how they stand, and changes nothing.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use maud::html;
use serde_json::{Value, json};

use crate::backend::GraphError;
use crate::cx::{Answer, Cx, go, node_id};
use crate::pages::campaign_edit::{Campaign, find};
use crate::session::Posted;
use crate::view::form::{Sent, area, form};
use crate::view::layout::{Page, title};

pub(crate) async fn show(cx: Cx, Path(name): Path<String>) -> Answer {
    let campaign = find(&cx, &name).await?;
    Ok(page(&cx, &campaign, &Sent::default(), StatusCode::OK))
}

pub(crate) async fn add(Path(name): Path<String>, posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let campaign = find(&cx, &name).await?;
    let tracked = match parse(fields.get("pulls").unwrap_or_default()) {
        Ok(pulls) => track(&cx, &campaign, &pulls).await,
        Err(message) => Err(vec![GraphError {
            message,
            extensions: json!({ "code": "BAD_INPUT", "field": "pulls" }),
            ..GraphError::default()
        }]),
    };
    match tracked {
        Ok(()) => Ok(go(&campaign.url)),
        Err(errors) => {
            let sent = Sent::new(fields, errors);
            Ok(page(&cx, &campaign, &sent, StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

/// All become known before the campaign gets any: a mistake in one line leaves it as it is.
async fn track(
    cx: &Cx,
    campaign: &Campaign,
    pulls: &[(String, String)],
) -> Result<(), Vec<GraphError>> {
    let input: Vec<Value> = pulls
        .iter()
        .map(|(repository, number)| {
            json!({ "repository": node_id("Repository", repository), "externalID": number })
        })
        .collect();
    let query = include_str!("../../queries/do/createChangesets.graphql");
    let made: Value = cx.try_ask(query, json!({ "input": input })).await?;
    let made = made["done"].as_array().into_iter().flatten();
    let ids: Vec<&Value> = made.map(|changeset| &changeset["id"]).collect();
    let query = include_str!("../../queries/do/addChangesetsToCampaign.graphql");
    let _: Value = cx.try_ask(query, json!({ "campaign": campaign.id, "changesets": ids })).await?;
    Ok(())
}

fn page(cx: &Cx, campaign: &Campaign, sent: &Sent, status: StatusCode) -> Response {
    let crumbs = [("/campaigns", "Campaigns"), (campaign.url.as_str(), campaign.name.as_str())];
    let hint = "One a line: the address of the pull request, or its repository and its number.";
    let body = html! {
        (title(&crumbs, html! { "Track pull requests" }, html! { span { "Those that people made already. They are counted here and never changed." } }, html! {}))
        (sent.summary(&["pulls"]))
        (form(cx, &cx.path, html! {
            div.card {
                (area("pulls", "Pull requests", sent.value("pulls", ""), hint, sent))
                div.buttons { button.primary disabled[!cx.may_write()] { "Track" } a.button href=(campaign.url) { "Cancel" } }
            }
        }))
    };
    cx.page_with(status, &Page::new(format!("Track pull requests in {}", campaign.name)), body)
}

/// Most pull requests of one form.
const MOST: usize = 100;

/// Repositories and numbers, one of each a line.
fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let pulls: Vec<(String, String)> = lines
        .map(|(at, line)| {
            pull(line.trim()).ok_or_else(|| {
                let shown: String = line.trim().chars().take(200).collect();
                format!(
                    "Line {}: `{shown}` is not a pull request. Write it as https://github.com/acme/web/pull/12 or github.com/acme/web 12.",
                    at + 1
                )
            })
        })
        .collect::<Result<_, _>>()?;
    match pulls.len() {
        0 => Err("Name at least one pull request.".to_owned()),
        // Each is asked for at its code host while one waits.
        many if many > MOST => Err(format!("These are {many}; give at most {MOST} at once.")),
        _ => Ok(pulls),
    }
}

/// As the code hosts write addresses: GitHub `/pull/12`, Gitea `/pulls/12`, GitLab `/-/merge_requests/12`.
fn pull(line: &str) -> Option<(String, String)> {
    let (repository, number) = match line.split_once("://") {
        Some(("http" | "https", rest)) => {
            let kinds = ["/-/merge_requests/", "/pulls/", "/pull/"];
            let mut ways = kinds.iter().filter_map(|kind| rest.rsplit_once(kind));
            // A repository may be called as the kinds are.
            let (repository, rest) =
                ways.find(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))?;
            (repository, rest.split(['/', '?', '#']).next().unwrap_or_default())
        }
        Some(_) => return None,
        None => line.rsplit_once([' ', '\t', '#', '!'])?,
    };
    let (repository, number) = (repository.trim().trim_end_matches(['#', '!']), number.trim());
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = !repository.is_empty() && !repository.contains(char::is_whitespace);
    (is_number && is_name).then(|| (repository.trim_end().to_owned(), number.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn pull_requests_as_people_paste_them() {
        let pull = |repository: &str, number: &str| (repository.to_owned(), number.to_owned());
        let text = "https://github.com/acme/web/pull/12\n\n https://github.com/acme/web/pull/13/files?w=1 \r\nhttps://git.example.com:8443/a/b/c/-/merge_requests/4#note_1\nhttps://gitea.example.com/a/b/pulls/9\ngithub.com/acme/api 7\ngithub.com/acme/api#8\ngitlab.com/a/b !3";
        let found = parse(text).unwrap();
        let expected = [
            pull("github.com/acme/web", "12"),
            pull("github.com/acme/web", "13"),
            pull("git.example.com:8443/a/b/c", "4"),
            pull("gitea.example.com/a/b", "9"),
            pull("github.com/acme/api", "7"),
            pull("github.com/acme/api", "8"),
            pull("gitlab.com/a/b", "3"),
        ];
        assert_eq!(found, expected);
        for wrong in [
            "",
            "  \n",
            "github.com/acme/web",
            "12",
            "https://github.com/acme/web/issues/1",
            "ftp://a/b/pull/1",
            "a b 1",
            "a/b x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let pulls = "https://github.com/acme/pulls/pull/1";
        assert_eq!(parse(pulls).unwrap(), [pull("github.com/acme/pulls", "1")]);
        assert!(parse(&format!("{pulls}\n").repeat(101)).is_err());
        assert!(parse("a/b 1\nnonsense").unwrap_err().starts_with("Line 2: `nonsense`"));
    }
}
