//! Requests for tasks.

use super::*;
use crate::proto::swarming::{
    CacheEntry, CasReference, CipdInput, CipdPackage, Containment, Digest, StringListPair,
    StringPair,
};
use crate::prpc::Code;

fn pair(key: &str, value: &str) -> StringPair {
    StringPair { key: key.into(), value: value.into() }
}

fn good() -> NewTaskRequest {
    let properties = TaskProperties {
        command: vec!["echo".into()],
        dimensions: vec![pair("pool", "p"), pair("os", "Linux|Mac")],
        execution_timeout_secs: 60,
        grace_period_secs: 30,
        ..Default::default()
    };
    let slice =
        TaskSlice { properties: Some(properties), expiration_secs: 300, ..Default::default() };
    NewTaskRequest {
        name: "n".into(),
        priority: 100,
        task_slices: vec![slice],
        ..Default::default()
    }
}

fn pool() -> Pool {
    Pool {
        name: "p".into(),
        informational_dimensions: vec![regex::Regex::new("^label-").unwrap()],
        effective_bot_id_dimension: Some("dut_id".into()),
        ..Pool::default()
    }
}

fn props(request: &mut NewTaskRequest) -> &mut TaskProperties {
    request.task_slices[0].properties.get_or_insert_default()
}

type Row<'a> = (fn(&mut NewTaskRequest), &'a str);

