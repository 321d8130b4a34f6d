//! Style, scripts and icons, built in. Their URLs carry a hash of the content, so browsers may keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const JS: &str = "text/javascript; charset=utf-8";

const ASSETS: &[Asset] = &[
    Asset {
        name: "style.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("../assets/style.css"),
    },
    Asset {
        name: "parts.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("../assets/parts.css"),
    },
    Asset {
        name: "viewers.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("../assets/viewers.css"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", text: include_str!("../assets/icon.svg") },
    Asset { name: "main.js", kind: JS, text: include_str!("../assets/main.js") },
    Asset { name: "live.js", kind: JS, text: include_str!("../assets/live.js") },
    Asset { name: "keys.js", kind: JS, text: include_str!("../assets/keys.js") },
    Asset { name: "palette.js", kind: JS, text: include_str!("../assets/palette.js") },
    Asset { name: "editor.js", kind: JS, text: include_str!("../assets/editor.js") },
    Asset { name: "log.js", kind: JS, text: include_str!("../assets/log.js") },
    Asset { name: "log-view.js", kind: JS, text: include_str!("../assets/log-view.js") },
    Asset { name: "log-worker.js", kind: JS, text: include_str!("../assets/log-worker.js") },
    Asset { name: "ansi.js", kind: JS, text: include_str!("../assets/ansi.js") },
];

/// One hash for all: scripts import their siblings by relative address, so they change address together.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = blake3::Hasher::new();
    for asset in ASSETS {
        hasher.update(asset.name.as_bytes()).update(&[0]).update(asset.text.as_bytes());
    }
    hasher.finalize().to_hex()[..12].to_owned()
});

pub(crate) fn url(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

pub(crate) async fn serve(Path((version, name)): Path<(String, String)>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return (StatusCode::NOT_FOUND, "no such asset\n").into_response();
    };
    // A page of an older server gets today's file, and must not keep it under yesterday's name.
    let cache =
        if version == *VERSION { "public, max-age=31536000, immutable" } else { "no-store" };
    ([(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, cache)], asset.text)
        .into_response()
}
