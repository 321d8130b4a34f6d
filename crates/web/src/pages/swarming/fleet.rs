//! How fleet and queue stood over time.

use jiff::{SignedDuration, Timestamp};
use maud::html;
use serde_json::json;

use super::on;
use super::wire::{History, Moment};
use crate::backend::Topic;
use crate::cx::{Answer, Cx};
use crate::view::chart::{Chart, Layer};
use crate::view::layout::{Page, title};
use crate::view::list;
use crate::view::text::count;

/// Hours, and how they are called. The second is what is shown first.
const TIMES: [(i64, &str); 4] = [(3, "3 hours"), (24, "Day"), (168, "Week"), (720, "30 days")];

const BOTS: &[Layer<Moment>] = &[
    Layer { class: "live", word: "Busy", number: |at| at.busy },
    Layer { class: "good", word: "Idle", number: |at| at.idle },
    Layer { class: "wait", word: "Maintenance", number: |at| at.maintenance },
    Layer { class: "bad", word: "Quarantined", number: |at| at.quarantined },
    Layer { class: "off", word: "Dead", number: |at| at.dead },
];

const JOBS: &[Layer<Moment>] = &[
    Layer { class: "live", word: "Running", number: |at| at.running },
    Layer { class: "late", word: "Waiting", number: |at| at.queued },
];

fn when(at: Timestamp) -> String {
    at.strftime("%b %-d %H:%M UTC").to_string()
}

pub(crate) async fn show(cx: Cx) -> Answer {
    on(&cx)?;
    let asked: Option<i64> = cx.params.get("h").and_then(|hours| hours.parse().ok());
    let known = asked.filter(|asked| TIMES.iter().any(|(hours, _)| hours == asked));
    let hours = known.unwrap_or(TIMES[1].0);
    let start = Timestamp::now() - SignedDuration::from_hours(hours);
    let request = json!({ "start": start.to_string(), "limit": 480 });
    let history: History = cx.call("phalanx.Swarming/GetHistory", request).await?;
    let points = &history.points;
    let chart = |title, layers, said| {
        let at = |point: &Moment| point.at.unwrap_or_default();
        Chart { points, at, layers, when, words: ("Time", title), said }.draw()
    };
    let body = html! {
        (title(&[], html! { "Fleet" }, html! { "What bots did, and how many jobs waited for them or ran." }, html! {}))
        nav.filters aria-label="Time" {
            @for (choice, word) in TIMES {
                a href={ "/fleet?h=" (choice) } aria-current=[(choice == hours).then_some("true")] { (word) }
            }
        }
        section data-live id="fleet" {
            @if let Some(last) = points.last().filter(|_| points.len() > 1) {
                section.card {
                    h2 { "Bots" }
                    (chart("Bots over time", BOTS, format!("{} bots are busy and {} are idle; the table below has all numbers.", count(last.busy), count(last.idle))))
                }
                section.card {
                    h2 { "Jobs" }
                    p.dim { "Of all doors: tasks, and the jobs of executions." }
                    (chart("Jobs over time", JOBS, format!("{} jobs run and {} wait; the table below has all numbers.", count(last.running), count(last.queued))))
                }
            } @else {
                (list::empty("There is no history yet.", html! { "The server notes each minute how things stand." }))
            }
        }
    };
    Ok(cx.page(&Page::new("Fleet").live(Topic::Swarming), body))
}
