//! Configurations, good and bad.

use std::collections::BTreeMap;

use super::files::{self, Files};
use super::{Admission, AuthMethod, Config, SchedulingAlgorithm, toml};

const BOTS: &str = r#"
    trusted_dimensions: "pool"
    bot_group {
      bot_id: "bot{1..3}"
      bot_id: "host7--special"
      auth { require_luci_machine_token: true ip_whitelist: "bots" }
      dimensions: "pool:a"
      dimensions: "pool:b"
      bot_config_script: "hooks.py"
      owners: "joe@example.com"
    }
    bot_group { bot_id_prefix: "mac-" auth { ip_whitelist: "x" } dimensions: "pool:mac" }
    bot_group { auth { require_service_account: "a@b" } dimensions: "pool:rest" }
"#;

const POOLS: &str = r#"
    # A comment.
    pool {
      name: "a" name: "b"
      realm: "project:pools/a"
      default_task_realm: "project:tasks"
      scheduling_algorithm: SCHEDULING_ALGORITHM_LIFO
      informational_dimension_re: "^label-"
      owners: "joe@example.com"
    }
    default_external_services {
      cipd {
        server: "https://cipd.example.com"
        client_package { package_name: "infra/tools/cipd/${platform}" version: "latest" }
      }
    }
"#;

fn scripts() -> BTreeMap<String, String> {
    BTreeMap::from([("hooks.py".to_owned(), "x = 1\n".to_owned())])
}

fn read(settings: &str, bots: &str, pools: &str) -> Result<Config, Vec<String>> {
    files::read(&Files { settings, bots, pools, scripts: scripts() }).map_err(|error| error.0)
}

fn mistakes(settings: &str, bots: &str, pools: &str) -> Vec<String> {
    read(settings, bots, pools).unwrap_err()
}

#[test]
fn a_site_is_read() {
    let settings = "max_bot_sleep_time: 5 cas { viewer_server: 'https://cas.example.com' }";
    let config = read(settings, BOTS, POOLS).unwrap();
    let tokens = "bots.cfg: bot_group.auth has no effect here: every bot shows a token of this server, and on loopback none";
    assert_eq!(config.ignored, [tokens]);
    assert_eq!(config.settings.max_bot_sleep_secs, 5);
    assert_eq!(config.settings.bot_death_timeout_secs, 600);
    assert_eq!(config.settings.reusable_task_age_secs, 604_800);
    assert_eq!(config.settings.auth.view_all_bots, "administrators");
    assert_eq!(config.pools.keys().collect::<Vec<_>>(), ["a", "b"]);
    let pool = &config.pools["b"];
    assert_eq!(pool.name, "b");
    assert_eq!(pool.scheduling_algorithm, SchedulingAlgorithm::Lifo);
    assert!(pool.informational_dimensions[0].is_match("label-x"));
    assert_eq!(config.default_cipd.as_ref().unwrap().client_version, "latest");
    assert_eq!(config.revision, read(settings, BOTS, POOLS).unwrap().revision);
    assert_ne!(config.revision, read("", BOTS, POOLS).unwrap().revision);
}

#[test]
fn bots_find_their_group() {
    let config = read("", BOTS, POOLS).unwrap();
    let pools = |id: &str| config.bots.find(id).pools().join(",");
    for (id, expected) in [
        ("bot1", "a,b"),
        ("bot3--x", "a,b"),
        ("bot4", "rest"),
        ("host7", "rest"),
        ("host7--special", "a,b"),
        ("host7--other", "rest"),
        ("mac-", "mac"),
        ("mac-9--x", "mac"),
        ("mac", "rest"),
        ("", "rest"),
    ] {
        assert_eq!(pools(id), expected, "{id}");
    }
    let group = config.bots.find("bot2");
    let script = group.script.as_ref().unwrap();
    assert_eq!((script.name.as_str(), script.body.as_str()), ("hooks.py", "x = 1\n"));
    assert_eq!(script.sha256.len(), 64);
    let Admission::OneOf(auth) = &group.admission else { panic!("{:?}", group.admission) };
    assert_eq!(auth[0].method, AuthMethod::MachineToken { ca_ids: vec![] });
    assert_eq!(auth[0].ip_allowlist.as_deref(), Some("bots"));
    let nothing = read("", "", "").unwrap();
    assert_eq!(nothing.bots.find("bot1").pools(), ["unassigned"]);
    assert_eq!(nothing.bots.find("bot1").admission, Admission::Nobody);
}

#[test]
fn a_mistake_in_the_text_has_its_line() {
    assert_eq!(
        mistakes("reusable_task_age_secs: 1\n\nno_such_field: 2\n", "", ""),
        [
            "settings.cfg:3: field 'no_such_field' not found for message 'swarming.config.SettingsCfg'"
        ]
    );
    let two = mistakes("bot_death_timeout_secs: 'x'", "bot_group {", "");
    assert!(two[0].starts_with("settings.cfg:1: expected"), "{two:?}");
    assert!(two[1].starts_with("bots.cfg:1: expected"), "{two:?}");
    let value = mistakes("", "", "pool {\n scheduling_algorithm: RANDOM }");
    assert!(value[0].starts_with("pools.cfg:2: ") && value[0].contains("RANDOM"), "{value:?}");
}

