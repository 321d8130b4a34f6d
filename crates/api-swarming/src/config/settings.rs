//! `settings.cfg`: the server as a whole.

use super::{Origin, Report};
use crate::proto::config::{AuthSettings, SettingsCfg};
use crate::validate::task::DefaultCipd;
use crate::validate::{cipd, url};

/// The server as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How old a result may be that answers an idempotent task.
    pub reusable_task_age_secs: u32,
    /// A bot that was silent for so long is dead.
    pub bot_death_timeout_secs: u32,
    /// The longest sleep that an idle bot is told.
    pub max_bot_sleep_secs: u32,
    /// No bot gets a task.
    pub force_bots_to_sleep: bool,
    /// The page of one run, with `%s` for its id.
    pub display_server_url_template: Option<String>,
    /// The CAS viewer that pages link to.
    pub cas_viewer_server: Option<String>,
    /// The OAuth client of the pages.
    pub ui_client_id: Option<String>,
    /// What the pages may show in a frame.
    pub extra_child_src_csp_urls: Vec<String>,
    pub auth: AuthGroups,
}

/// Groups whose members have a right in the whole server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthGroups {
    pub admins: String,
    pub bot_bootstrap: String,
    pub privileged_users: String,
    pub users: String,
    pub view_all_bots: String,
    pub view_all_tasks: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reusable_task_age_secs: 7 * 24 * 60 * 60,
            bot_death_timeout_secs: 10 * 60,
            max_bot_sleep_secs: 60,
            force_bots_to_sleep: false,
            display_server_url_template: None,
            cas_viewer_server: None,
            ui_client_id: None,
            extra_child_src_csp_urls: Vec::new(),
            auth: groups(&AuthSettings::default()),
        }
    }
}

pub(super) fn resolve(of: &SettingsCfg, origin: Origin<'_>, report: &mut Report) -> Settings {
    let place = |field: &str| format!("{}{field}", origin.prefix);
    let default = Settings::default();
    let mut seconds =
        |field: &str, value: i32, default: u32| match report.seconds(&place(field), value) {
            0 => default,
            seconds => seconds,
        };
    let reusable = seconds(
        "reusable_task_age_secs",
        of.reusable_task_age_secs,
        default.reusable_task_age_secs,
    );
    let death = seconds(
        "bot_death_timeout_secs",
        of.bot_death_timeout_secs,
        default.bot_death_timeout_secs,
    );
    let sleep = if origin.strict { "max_bot_sleep_time" } else { "max_bot_sleep_secs" };
    let sleep = seconds(sleep, of.max_bot_sleep_time, default.max_bot_sleep_secs);

    let display = &of.display_server_url_template;
    if !display.is_empty() {
        let field = place("display_server_url_template");
        match display.matches("%s").count() {
            1 => report.check(&field, https(&display.replace("%s", "..."))),
            _ => report.mistake(&field, "must have exactly one `%s` term"),
        }
    }
    for url in &of.extra_child_src_csp_url {
        report.check(&place("extra_child_src_csp_url"), https(url));
    }
    if let Some(cas) = &of.cas {
        report.check(&place("cas.viewer_server"), https(&cas.viewer_server));
    }
    if let Some(resultdb) = &of.resultdb {
        report.check(&place("resultdb.server"), https(&resultdb.server));
    }
    ignored(of, &place, report);
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    Settings {
        reusable_task_age_secs: reusable,
        bot_death_timeout_secs: death,
        max_bot_sleep_secs: sleep,
        force_bots_to_sleep: of.force_bots_to_sleep_and_not_run_task,
        display_server_url_template: some(display),
        cas_viewer_server: of.cas.as_ref().and_then(|cas| some(&cas.viewer_server)),
        ui_client_id: some(&of.ui_client_id),
        extra_child_src_csp_urls: of.extra_child_src_csp_url.clone(),
        auth: groups(&of.auth.clone().unwrap_or_default()),
    }
}

fn ignored(of: &SettingsCfg, place: &impl Fn(&str) -> String, report: &mut Report) {
    let mut ignore =
        |field: &str, is_set: bool, why: &str| report.ignore(&place(field), is_set, why);
    let google = "it is for Google's own services";
    ignore("google_analytics", !of.google_analytics.is_empty(), google);
    ignore("enable_ts_monitoring", of.enable_ts_monitoring, google);
    let roles = "tokens have roles, see `phalanx token create`";
    ignore("auth", of.auth.is_some(), roles);
    ignore("resultdb", of.resultdb.is_some(), "there is no ResultDB");
    let old = "upstream does not use it any more";
    ignore("bot_isolate_grpc_proxy", !of.bot_isolate_grpc_proxy.is_empty(), old);
    ignore("bot_swarming_grpc_proxy", !of.bot_swarming_grpc_proxy.is_empty(), old);
    ignore("enable_batch_es_notifications", of.enable_batch_es_notifications, old);
    ignore("traffic_migration", of.traffic_migration.is_some(), old);
    let deployment = "the bot comes from a directory or a zip file, not from CIPD";
    ignore("bot_deployment", of.bot_deployment.is_some(), deployment);
}

/// Who is not given is the administrators.
fn groups(of: &AuthSettings) -> AuthGroups {
    let or = |group: &str, default: &str| {
        if group.is_empty() { default.to_owned() } else { group.to_owned() }
    };
    let admins = or(&of.admins_group, "administrators");
    AuthGroups {
        bot_bootstrap: or(&of.bot_bootstrap_group, &admins),
        privileged_users: or(&of.privileged_users_group, &admins),
        users: or(&of.users_group, &admins),
        view_all_bots: or(&of.view_all_bots_group, &admins),
        view_all_tasks: or(&of.view_all_tasks_group, &admins),
        admins,
    }
}

fn https(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("this is a required field".to_owned());
    }
    if !text.starts_with("https://") {
        return Err("must be an https:// URL".to_owned());
    }
    url::secure_url(text)
}

/// The CIPD of `settings.cfg`, for sites that set none in `pools.cfg`.
pub(super) fn default_cipd(
    of: &SettingsCfg,
    origin: Origin<'_>,
    report: &mut Report,
) -> Option<DefaultCipd> {
    let given = of.cipd.as_ref()?;
    let package = given.default_client_package.clone().unwrap_or_default();
    let cipd = DefaultCipd {
        server: given.default_server.clone(),
        client_package: package.package_name,
        client_version: package.version,
    };
    let place = format!("{}cipd", origin.prefix);
    check_cipd(&cipd, [".default_server", ".default_client_package"], &place, report);
    Some(cipd)
}

/// `names` are those of the server and the package.
pub(super) fn check_cipd(
    of: &DefaultCipd,
    [server, package]: [&str; 2],
    place: &str,
    report: &mut Report,
) {
    let check = match of.server.as_str() {
        "" => Err("required".to_owned()),
        text => url::secure_url(text),
    };
    report.check(&format!("{place}{server}"), check);
    report.check(&format!("{place}{package}.package_name"), cipd::package_name(&of.client_package));
    report.check(&format!("{place}{package}.version"), cipd::version(&of.client_version));
}
