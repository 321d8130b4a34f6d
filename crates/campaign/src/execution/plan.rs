//! From a spec and repositories to workspaces. Nothing is submitted before the whole plan stands, and all that is wrong is said
//! at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use codehost::git::{GitError, Repositories};
use futures::StreamExt;
use globset::{GlobBuilder, GlobMatcher};
use spec::{
    BatchChangeContext, Diagnostic, On, Position, RepositoryContext, Spec, StaticCondition,
};

use super::WorkspaceJob;

/// A repository that the caller named.
#[derive(Clone, Debug)]
pub struct RepositoryInput {
    pub name: String,
    /// `None`: the default branch.
    pub branch: Option<String>,
}

/// What will run, and what was left out.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub workspaces: Vec<PlannedWorkspace>,
    pub skipped: Vec<Skipped>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedWorkspace {
    pub job: WorkspaceJob,
}

/// A repository or workspace that is not run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    pub repository: String,
    pub path: String,
    pub why: String,
}

/// Everything that is wrong with the request.
#[derive(Debug)]
pub struct PlanError {
    pub diagnostics: Vec<Diagnostic>,
}

/// Revisions that are pinned at the same time.
const RESOLVE_AT_ONCE: usize = 8;

struct Rule<'a> {
    matcher: GlobMatcher,
    file: &'a str,
    only_fetch: bool,
    at: Position,
    glob: &'a str,
}

/// Plans an execution. `named` are the repositories given beside the spec; they are used when the spec has no `on`.
pub async fn plan(
    file: &str,
    spec: &Spec,
    named: &[RepositoryInput],
    repositories: &Arc<Repositories>,
) -> Result<Plan, PlanError> {
    let mut diagnostics = Vec::new();
    let mut complain = |at: Position, field: &str, message: String, hint: Option<&str>| {
        diagnostics.push(Diagnostic {
            file: file.to_owned(),
            at,
            field: field.to_owned(),
            message,
            hint: hint.map(str::to_owned),
        });
    };
    let mut wanted: BTreeMap<(String, Option<String>), (Position, String)> = BTreeMap::new();
    for (index, on) in spec.on.iter().enumerate() {
        match on {
            On::Query { at, .. } if named.is_empty() => complain(
                *at,
                &format!("on[{index}]"),
                "repositories cannot be searched for yet".to_owned(),
                Some("name them with `--repo` or `--repos-in`, or with `on: - repository:`"),
            ),
            // Repositories that are named outright stand in for the search.
            On::Query { .. } => {}
            On::Repository { name, branches, at } => {
                let field = format!("on[{index}]");
                let one = |branch: Option<String>| ((name.clone(), branch), (*at, field.clone()));
                if branches.is_empty() {
                    wanted.extend([one(None)]);
                } else {
                    wanted.extend(branches.iter().map(|branch| one(Some(branch.clone()))));
                }
            }
        }
    }
    let names_its_own = spec.on.iter().any(|on| matches!(on, On::Repository { .. }));
    if !names_its_own {
        for input in named {
            let key = (input.name.clone(), input.branch.clone());
            wanted.insert(key, (Position::default(), String::new()));
        }
    }
    let rules = workspace_rules(spec, &mut complain);
    let mut plan = Plan::default();
    // Each is a git process; starting one blocks, so not all in one task.
    let resolved = wanted.into_iter().map(|((name, branch), (at, field))| async move {
        let (all, of) = (repositories.clone(), name.clone());
        let resolved = tokio::spawn(async move {
            match all.source(&of) {
                Some(_) => all.resolve(&of, branch.as_deref()).await.map_err(Some),
                None => Err(None),
            }
        });
        (name, resolved.await.expect("resolving does not panic"), at, field)
    });
    let resolved: Vec<_> =
        futures::stream::iter(resolved).buffered(RESOLVE_AT_ONCE).collect().await;
    for (name, resolved, at, field) in resolved {
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(None) => {
                let hint = "give its folder or URL with `--repo`; `phalanx exec` names a local one after its folder";
                complain(at, &field, format!("there is no repository `{name}`"), Some(hint));
                continue;
            }
            // One of many that were found in a folder must not keep the others from running.
            Err(Some(error @ GitError::NoCommit { .. }))
                if named.len() > 1 && spec.on.is_empty() =>
            {
                let why = error.to_string();
                plan.skipped.push(Skipped { repository: name, path: String::new(), why });
                continue;
            }
            Err(Some(error)) => {
                complain(at, &field, explain(&error), None);
                continue;
            }
        };
        let claimed: Vec<&Rule<'_>> =
            rules.iter().filter(|rule| rule.matcher.is_match(&name)).collect();
        if let [first, second, ..] = claimed[..] {
            complain(
                second.at,
                "workspaces",
                format!(
                    "both `{}` and `{}` claim the repository `{name}`",
                    first.glob, second.glob
                ),
                Some("make the globs of `in` exclude each other"),
            );
            continue;
        }
        let (folders, only_fetch) = match claimed.first() {
            None => (vec![String::new()], false),
            Some(rule) => {
                match repositories.folders_with(&name, &resolved.commit, rule.file).await {
                    Ok(folders) => {
                        if folders.is_empty() {
                            plan.skipped.push(Skipped {
                                repository: name.clone(),
                                path: String::new(),
                                why: format!("it has no file `{}`", rule.file),
                            });
                        }
                        (folders, rule.only_fetch)
                    }
                    Err(error) => {
                        complain(rule.at, "workspaces", error.to_string(), None);
                        continue;
                    }
                }
            }
        };
        for path in folders {
            let job = WorkspaceJob {
                repository: name.clone(),
                branch: resolved.branch.clone(),
                commit: resolved.commit.clone(),
                only_fetch_workspace: only_fetch && !path.is_empty(),
                path,
                search_result_paths: Vec::new(),
            };
            if every_step_is_skipped(spec, &job) {
                plan.skipped.push(Skipped {
                    repository: name.clone(),
                    path: job.path,
                    why: "the `if` of every step is false".to_owned(),
                });
            } else {
                plan.workspaces.push(PlannedWorkspace { job });
            }
        }
    }
    if spec.on.is_empty() && named.is_empty() {
        complain(
            Position::default(),
            "on",
            "no repository is named".to_owned(),
            Some("add `--repo PATH`, `--repos-in DIR`, or `on:` in the spec"),
        );
    }
    if diagnostics.is_empty() { Ok(plan) } else { Err(PlanError { diagnostics }) }
}