#[test]
fn mistakes_in_settings() {
    for (text, why) in [
        (
            "bot_death_timeout_secs: -1",
            "settings.cfg: bot_death_timeout_secs: must be non-negative, got -1",
        ),
        (
            "display_server_url_template: 'https://x'",
            "settings.cfg: display_server_url_template: must have exactly one `%s` term",
        ),
        (
            "display_server_url_template: 'http://x/%s'",
            "settings.cfg: display_server_url_template: must be an https:// URL",
        ),
        ("cas {}", "settings.cfg: cas.viewer_server: this is a required field"),
        (
            "cipd { default_server: 'https://x' default_client_package { package_name: 'p' } }",
            "settings.cfg: cipd.default_client_package.version: required",
        ),
    ] {
        assert_eq!(mistakes(text, "", ""), [why], "{text}");
    }
}

#[test]
fn mistakes_in_pools() {
    for (text, why) in [
        ("pool { name: 'x' }", "pools.cfg: pool #1 (x): missing required `realm` field"),
        (
            "pool { realm: 'a:b' }",
            "pools.cfg: pool #1 (unnamed): at least one pool name must be given",
        ),
        (
            "pool { name: 'a:b' realm: 'a:b' }",
            r#"pools.cfg: pool #1 (a:b): bad pool name "a:b": pool ID is not allowed to contain ":""#,
        ),
        (
            "pool { name: 'x' name: 'x' realm: 'a:b' }",
            r#"pools.cfg: pool #1 (x,x): pool "x" was already declared"#,
        ),
        (
            "pool { name: 'x' realm: 'ab' }",
            r#"pools.cfg: pool #1 (x): realm: bad global realm name "ab" - should be <project>:<realm>"#,
        ),
        (
            "pool { name: 'x' realm: 'a:b' informational_dimension_re: '(' }",
            "pools.cfg: pool #1 (x): informational_dimension_re #1 ((): invalid regex",
        ),
    ] {
        assert_eq!(mistakes("", "", text), [why], "{text}");
    }
}

