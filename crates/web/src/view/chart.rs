//! Numbers over time: a chart of layers that is drawn here, and the same numbers as a table.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::view::text::count;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
/// Rows of the table; of more points it has as many, evenly spread.
const ROWS: usize = 200;

/// One of the numbers of a point.
pub(crate) struct Layer<T> {
    /// Its colour.
    pub class: &'static str,
    pub word: &'static str,
    pub number: fn(&T) -> i64,
}

/// What a chart shows.
pub(crate) struct Chart<'a, T> {
    /// In order.
    pub points: &'a [T],
    pub at: fn(&T) -> Timestamp,
    /// From the bottom up.
    pub layers: &'a [Layer<T>],
    /// How a time is written.
    pub when: fn(Timestamp) -> String,
    /// What the first column of the table holds, and what the chart is of.
    pub words: (&'static str, &'static str),
    /// What somebody who sees no chart is told of it.
    pub said: String,
}

impl<T> Chart<'_, T> {
    pub fn draw(&self) -> Markup {
        let Self { points, at, layers, when, words: (column, title), said } = self;
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return html! {};
        };
        let sum = |point: &T| layers.iter().map(|layer| (layer.number)(point)).sum::<i64>();
        // Even numbers have a whole half.
        let most = points.iter().map(sum).max().unwrap_or(0).max(1);
        let most = if most > 1 { most + most % 2 } else { most };
        let (from, to) = (at(first).as_millisecond(), at(last).as_millisecond());
        let x = |point: &T| {
            (at(point).as_millisecond() - from) as f64 / (to - from).max(1) as f64 * WIDTH
        };
        let y = |number: i64| HEIGHT - number as f64 / most as f64 * HEIGHT;
        let mut floor = vec![0_i64; points.len()];
        let mut areas = Vec::new();
        for layer in *layers {
            let roof: Vec<i64> = points
                .iter()
                .zip(&floor)
                .map(|(point, under)| under + (layer.number)(point))
                .collect();
            let corner = |(point, height): (&T, &i64)| format!("{:.1},{:.1}", x(point), y(*height));
            let up = points.iter().zip(&roof).map(corner);
            let back = points.iter().zip(&floor).rev().map(corner);
            areas.push((layer.class, up.chain(back).collect::<Vec<_>>().join(" ")));
            floor = roof;
        }
        let grid: Vec<i64> = if most > 1 { vec![0, most / 2, most] } else { vec![0, 1] };
        let every = points.len().div_ceil(ROWS).max(1);
        html! {
            figure.chart {
                svg viewBox={ "-44 -10 " (WIDTH + 54.0) " " (HEIGHT + 36.0) } role="img" aria-label=(said) {
                    @for number in grid {
                        line.grid x1="0" x2=(WIDTH) y1=(format!("{:.1}", y(number))) y2=(format!("{:.1}", y(number))) {}
                        text.axis.y x="-8" y=(format!("{:.1}", y(number) + 4.0)) { (count(number)) }
                    }
                    @for (class, points) in &areas { polygon class={ "area " (class) } points=(points) {} }
                    text.axis x="0" y=(HEIGHT + 20.0) { (when(at(first))) }
                    text.axis.end x=(WIDTH) y=(HEIGHT + 20.0) { (when(at(last))) }
                }
                figcaption {
                    ul.legend { @for layer in *layers { li { span.key.(layer.class) {} (layer.word) ": " b { (count((layer.number)(last))) } } } }
                }
                details {
                    summary { "As a table" }
                    div.scroll tabindex="0" role="region" aria-label=(title) {
                        table {
                            thead { tr { th scope="col" { (column) } @for layer in *layers { th scope="col" { (layer.word) } } th scope="col" { "All" } } }
                            tbody {
                                @for point in points.iter().rev().step_by(every) {
                                    tr { th scope="row" { (when(at(point))) } @for layer in *layers { td.num { (count((layer.number)(point))) } } td.num { (count(sum(point))) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
