//! The list of campaigns, and how other pages show a few.

use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use crate::backend::Topic;
use crate::cx::{Answer, Cx};
use crate::types::{Connection, DiffStat, User};
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::state::{badge, diff_stat};
use crate::view::text::{count, counted, shown};
use crate::view::time::ago;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Totals {
    pub total: i64,
    pub unpublished: i64,
    pub processing: i64,
    pub open: i64,
    pub draft: i64,
    pub merged: i64,
    pub closed: i64,
    pub failed: i64,
    pub diverged: i64,
    pub pushed_only: i64,
    pub kept_back: i64,
}

#[derive(Deserialize)]
pub(crate) struct Short {
    name: String,
    url: String,
    counts: Totals,
}

#[derive(Deserialize)]
struct Data {
    campaigns: Connection<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    url: String,
    description: Option<String>,
    state: String,
    author: User,
    updated_at: Timestamp,
    diff_stat: DiffStat,
    counts: Totals,
}

pub(crate) async fn list(cx: Cx) -> Answer {
    let variables = json!({ "first": ROWS, "after": cx.params.get("after"), "state": cx.params.get("state"), "query": cx.params.get("q") });
    let data: Data = cx.ask(include_str!("../../queries/campaigns.graphql"), variables).await?;
    let all = &data.campaigns;
    let body = html! {
        (title(&[], html! { "Campaigns" }, html! { "One change in many repositories, as pull requests, until the last is merged." },
            html! { @if cx.may_write() { a.button.primary href="/campaigns/new" { "New campaign" } } }))
        div.bar-row {
            (list::filters(&cx, "State", "state", &[("", "All", None), ("OPEN", "Open", None), ("CLOSED", "Closed", None)]))
            (list::query_box(&cx, "Filter campaigns", "name"))
        }
        section data-live id="campaigns" {
            @if all.nodes.is_empty() {
                (list::empty("No campaign is here.", html! { "Open an " a href="/executions?state=COMPLETED" { "execution that completed" } " and press Create campaign." }))
            } @else {
                (list::table("Campaigns", &["Campaign", "State", "Changesets", "Change", "By", "Updated"], html! {
                    @for row in &all.nodes {
                        tr {
                            th scope="row" { a href=(row.url) { (shown(&row.name)) } @if let Some(text) = &row.description { div.dim.sub { span.clip { (shown(text)) } } } }
                            td { (badge(&row.state)) }
                            td.wide { (bar(&row.counts)) (words(&row.counts)) }
                            td { (diff_stat(&row.diff_stat)) }
                            td { (shown(&row.author.username)) }
                            td { (ago(row.updated_at)) }
                        }
                    }
                }))
            }
            (list::pager(&cx, &all.page_info, all.total_count, all.nodes.len()))
        }
    };
    Ok(cx.page(&Page::new("Campaigns").live(Topic::Everything), body))
}

pub(crate) fn short(rows: &[Short]) -> Markup {
    html! {
        ul.cards {
            @for row in rows {
                li { div.line { a.name href=(row.url) { (shown(&row.name)) } } (bar(&row.counts)) div.line.small { (words(&row.counts)) } }
            }
        }
    }
}

/// Tone, word, number, and the phases that list them, in the order of the bar.
pub(crate) fn parts(counts: &Totals) -> [(&'static str, &'static str, i64, &'static str); 9] {
    [
        ("done", "Merged", counts.merged, "MERGED"),
        ("good", "Open", counts.open, "OPEN"),
        ("draft", "Draft", counts.draft, "DRAFT"),
        ("pushed", "Pushed only", counts.pushed_only, "PUSHED"),
        ("live", "In progress", counts.processing, "QUEUED,WAITING"),
        ("late", "Diverged", counts.diverged, "DIVERGED"),
        ("bad", "Failed", counts.failed, "FAILED"),
        ("off", "Closed", counts.closed, "CLOSED"),
        ("wait", "Unpublished", counts.unpublished, "UNPUBLISHED"),
    ]
}

pub(crate) fn bar(counts: &Totals) -> Markup {
    let total = counts.total.max(1) as f64;
    let mut at = 0.0;
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label={ (counts.merged) " of " (counts.total) " changesets merged" } {
            @for (tone, _, number, _) in parts(counts) {
                @if number > 0 {
                    @let width = number as f64 / total * 1000.0;
                    rect class=(tone) x=(format!("{at:.1}")) y="0" width=(format!("{:.1}", width.max(4.0))) height="10" {}
                    ({ at += width; "" })
                }
            }
        }
    }
}

fn words(counts: &Totals) -> Markup {
    html! {
        span.progress {
            (count(counts.merged)) " of " (counted(counts.total, "changeset", "changesets")) " merged"
            @if counts.open > 0 { ", " (count(counts.open)) " open" }
            @if counts.failed > 0 { ", " b.bad { (count(counts.failed)) " failed" } }
            @if counts.diverged > 0 { ", " b.bad { (count(counts.diverged)) " diverged" } }
        }
    }
}