fn table(rows: &[Row<'_>]) {
    for (change, why) in rows {
        let mut request = good();
        change(&mut request);
        let result = check(request, &pool(), MIN_TIMEOUT_SECS);
        match result {
            Ok(_) => assert_eq!(*why, "", "it was taken"),
            Err(status) => {
                assert_eq!(status.code, Code::InvalidArgument);
                assert_eq!(status.message, format!("bad request: {why}"));
            }
        }
    }
}

#[test]
fn the_pool_comes_first() {
    let rows: [Row<'_>; 9] = [
        (|_| {}, "p"),
        (|r| r.task_slices.clear(), "task_slices is required"),
        (|r| r.task_slices[0].properties = None, "pool is required"),
        (|r| drop(props(r).dimensions.remove(0)), "pool is required"),
        (
            |r| props(r).dimensions.push(pair("pool", "q")),
            "pool cannot be specified more than once",
        ),
        (
            |r| props(r).dimensions[0].value = "p|q".into(),
            "pool cannot be specified more than once",
        ),
        (|r| props(r).dimensions.push(pair("pool", "p")), "has duplicate constraints"),
        (
            |r| props(r).dimensions[0].value = "p:q".into(),
            r#"key "pool": value "p:q": pool ID is not allowed to contain ":""#,
        ),
        (
            |r| {
                r.task_slices.push(r.task_slices[0].clone());
                props(r).dimensions[0].value = "q".into();
            },
            r#"each task slice must use the same pool dimensions; "q" != "p""#,
        ),
    ];
    for (change, expected) in rows {
        let mut request = good();
        change(&mut request);
        match find_pool(&request) {
            Ok(pool) => assert_eq!(pool, expected),
            Err(status) => assert_eq!(status.message, format!("bad request: {expected}")),
        }
    }
}

#[test]
fn fields_around_the_slices() {
    table(&[
        (|_| {}, ""),
        (|r| r.name.clear(), "name is required"),
        (
            |r| r.properties = Some(TaskProperties::default()),
            "properties is deprecated, use task_slices instead.",
        ),
        (
            |r| r.expiration_secs = 1,
            "expiration_secs is deprecated, set it in task_slices instead.",
        ),
        (|r| r.task_slices = vec![r.task_slices[0].clone(); 9], "can have up to 8 slices"),
        (|r| r.parent_task_id = "1".into(), "parent_task_id: bad task ID: too small"),
        (|r| r.parent_task_id = "60b2ed0a43056111".into(), ""),
        (|r| r.priority = 0, "priority: invalid 0, must be between 1 and 255"),
        (|r| r.priority = 256, "priority: invalid 256, must be between 1 and 255"),
        (|r| r.service_account = "bot".into(), ""),
        (|r| r.service_account = "x".into(), r#"service_account: invalid "x": must be an email"#),
        (|r| r.pubsub_auth_token = "t".into(), "pubsub_auth_token requires pubsub_topic"),
        (|r| r.pubsub_userdata = "t".into(), "pubsub_userdata requires pubsub_topic"),
        (
            |r| r.pubsub_topic = "t".into(),
            r#"pubsub_topic: topic "t" does not match "^projects/(.*)/topics/(.*)$""#,
        ),
        (
            |r| r.bot_ping_tolerance_secs = 59,
            "bot_ping_tolerance: invalid 59, must be between 60 and 1200",
        ),
        (
            |r| r.bot_ping_tolerance_secs = -1,
            "bot_ping_tolerance: invalid -1, must be between 60 and 1200",
        ),
        (|r| r.realm = "r".into(), r#"bad global realm name "r" - should be <project>:<realm>"#),
        (|r| r.tags = vec!["a:b".into(); 257], "up to 256 tags"),
        (
            |r| r.tags = vec!["a:b".into(), "c".into()],
            r#"tag 1: tag must be in key:value form, not "c""#,
        ),
        // The number of tags is looked at before a topic, and the topic before a tag.
        (
            |r| {
                r.tags = vec!["c".into()];
                r.pubsub_topic = "t".into();
            },
            r#"pubsub_topic: topic "t" does not match "^projects/(.*)/topics/(.*)$""#,
        ),
    ]);
}

#[test]
fn slices_and_secrets() {
    table(&[
        (
            |r| props(r).secret_bytes = vec![0; 20_481].into(),
            "secret_bytes of slice 0 has size 20481, exceeding limit 20480",
        ),
        (
            |r| {
                r.task_slices.push(r.task_slices[0].clone());
                props(r).secret_bytes = "a".into();
                r.task_slices[1].properties.as_mut().unwrap().secret_bytes = "b".into();
            },
            "when using secret_bytes multiple times, all values must match",
        ),
        (
            |r| r.task_slices[0].expiration_secs = 29,
            "invalid expiration_secs of slice 0: 29 must be between 30s and 604800s",
        ),
        (
            |r| r.task_slices[0].expiration_secs = 604_801,
            "invalid expiration_secs of slice 0: 604801 must be between 30s and 604800s",
        ),
        (|r| r.task_slices[0].properties = None, "invalid properties of slice 0: required"),
        (|r| r.task_slices.push(r.task_slices[0].clone()), "cannot request duplicate task slice"),
        (
            |r| {
                r.task_slices.push(r.task_slices[0].clone());
                props(r).idempotent = true;
            },
            "",
        ),
    ]);
}

/// Rows of [`properties_of_a_slice`] share the start of the message.
fn slice_table(rows: &[Row<'_>]) {
    for (change, why) in rows {
        let whole = match *why {
            "" => String::new(),
            why => format!("invalid properties of slice 0: {why}"),
        };
        table(&[(*change, &whole)]);
    }
}

#[test]
fn properties_of_a_slice() {
    slice_table(&[
        (|r| props(r).grace_period_secs = 0, ""),
        (|r| props(r).grace_period_secs = -1, "grace_period_secs: -1 must be between 0s and 3600s"),
        (
            |r| props(r).grace_period_secs = 3601,
            "grace_period_secs: 3601 must be between 0s and 3600s",
        ),
        (
            |r| props(r).execution_timeout_secs = 0,
            "execution_timeout_secs: 0 must be between 30s and 601140s",
        ),
        (|r| props(r).execution_timeout_secs = 601_140, ""),
        (
            |r| props(r).io_timeout_secs = 601_141,
            "io_timeout_secs: 601141 must be between 30s and 601140s",
        ),
        (|r| props(r).command.clear(), "command: required"),
        (|r| props(r).command = vec!["a".into(); 129], "command: can have up to 128 arguments"),
        (|r| props(r).relative_cwd = "a\\b".into(), ""),
        (|r| props(r).relative_cwd = "/a".into(), r#"relative_cwd: cannot start with "/""#),
        (
            |r| props(r).env = vec![pair("A", ""), pair("A", "")],
            "env: same key cannot be specified twice",
        ),
        (|r| props(r).env = vec![pair("", "")], "env: key 0: required"),
        (
            |r| props(r).env = vec![pair("9", "")],
            r#"env: key 0: "9" should match ^[A-Za-z_][A-Za-z0-9_]*$"#,
        ),
        (
            |r| props(r).env = (0..65).map(|i| pair(&format!("k{i}"), "")).collect(),
            "env: can have up to 64 keys",
        ),
        (
            |r| props(r).env_prefixes = vec![StringListPair { key: "A".into(), value: vec![] }],
            "env_prefixes: value is required",
        ),
        (
            |r| {
                let value = vec!["a".into(), "b\\c".into()];
                props(r).env_prefixes = vec![StringListPair { key: "A".into(), value }];
            },
            r#"env_prefixes: value 0-1: cannot contain "\\". On Windows forward-slashes will be replaced with back-slashes."#,
        ),
        (|r| props(r).outputs = vec!["a".into(); 4097], "outputs: can have up to 512 outputs"),
        (
            |r| props(r).outputs = vec!["a".into(), "b/".into()],
            r#"outputs: output 1: "b/" is not normalized. Normalized is "b""#,
        ),
    ]);
}

#[test]
fn cas_and_caches() {
    fn cas(r: &mut NewTaskRequest, instance: &str, digest: Option<(&str, i64)>) {
        let digest = digest.map(|(hash, size_bytes)| Digest { hash: hash.into(), size_bytes });
        props(r).cas_input_root = Some(CasReference { cas_instance: instance.into(), digest });
    }
    fn caches(r: &mut NewTaskRequest, of: &[(&str, &str)]) {
        let entry =
            |(name, path): &(&str, &str)| CacheEntry { name: (*name).into(), path: (*path).into() };
        props(r).caches = of.iter().map(entry).collect();
    }
    slice_table(&[
        (|r| cas(r, "projects/a/instances/b_c", Some(("h", 0))), ""),
        (|r| cas(r, "", None), "cas_input_root: cas_instance is required"),
        (
            |r| cas(r, "x", None),
            r#"cas_input_root: cas_instance "x" should match ^projects/[a-z0-9-]+/instances/[a-z0-9-_]+$"#,
        ),
        (|r| cas(r, "projects/a/instances/b", None), "cas_input_root: digest: required"),
        (
            |r| cas(r, "projects/a/instances/b", Some(("", 1))),
            "cas_input_root: digest: hash is required",
        ),
        (
            |r| cas(r, "projects/a/instances/b", Some(("h", -1))),
            "cas_input_root: digest: size_bytes cannot be negative",
        ),
        (|r| caches(r, &[("a", "x"), ("b", "y/z")]), ""),
        (
            |r| caches(r, &[("name1", "a/b"), ("name2", "a/b")]),
            r#"caches: "a/b": directory has conflicting owners: task_cache:name1[] and task_cache:name2[]"#,
        ),
        (
            |r| caches(r, &[("a", ""), ("a", "x"), ("B", "y")]),
            "caches: err[0]: cache path 0: cannot be empty\n\
             err[1]: same cache name cannot be specified twice\n\
             err[2]: cache name 2: \"B\" should match ^[a-z0-9_]+$",
        ),
    ]);
}

#[test]
fn cipd_and_dimensions() {
    fn package(r: &mut NewTaskRequest, name: &str, version: &str, path: &str) {
        let package =
            CipdPackage { package_name: name.into(), version: version.into(), path: path.into() };
        let input = props(r).cipd_input.get_or_insert_default();
        input.packages.push(package);
    }
    fn client(r: &mut NewTaskRequest, name: &str, version: &str, path: &str) {
        let package =
            CipdPackage { package_name: name.into(), version: version.into(), path: path.into() };
        props(r).cipd_input =
            Some(CipdInput { client_package: Some(package), ..Default::default() });
    }
    slice_table(&[
        (|r| package(r, "some/pkg", "latest", "a/b"), ""),
        (
            |r| client(r, "some/pkg", "latest", "a"),
            "cipd_input: client_package: path must be unset",
        ),
        (|r| client(r, "", "latest", ""), "cipd_input: client_package: package_name: required"),
        (|r| client(r, "p", "", ""), "cipd_input: client_package: version: required"),
        (
            |r| {
                let server = "http://cipd".into();
                props(r).cipd_input = Some(CipdInput { server, ..Default::default() });
            },
            r#"cipd_input: server: "http://cipd" is not secure"#,
        ),
        (
            |r| {
                props(r).idempotent = true;
                package(r, "p", "latest", "a");
            },
            "cipd_input: packages: package 0 (p): an idempotent task cannot have unpinned packages; \
             use tags or instance IDs as package versions",
        ),
        (
            |r| {
                package(r, "p", "v:1", "a");
                package(r, "p", "v:2", "a");
            },
            r#"cipd_input: packages: package "p" is specified more than once in path a"#,
        ),
        (
            |r| {
                props(r).caches = vec![CacheEntry { name: "name".into(), path: "a/b".into() }];
                package(r, "some/pkg", "version1", "a/b");
            },
            r#"cipd_input: packages: "a/b": directory has conflicting owners: task_cache:name[] and task_cipd_package[some/pkg:version1]"#,
        ),
        (
            |r| package(r, "p", "v:1", &"a/".repeat(1 << 20)),
            &format!(
                "cipd_input: packages: package 0 (p): path: too long \"{}\": 2097152 > 256",
                "a/".repeat(1 << 20)
            ),
        ),
        (
            |r| props(r).dimensions.push(pair("id", "a|b")),
            "dimensions: id cannot be specified more than once",
        ),
        (
            |r| props(r).dimensions.push(pair("label-key", "v")),
            r#"dimensions: dimension "label-key" is informational, cannot use it for task creation"#,
        ),
        (
            |r| props(r).dimensions.push(pair("dut_id", "a|b")),
            r#"dimensions: dimension "dut_id" cannot be specified more than once"#,
        ),
        (
            |r| props(r).dimensions.extend([pair("a", "1|2|3"), pair("b", "1|2")]),
            "dimensions: too many combinations of dimensions 12 (max is 8), reduce usage of \"|\"",
        ),
    ]);
}

#[test]
fn a_checked_task_has_everything() {
    let mut request = good();
    request.task_slices[0].wait_for_capacity = true;
    request.parent_task_id = "60b2ed0a43056111".into();
    request.pubsub_topic = "projects/my-proj/topics/topic".into();
    request.pubsub_auth_token = "token".into();
    request.request_uuid = "u".into();
    request.tags = vec!["z:1".into(), "os:Mac".into()];
    props(&mut request).secret_bytes = "secret".into();
    props(&mut request).env = vec![pair("B", "2"), pair("A", "1")];
    props(&mut request).containment =
        Some(Containment { containment_type: 1, ..Default::default() });
    let task = check(request, &pool(), MIN_TIMEOUT_SECS).unwrap();
    assert_eq!(task.pool, "p");
    assert_eq!(task.secret.as_deref(), Some(&b"secret"[..]));
    assert_eq!(task.bot_ping_tolerance_secs, 1200);
    assert_eq!(task.service_account, ServiceAccount::None);
    assert_eq!(task.parent.as_ref().unwrap().id.summary(), "60b2ed0a43056110");
    assert_eq!(task.pubsub.as_ref().unwrap().auth_token, "token");
    assert!(task.slices[0].wait_for_capacity && task.slices[0].properties.has_secret);
    let facts = super::super::task::TagFacts {
        authenticated: "anonymous:anonymous",
        pool_version: "r",
        task_template: "none",
        rbe: Some("none"),
    };
    assert_eq!(
        task.all_tags(facts),
        [
            "authenticated:anonymous:anonymous",
            "os:Linux",
            "os:Mac",
            "parent_task_id:60b2ed0a43056111",
            "pool:p",
            "priority:100",
            "rbe:none",
            "realm:none",
            "service_account:none",
            "swarming.pool.task_template:none",
            "swarming.pool.version:r",
            "user:none",
            "z:1",
        ]
    );
}

#[test]
fn short_timeouts_are_a_choice() {
    let mut request = good();
    request.task_slices[0].expiration_secs = 1;
    props(&mut request).execution_timeout_secs = 1;
    props(&mut request).io_timeout_secs = 2;
    assert!(check(request.clone(), &pool(), OLD_MIN_TIMEOUT_SECS).is_ok());
    assert!(check(request.clone(), &pool(), MIN_TIMEOUT_SECS).is_err());
    request.task_slices[0].expiration_secs = 0;
    let status = check(request, &pool(), OLD_MIN_TIMEOUT_SECS).unwrap_err();
    assert!(status.message.ends_with("0 must be between 1s and 604800s"), "{}", status.message);
}
