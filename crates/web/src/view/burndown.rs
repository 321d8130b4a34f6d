//! How a campaign's changesets went over time: a chart that is drawn here, and the same numbers as a table.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::types::ChangesetCounts;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;

/// From the bottom up: class, word, and the number of a day.
type Layer = (&'static str, &'static str, fn(&ChangesetCounts) -> i64);

const LAYERS: &[Layer] = &[
    ("merged", "Merged", |day| day.merged),
    ("approved", "Open, approved", |day| day.open_approved),
    ("pending", "Open, waiting for review", |day| day.open_pending),
    ("changes", "Open, changes requested", |day| day.open_changes_requested),
    ("closed", "Closed", |day| day.closed),
];

fn day(at: Timestamp) -> String {
    at.strftime("%b %-d").to_string()
}

pub(crate) fn burndown(days: &[ChangesetCounts]) -> Markup {
    let most = days
        .iter()
        .map(|day| LAYERS.iter().map(|layer| layer.2(day)).sum())
        .max()
        .unwrap_or(0)
        .max(1);
    let (Some(first), Some(last)) = (days.first(), days.last()) else {
        return html! { p.dim { "No changesets yet." } };
    };
    let x = |at: usize| at as f64 / (days.len() - 1).max(1) as f64 * WIDTH;
    let y = |number: i64| HEIGHT - number as f64 / most as f64 * HEIGHT;
    let mut floor = vec![0_i64; days.len()];
    let mut areas = Vec::new();
    for (class, _, number) in LAYERS {
        let roof: Vec<i64> =
            days.iter().zip(&floor).map(|(day, under)| under + number(day)).collect();
        let up = roof.iter().enumerate().map(|(at, top)| format!("{:.1},{:.1}", x(at), y(*top)));
        let back =
            floor.iter().enumerate().rev().map(|(at, low)| format!("{:.1},{:.1}", x(at), y(*low)));
        areas.push((class, up.chain(back).collect::<Vec<_>>().join(" ")));
        floor = roof;
    }
    let said = format!(
        "{} of {} changesets merged on {}; the table below has every day.",
        last.merged,
        last.total,
        day(last.date)
    );
    html! {
        figure.burndown {
            svg viewBox={ "-44 -10 " (WIDTH + 54.0) " " (HEIGHT + 36.0) } role="img" aria-label=(said) {
                @for share in [0, 1, 2] {
                    @let number = most * share / 2;
                    line.grid x1="0" x2=(WIDTH) y1=(format!("{:.1}", y(number))) y2=(format!("{:.1}", y(number))) {}
                    text.axis.y x="-8" y=(format!("{:.1}", y(number) + 4.0)) { (number) }
                }
                @for (class, points) in &areas { polygon class={ "area " (class) } points=(points) {} }
                text.axis x="0" y=(HEIGHT + 20.0) { (day(first.date)) }
                text.axis.end x=(WIDTH) y=(HEIGHT + 20.0) { (day(last.date)) }
            }
            figcaption {
                ul.legend { @for (class, word, number) in LAYERS { li { span.key.(class) {} (word) ": " b { (number(last)) } } } }
            }
            details {
                summary { "As a table" }
                div.scroll tabindex="0" role="region" aria-label="Changesets over time" {
                    table {
                        thead { tr { th scope="col" { "Day" } @for (_, word, _) in LAYERS { th scope="col" { (word) } } th scope="col" { "All" } } }
                        tbody {
                            @for entry in days {
                                tr { th scope="row" { (day(entry.date)) } @for (_, _, number) in LAYERS { td.num { (number(entry)) } } td.num { (entry.total) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
