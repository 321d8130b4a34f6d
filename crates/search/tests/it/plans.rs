//! What a plan holds.

use search::PatternType::Standard;
use search::{Flag, PatternTree, Plan, Revision, Select, Types, Visibility};

use crate::shape::parsed;

fn plan(text: &str) -> Plan {
    search::plan(&parsed(text, Standard)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn ors_of_filters_are_multiplied_out_and_those_of_patterns_are_not() {
    let sizes = [
        ("repo:a", 1),
        ("repo:a or repo:b", 2),
        ("(repo:a or repo:b) (lang:go or lang:java)", 4),
        ("repo:a (x or y or z)", 1),
        ("(repo:a x) or (repo:b y) or z", 3),
        ("repo:a (x or lang:go)", 2),
        ("x and (y or z)", 1),
    ];
    for (text, size) in sizes {
        assert_eq!(plan(text).queries.len(), size, "{text}");
    }
    let mixed = plan("x (repo:a or y)");
    assert!(matches!(mixed.queries[0].pattern, Some(PatternTree::Leaf(_))));
    assert!(matches!(&mixed.queries[1].pattern, Some(PatternTree::And(all)) if all.len() == 2));
}

#[test]
fn what_is_not_said_has_its_default() {
    let plan = plan("repo:a");
    assert_eq!((plan.count, plan.select), (None, None));
    let scope = &plan.queries[0].scope;
    assert_eq!((scope.fork, scope.archived), (Flag::No, Flag::No));
    assert_eq!((scope.visibility, scope.types), (None, None));
    assert!(scope.revisions.is_empty() && scope.files.is_empty());
    assert!(plan.queries[0].pattern.is_none());
}

#[test]
fn what_is_said_is_there() {
    let said = plan(
        "repo:a fork:y archived:TRUE visibility:private count:7 select:file.path type:repo type:file x",
    );
    assert_eq!((said.count, said.select), (Some(7), Some(Select::File)));
    let scope = &said.queries[0].scope;
    assert_eq!((scope.fork, scope.archived), (Flag::Yes, Flag::Yes));
    assert_eq!(scope.visibility, Some(Visibility::Private));
    assert_eq!(scope.types, Some(Types { repo: true, path: false, file: true }));
    assert_eq!(plan("repo:a count:all").count, None);
    assert_eq!(plan("(repo:a or repo:b) count:3").count, Some(3));
}

#[test]
fn revisions_are_taken_apart() {
    let named = |text: &str| Revision::Named(text.to_owned());
    let revisions = |text: &str| plan(text).queries[0].scope.revisions.clone();
    assert_eq!(revisions("repo:a@v1:v2:v1"), [named("v1"), named("v2")]);
    assert_eq!(revisions("repo:a rev:v1:v2"), [named("v1"), named("v2")]);
    assert_eq!(revisions("repo:a@"), []);
    assert_eq!(revisions("repo:a\\@b"), []);
    assert_eq!(revisions("repo:a@v1:v2 repo:b@v2:v3"), [named("v2")]);
    assert_eq!(revisions("repo:a@v1 repo:b"), [named("v1")]);
    let globs = [
        Revision::Glob("refs/heads/*".to_owned()),
        Revision::Exclude("refs/heads/wip/*".to_owned()),
        Revision::Exclude("main".to_owned()),
    ];
    assert_eq!(revisions("repo:a@*refs/heads/*:*!refs/heads/wip/*:^main"), globs);
}
