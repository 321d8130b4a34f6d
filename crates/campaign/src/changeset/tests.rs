//! What a patch set means for a campaign, row by row.

use std::collections::BTreeMap;

use codehost::{CheckState, PullRequestState, ReviewState};
use model::WallMs;
use spec::PublishedState;

use super::*;
use crate::patch_set::{Coverage, Patch};

fn campaign(publication: Publication) -> Campaign {
    Campaign {
        id: CampaignId(1),
        name: "c".to_owned(),
        description: "About it".to_owned(),
        branch: Some("b".to_owned()),
        patch_set: None,
        applied: None,
        publication,
        author: String::new(),
        created: WallMs(0),
        updated: WallMs(0),
        published: None,
        closed: None,
        refused: Vec::new(),
    }
}

fn patch(repository: &str, diff: &str) -> Patch {
    let wanted = WantedChangeset {
        repository: repository.to_owned(),
        base_ref: "main".to_owned(),
        base_revision: "0".to_owned(),
        diff: diff.to_owned(),
        branch: None,
        title: None,
        body: String::new(),
        commit_message: None,
        author: None,
        published: None,
        labels: Vec::new(),
        reviewers: Vec::new(),
        job: None,
    };
    Patch { id: PatchId(9), set: PatchSetId(9), wanted, stat: DiffStat::default() }
}

fn published(patch: Patch, state: PublishedState) -> Patch {
    Patch { wanted: WantedChangeset { published: Some(state), ..patch.wanted }, ..patch }
}

fn pull(state: PullRequestState) -> PullRequest {
    PullRequest {
        external_id: "1".to_owned(),
        url: String::new(),
        title: String::new(),
        body: String::new(),
        state,
        draft: false,
        head: String::new(),
        head_commit: String::new(),
        base: String::new(),
        review: ReviewState::Pending,
        checks: CheckState::Unknown,
        labels: Vec::new(),
        author: String::new(),
        created_ms: 0,
        updated_ms: 0,
        merged_ms: None,
        closed_ms: None,
    }
}

/// The changeset of a patch that was published, as it is when all is done.
fn there(patch: &Patch, state: PullRequestState) -> Changeset {
    let wanted = effective(&campaign(Publication::None), &patch.wanted);
    let mut changeset = Changeset {
        id: ChangesetId(5),
        campaign: CampaignId(1),
        repository: wanted.repository.clone(),
        branch: wanted.branch.clone().unwrap(),
        patch: Some(PatchId(1)),
        wanted: Some(wanted.clone()),
        publication: Publication::PullRequest,
        close: state == PullRequestState::Closed,
        detached: false,
        actual: Actual {
            pushed: Some("1".to_owned()),
            pushed_of: Some(commit_key(&wanted)),
            described_as: Some(description_key(&wanted)),
            pull_request: Some(pull(state)),
            ..Actual::default()
        },
        work: Work::default(),
        phase: Phase::Open,
        stat: DiffStat::default(),
        created: WallMs(0),
        updated: WallMs(0),
    };
    changeset.phase = phase(&changeset);
    changeset
}

fn whole() -> Coverage {
    Coverage { whole: true, ..Coverage::default() }
}

fn rows(existing: &[Changeset], patches: &[Patch], coverage: &Coverage) -> Vec<PreviewRow> {
    let campaign = campaign(Publication::PullRequest);
    rewire(&campaign, existing, patches, coverage, &BTreeMap::new())
}

fn row(existing: &[Changeset], patches: &[Patch], coverage: &Coverage) -> PreviewRow {
    let mut rows = rows(existing, patches, coverage);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows.remove(0)
}

use Operation::{Close, Push, Update};
use PullRequestState::{Closed, Merged, Open};

