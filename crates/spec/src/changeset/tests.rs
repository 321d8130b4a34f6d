//! Changesets of one workspace.

use super::*;
use crate::{BatchChangeContext, RepositoryContext};

fn template() -> ChangesetTemplate {
    ChangesetTemplate {
        title: "  ${{ batch_change.name }}\n".to_owned(),
        body: "\nSee ${{ batch_change_link }} for ${{ outputs.what }}\n".to_owned(),
        branch: "b/${{ replace steps.path \"/\" \"-\" }}".to_owned(),
        commit_message: "Change ${{ join steps.modified_files \", \" }}".to_owned(),
        author: Some(Author { name: " Me ".to_owned(), email: "me@example.com".to_owned() }),
        fork: Some(false),
        published: Published(vec![
            ("*".to_owned(), PublishedState::No),
            ("github.com/*".to_owned(), PublishedState::Draft),
            ("github.com/*@b/sub".to_owned(), PublishedState::Yes),
            ("gitlab.com/*".to_owned(), PublishedState::PushedOnly),
        ]),
        labels: vec![
            "automation".to_owned(),
            "${{ if eq outputs.what \"x\" }}y${{ end }}".to_owned(),
        ],
        reviewers: vec!["team:core".to_owned()],
    }
}

fn context() -> TemplateContext {
    let mut context = TemplateContext {
        repository: RepositoryContext { name: "github.com/a/b".to_owned(), ..Default::default() },
        batch_change: BatchChangeContext { name: "change".to_owned(), ..Default::default() },
        steps_path: "sub".to_owned(),
        ..Default::default()
    };
    context.steps_files.modified = vec!["x".to_owned(), "y".to_owned()];
    context.outputs.insert("what".to_owned(), "it".into());
    context
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn group(directory: &str, branch: &str, repository: Option<&str>) -> TransformGroup {
    TransformGroup {
        directory: directory.to_owned(),
        branch: branch.to_owned(),
        repository: repository.map(str::to_owned),
    }
}

#[test]
fn fields_are_rendered_and_trimmed() {
    let changeset = render_changeset(&template(), &context()).unwrap();
    assert_eq!(
        changeset,
        ChangesetSpec {
            repository: "github.com/a/b".to_owned(),
            title: "change".to_owned(),
            body: "See ${{ batch_change_link }} for it".to_owned(),
            branch: "b/sub".to_owned(),
            commit_message: "Change x, y".to_owned(),
            author: Some(Author { name: "Me".to_owned(), email: "me@example.com".to_owned() }),
            fork: Some(false),
            published: Some(PublishedState::Yes),
            labels: texts(&["automation"]),
            reviewers: texts(&["team:core"]),
        }
    );
}

#[test]
fn mistakes_name_their_field() {
    type Change = fn(&mut ChangesetTemplate);
    let table: [(&str, Change); 4] = [
        ("changesetTemplate.title", |t| t.title = "${{ outputs.none }}".to_owned()),
        ("changesetTemplate.branch", |t| t.branch = " ${{ \"\" }} ".to_owned()),
        ("changesetTemplate.commit.message", |t| {
            t.commit_message = "${{ step.stdout }}".to_owned()
        }),
        ("changesetTemplate.title", |t| t.title = "${{ batch_change_link }}".to_owned()),
    ];
    for (field, change) in table {
        let mut template = template();
        change(&mut template);
        assert_eq!(render_changeset(&template, &context()).unwrap_err().field, field);
    }
}

#[test]
fn the_last_rule_that_matches_decides() {
    let published = template().published;
    let table = [
        ("x", "b", Some(PublishedState::No)),
        ("github.com/a/b", "other", Some(PublishedState::Draft)),
        ("github.com/a/b", "b/sub", Some(PublishedState::Yes)),
        ("gitlab.com/a", "b", Some(PublishedState::PushedOnly)),
    ];
    for (repository, branch, expected) in table {
        assert_eq!(
            published_for(&published, repository, branch),
            expected,
            "{repository}@{branch}"
        );
    }
    assert_eq!(published_for(&Published::default(), "a", "b"), None);
}

#[test]
fn each_file_goes_to_the_last_group_that_holds_it() {
    let groups = [
        group("a", "g0", None),
        group("a/b", "g1", None),
        group("a/b/", "g2", Some("other")),
        group("./c/d/", "g3", None),
        group("e", "g4", Some("")),
    ];
    let files = texts(&["a/x", "a/b", "a/b/y", "a/bc/z", "ab", "c/d/1", "c/dd", "e/f", "top"]);
    let split = |repository: &str| -> Vec<(Recipient, Vec<String>)> {
        let split = split_files(&groups, repository, &files);
        split.into_iter().map(|group| (group.recipient, group.files)).collect()
    };
    assert_eq!(
        split("mine"),
        [
            (Recipient::Template, texts(&["ab", "c/dd", "top"])),
            (Recipient::Group(0), texts(&["a/x", "a/bc/z"])),
            (Recipient::Group(1), texts(&["a/b", "a/b/y"])),
            (Recipient::Group(3), texts(&["c/d/1"])),
            (Recipient::Group(4), texts(&["e/f"])),
        ]
    );
    assert_eq!(split("other")[2], (Recipient::Group(2), texts(&["a/b", "a/b/y"])));
    assert_eq!(split_files(&groups, "mine", &[]), []);
}

#[test]
fn groups_become_changesets_of_their_own_branch() {
    let groups = [group("a", "b/a", None), group("c", "b/c", None)];
    let files = texts(&["a/1", "x", "a/2"]);
    let changesets = render_changesets(&template(), &groups, &files, &context()).unwrap();
    let branches: Vec<_> = changesets.iter().map(|(spec, _)| spec.branch.as_str()).collect();
    assert_eq!(branches, ["b/sub", "b/a"]);
    assert_eq!(changesets[1].1, texts(&["a/1", "a/2"]));
    assert_eq!(changesets[1].0.published, Some(PublishedState::Draft));
    let same = [group("a", "b/sub", None)];
    let error = render_changesets(&template(), &same, &files, &context()).unwrap_err();
    assert_eq!(error.field, "transformChanges.group[0].branch");
}
