//! A difference: the tree of its files, then each file, unified or side by side.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::diff_words::{Kind, Line, lines};
use super::icon::icon;
use super::state::diff_stat;
use super::text::{count, counted, shown};
use crate::cx::Cx;
use crate::types::{FileDiff, FileDiffs, Hunk};

/// Most lines of one file that are shown at once.
const SHOWN_LINES: usize = 2000;

/// `raw` is where the whole difference can be had as text.
pub(crate) fn diff(cx: &Cx, diffs: &FileDiffs, raw: Option<&str>) -> Markup {
    let split = cx.params.get("view") == Some("split");
    let stat = diffs.diff_stat;
    html! {
        div.diff {
            div.diff-head {
                span { (counted(diffs.total_count, "file", "files")) " changed " (diff_stat(&stat)) }
                nav.filters aria-label="Layout of the difference" {
                    a href=(cx.with(&[("view", "")])) aria-current=[(!split).then_some("true")] { "Unified" }
                    a href=(cx.with(&[("view", "split")])) aria-current=[split.then_some("true")] { "Split" }
                    @if let Some(raw) = raw { a href=(raw) { "Raw" } }
                }
            }
            div.diff-body {
                nav.files aria-label="Changed files" { (tree(&diffs.nodes)) }
                div.diff-files { @for (at, file) in diffs.nodes.iter().enumerate() { (one(at, file, split, raw)) } }
            }
            @if let (true, Some(cursor)) = (diffs.page_info.has_next_page, &diffs.page_info.end_cursor) {
                nav.pager aria-label="More files" { a href=(cx.with(&[("files", cursor)])) { "Next files" } }
            }
        }
    }
}

fn tree(files: &[FileDiff]) -> Markup {
    let mut folders: BTreeMap<&str, Vec<(usize, &FileDiff)>> = BTreeMap::new();
    for (at, file) in files.iter().enumerate() {
        let folder = file.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        folders.entry(folder).or_default().push((at, file));
    }
    html! {
        @for (folder, files) in folders {
            @if !folder.is_empty() { p.folder { (shown(folder)) "/" } }
            ul {
                @for (at, file) in files {
                    li { a href={ "#file-" (at) } { (icon("file")) span { (shown(file.path().rsplit('/').next().unwrap_or_default())) } (diff_stat(&file.stat)) } }
                }
            }
        }
    }
}

fn one(at: usize, file: &FileDiff, split: bool, raw: Option<&str>) -> Markup {
    let total: usize = file.hunks.iter().map(|hunk| hunk.body.lines().count()).sum();
    let word = match (&file.old_path, &file.new_path) {
        (None, Some(_)) => "added",
        (Some(_), None) => "deleted",
        _ if file.is_rename => "renamed",
        _ => "changed",
    };
    let mode = match (&file.old_mode, &file.new_mode) {
        (Some(old), Some(new)) if old != new => Some(format!("mode {old} → {new}")),
        _ => None,
    };
    html! {
        details.file open id={ "file-" (at) } {
            summary {
                b.path {
                    @if let (true, Some(old)) = (file.is_rename, &file.old_path) { (shown(old)) " → " }
                    (shown(file.path()))
                }
                span.dim { (word) }
                @if let Some(mode) = mode { span.dim { (shown(&mode)) } }
                (diff_stat(&file.stat))
            }
            @if file.is_binary {
                p.said { "This file is binary; its content is not shown." (raw_link(raw)) }
            } @else if file.too_large {
                p.said { "This change is too large to show here." (raw_link(raw)) }
            } @else if file.hunks.is_empty() {
                p.said { "No line has changed." }
            } @else if total > SHOWN_LINES {
                p.said { "This change has " (count(total as i64)) " lines, more than are shown on a page (" (count(SHOWN_LINES as i64)) ")." (raw_link(raw)) }
            } @else {
                div.scroll tabindex="0" role="region" aria-label={ "Changes of " (file.path()) } {
                    table.code.(if split { "split" } else { "unified" }) {
                        @if split { colgroup { col.n; col; col.n; col; } }
                        tbody { @for hunk in &file.hunks { (rows(hunk, split)) } }
                    }
                }
            }
        }
    }
}

fn raw_link(raw: Option<&str>) -> Markup {
    html! { @if let Some(raw) = raw { " " a href=(raw) { "See it raw" } "." } }
}

fn rows(hunk: &Hunk, split: bool) -> Markup {
    let lines = lines(&hunk.body, hunk.old_range.start_line, hunk.new_range.start_line);
    let wide = if split { 4 } else { 3 };
    html! {
        tr.hunk {
            td colspan=(wide) {
                "@@ −" (hunk.old_range.start_line) "," (hunk.old_range.lines) " +" (hunk.new_range.start_line) "," (hunk.new_range.lines) " @@ "
                @if let Some(section) = &hunk.section { (shown(section)) }
            }
        }
        @if split {
            @for (left, right) in sides(&lines) {
                tr { (side(left, |line| line.old)) (side(right, |line| line.new)) }
            }
        } @else {
            @for line in &lines {
                tr class=(class(line.kind)) {
                    td.no data-n=[line.old] {} td.no data-n=[line.new] {}
                    td.src { (content(line)) }
                }
            }
        }
        @if hunk.old_no_newline_at { tr.hunk { td colspan=(wide) { "The old file has no newline at its end." } } }
    }
}

/// Unchanged lines beside each other; of a change, the removed ones at the left and the added ones at the right.
fn sides<'a, 'b>(lines: &'b [Line<'a>]) -> Vec<(Option<&'b Line<'a>>, Option<&'b Line<'a>>)> {
    let mut rows = Vec::new();
    let mut rest = lines;
    while let Some(first) = rest.first() {
        if first.kind == Kind::Same {
            rows.push((Some(first), Some(first)));
            rest = &rest[1..];
            continue;
        }
        let end = rest.iter().position(|line| line.kind == Kind::Same).unwrap_or(rest.len());
        let (block, after) = rest.split_at(end);
        let mut removed = block.iter().filter(|line| line.kind == Kind::Removed);
        let mut added = block.iter().filter(|line| line.kind == Kind::Added);
        loop {
            let pair = (removed.next(), added.next());
            if pair.0.is_none() && pair.1.is_none() {
                break;
            }
            rows.push(pair);
        }
        rest = after;
    }
    rows
}

fn side(line: Option<&Line<'_>>, number: fn(&Line<'_>) -> Option<i64>) -> Markup {
    html! {
        @if let Some(line) = line {
            td.no.(class(line.kind)) data-n=[number(line)] {}
            td.src.(class(line.kind)) { (content(line)) }
        } @else {
            td.no.none {} td.src.none {}
        }
    }
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Same => "same",
        Kind::Removed => "removed",
        Kind::Added => "added",
    }
}

/// The sign is content, so that a change is not told by its colour alone and a copy is a patch.
fn content(line: &Line<'_>) -> Markup {
    let sign = match line.kind {
        Kind::Same => " ",
        Kind::Removed => "-",
        Kind::Added => "+",
    };
    html! { (sign) @for (marked, part) in &line.parts { @if *marked { mark { (shown(part)) } } @else { (shown(part)) } } }
}
