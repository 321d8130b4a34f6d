//! `bots.cfg`: the groups of bots.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest as _, Sha256};

use super::bot_groups::{Admission, AuthMethod, BotAuth, BotGroup, BotGroups, Script};
use super::{Origin, Report, intset};
use crate::proto::config::{self as wire, BotsCfg};
use crate::validate::text::quote;
use crate::validate::{dimension, name};

/// Who is in which group, while the groups are read.
#[derive(Default)]
struct Seen {
    ids: HashMap<String, usize>,
    prefixes: BTreeMap<String, usize>,
    default: Option<usize>,
}

pub(super) fn resolve(
    of: &BotsCfg,
    origin: Origin<'_>,
    scripts: &BTreeMap<String, String>,
    report: &mut Report,
) -> BotGroups {
    let field = |name: &str| format!("{}{name}", origin.prefix);
    for (index, key) in of.trusted_dimensions.iter().enumerate() {
        let place = field(&format!("trusted_dimensions #{index} ({})", quote(key)));
        report.check(&place, dimension::key(key));
    }
    // A file that says nothing at all is no mistake.
    let says_something = *of != BotsCfg::default();
    if says_something && !of.trusted_dimensions.iter().any(|key| key == "pool") {
        let why = "\"pool\" must be specified as a trusted dimension";
        report.mistake(&field("trusted_dimensions"), why);
    }
    let has_auth = of.bot_group.iter().any(|group| !group.auth.is_empty());
    let why = "every bot shows a token of this server, and on loopback none";
    report.ignore(&field("bot_group.auth"), has_auth, why);
    let mut seen = Seen::default();
    let mut groups = vec![BotGroup::unassigned()];
    for (index, group) in of.bot_group.iter().enumerate() {
        let place = field(&format!("bot_group #{index}"));
        seen.add(group, index, &place, report);
        groups.push(one(group, origin.strict, &place, scripts, report));
    }
    if let Some(default) = seen.default {
        groups[0] = groups[default + 1].clone();
    }
    let after_default = |(name, index): (String, usize)| (name, index + 1);
    BotGroups {
        trusted_dimensions: of.trusted_dimensions.iter().cloned().collect(),
        groups,
        by_id: seen.ids.into_iter().map(after_default).collect(),
        by_prefix: seen.prefixes.into_iter().map(after_default).collect(),
    }
}

impl Seen {
    fn add(&mut self, group: &wire::BotGroup, index: usize, place: &str, report: &mut Report) {
        for (number, text) in group.bot_id.iter().enumerate() {
            let place = format!("{place}: bot_id #{number} ({})", quote(text));
            match intset::expand(text) {
                _ if text.is_empty() => report.mistake(&place, "empty bot_id is not allowed"),
                Err(why) => report.mistake(&place, format_args!("bad bot_id expression: {why}")),
                Ok(ids) => {
                    for id in ids {
                        if let Some(other) = self.ids.get(&id) {
                            let id = quote(&id);
                            let why =
                                format!("bot_id {id} was already mentioned in group #{other}");
                            report.mistake(&place, why);
                        } else {
                            self.ids.insert(id, index);
                        }
                    }
                }
            }
        }
        for (number, prefix) in group.bot_id_prefix.iter().enumerate() {
            let shown = quote(prefix);
            let place = format!("{place}: bot_id_prefix #{number} ({shown})");
            if prefix.is_empty() {
                report.mistake(&place, "empty bot_id_prefix is not allowed");
                continue;
            }
            let mut known = false;
            for (other, group) in &self.prefixes {
                let nested = other.starts_with(prefix) || prefix.starts_with(other);
                known |= other == prefix;
                if nested {
                    let other = quote(other);
                    let why = format!(
                        "bot_id_prefix {shown} and {other} of group #{group} have bots in common"
                    );
                    report.mistake(&place, why);
                }
            }
            if !known {
                self.prefixes.insert(prefix.clone(), index);
            }
        }
        if group.bot_id.is_empty() && group.bot_id_prefix.is_empty() {
            match self.default {
                Some(other) => {
                    report.mistake(place, format_args!("group #{other} is already set as default"));
                }
                None => self.default = Some(index),
            }
        }
    }
}

