//! The JSON of the bot API, `POST /swarming/api/v1/bot/…`.
//!
//! Bots of several years talk to one server: unknown keys are kept or passed over, `null` is the same as nothing.
//! Shapes are those of luci-go `swarming/server/botapi` and luci-py `bot_code/remote_client.py`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::results::base64_bytes;
pub use super::results::{
    CasReference, CasStats, CipdPackage, CipdPins, Digest, IsolatedStats, NamedCachesStats,
    OperationStats,
};

/// What a bot says of itself in `handshake`, `poll` and `event`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BotRequest {
    /// Key → list of values; not checked, see [`check`](super::check).
    pub dimensions: Option<BTreeMap<String, Value>>,
    /// Kept as it is, for those who look at the bot.
    pub state: Option<Map<String, Value>>,
    /// SHA-256 of the bot's archive in hex.
    pub version: Option<String>,
    /// What the server gave, since 2024-11-14.
    pub session: Option<String>,
    /// The bot's own name for its session, in a handshake.
    pub session_id: Option<String>,
    /// Names a poll, so that a repeated one gets the same task.
    pub request_uuid: Option<String>,
    pub force: Option<bool>,
    /// Of an event: `bot_error`, `bot_log`, `bot_rebooting` or `bot_shutdown`.
    pub event: Option<String>,
    pub message: Option<String>,
    /// Keys that no bot should send.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// The answer to `handshake`.
#[derive(Clone, Debug, Serialize)]
pub struct HandshakeResponse<'a> {
    pub bot_version: &'a str,
    pub server_version: &'a str,
    pub bot_group_cfg: BotGroupCfg<'a>,
    /// Python source of hooks; may be empty.
    pub bot_config: &'a str,
    pub bot_config_name: &'a str,
    pub bot_config_rev: &'a str,
    /// Anything; the bot sends it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'a str>,
}

#[derive(Clone, Debug, Serialize)]
pub struct BotGroupCfg<'a> {
    pub dimensions: &'a BTreeMap<String, std::collections::BTreeSet<String>>,
}

/// The answer to `poll`.
#[derive(Clone, Debug, Serialize)]
pub struct PollResponse<'a> {
    #[serde(flatten)]
    pub command: Command<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'a str>,
}

/// What a bot shall do. `host_reboot` is not here: it really reboots the machine.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum Command<'a> {
    /// Ask again after `duration` seconds.
    Sleep {
        duration: f64,
        quarantined: bool,
    },
    /// See [`manifest`](super::manifest::manifest).
    Run {
        manifest: &'a Value,
    },
    /// Stop; `task_id` is the run's.
    Terminate {
        task_id: &'a str,
    },
    /// Become this version.
    Update {
        version: &'a str,
    },
    BotRestart {
        message: &'a str,
    },
}

/// `task_update`: output, and at last the end of a task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TaskUpdateRequest {
    /// Of the bot; absent in luci-go's form.
    pub id: Option<String>,
    /// Of the run.
    pub task_id: Option<String>,
    pub session: Option<String>,
    pub request_uuid: Option<String>,
    #[serde(deserialize_with = "base64_bytes")]
    pub output: Option<Vec<u8>>,
    /// Bytes of output before this one.
    pub output_chunk_start: Option<i64>,
    pub cost_usd: Option<f64>,
    /// Seconds.
    pub duration: Option<f64>,
    /// Negative for a signal.
    pub exit_code: Option<i64>,
    pub hard_timeout: Option<bool>,
    pub io_timeout: Option<bool>,
    /// Stopped before it began.
    pub canceled: Option<bool>,
    /// Seconds.
    pub bot_overhead: Option<f64>,
    pub isolated_stats: Option<IsolatedStats>,
    pub cipd_stats: Option<OperationStats>,
    pub cipd_pins: Option<CipdPins>,
    pub named_caches_stats: Option<NamedCachesStats>,
    pub cache_trim_stats: Option<OperationStats>,
    pub cleanup_stats: Option<OperationStats>,
    pub cas_output_root: Option<CasReference>,
}

/// The answer to `task_update`.
#[derive(Clone, Debug, Serialize)]
pub struct TaskUpdateResponse<'a> {
    /// Kill the task.
    pub must_stop: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<&'a str>,
    /// Bots do not look at it.
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<&'a str>,
}

