//! Actions: made, changed, refused.

use campaign::action::{Overlap, Trigger};
use campaign::page::Window;
use campaign::service::{Caller, NewRun, Refusal, SettingsChange};
use campaign::site::Role;
use model::{ActionId, CampaignId, SavedSearchId};

use crate::ground::*;

fn reader() -> Caller {
    Caller { name: "eve".to_owned(), role: Role::Reader }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_kept_and_an_execution_has_its_own() {
    let ground = Ground::new().await;
    ground.repository("r", &[("a", "1")]).await;
    let first = spec("repo:r", TEMPLATE);
    let action = ground.action("act", &first).await;
    assert_eq!((action.version, action.owner.as_str()), (1, "ann"));
    let execution = ground.run(&action).await.unwrap();
    let second = spec("repo:none", "");
    let changed = ground.service.update_action(&user(), action.id, &second).await.unwrap();
    assert_eq!((changed.version, changed.text.as_str()), (2, second.as_str()));
    let same = ground.service.update_action(&user(), action.id, &second).await.unwrap();
    assert_eq!(same.version, 2);
    let window = Window { after: None, first: 10 };
    let versions = ground.service.store.action_versions(action.id, window).unwrap();
    assert_eq!(versions.items.iter().map(|it| it.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(ground.service.store.action_version(action.id, 1).unwrap().unwrap().text, first);
    // The execution that runs goes on as it began.
    ground.work(|_| patch("new", "x")).await;
    let built = ground.finish().await;
    let patches = ground.service.store.patches(built[0].id, Window { after: None, first: 9 });
    assert_eq!(patches.unwrap().items[0].wanted.title.as_deref(), Some("A title"));
    let row = ground.service.store.execution(execution).unwrap().unwrap();
    assert_eq!((row.version, row.patch_set), (Some(1), Some(built[0].id)));
    // It is known though its action is gone.
    ground.service.delete_action(&user(), action.id).await.unwrap();
    assert!(ground.service.store.execution(execution).unwrap().is_some());
    assert!(matches!(ground.run(&action).await, Err(Refusal::NotFound(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_definition_is_told_with_its_places() {
    let ground = Ground::new().await;
    for (text, says) in [
        ("{", ""),
        ("name: x\nsteps: 3\n", "steps"),
        (
            "name: x\non: [{repositoriesMatchingQuery: a}]\nsteps: [{run: 'a', container: b, env: [PHALANX_TOKEN]}]\n",
            "`PHALANX_TOKEN`",
        ),
        (
            "name: x\non: [{repositoriesMatchingQuery: a}]\nsteps: [{run: 'a', container: b, mount: [{path: f, mountpoint: /m}]}]\n",
            "`f`",
        ),
    ] {
        let text = &format!("{text}{TEMPLATE}");
        let made = ground.service.create_action(&user(), "act", text).await;
        let Err(Refusal::Invalid { message, diagnostics, .. }) = made else { panic!("{text}") };
        assert!(message.contains(says) && !diagnostics.is_empty(), "{text}: {message}");
    }
    assert!(ground.service.store.action_named("act").unwrap().is_none());
    let action = ground.action("act", &spec("repo:r", "")).await;
    let changed = ground.service.update_action(&user(), action.id, "steps: 1").await;
    assert!(matches!(changed, Err(Refusal::Invalid { .. })));
    // A query that cannot be read is found when it is planned, with its place.
    let planned = ground.service.preview_scope("act", &spec("repo:(", "")).await;
    let Err(Refusal::Invalid { diagnostics, .. }) = planned else { panic!("a query") };
    assert_eq!(diagnostics[0].field, "on[0].repositoriesMatchingQuery");
    assert_eq!(diagnostics[0].at.line, 4);
    // A variable without a value is a secret, which may come later than the action.
    let text = spec("repo:r", "    env: [TOKEN]\n");
    ground.service.create_action(&user(), "later", &text).await.unwrap();
    let planned = ground.service.preview_scope("later", &text).await;
    let Err(Refusal::Invalid { diagnostics, .. }) = planned else { panic!("a secret") };
    assert_eq!(diagnostics[0].field, "steps[0].env");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_checked_and_unique() {
    let ground = Ground::new().await;
    let text = spec("repo:r", "");
    for name in ["", "new", "a b", "a/b", "../x", "a\n", &"x".repeat(129)] {
        let made = ground.service.create_action(&user(), name, &text).await;
        assert!(matches!(made, Err(Refusal::Invalid { .. })), "{name:?}");
        let made = ground.service.create_saved_search(&user(), name, "repo:r", "").await;
        assert!(matches!(made, Err(Refusal::Invalid { .. })), "{name:?}");
    }
    ground.action("Größe-1.2_x", &text).await;
    let again = ground.service.create_action(&user(), "Größe-1.2_x", &text).await;
    assert!(matches!(again, Err(Refusal::NameTaken { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_stay_when_not_named() {
    let ground = Ground::new().await;
    let action = ground.action("act", &spec("repo:r", "")).await;
    let search = ground.service.create_saved_search(&user(), "s", "repo:r", "").await.unwrap();
    let change = async |change| ground.service.change_settings(&user(), action.id, change).await;
    let none = SettingsChange::default;
    for (bad, says) in [
        (SettingsChange { schedule: Some(Some("61 * * * *".into())), ..none() }, "not a schedule"),
        (SettingsChange { schedule: Some(Some("0 0 31 2 *".into())), ..none() }, "never fires"),
        (SettingsChange { saved_search: Some(Some(SavedSearchId(99))), ..none() }, "99"),
        (SettingsChange { campaign: Some(Some(CampaignId(98))), ..none() }, "98"),
        (
            SettingsChange {
                schedule: Some(Some("@daily".into())),
                saved_search: Some(Some(search.id)),
                ..none()
            },
            "not both",
        ),
        (
            SettingsChange {
                schedule: Some(Some("@daily".into())),
                time_zone: Some("Mars/Olympus".into()),
                ..none()
            },
            "time zone",
        ),
    ] {
        let error = change(bad).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(ground.service.action(action.id).await.unwrap().settings, action.settings);
    let set = SettingsChange {
        schedule: Some(Some("0 4 * * *".into())),
        time_zone: Some("Europe/Berlin".into()),
        overlap: Some(Overlap::Queue),
        ..none()
    };
    let set = change(set).await.unwrap();
    let tick = set.next_tick.unwrap();
    let again = SettingsChange { overlap: Some(Overlap::Skip), ..none() };
    ground.clock.forward(30 * 60 * MINUTE);
    // The tick that is awaited is not lost by saving something else.
    assert_eq!(change(again).await.unwrap().next_tick, Some(tick));
    let paused = change(SettingsChange { paused: Some(true), ..none() }).await.unwrap();
    assert_eq!((paused.next_tick, paused.settings.time_zone.as_str()), (None, "Europe/Berlin"));
    let searching = SettingsChange {
        schedule: Some(None),
        saved_search: Some(Some(search.id)),
        trigger: Some(Trigger::Any),
        only_new: Some(true),
        ..none()
    };
    let settings = change(searching).await.unwrap().settings;
    assert!(settings.saved_search == Some(search.id) && settings.only_new && settings.paused);
    // One that is deleted leaves the action.
    ground.service.delete_saved_search(&user(), search.id).await.unwrap();
    let settings = ground.service.action(action.id).await.unwrap().settings;
    assert_eq!(settings.saved_search, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_look_and_users_do_not_administer() {
    let ground = Ground::new().await;
    ground.repository("r", &[("a", "1")]).await;
    let text = spec("repo:r", "");
    let action = ground.action("act", &text).await;
    let run = NewRun {
        reason: campaign::action::Reason::Manual,
        detail: String::new(),
        only: None,
        key: None,
    };
    let service = &ground.service;
    let refused = [
        service.create_action(&reader(), "b", &text).await.err(),
        service.update_action(&reader(), action.id, &text).await.err(),
        service.delete_action(&reader(), action.id).await.err(),
        service.run_action(&reader(), action.id, run).await.err(),
        service.create_saved_search(&reader(), "s", "repo:r", "").await.err(),
        service.publish_campaign(&reader(), CampaignId(1)).await.err(),
        service.create_patch_set(&reader(), Vec::new()).await.err(),
        service.set_secret(&user(), "A", "b").await.err(),
        service.create_token(&user(), "t", Role::User).await.err(),
        service.delete_code_host(&user(), model::CodeHostId(1)).await.err(),
    ];
    for (index, refusal) in refused.into_iter().enumerate() {
        assert!(matches!(refusal, Some(Refusal::Forbidden { .. })), "{index}: {refusal:?}");
    }
    let unknown = service.delete_action(&user(), ActionId(77)).await;
    assert!(matches!(unknown, Err(Refusal::NotFound(_))));
    // A token is whom its maker named, until it is taken away.
    let token = service.create_token(&admin(), "robot", Role::User).await.unwrap();
    let caller = service.caller(&token.token).await.unwrap().unwrap();
    assert_eq!((caller.name.as_str(), caller.role), ("robot", Role::User));
    assert!(service.caller("phx_0").await.unwrap().is_none());
    service.delete_token(&admin(), token.row.id).await.unwrap();
    assert!(service.caller(&token.token).await.unwrap().is_none());
}