#[test]
fn new_same_and_changed() {
    let new = row(&[], &[patch("r", "d")], &whole());
    assert_eq!((new.changeset, new.operations), (None, vec![Push, Operation::Publish]));
    assert_eq!((new.branch.as_str(), new.title.as_str()), ("b", "c"));
    assert_eq!(new.wanted.unwrap().body, "About it");

    let known = there(&patch("r", "d"), Open);
    let same = row(std::slice::from_ref(&known), &[patch("r", "d")], &whole());
    assert_eq!((same.changeset, same.reason.as_str()), (Some(known.id), "nothing changed"));
    assert_eq!((same.operations, same.patch), (vec![], Some(PatchId(9))));

    let changed = row(std::slice::from_ref(&known), &[patch("r", "e")], &whole());
    assert_eq!((changed.changeset, changed.operations), (Some(known.id), vec![Push]));

    let mut words = patch("r", "d");
    words.wanted.body = "Else".to_owned();
    assert_eq!(row(&[known], &[words], &whole()).operations, [Update]);
}

#[test]
fn what_no_patch_wants_is_closed_where_the_set_speaks() {
    let known = there(&patch("r", "d"), Open);
    let some = Coverage { ran: vec!["r".to_owned()], ..Coverage::default() };
    for coverage in [whole(), some] {
        let gone = row(std::slice::from_ref(&known), &[], &coverage);
        assert_eq!((gone.close, gone.forget, gone.operations), (true, false, vec![Close]));
        assert_eq!(gone.wanted, None);
    }
    let failed = Coverage { failed: vec!["r".to_owned()], ..whole() };
    let others = Coverage { ran: vec!["other".to_owned()], ..Coverage::default() };
    for coverage in [failed, others] {
        let kept = row(std::slice::from_ref(&known), &[], &coverage);
        assert_eq!((kept.close, kept.operations, kept.patch), (false, vec![], known.patch));
    }
    // What nobody ever saw is forgotten; what may be on its way is not.
    let mut unseen = known.clone();
    (unseen.actual, unseen.publication) = (Actual::default(), Publication::None);
    assert!(row(std::slice::from_ref(&unseen), &[], &whole()).forget);
    unseen.actual.pushing = Some("1".to_owned());
    assert!(!row(&[unseen], &[], &whole()).forget);
    // Others' and history are not in the way.
    let mut theirs = known.clone();
    theirs.actual.imported = true;
    let detached = Changeset { detached: true, ..known };
    assert!(rows(&[theirs, detached], &[], &whole()).is_empty());
}

#[test]
fn merged_and_more_is_another_changeset() {
    let merged = there(&patch("r", "d"), Merged);
    let same = row(std::slice::from_ref(&merged), &[patch("r", "d")], &whole());
    assert_eq!((same.archive, same.reason.as_str()), (false, "it is merged already"));
    let more = row(std::slice::from_ref(&merged), &[patch("r", "e")], &whole());
    assert!(more.archive && more.changeset == Some(merged.id));
    assert_eq!(more.operations, [Push, Operation::Publish]);
    // Wanted already, and not in what was merged.
    let mut unseen = merged;
    unseen.wanted = Some(effective(&campaign(Publication::None), &patch("r", "e").wanted));
    assert!(row(&[unseen], &[patch("r", "e")], &whole()).archive);
}

#[test]
fn what_people_closed_stays_closed_and_what_nothing_wanted_comes_back() {
    let closed = there(&patch("r", "d"), Closed);
    let stays = row(std::slice::from_ref(&closed), &[patch("r", "e")], &whole());
    assert_eq!((stays.close, stays.operations.len()), (true, 0));
    assert_eq!(stays.reason, "somebody closed it");
    let unwanted = Changeset { patch: None, wanted: None, ..closed };
    let back = row(&[unwanted], &[patch("r", "d")], &whole());
    assert_eq!((back.close, back.operations), (false, vec![Operation::Reopen]));
}

