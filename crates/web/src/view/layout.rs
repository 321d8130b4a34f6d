//! The frame around every page: head, navigation, search, theme, keys.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::form::form;
use super::icon::icon;
use super::text::{flat, shown};
use crate::assets;
use crate::backend::{Role, Topic};
use crate::cx::Cx;

/// What the frame must know of a page.
pub(crate) struct Page {
    pub title: String,
    /// What the page listens to.
    pub topic: Option<Topic>,
    /// Scripts besides the one that every page has.
    pub scripts: &'static [&'static str],
}

impl Page {
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), topic: None, scripts: &[] }
    }

    pub fn live(mut self, topic: Topic) -> Self {
        self.topic = Some(topic);
        self
    }

    pub fn scripts(mut self, scripts: &'static [&'static str]) -> Self {
        self.scripts = scripts;
        self
    }
}

/// Address, icon, word, and the key after `g`.
const PLACES: &[(&str, &str, &str, &str)] = &[
    ("/", "home", "Home", "h"),
    ("/executions", "play", "Executions", "e"),
    ("/jobs", "list", "Jobs", "j"),
    ("/actions", "action", "Actions", "a"),
    ("/campaigns", "campaign", "Campaigns", "c"),
    ("/saved-searches", "saved", "Saved searches", "s"),
    ("/repositories", "repository", "Repositories", "r"),
    ("/code-hosts", "plug", "Code hosts", "o"),
    ("/runners", "runner", "Runners", "b"),
    ("/settings", "settings", "Settings", "t"),
];

/// Where there is a door for Swarming.
const SWARMING_PLACES: &[(&str, &str, &str, &str)] =
    &[("/botlist", "bot", "Bots", "m"), ("/tasklist", "task", "Tasks", "k")];

/// What the tab says.
fn page_title(title: &str) -> Markup {
    html! { title { (flat(title)) " · Phalanx" } }
}

/// What may have changed since the page was sent.
pub(crate) fn fragment(page: &Page, body: Markup) -> Markup {
    html! { (page_title(&page.title)) (body) }
}

fn head(title: &str, scripts: &[&str]) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            (page_title(title))
            meta property="og:title" content=(flat(title));
            link rel="icon" type="image/svg+xml" href=(assets::url("icon.svg"));
            @for sheet in ["style.css", "parts.css", "viewers.css"] {
                link rel="stylesheet" href=(assets::url(sheet));
            }
            @for script in scripts { script type="module" src=(assets::url(script)) {} }
        }
    }
}

fn wordmark() -> Markup {
    html! {
        (PreEscaped("<svg class=\"mark\" viewBox=\"0 0 24 24\" aria-hidden=\"true\" focusable=\"false\"><path d=\"M3 20V9l3-5 3 5v11M10 20V9l3-5 3 5v11M17 20V9l2-3.5 2 3.5v11\"/></svg>"))
        span { "Phalanx" }
    }
}

fn places(cx: &Cx) -> Markup {
    let path = cx.path.as_str();
    // One bot is in the list of bots.
    let list = match path {
        "/bot" | "/fleet" => "/botlist",
        "/task" => "/tasklist",
        path => path,
    };
    let here = |at: &str| if at == "/" { path == "/" } else { list.starts_with(at) };
    let swarming = if cx.door.backend.has_swarming() { SWARMING_PLACES } else { &[] };
    let (last, first) = PLACES.split_last().unwrap_or((&PLACES[0], &[]));
    let places = first.iter().chain(swarming).chain([last]);
    html! {
        ul {
            @for (address, name, word, key) in places {
                li {
                    a href=(address) aria-current=[here(address).then_some("page")] data-go=(key) {
                        (icon(name)) span { (word) }
                    }
                }
            }
        }
    }
}

pub(crate) fn frame(cx: &Cx, page: &Page, body: Markup) -> Markup {
    let mut scripts = vec!["main.js"];
    scripts.extend(page.scripts);
    let theme_next = if cx.theme == Some("dark") { "light" } else { "dark" };
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[cx.theme] {
            (head(&page.title, &scripts))
            body data-topic=[page.topic.as_ref().map(Topic::text)] {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    a.brand href="/" { (wordmark()) }
                    form.find method="get" action="/search" role="search" aria-label="Code search" {
                        input type="search" name="q" value=[(cx.path == "/search").then(|| cx.params.get("q").unwrap_or_default())]
                            placeholder="Search code: repo:web file:go.mod …" aria-label="Search code"
                            spellcheck="false" autocomplete="off";
                        button { (icon("search")) span.hide { "Search" } }
                    }
                    div.me {
                        button.quiet type="button" data-palette hidden title="Go to (Ctrl-K)" { kbd { "Ctrl K" } }
                        (form(cx, "/theme", html! {
                            input type="hidden" name="back" value=(cx.with(&[]));
                            button.quiet name="theme" value=(theme_next) title="Dark or light" { (icon("theme")) span.hide { "Dark or light" } }
                        }))
                        span.who title=(role(cx.caller.role)) { (shown(&cx.caller.name)) }
                        (form(cx, "/logout", html! { button.quiet { "Log out" } }))
                    }
                }
                details.menu { summary { "Menu" } nav aria-label="Menu" { (places(cx)) } }
                div.body {
                    nav.side aria-label="Main" { (places(cx)) }
                    main id="main" tabindex="-1" { (body) }
                }
                footer {
                    a href=(cx.with(&[("view", "query")])) { "View query" }
                    button.link type="button" data-keys hidden { "Keyboard (?)" }
                    span.live-state role="status" {}
                }
            }
        }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Reader => "may read",
        Role::User => "may run things",
        Role::Admin => "administrator",
    }
}

/// The head of a page: where one is, its name, its facts, what one can do.
pub(crate) fn title(
    crumbs: &[(&str, &str)],
    name: Markup,
    facts: Markup,
    buttons: Markup,
) -> Markup {
    html! {
        div.title {
            div {
                @if !crumbs.is_empty() {
                    nav.crumbs aria-label="Breadcrumb" {
                        @for (address, word) in crumbs { a href=(address) { (shown(word)) } span aria-hidden="true" { " / " } }
                    }
                }
                h1 { (name) }
                div.facts data-live id="facts" { (facts) }
            }
            div.buttons data-live id="buttons" { (buttons) }
        }
    }
}

pub(crate) fn login(theme: Option<&str>, next: &str, wrong: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme] {
            (head("Log in", &[]))
            body.alone {
                main id="main" {
                    h1.brand { (wordmark()) }
                    form.card method="post" action="/login" {
                        input type="hidden" name="next" value=(next);
                        @if let Some(wrong) = wrong { p.note.bad role="alert" { (wrong) } }
                        div.field {
                            label for="token" { "Access token" }
                            input id="token" name="token" type="password" required autofocus autocomplete="current-password"
                                aria-describedby="token-help";
                            p.hint id="token-help" {
                                code { "phalanx up" } " prints one, and the file " code { "token" } " in the server's data directory has it; an administrator makes more in Settings."
                            }
                        }
                        button.primary { "Log in" }
                    }
                }
            }
        }
    }
}

/// Asks for the same page again, now from our own site, so that the browser sends the cookie.
pub(crate) fn again() -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content="0";
                title { "Phalanx" }
            }
            body { main { p { "One moment…" } } }
        }
    }
}
