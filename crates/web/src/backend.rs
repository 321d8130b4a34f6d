//! What the wiring hands to this door: who calls, how a query runs, what has changed, and the bytes of a log. It knows no
//! engine, no store and no GraphQL library.

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::Deserialize;
use serde_json::Value;

#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Whom this token belongs to, if to anyone.
    async fn caller(&self, token: &str) -> Option<Caller>;

    /// Runs a query with the caller's rights.
    async fn run(
        &self,
        caller: &Caller,
        query: &str,
        variables: Value,
    ) -> Result<Value, Vec<GraphError>>;

    /// Whether there is a door for Swarming's clients and bots.
    fn has_swarming(&self) -> bool;

    /// Runs a call of that door with the caller's rights. `method` is as on the wire, such as `swarming.v2.Tasks/GetResult`;
    /// request and answer are pRPC's JSON.
    async fn swarming(
        &self,
        caller: &Caller,
        method: &str,
        request: Value,
    ) -> Result<Value, GraphError>;

    /// Rings when something that the topic names has changed; the page then asks again.
    fn changes(&self, caller: &Caller, topic: Topic) -> BoxStream<'static, ()>;

    /// A piece of a job's log: at most `most` bytes from `offset`. Without an attempt, the newest. None when there is no such job
    /// or attempt, or the caller may not see it.
    async fn log(
        &self,
        caller: &Caller,
        job: u64,
        attempt: Option<u32>,
        offset: u64,
        most: usize,
    ) -> Option<LogPiece>;
}

/// Who asks. The token stays inside: pages can neither show nor log it.
#[derive(Clone)]
pub struct Caller {
    pub name: String,
    pub role: Role,
    token: String,
}

impl Caller {
    pub fn new(name: impl Into<String>, role: Role, token: impl Into<String>) -> Self {
        Self { name: name.into(), role, token: token.into() }
    }

    /// For the wiring, which may need it to find the caller's rights again.
    pub fn token(&self) -> &str {
        &self.token
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    Reader,
    User,
    Admin,
}

/// What a page listens to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Topic {
    Everything,
    /// An execution by number, its jobs included.
    Execution(u64),
    Job(u64),
    /// A job's log has grown or was closed.
    Log(u64),
    Campaign(String),
    /// Bots and tasks: always something has.
    Swarming,
}

impl Topic {
    /// As pages write it: `execution:7`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "everything" {
            return Some(Self::Everything);
        }
        if text == "swarming" {
            return Some(Self::Swarming);
        }
        let (kind, of) = text.split_once(':')?;
        match kind {
            "execution" => of.parse().ok().map(Self::Execution),
            "job" => of.parse().ok().map(Self::Job),
            "log" => of.parse().ok().map(Self::Log),
            "campaign" if !of.is_empty() => Some(Self::Campaign(of.to_owned())),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Everything => "everything".to_owned(),
            Self::Swarming => "swarming".to_owned(),
            Self::Execution(number) => format!("execution:{number}"),
            Self::Job(number) => format!("job:{number}"),
            Self::Log(number) => format!("log:{number}"),
            Self::Campaign(name) => format!("campaign:{name}"),
        }
    }
}

/// Bytes of a log as they were written.
pub struct LogPiece {
    pub bytes: Vec<u8>,
    /// How long the whole log is now.
    pub total: u64,
    /// Whether it can still grow.
    pub growing: bool,
}

/// An error as GraphQL says it; those of other calls are put into the same words.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct GraphError {
    pub message: String,
    #[serde(default)]
    pub path: Vec<Value>,
    #[serde(default)]
    pub extensions: Value,
}

impl GraphError {
    /// `NOT_FOUND`, `FORBIDDEN`, `BAD_INPUT` or `INTERNAL`.
    pub(crate) fn code(&self) -> &str {
        self.extensions["code"].as_str().unwrap_or("INTERNAL")
    }

    /// The argument that is wrong, when the server says which.
    pub(crate) fn field(&self) -> Option<&str> {
        self.extensions["field"].as_str()
    }
}
