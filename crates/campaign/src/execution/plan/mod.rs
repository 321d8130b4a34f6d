//! From a spec and repositories to workspaces. Nothing is submitted before the whole plan stands, and all that is wrong is said
//! at once.

mod wanted;

use std::sync::Arc;

use codehost::git::{GitError, Repositories, Resolved};
use futures::StreamExt;
use globset::{GlobBuilder, GlobMatcher};
use spec::{BatchChangeContext, Diagnostic, Position, RepositoryContext, Spec, StaticCondition};

use super::WorkspaceJob;
use crate::scope::Searcher;
use wanted::{Complain, Wanted, wanted};

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
    /// Repositories of which it is not known whether a query would find them.
    pub not_searched: Vec<String>,
    /// What a person should know of it.
    pub notices: Vec<String>,
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

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "" } else { "/" };
        write!(f, "`{}{path}{}` is left out: {}", self.repository, self.path, self.why)
    }
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

/// Plans an execution. `named` are the repositories given beside the spec; they are used when the spec names none, and stand
/// in for its queries.
pub async fn plan(
    file: &str,
    spec: &Spec,
    named: &[RepositoryInput],
    searcher: &Arc<Searcher>,
) -> Result<Plan, PlanError> {
    let repositories = searcher.repositories();
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
    let mut plan = Plan::default();
    let all = wanted(spec, named, searcher, &mut plan, &mut complain).await;
    let found_none = all.is_empty();
    let rules = workspace_rules(spec, &mut complain);
    // Each may be a git process; starting one blocks, so not all in one task.
    let resolved = all.into_iter().map(|((name, branch), wanted)| async move {
        let (all, of) = (repositories.clone(), name.clone());
        let resolved = tokio::spawn(async move {
            let pinned = pin(&all, &of, branch.as_deref(), &wanted).await;
            (pinned, wanted)
        });
        let (resolved, wanted) = resolved.await.expect("resolving does not panic");
        (name, resolved, wanted)
    });
    let resolved: Vec<_> =
        futures::stream::iter(resolved).buffered(RESOLVE_AT_ONCE).collect().await;
    for (name, resolved, Wanted { at, field, paths, .. }) in resolved {
        let resolved = match resolved {
            Ok(Pinned::At(resolved)) => resolved,
            Ok(Pinned::Refused) => {
                let why = "it has a `.batchignore`".to_owned();
                plan.skipped.push(Skipped { repository: name, path: String::new(), why });
                continue;
            }
            Ok(Pinned::Unknown) => {
                let hint = "give its folder or URL with `--repo`; `phalanx exec` names a local one after its folder";
                complain(at, &field, format!("there is no repository `{name}`"), Some(hint));
                continue;
            }
            // One of many that were found in a folder must not keep the others from running.
            Err(error @ GitError::NoCommit { .. }) if named.len() > 1 && spec.on.is_empty() => {
                let why = error.to_string();
                plan.skipped.push(Skipped { repository: name, path: String::new(), why });
                continue;
            }
            Err(error) => {
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
                search_result_paths: inside(&paths, &path),
                path,
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
    } else if found_none && diagnostics.is_empty() {
        let known = repositories.list().len();
        diagnostics.push(Diagnostic {
            file: file.to_owned(),
            at: Position::default(),
            field: "on".to_owned(),
            message: format!("none of the {known} repositories that are known here is found"),
            hint: Some("see what a query finds with `phalanx search`; forks and archived ones need `fork:yes`, `archived:yes`".to_owned()),
        });
    }
    if diagnostics.is_empty() { Ok(plan) } else { Err(PlanError { diagnostics }) }
}

/// A repository's revision, or why there is none.
enum Pinned {
    At(Resolved),
    /// It has a `.batchignore`.
    Refused,
    Unknown,
}

async fn pin(
    all: &Arc<Repositories>,
    name: &str,
    revision: Option<&str>,
    wanted: &Wanted,
) -> Result<Pinned, GitError> {
    if all.source(name).is_none() {
        return Ok(Pinned::Unknown);
    }
    let resolved = match &wanted.resolved {
        Some(resolved) => resolved.clone(),
        None => all.resolve(name, revision).await?,
    };
    if wanted.may_refuse {
        let (all, name, commit) = (all.clone(), name.to_owned(), resolved.commit.clone());
        let tree = tokio::task::spawn_blocking(move || all.tree(&name, &commit)).await;
        if tree.expect("reading a tree does not panic")?.find(".batchignore").is_some() {
            return Ok(Pinned::Refused);
        }
    }
    Ok(Pinned::At(resolved))
}

/// The paths that lie in a folder; all of them in the root. `a/b` holds nothing of `a/bc`.
fn inside(paths: &[String], folder: &str) -> Vec<String> {
    let lies_in = |path: &&String| {
        folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    paths.iter().filter(lies_in).cloned().collect()
}

fn workspace_rules<'a>(spec: &'a Spec, complain: &mut Complain<'_>) -> Vec<Rule<'a>> {
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