fn one(
    of: &wire::BotGroup,
    strict: bool,
    place: &str,
    scripts: &BTreeMap<String, String>,
    report: &mut Report,
) -> BotGroup {
    let at = |field: &str| format!("{place}: {field}");
    let mut dimensions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (index, text) in of.dimensions.iter().enumerate() {
        let place = at(&format!("dimensions #{index} ({})", quote(text)));
        let Some((key, value)) = text.split_once(':') else {
            report.mistake(&place, r#"not a "key:value" pair"#);
            continue;
        };
        report.check(&format!("{place}: bad dimension key {}", quote(key)), dimension::key(key));
        let bad_value = format!("{place}: bad dimension value {}", quote(value));
        report.check(&bad_value, dimension::value(key, value));
        dimensions.entry(key.to_owned()).or_default().insert(value.to_owned());
    }
    if strict && of.auth.is_empty() {
        report.mistake(place, r#"an "auth" entry is required"#);
    }
    let auth: Vec<BotAuth> = of
        .auth
        .iter()
        .enumerate()
        .map(|(index, one)| auth(one, &at(&format!("auth #{index}")), report))
        .collect();
    for (index, owner) in of.owners.iter().enumerate() {
        if !name::is_email(owner) {
            let shown = quote(owner);
            report
                .mistake(&at(&format!("owners #{index}")), format_args!("bad owner email {shown}"));
        }
    }
    system_service_account(of, &auth, &at("system_service_account"), report);
    if !of.bot_config_script_content.is_empty() {
        let why = "this field is used only internally and must be unset in the config";
        report.mistake(&at("bot_config_script_content"), why);
    }
    report.ignore(
        &at("rbe_migration"),
        of.rbe_migration.is_some(),
        "this server hands out tasks itself",
    );
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    BotGroup {
        dimensions,
        admission: if auth.is_empty() { Admission::AsServer } else { Admission::OneOf(auth) },
        system_service_account: some(&of.system_service_account),
        script: script(&of.bot_config_script, scripts, &at("bot_config_script"), report),
        logs_cloud_project: some(&of.logs_cloud_project),
        owners: of.owners.clone(),
    }
}

fn auth(of: &wire::BotAuth, place: &str, report: &mut Report) -> BotAuth {
    let mut methods = Vec::new();
    if of.require_luci_machine_token {
        methods
            .push(("require_luci_machine_token", AuthMethod::MachineToken { ca_ids: Vec::new() }));
    }
    if let Some(token) = &of.require_luci_machine_token_secure {
        let method = AuthMethod::MachineToken { ca_ids: token.ca_id.clone() };
        methods.push(("require_luci_machine_token_secure", method));
    }
    if !of.require_service_account.is_empty() {
        for account in of.require_service_account.iter().filter(|account| !name::is_email(account))
        {
            report.mistake(place, format_args!("bad service account email {}", quote(account)));
        }
        let method = AuthMethod::ServiceAccount(of.require_service_account.clone());
        methods.push(("require_service_account", method));
    }
    if let Some(gce) = &of.require_gce_vm_token {
        if gce.project.is_empty() {
            report.mistake(place, "missing project in require_gce_vm_token");
        }
        let method = AuthMethod::GceVmToken { project: gce.project.clone() };
        methods.push(("require_gce_vm_token", method));
    }
    if methods.len() > 1 {
        let names: Vec<&str> = methods.iter().map(|(name, _)| *name).collect();
        let names = names.join(" and ");
        report.mistake(place, format_args!("{names} can't be used at the same time"));
    }
    if methods.is_empty() && of.ip_whitelist.is_empty() {
        report.mistake(place, "if all auth requirements are unset, ip_whitelist must be set");
    }
    BotAuth {
        method: methods.pop().map_or(AuthMethod::Ip, |(_, method)| method),
        ip_allowlist: (!of.ip_whitelist.is_empty()).then(|| of.ip_whitelist.clone()),
        log_if_failed: of.log_if_failed,
    }
}

fn system_service_account(of: &wire::BotGroup, auth: &[BotAuth], place: &str, report: &mut Report) {
    match of.system_service_account.as_str() {
        "" => {}
        "bot" => {
            let oauth = |auth: &BotAuth| matches!(auth.method, AuthMethod::ServiceAccount(_));
            if !auth.iter().any(oauth) {
                let why = "system_service_account \"bot\" requires auth.require_service_account to be used";
                report.mistake(place, why);
            }
        }
        account if name::is_email(account) => {}
        account => {
            report.mistake(
                place,
                format_args!("bad system_service_account email {}", quote(account)),
            );
        }
    }
}

fn script(
    name: &str,
    scripts: &BTreeMap<String, String>,
    place: &str,
    report: &mut Report,
) -> Option<Script> {
    if name.is_empty() {
        return None;
    }
    if !name.ends_with(".py") {
        report.mistake(place, "invalid bot_config_script: must end with .py");
    }
    if name.contains(['\\', '/']) {
        report.mistake(place, "invalid bot_config_script: must be a filename, not a path");
    }
    let Some(body) = scripts.get(name) else {
        report.mistake(place, format_args!("there is no script {}", quote(name)));
        return None;
    };
    let sha256 = hex::encode(Sha256::digest(body));
    Some(Script { name: name.to_owned(), body: body.clone(), sha256 })
}