fn workspace_rules<'a>(
    spec: &'a Spec,
    complain: &mut impl FnMut(Position, &str, String, Option<&str>),
) -> Vec<Rule<'a>> {
    let mut rules = Vec::new();
    for (index, rule) in spec.workspaces.iter().enumerate() {
        // As upstream's globs: a star crosses slashes.
        match GlobBuilder::new(&rule.r#in).literal_separator(false).build() {
            Ok(glob) => rules.push(Rule {
                matcher: glob.compile_matcher(),
                file: &rule.root_at_location_of,
                only_fetch: rule.only_fetch_workspace,
                at: rule.at,
                glob: &rule.r#in,
            }),
            Err(error) => {
                complain(rule.at, &format!("workspaces[{index}].in"), error.to_string(), None);
            }
        }
    }
    rules
}

fn every_step_is_skipped(spec: &Spec, job: &WorkspaceJob) -> bool {
    let repository = RepositoryContext {
        name: job.repository.clone(),
        branch: job.branch.clone(),
        search_result_paths: job.search_result_paths.clone(),
    };
    let change =
        BatchChangeContext { name: spec.name.clone(), description: spec.description.clone() };
    !spec.steps.is_empty()
        && spec.steps.iter().all(|step| {
            spec::evaluate_statically(&step.r#if, &repository, &change) == StaticCondition::Skip
        })
}

/// The error with its cause.
fn explain(error: &GitError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
