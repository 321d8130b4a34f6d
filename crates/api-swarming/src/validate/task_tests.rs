//! Tasks that were checked.

use super::*;

const FACTS: TagFacts<'_> = TagFacts {
    authenticated: "user:joe@localhost",
    pool_version: "r1",
    task_template: "none",
    rbe: None,
};

#[test]
fn a_termination_is_recognised() {
    let task = NewTask::terminate("bot1", "too old");
    assert!(task.is_terminate());
    assert_eq!(task.name, "Terminate bot1: too old");
    assert_eq!(task.expiration_secs(), 432_000);
    assert_eq!(
        task.all_tags(FACTS),
        [
            "authenticated:user:joe@localhost",
            "id:bot1",
            "priority:0",
            "realm:none",
            "service_account:none",
            "swarming.pool.template:no_pool",
            "swarming.terminate:1",
            "user:none",
        ]
    );
    let mut other = task.clone();
    other.slices[0].properties.idempotent = true;
    assert!(!other.is_terminate());
    let mut other = task;
    other.slices[0].properties.dimensions.insert("pool".into(), vec!["p".into()]);
    assert!(!other.is_terminate());
}

#[test]
fn defaults() {
    let mut task = NewTask::terminate("b", "");
    assert_eq!(task.name, "Terminate b");
    assert_eq!(task.set_realm(None).unwrap_err().message, "task realm is required");
    task.set_realm(Some("a:b")).unwrap();
    task.set_realm(Some("c:d")).unwrap();
    assert_eq!(task.realm.as_deref(), Some("a:b"));
    task.priority = 5;
    task.clamp_priority(true);
    assert_eq!(task.priority, 5);
    task.clamp_priority(false);
    assert_eq!(task.priority, 20);
    task.priority = 200;
    task.clamp_priority(false);
    assert_eq!(task.priority, 200);
}

#[test]
fn cipd_of_the_task_wins() {
    let default = DefaultCipd {
        server: "https://cipd".into(),
        client_package: "client".into(),
        client_version: "latest".into(),
    };
    let mut properties = Properties::default();
    properties.cipd_input.server = "https://own".into();
    properties.set_default_cipd(&default);
    let input = &properties.cipd_input;
    assert_eq!(input.server, "https://own");
    assert_eq!(input.client_package.as_ref().unwrap().version, "latest");
}

#[test]
fn children_belong_to_their_parents_user() {
    let known = KnownParent { is_active: true, is_terminate: false, user: "joe" };
    let mut task = NewTask::terminate("b", "");
    assert_eq!(task.set_parent(None), Ok(()));
    let text = "60b2ed0a43056111".to_owned();
    task.parent = Some(Parent { id: TaskId::parse(&text).unwrap(), text });
    let mut set = |parent: Option<&KnownParent<'_>>| {
        task.set_parent(parent).map_err(|status| (status.code, status.message))
    };
    assert_eq!(
        set(None),
        Err((Code::NotFound, r#"parent task "60b2ed0a43056111" not found"#.to_owned()))
    );
    assert_eq!(
        set(Some(&KnownParent { is_terminate: true, ..known })),
        Err((Code::InvalidArgument, "termination task cannot be a parent".to_owned()))
    );
    assert_eq!(
        set(Some(&KnownParent { is_active: false, ..known })),
        Err((Code::FailedPrecondition, r#"parent task "60b2ed0a43056111" has ended"#.to_owned()))
    );
    assert_eq!(set(Some(&known)), Ok(()));
    assert_eq!(task.user, "joe");
}
