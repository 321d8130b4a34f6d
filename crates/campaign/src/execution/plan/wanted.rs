//! Which repositories at which revisions: what a spec names, what its queries find, and what the caller names beside it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use codehost::git::Resolved;
use spec::{Format, On, Position, Spec};

use super::{Plan, RepositoryInput, Skipped};
use crate::scope::{HEAD, PatternType, Prepared, Searcher, mistake};

/// Why a repository is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// For messages: where it is written, and which field that is.
    pub at: Position,
    pub field: String,
    /// Pinned already when a query found it.
    pub resolved: Option<Resolved>,
    /// The files that a query found.
    pub paths: Vec<String>,
    /// Whether the repository may say no with a `.batchignore`: unless the caller names it outright.
    pub may_refuse: bool,
}

/// By name and revision; no revision is the default branch.
pub(super) type AllWanted = BTreeMap<(String, Option<String>), Wanted>;

/// Complains of one mistake.
pub(super) type Complain<'a> = dyn FnMut(Position, &str, String, Option<&str>) + Send + 'a;

pub(super) async fn wanted(
    spec: &Spec,
    named: &[RepositoryInput],
    searcher: &Arc<Searcher>,
    plan: &mut Plan,
    complain: &mut Complain<'_>,
) -> AllWanted {
    let mut all = AllWanted::new();
    for (index, on) in spec.on.iter().enumerate() {
        // Repositories that are named outright stand in for the search.
        if let On::Query { query, at } = on
            && named.is_empty()
        {
            let field = match spec.format {
                Format::Action => "scopeQuery".to_owned(),
                Format::Batch => format!("on[{index}].repositoriesMatchingQuery"),
            };
            match Prepared::new(query, pattern_type(spec)) {
                Ok(query) => {
                    let found = found(searcher, query, *at, &field, plan).await;
                    if found.is_empty() {
                        plan.notices.push(format!("`{field}` found no repository"));
                    }
                    all.extend(found);
                }
                Err(error) => complain(*at, &field, mistake(query, &error), None),
            }
        }
    }
    // What is named stands before what a query found, whatever comes first in the file.
    for on in &spec.on {
        if let On::Repository { name, .. } = on {
            all.retain(|(known, _), wanted| known != name || wanted.resolved.is_none());
        }
    }
    for (index, on) in spec.on.iter().enumerate() {
        if let On::Repository { name, branches, at } = on {
            let field = format!("on[{index}]");
            let wanted = Wanted { at: *at, field, may_refuse: true, ..Wanted::default() };
            if branches.is_empty() {
                all.insert((name.clone(), None), wanted);
            } else {
                let keys = branches.iter().map(|branch| (name.clone(), Some(branch.clone())));
                all.extend(keys.map(|key| (key, wanted.clone())));
            }
        }
    }
    if !spec.on.iter().any(|on| matches!(on, On::Repository { .. })) {
        for input in named {
            all.insert((input.name.clone(), input.branch.clone()), Wanted::default());
        }
    }
    all
}

/// How the spec's generation reads a query that does not say.
fn pattern_type(spec: &Spec) -> PatternType {
    match (spec.format, spec.version) {
        (Format::Action, _) => PatternType::Literal,
        (Format::Batch, ..=1) => PatternType::Standard,
        (Format::Batch, _) => PatternType::Keyword,
    }
}

async fn found(
    searcher: &Arc<Searcher>,
    query: Prepared,
    at: Position,
    field: &str,
    plan: &mut Plan,
) -> AllWanted {
    let searcher = searcher.clone();
    let search = move || {
        let mut hits = Vec::new();
        let ended = searcher.run(&query, None, |hit| {
            hits.push(hit);
            ControlFlow::Continue(())
        });
        (hits, ended)
    };
    let (hits, ended) = tokio::task::spawn_blocking(search).await.expect("a search does not panic");
    let names = ended.not_searched.iter().map(|(repository, _)| repository.clone());
    plan.not_searched.extend(names);
    plan.skipped.extend(ended.not_searched.into_iter().map(|(repository, why)| Skipped {
        repository,
        path: String::new(),
        why: format!("it cannot be searched: {why}"),
    }));
    let mut all = AllWanted::new();
    for hit in hits {
        for (label, resolved) in &hit.revisions {
            let files = hit.found.files.iter().filter(|file| file.revision == *label);
            let paths: Vec<String> = files.map(|file| file.path.clone()).collect();
            if paths.is_empty() && !hit.found.files.is_empty() {
                continue;
            }
            let revision = (label != HEAD).then(|| label.clone());
            let wanted = Wanted {
                at,
                field: field.to_owned(),
                resolved: Some(resolved.clone()),
                paths,
                may_refuse: true,
            };
            all.insert((hit.repository.name.clone(), revision), wanted);
        }
    }
    all
}
