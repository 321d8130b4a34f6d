//! What the pages read of Swarming's answers, in pRPC's JSON: names in camel case, large numbers as text, what is zero left out.

use jiff::Timestamp;
use serde::Deserialize;

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty,)* })+) => {$(
        $(#[$doc])*
        #[derive(Deserialize, Default, Clone)]
        #[serde(default, rename_all = "camelCase")]
        pub(crate) struct $name { $(pub $field: $kind,)* }
    )+};
}

messages! {
    Pair { key: String, value: String, }
    Dimension { key: String, value: Vec<String>, }
    Bot {
        bot_id: String,
        task_id: String,
        task_name: String,
        external_ip: String,
        authenticated_as: String,
        first_seen_ts: Option<Timestamp>,
        is_dead: bool,
        last_seen_ts: Option<Timestamp>,
        quarantined: bool,
        maintenance_msg: String,
        dimensions: Vec<Dimension>,
        version: String,
        // JSON, as the bot sent it.
        state: String,
        deleted: bool,
        termination_task_id: String,
    }
    BotPage { items: Vec<Bot>, cursor: String, matched: i64, counts: BotStates, draining: Vec<String>, standings: Vec<String>, }
    BotStates { all: i64, alive: i64, idle: i64, busy: i64, quarantined: i64, maintenance: i64, draining: i64, dead: i64, }
    History { points: Vec<Moment>, }
    /// How fleet and queue stood at one moment.
    Moment {
        at: Option<Timestamp>,
        queued: i64,
        running: i64,
        idle: i64,
        busy: i64,
        quarantined: i64,
        maintenance: i64,
        dead: i64,
    }
    BotEvent {
        ts: Option<Timestamp>,
        event_type: String,
        message: String,
        task_id: String,
        version: String,
        quarantined: bool,
        maintenance_msg: String,
        external_ip: String,
    }
    BotEvents { items: Vec<BotEvent>, cursor: String, }
    Dimensions { bots_dimensions: Vec<Dimension>, }
    Standing { draining: bool, standing: String, }
    TaskResult {
        task_id: String,
        run_id: String,
        name: String,
        user: String,
        tags: Vec<String>,
        state: String,
        failure: bool,
        internal_failure: bool,
        // 64 bits.
        exit_code: Option<String>,
        duration: f64,
        created_ts: Option<Timestamp>,
        started_ts: Option<Timestamp>,
        completed_ts: Option<Timestamp>,
        abandoned_ts: Option<Timestamp>,
        modified_ts: Option<Timestamp>,
        bot_id: String,
        bot_version: String,
        bot_dimensions: Vec<Dimension>,
        bot_idle_since_ts: Option<Timestamp>,
        deduped_from: String,
        costs_usd: Vec<f64>,
        cost_saved_usd: f64,
        current_task_slice: usize,
        cas_output_root: Option<CasReference>,
        missing_cas: Vec<CasReference>,
        missing_cipd: Vec<Package>,
        cipd_pins: Option<Pins>,
        performance_stats: Option<Performance>,
        server_versions: Vec<String>,
    }
    TaskPage { items: Vec<TaskResult>, cursor: String, }
    Count { count: i64, }
    CasReference { cas_instance: String, digest: Digest, }
    Digest { hash: String, size_bytes: String, }
    Package { package_name: String, version: String, path: String, }
    Pins { client_package: Option<Package>, packages: Vec<Package>, }
    Operation { duration: f64, }
    CasOperation { duration: f64, num_items_cold: String, total_bytes_items_cold: String, num_items_hot: String, total_bytes_items_hot: String, }
    Performance {
        bot_overhead: f64,
        isolated_download: CasOperation,
        isolated_upload: CasOperation,
        package_installation: Operation,
        cache_trim: Operation,
        named_caches_install: Operation,
        named_caches_uninstall: Operation,
        cleanup: Operation,
    }
    TaskRequest {
        task_id: String,
        name: String,
        priority: i64,
        tags: Vec<String>,
        created_ts: Option<Timestamp>,
        user: String,
        authenticated: String,
        task_slices: Vec<Slice>,
        service_account: String,
        realm: String,
        parent_task_id: String,
        bot_ping_tolerance_secs: i64,
        pubsub_topic: String,
    }
    Slice { properties: Properties, expiration_secs: i64, wait_for_capacity: bool, }
    Properties {
        caches: Vec<Cache>,
        cipd_input: Option<CipdInput>,
        command: Vec<String>,
        relative_cwd: String,
        dimensions: Vec<Pair>,
        env: Vec<Pair>,
        env_prefixes: Vec<Dimension>,
        execution_timeout_secs: i64,
        grace_period_secs: i64,
        io_timeout_secs: i64,
        idempotent: bool,
        cas_input_root: Option<CasReference>,
        outputs: Vec<String>,
        secret_bytes: String,
    }
    Cache { name: String, path: String, }
    CipdInput { server: String, client_package: Option<Package>, packages: Vec<Package>, }
    WhyPending { state: String, conclusion: String, slices: Vec<SliceReason>, current_slice: usize, }
    SliceReason {
        expires_ts: Option<Timestamp>,
        matching: BotTally,
        sample_bots: Vec<String>,
        constraints: Vec<ConstraintReason>,
        ahead: i64,
        // Connected ones that are no bots.
        runners: i64,
    }
    ConstraintReason { key: String, values: Vec<ValueReason>, bots: BotTally, without: i64, sample_without: Vec<String>, }
    ValueReason { value: String, bots: i64, }
    BotTally { live: i64, free: i64, busy: i64, quarantined: i64, maintenance: i64, draining: i64, dead: i64, }
    // Where a task's output is.
    Place { job: String, attempt: u32, bytes: String, growing: bool, }
}

impl TaskResult {
    /// Whether it waits or runs.
    pub fn is_live(&self) -> bool {
        matches!(self.state.as_str(), "PENDING" | "RUNNING")
    }

    pub fn end(&self) -> Option<Timestamp> {
        self.completed_ts.or(if self.is_live() { None } else { self.abandoned_ts })
    }

    /// The value of its first tag of that key.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags
            .iter()
            .filter_map(|tag| tag.split_once(':'))
            .find(|(k, _)| *k == key)
            .map(|(_, v)| v)
    }
}

impl Bot {
    pub fn values(&self, key: &str) -> &[String] {
        let found = self.dimensions.iter().find(|dimension| dimension.key == key);
        found.map_or(&[], |dimension| &dimension.value)
    }
}