#[test]
fn a_branch_has_one_owner() {
    let two = rows(&[], &[patch("r", "d"), patch("r", "e"), patch("s", "d")], &whole());
    let refused: Vec<_> = two.iter().filter_map(|row| row.refused.as_deref()).collect();
    assert_eq!((two.len(), refused.len()), (3, 1));
    assert!(refused[0].starts_with("two patches of this repository have the same branch"));
    let taken = [(("r".to_owned(), "b".to_owned()), "other".to_owned())].into();
    let campaign = Campaign { branch: None, ..campaign(Publication::PullRequest) };
    let mut named = patch("r", "d");
    named.wanted.branch = Some("b".to_owned());
    let row = rewire(&campaign, &[], &[named], &whole(), &taken).remove(0);
    assert_eq!(row.refused.as_deref(), Some("the campaign `other` has this branch"));
    let row = rewire(&campaign, &[], &[patch("r", "d")], &whole(), &BTreeMap::new()).remove(0);
    assert!(row.refused.unwrap().contains("names a branch"));
}

#[test]
fn the_spec_says_how_far_and_nothing_is_taken_back() {
    use Publication::{Draft, None as Kept, PullRequest, PushOnly};
    use PublishedState as Said;
    let said = [None, Some(Said::No), Some(Said::PushedOnly), Some(Said::Draft), Some(Said::Yes)];
    // For a new changeset, and one that somebody pushed without a pull request.
    for (campaign_wants, fresh, pushed) in [
        (
            Kept,
            [Kept, Kept, PushOnly, Draft, PullRequest],
            [PushOnly, PushOnly, PushOnly, Draft, PullRequest],
        ),
        (
            PullRequest,
            [PullRequest, Kept, PushOnly, Draft, PullRequest],
            [PushOnly, PushOnly, PushOnly, Draft, PullRequest],
        ),
    ] {
        for (index, said) in said.into_iter().enumerate() {
            let mut patch = patch("r", "e");
            if let Some(said) = said {
                patch = published(patch, said);
            }
            let mut known = there(&patch, Open);
            (known.publication, known.actual.pull_request) = (PushOnly, None);
            let campaign = campaign(campaign_wants);
            let of = |existing: &[Changeset]| {
                let patches = std::slice::from_ref(&patch);
                rewire(&campaign, existing, patches, &whole(), &BTreeMap::new())
                    .remove(0)
                    .publication
            };
            assert_eq!(of(&[]), fresh[index], "{campaign_wants:?} {said:?}");
            assert_eq!(of(&[known]), pushed[index], "{campaign_wants:?} {said:?}");
        }
    }
}

#[test]
fn phases_tell_where_it_stands() {
    let of = |change: &dyn Fn(&mut Changeset)| {
        let mut changeset = there(&patch("r", "d"), Open);
        change(&mut changeset);
        (phase(&changeset), plan(&changeset))
    };
    assert_eq!(of(&|_| {}), (Phase::Open, vec![]));
    assert_eq!(of(&|it| it.detached = true), (Phase::Detached, vec![]));
    assert_eq!(of(&|it| it.close = true), (Phase::Queued, vec![Close]));
    assert_eq!(of(&|it| it.actual.gone = true).1, []);
    let found = |it: &mut Changeset| it.actual.found = Some("h".to_owned());
    assert_eq!(of(&found), (Phase::Diverged, vec![]));
    let accepted = |it: &mut Changeset| {
        found(it);
        it.work.overwrite = Some("h".to_owned());
    };
    assert_eq!(of(&accepted), (Phase::Queued, vec![Push]));
    let other = |it: &mut Changeset| {
        found(it);
        it.work.overwrite = Some("g".to_owned());
    };
    assert_eq!(of(&other), (Phase::Diverged, vec![]));
    let unpushed = |it: &mut Changeset| it.actual.pushed_of = None;
    assert_eq!(of(&unpushed), (Phase::Queued, vec![Push]));
    let failed = |it: &mut Changeset| {
        unpushed(it);
        it.work.error_is_final = true;
    };
    assert_eq!(of(&failed).0, Phase::Failed);
    let waiting = |it: &mut Changeset| {
        unpushed(it);
        it.work.waiting = true;
    };
    assert_eq!(of(&waiting).0, Phase::Waiting);
    let draft = |it: &mut Changeset| it.actual.pull_request.as_mut().unwrap().draft = true;
    assert_eq!(of(&draft), (Phase::Queued, vec![Operation::Undraft]));
}