#[test]
fn mistakes_in_groups() {
    let group = |inside: &str| {
        let auth = "auth { ip_whitelist: 'x' }";
        mistakes("", &format!("trusted_dimensions: 'pool' bot_group {{ {auth} {inside} }}"), "")
    };
    for (text, why) in [
        ("bot_id: ''", r#"bot_group #0: bot_id #0 (""): empty bot_id is not allowed"#),
        (
            "bot_id: 'a{1..2}' bot_id: 'a2'",
            r#"bot_group #0: bot_id #1 ("a2"): bot_id "a2" was already mentioned in group #0"#,
        ),
        (
            "bot_id_prefix: 'a' bot_id_prefix: 'ab'",
            r#"bot_group #0: bot_id_prefix #1 ("ab"): bot_id_prefix "ab" and "a" of group #0 have bots in common"#,
        ),
        (
            "bot_id: '{2..1}'",
            r#"bot_group #0: bot_id #0 ("{2..1}"): bad bot_id expression: bad range - 1 is not larger than 2"#,
        ),
        ("dimensions: 'x'", r#"bot_group #0: dimensions #0 ("x"): not a "key:value" pair"#),
        (
            "dimensions: 'pool:'",
            r#"bot_group #0: dimensions #0 ("pool:"): bad dimension value "": the value cannot be empty"#,
        ),
        ("owners: 'x'", r#"bot_group #0: owners #0: bad owner email "x""#),
        (
            "auth {}",
            "bot_group #0: auth #1: if all auth requirements are unset, ip_whitelist must be set",
        ),
        (
            "auth { require_luci_machine_token: true require_service_account: 'a@b' }",
            "bot_group #0: auth #1: require_luci_machine_token and require_service_account can't be used at the same time",
        ),
        (
            "system_service_account: 'bot'",
            "bot_group #0: system_service_account: system_service_account \"bot\" requires auth.require_service_account to be used",
        ),
        (
            "bot_config_script: 'none.py'",
            r#"bot_group #0: bot_config_script: there is no script "none.py""#,
        ),
        (
            "bot_config_script_content: 'x'",
            "bot_group #0: bot_config_script_content: this field is used only internally and must be unset in the config",
        ),
    ] {
        assert_eq!(group(text), [format!("bots.cfg: {why}")], "{text}");
    }
    assert_eq!(
        mistakes("", "bot_group {} bot_group {}", "").len(),
        4,
        "no trusted pool, twice no auth, twice the default"
    );
    let path = group("bot_config_script: '../x'");
    assert_eq!(path.len(), 3, "{path:?}");
}

#[test]
fn what_has_no_effect_is_said() {
    let pools = "pool { name: 'x' realm: 'a:b' schedulers { user: 'u' } }
                 bot_monitoring { name: 't' }";
    let config = read("google_analytics: 'x' bot_deployment {} auth {}", "", pools).unwrap();
    assert_eq!(config.ignored.len(), 5, "{:#?}", config.ignored);
    assert!(config.ignored.iter().any(|said| {
        said == "pools.cfg: pool #1 (x): schedulers has no effect here: realms say who may use the pool"
    }));
}

#[test]
fn the_table_says_the_same() {
    let config = toml::read(
        "phalanx.toml",
        r#"
            [server]
            other = 1
            [swarming]
            max_bot_sleep_secs = 5
            force_bots_to_sleep = true
            [[swarming.pool]]
            name = ["a", "b"]
            scheduling_algorithm = "lifo"
            [[swarming.bot_group]]
            bot_id = ["bot{1..3}"]
            dimensions = ["pool:a", "rack:7"]
            bot_config_script = "hooks.py"
            auth = [{ require_gce_vm_token_project = "p" }]
            [swarming.default_cipd]
            server = "https://cipd.example.com"
            client_package = "client"
            client_version = "latest"
        "#,
        &scripts(),
    )
    .unwrap();
    assert!(config.settings.force_bots_to_sleep);
    assert_eq!(config.settings.max_bot_sleep_secs, 5);
    assert_eq!(config.pools["b"].default_task_realm.as_deref(), Some("phalanx:tasks"));
    assert_eq!(config.bots.find("bot2").dimensions["rack"].len(), 1);
    assert_eq!(config.bots.find("bot4").pools(), ["unassigned"]);
    assert_eq!(config.bots.find("bot4").admission, Admission::Nobody);
    assert_eq!(config.default_cipd.unwrap().client_package, "client");
    assert!(config.bots.trusted_dimensions.contains("pool"));
}

#[test]
fn an_empty_table_is_a_working_server() {
    let config = toml::read("phalanx.toml", "", &BTreeMap::new()).unwrap();
    assert!(config.pools.is_empty(), "every pool is there");
    assert!(config.bots.find("anything").dimensions.is_empty(), "bots say it");
    assert_eq!(config.bots.find("anything").admission, Admission::AsServer);
    assert!(config.ignored.is_empty());
}

#[test]
fn what_is_not_about_pools_holds_without_a_word_about_them() {
    let text = "[swarming]\nbot_death_timeout_secs = 5";
    let config = toml::read("phalanx.toml", text, &BTreeMap::new()).unwrap();
    assert_eq!(config.settings.bot_death_timeout_secs, 5);
    assert!(config.pools.is_empty());
}

#[test]
fn a_pool_that_a_group_names_is_there() {
    let text = "[[swarming.bot_group]]\nbot_id = ['a']\ndimensions = ['pool:lab', 'pool:attic', 'rack:7']\n\
                [[swarming.bot_group]]\ndimensions = ['pool:lab']";
    let config = toml::read("phalanx.toml", text, &BTreeMap::new()).unwrap();
    assert_eq!(config.pools.keys().collect::<Vec<_>>(), ["attic", "lab"]);
    let text = "[[swarming.pool]]\nname = ['lab']";
    let config = toml::read("phalanx.toml", text, &BTreeMap::new()).unwrap();
    assert_eq!(config.bots.find("anything").pools(), ["lab"]);
}

#[test]
fn mistakes_in_the_table() {
    for (text, why) in [
        ("[swarming]\n\nbot_timeout = 3", "phalanx.toml:3: unknown field `bot_timeout`"),
        ("[[swarming.pool]]\nnames = []", "phalanx.toml:2: unknown field `names`"),
        ("[swarming]\nmax_bot_sleep_secs = 'x'", "phalanx.toml:2: invalid type"),
        (
            "[[swarming.pool]]\nname = ['']",
            r#"phalanx.toml: swarming.pool #1 (): bad pool name "": the value cannot be empty"#,
        ),
        (
            "[[swarming.pool]]\nname = ['a', 'b']",
            "phalanx.toml: swarming.pool: there are several pools and no `bot_group`: say with",
        ),
        (
            "[swarming]\ntrusted_dimensions = ['pool']",
            "phalanx.toml: swarming.trusted_dimensions: there is no `bot_group` to say them",
        ),
        (
            "[swarming]\nmax_bot_sleep_secs = -5",
            "phalanx.toml: swarming.max_bot_sleep_secs: must be non-negative, got -5",
        ),
        (
            "[swarming]\ntrusted_dimensions = []\n[[swarming.bot_group]]\ndimensions = ['pool:a']",
            r#"phalanx.toml: swarming.trusted_dimensions: "pool" must be specified as a trusted dimension"#,
        ),
        (
            "[[swarming.bot_group]]\nauth = [{}]",
            "phalanx.toml: swarming.bot_group #0: auth #0: if all auth requirements are unset",
        ),
    ] {
        let error = toml::read("phalanx.toml", text, &BTreeMap::new()).unwrap_err();
        assert!(error.0[0].starts_with(why), "{text}: {error}");
    }
}
