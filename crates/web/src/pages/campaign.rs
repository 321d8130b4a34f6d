//! One campaign: how far it is, what stands in its way, its changesets, and operations on many of them.

use axum::extract::Path;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use crate::backend::Topic;
use crate::cx::{Answer, Cx, encoded};
use crate::pages::campaigns::{Totals, bar, parts};
use crate::types::{ChangesetCounts, Connection, DiffStat, Named, User};
use crate::view::chart::{Chart, Layer};
use crate::view::form::{Line, Sent, check, form, grave, operation, pairs, select};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::state::{badge, diff_stat};
use crate::view::text::{count, counted, path, shown};
use crate::view::time::{ago, ago_or};

#[derive(Deserialize)]
struct Data {
    campaign: Option<Campaign>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Campaign {
    id: String,
    name: String,
    url: String,
    description: Option<String>,
    branch: Option<String>,
    state: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    closed_at: Option<Timestamp>,
    viewer_can_administer: bool,
    author: User,
    status: Status,
    diff_stat: DiffStat,
    actions: Vec<Named>,
    counts: Totals,
    changeset_counts_over_time: Vec<ChangesetCounts>,
    campaign_changesets: Connection<Row>,
    bulk_operations: Vec<Bulk>,
}

#[derive(Deserialize)]
struct Status {
    errors: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    branch: String,
    title: String,
    phase: String,
    publication: String,
    operations: Vec<String>,
    error: Option<String>,
    attempts: i64,
    waiting_until: Option<Timestamp>,
    updated_at: Timestamp,
    #[serde(rename = "externalURL")]
    external_url: Option<String>,
    repository: Named,
    diff_stat: Option<DiffStat>,
    changeset: Option<External>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct External {
    #[serde(rename = "externalID")]
    external_id: String,
    review_state: String,
    check_state: Option<String>,
    labels: Vec<Label>,
}

#[derive(Deserialize)]
struct Label {
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bulk {
    kind: String,
    by: User,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    total: i64,
    done: i64,
    failed: i64,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    changeset: Of,
    state: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Of {
    id: String,
    repository: Named,
}

pub(crate) async fn show(cx: Cx, Path(name): Path<String>) -> Answer {
    let of = |name: &str| cx.params.get(name);
    let stands: Vec<&str> = of("phase").map(|it| it.split(',').collect()).unwrap_or_default();
    let variables = json!({
        "name": name, "first": ROWS, "after": of("after"), "phases": stands, "review": of("review"),
        "check": of("check"), "query": of("q"),
    });
    let data: Data = cx.ask(include_str!("../../queries/campaign.graphql"), variables).await?;
    let campaign = data.campaign.ok_or_else(|| cx.not_found("No campaign has this name."))?;
    let body = html! {
        (title(&[("/campaigns", "Campaigns")], html! { (shown(&campaign.name)) }, facts(&campaign), buttons(&cx, &campaign)))
        @if let Some(text) = &campaign.description { p.lead { (shown(text)) } }
        section data-live id="says" aria-label="State" { (says(&cx, &campaign)) }
        div.columns {
            section.card data-live id="counts" { h2 { "Changesets" span.n { (count(campaign.counts.total)) } } (bar(&campaign.counts)) (phases(&cx, &campaign.counts)) }
            section.card data-live id="burndown" { h2 { "Over time" } (burndown(&campaign.changeset_counts_over_time)) }
        }
        section.card {
            div.bar-row {
                (list::filters(&cx, "Review", "review", &[("", "Any review", None), ("APPROVED", "Approved", None), ("CHANGES_REQUESTED", "Changes requested", None), ("PENDING", "Waiting", None)]))
                (list::filters(&cx, "Checks", "check", &[("", "Any checks", None), ("PASSED", "Passed", None), ("FAILED", "Failed", None), ("PENDING", "Running", None)]))
                (list::query_box(&cx, "Filter changesets", "repository, branch or title"))
            }
            (changesets(&cx, &campaign))
        }
        section.card data-live id="bulk" hidden[campaign.bulk_operations.is_empty()] { h2 { "Operations on many" } (bulk(&campaign.bulk_operations)) }
    };
    let page = Page::new(format!(
        "{} · {} of {} merged",
        campaign.name, campaign.counts.merged, campaign.counts.total
    ))
    .live(Topic::Campaign(campaign.name.clone()));
    Ok(cx.page(&page, body))
}

fn facts(campaign: &Campaign) -> Markup {
    html! {
        (badge(&campaign.state))
        span { "by " (shown(&campaign.author.username)) ", " (ago(campaign.created_at)) }
        span { "updated " (ago(campaign.updated_at)) }
        @if let Some(closed) = campaign.closed_at { span { "closed " (ago(closed)) } }
        @if let Some(branch) = &campaign.branch { span { "branch " code { (shown(branch)) } } }
        span { (diff_stat(&campaign.diff_stat)) }
        @for action in &campaign.actions { span { "from action " a href=(action.url) { (shown(&action.name)) } } }
    }
}

fn buttons(cx: &Cx, campaign: &Campaign) -> Markup {
    let id = [("campaign", campaign.id.as_str())];
    let counts = &campaign.counts;
    html! {
        @if campaign.viewer_can_administer && campaign.state == "OPEN" {
            @if counts.unpublished > 0 {
                (grave(cx, "publishCampaign", &id, "Publish all", &format!("Publishes {} on the code hosts, and those that come later.", counted(counts.unpublished - counts.kept_back, "changeset", "changesets"))))
            }
            @if counts.failed > 0 { (operation(cx, "retryCampaign", &id, html! { (icon("retry")) "Retry " (count(counts.failed)) " failed" }, "primary")) }
            a.button href={ (campaign.url) "/preview" } { "Preview" }
            a.button href={ (campaign.url) "/edit" } { "Edit" }
            a.button href={ (campaign.url) "/track" } { "Track pull requests" }
            details.grave {
                summary.button { "Close…" }
                div.pop { (form(cx, "/do/closeCampaign", html! {
                    input type="hidden" name="campaign" value=(campaign.id);
                    p { "Nothing is done for this campaign any more." }
                    (check("closeChangesets", "Close its open pull requests too", false))
                    button.danger { "Close the campaign" }
                })) }
            }
        }
        @if campaign.viewer_can_administer && campaign.state == "CLOSED" {
            (grave(cx, "deleteCampaign", &[("campaign", &campaign.id), ("back", "/campaigns")], "Delete", "The campaign goes away. Pull requests stay as they are on their hosts."))
        }
    }
}

fn says(cx: &Cx, campaign: &Campaign) -> Markup {
    let counts = &campaign.counts;
    html! {
        @for error in &campaign.status.errors { p.note.bad { (icon("alert")) span { (shown(error)) } } }
        @if counts.diverged > 0 {
            p.note.wait { (icon("alert")) span { b { (counted(counts.diverged, "branch has", "branches have")) " commits of others." } " Nothing of theirs is overwritten. "
                a href=(cx.with(&[("phase", "DIVERGED"), ("after", ""), ("at", "")])) { "Look at them" } " and choose Overwrite or Detach." } }
        }
        @if counts.kept_back > 0 && campaign.viewer_can_administer && campaign.state == "OPEN" {
            p.note { (icon("alert")) span { b { (counted(counts.kept_back, "changeset is", "changesets are")) " kept back." } " Their definition says " code { "published: false" } ". Remove it there and run the action again, or select some below and publish those." } }
        }
        @if counts.failed > 0 {
            p.note.bad { (icon("cross")) span { b { (counted(counts.failed, "changeset", "changesets")) " failed." } " " a href=(cx.with(&[("phase", "FAILED"), ("after", ""), ("at", "")])) { "See why" } } }
        }
    }
}

fn phases(cx: &Cx, counts: &Totals) -> Markup {
    let now = cx.params.get("phase").unwrap_or_default();
    html! {
        nav.filters.legend aria-label="Changesets by state" {
            a href=(cx.with(&[("phase", ""), ("after", ""), ("at", "")])) aria-current=[now.is_empty().then_some("true")] { "All " span.n { (count(counts.total)) } }
            @for (tone, word, number, phase) in parts(counts) {
                @if number > 0 || now == phase {
                    a href=(cx.with(&[("phase", phase), ("after", ""), ("at", "")])) aria-current=[(now == phase).then_some("true")] {
                        span.key.(tone) {} (word) " " span.n { (count(number)) }
                    }
                }
            }
        }
    }
}

fn changesets(cx: &Cx, campaign: &Campaign) -> Markup {
    let all = &campaign.campaign_changesets;
    let rows = html! {
        @if all.nodes.is_empty() { (list::empty("No changeset is here.", html! { "See " a href=(campaign.url) { "all of this campaign" } "." })) }
        @else {
            (list::table("Changesets", &["", "Changeset", "State", "Review", "Checks", "Change", "Updated"], html! { @for row in &all.nodes { (one(campaign, row)) } }))
        }
        (list::pager(cx, &all.page_info, all.total_count, all.nodes.len()))
    };
    html! {
        @if campaign.viewer_can_administer {
            (form(cx, "/do/bulkChangesets", html! {
                input type="hidden" name="campaign" value=(campaign.id);
                input type="hidden" name="back" value=(cx.with(&[]));
                (bulk_bar(all.total_count))
                div data-live id="changesets" { (rows) }
            }))
        } @else { div data-live id="changesets" { (rows) } }
    }
}

fn bulk_bar(total: i64) -> Markup {
    let sent = Sent::default();
    let kinds = pairs(&[
        ("PUBLISH", "Publish"),
        ("PUBLISH_DRAFT", "Publish as draft"),
        ("PUSH_ONLY", "Push branch only"),
        ("MERGE", "Merge"),
        ("CLOSE", "Close"),
        ("REOPEN", "Reopen"),
        ("RETRY", "Retry"),
        ("SYNC", "Look again at the host"),
        ("COMMENT", "Comment"),
        ("DETACH", "Detach"),
        ("OVERWRITE", "Overwrite what others pushed"),
    ]);
    html! {
        details.bulk {
            summary { "Do something to many" span.dim data-selected {} }
            div.row {
                (select("operation", "Operation", "PUBLISH", &kinds))
                (Line::new("glob", "Repositories", "").hint("As github.com/acme/* or repository@branch. Or tick rows below.").show(&sent))
                (Line::new("text", "Text of the comment", "").show(&sent))
            }
            (check("all", &format!("All {} of this campaign", count(total)), false))
            div.buttons { button.primary { "Do it" } span.dim { "What it touched is listed below." } }
        }
    }
}

fn one(campaign: &Campaign, row: &Row) -> Markup {
    let page = format!("/changesets/{}", encoded(&row.id));
    html! {
        tr {
            td.tick { @if campaign.viewer_can_administer { input type="checkbox" name="changesets" value=(row.id) aria-label={ "Select " (row.repository.name) } data-tick; } }
            th scope="row" {
                a href=(page) { (path(&row.repository.name)) }
                div.dim.sub { span.clip { (shown(&row.title)) " · " (shown(&row.branch)) } }
                @if let Some(changeset) = &row.changeset { @for label in &changeset.labels { span.tag { (shown(&label.text)) } " " } }
            }
            td {
                (badge(&row.phase))
                @if let (Some(url), Some(changeset)) = (&row.external_url, &row.changeset) { " " (external(url, &format!("#{}", changeset.external_id))) }
                @if let Some(error) = &row.error { span.bad.sub { (shown(error)) @if row.attempts > 1 { " (" (row.attempts) " attempts)" } } }
                @if let Some(until) = row.waiting_until { span.dim.sub { "again " (ago(until)) } }
                @if !row.operations.is_empty() { span.dim.sub { "to do: " @for (at, name) in row.operations.iter().enumerate() { @if at > 0 { ", " } (words(name)) } } }
                @if row.phase == "UNPUBLISHED" && row.publication != "NONE" { span.dim.sub { "wanted: " (words(&row.publication)) } }
            }
            td { @if let Some(changeset) = &row.changeset { @if changeset.review_state == "PENDING" { span.dim { "Waiting" } } @else { (badge(&changeset.review_state)) } } @else { span.dim { "–" } } }
            td { @if let Some(state) = row.changeset.as_ref().and_then(|changeset| changeset.check_state.as_deref()) { @if state == "PENDING" { span.dim { "Running" } } @else { (badge(state)) } } @else { span.dim { "–" } } }
            td { @if let Some(stat) = &row.diff_stat { (diff_stat(stat)) } }
            td { (ago(row.updated_at)) }
        }
    }
}

/// SECURITY: an address that came from a code host is a link only if it is one of the web.
pub(crate) fn external(url: &str, word: &str) -> Markup {
    let web = url.starts_with("https://") || url.starts_with("http://");
    html! {
        @if web { a.external href=(url) rel="noreferrer noopener" { (shown(word)) (icon("external")) } }
        @else { span { (shown(word)) } }
    }
}

pub(crate) fn words(name: &str) -> String {
    name.to_lowercase().replace('_', " ")
}

fn bulk(all: &[Bulk]) -> Markup {
    html! {
        ul.cards {
            @for one in all {
                li {
                    div.line {
                        b { (shown(&words(&one.kind))) } span { (count(one.done)) " of " (count(one.total)) @if one.failed > 0 { ", " b.bad { (count(one.failed)) " failed" } } }
                        span.push.dim { (shown(&one.by.username)) " · " (ago(one.created_at)) " · " (ago_or(one.finished_at, "still running")) }
                    }
                    details { summary { "What it touched" }
                        ul { @for item in &one.items { li { a href={ "/changesets/" (encoded(&item.changeset.id)) } { (shown(&item.changeset.repository.name)) } " " (badge(&item.state)) @if let Some(error) = &item.error { " " span.bad { (shown(error)) } } } } }
                    }
                }
            }
        }
    }
}

const LAYERS: &[Layer<ChangesetCounts>] = &[
    Layer { class: "merged", word: "Merged", number: |day| day.merged },
    Layer { class: "approved", word: "Open, approved", number: |day| day.open_approved },
    Layer { class: "pending", word: "Open, waiting for review", number: |day| day.open_pending },
    Layer {
        class: "changes",
        word: "Open, changes requested",
        number: |day| day.open_changes_requested,
    },
    Layer { class: "closed", word: "Closed", number: |day| day.closed },
];

/// How the changesets went over time.
fn burndown(days: &[ChangesetCounts]) -> Markup {
    let when = |at: Timestamp| at.strftime("%b %-d").to_string();
    let Some(last) = days.last() else {
        return html! { p.dim { "No changesets yet." } };
    };
    let said = format!(
        "{} of {} changesets merged on {}; the table below has every day.",
        last.merged,
        last.total,
        when(last.date)
    );
    let words = ("Day", "Changesets over time");
    Chart { points: days, at: |day| day.date, layers: LAYERS, when, words, said }.draw()
}