/// `task_error`: the bot could not run the task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TaskErrorRequest {
    pub id: Option<String>,
    pub task_id: Option<String>,
    pub session: Option<String>,
    pub request_uuid: Option<String>,
    pub message: Option<String>,
    /// Whose fault it is when the task named what is not there.
    pub client_error: Option<ClientError>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClientError {
    pub missing_cas: Option<Vec<MissingCas>>,
    pub missing_cipd: Option<Vec<CipdPackage>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MissingCas {
    pub instance: String,
    /// `hash/size`.
    pub digest: String,
}

/// The answer to `event` and `task_error`. Old bots fail on any key but `resp`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Empty {}

/// `oauth_token` and `id_token`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TokenRequest {
    pub id: Option<String>,
    pub session: Option<String>,
    /// `system` or `task`.
    pub account_id: Option<String>,
    pub task_id: Option<String>,
    /// Of an OAuth token.
    pub scopes: Option<Vec<String>>,
    /// Of an id token.
    pub audience: Option<String>,
}

/// The answer to both. `none` and `bot` come without a token.
#[derive(Clone, Debug, Serialize)]
pub struct TokenResponse<'a> {
    pub service_account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<&'a str>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::swarming as proto;
    use serde_json::json;

    #[test]
    fn bots_of_all_years_are_read() {
        let old: BotRequest = serde_json::from_value(json!({
            "dimensions": {"id": ["b"], "pool": ["default"]},
            "state": {"running_time": 1.5, "sleep_streak": 0},
            "version": "abc",
            "request_uuid": "u",
        }))
        .unwrap();
        assert!(old.unknown.is_empty() && old.session.is_none());
        let new: BotRequest =
            serde_json::from_value(json!({"session": null, "dimensions": null, "x": 1})).unwrap();
        assert!(new.dimensions.is_none() && new.unknown.contains_key("x"));
        assert!(serde_json::from_value::<BotRequest>(json!({"dimensions": 1})).is_err());
    }

    #[test]
    fn the_end_of_a_task_is_read() {
        let update: TaskUpdateRequest = serde_json::from_value(json!({
            "id": "b", "task_id": "1011", "session": null, "cost_usd": 0.5,
            "output": "aGVs\nbG8=\n", "output_chunk_start": 7,
            "duration": 1.25, "exit_code": -15, "hard_timeout": true, "bot_overhead": 0.1,
            "isolated_stats": {"download": {"items_cold": "eJxjZY0CAAB2AGU=", "duration": 1}, "upload": {}},
            "cipd_pins": {"client_package": null, "packages": [{"package_name": "p", "version": "v"}]},
            "cas_output_root": {"cas_instance": "i", "digest": {"hash": "h", "size_bytes": "12"}},
            "named_caches_stats": {"install": {"duration": 2}},
            "something_new": {},
        }))
        .unwrap();
        assert_eq!(update.output.as_deref(), Some(&b"hello"[..]));
        let stats = update.performance_stats();
        let download = stats.isolated_download.unwrap();
        assert_eq!((download.num_items_cold, download.total_bytes_items_cold), (3, 115));
        assert_eq!(stats.isolated_upload, None, "nothing was sent");
        assert_eq!(stats.named_caches_install.unwrap().duration, 2.0);
        assert_eq!((stats.bot_overhead, stats.cleanup), (0.1, None));
        let root: proto::CasReference = update.cas_output_root.unwrap().into();
        assert_eq!(root.digest.unwrap().size_bytes, 12);
        let pins: proto::CipdPins = update.cipd_pins.unwrap().into();
        assert_eq!(pins.packages[0].package_name, "p");
        assert_eq!(update.isolated_stats.unwrap().download.unwrap().items_cold.unwrap().len(), 11);
        for bad in [json!({"output": "!"}), json!({"exit_code": "1"}), json!({"cost_usd": "x"})] {
            assert!(serde_json::from_value::<TaskUpdateRequest>(bad).is_err());
        }
    }

    #[test]
    fn answers_have_the_keys_that_bots_read() {
        let manifest = json!({"a": 1});
        let text = |command| serde_json::to_value(PollResponse { command, session: None }).unwrap();
        assert_eq!(
            text(Command::Sleep { duration: 1.0, quarantined: false }),
            json!({"cmd": "sleep", "duration": 1.0, "quarantined": false})
        );
        assert_eq!(
            text(Command::BotRestart { message: "m" }),
            json!({"cmd": "bot_restart", "message": "m"})
        );
        assert_eq!(
            text(Command::Run { manifest: &manifest }),
            json!({"cmd": "run", "manifest": {"a": 1}})
        );
        assert_eq!(
            text(Command::Update { version: "v" }),
            json!({"cmd": "update", "version": "v"})
        );
        assert_eq!(
            text(Command::Terminate { task_id: "1" }),
            json!({"cmd": "terminate", "task_id": "1"})
        );
        assert_eq!(serde_json::to_string(&Empty {}).unwrap(), "{}");
        let response =
            TaskUpdateResponse { must_stop: false, stop_reason: None, ok: true, session: None };
        assert_eq!(
            serde_json::to_value(response).unwrap(),
            json!({"must_stop": false, "ok": true})
        );
    }
}
