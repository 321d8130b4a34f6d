//! Icons, drawn in place: 16 by 16, one stroke, in the colour of the text.

use maud::{Markup, PreEscaped, html};

fn path(name: &str) -> &'static str {
    match name {
        "check" => "M3 8.5l3.2 3.2L13 4.8",
        "cross" => "M4 4l8 8M12 4l-8 8",
        "clock" => "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.8V8l2.2 1.6",
        "run" => "M13.5 8A5.5 5.5 0 1 1 8 2.5",
        "hourglass" => "M4 2h8M4 14h8M5 2v2.5L8 8l3-3.5V2M5 14v-2.5L8 8l3 3.5V14",
        "slash" => "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM4 12l8-8",
        "alert" => "M8 2.2L14.5 13.5h-13zM8 6.5v3.2M8 11.6v.2",
        "home" => "M2.5 7.5L8 3l5.5 4.5V13.5h-4v-4h-3v4h-4z",
        "play" => "M5 3l8 5-8 5z",
        "list" => "M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.1M2.5 8h.1M2.5 12h.1",
        "action" => "M9 1.5L3.5 9H8l-1 5.5L12.5 7H8z",
        "campaign" => "M2.5 13.5v-11l5 2.5-5 2.5M10 13V6M13 13V3.5M7 13v-2.5",
        "branch" => {
            "M5 5.5v5M5 5.5a1.7 1.7 0 1 0-.1 0zM5 14a1.7 1.7 0 1 0-.1 0zM11 6a1.7 1.7 0 1 0-.1 0zM11 6c0 3-2.5 3-6 4.5"
        }
        "merge" => {
            "M5 5.5v5M5 5.5a1.7 1.7 0 1 0-.1 0zM5 14a1.7 1.7 0 1 0-.1 0zM11.5 10a1.7 1.7 0 1 0-.1 0zM5 5.5c1 3 3 3.5 5 3.5"
        }
        "search" => "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.5 10.5L14 14",
        "saved" => "M4 2h8v12l-4-3-4 3z",
        "repository" => "M3 2.5h9.5v11H4.5A1.5 1.5 0 0 1 3 12zM3 12a1.5 1.5 0 0 1 1.5-1.5h8",
        "runner" => "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.1M5 11h.1",
        "bot" => "M4 6h8v6H4zM8 3.5V6M6.3 8.6h.1M9.7 8.6h.1M2 8v2.5M14 8v2.5M6 12v2M10 12v2",
        "task" => "M3 2.5h10v11H3zM5.5 8l1.8 1.8L10.8 6",
        "settings" => {
            "M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7M10.5 3a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3zM5.5 10a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z"
        }
        "theme" => "M13.5 9.5A6 6 0 1 1 6.5 2.5a4.7 4.7 0 0 0 7 7z",
        "plug" => "M5.5 2v3M10.5 2v3M4 5h8v3a4 4 0 0 1-8 0zM8 12v2.5",
        "retry" => "M13 3v3.5H9.5M13 6.5A5.5 5.5 0 1 0 13.5 9",
        "external" => "M9 3h4v4M13 3L7.5 8.5M11 9.5v3.5H3V5h3.5",
        "file" => "M4 1.5h5.5L12.5 4.5v10H4zM9 1.5v3.5h3.5",
        "chat" => "M2.5 3h11v8H7l-3 2.5V11H2.5z",
        _ => "M8 7.5a.5.5 0 1 0 .1 0",
    }
}

/// Decoration only: the words beside it say the same.
pub(crate) fn icon(name: &str) -> Markup {
    let shape = format!(
        "<svg class=\"icon i-{name}\" viewBox=\"0 0 16 16\" aria-hidden=\"true\" focusable=\"false\"><path d=\"{}\"/></svg>",
        path(name)
    );
    html! { (PreEscaped(shape)) }
}
