//! Ids, times and numbers on the wire.

use async_graphql::{
    Context, Error, ID, InputValueError, InputValueResult, Scalar, ScalarType, Value,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use campaign::service::{Caller, Service};
use model::{LeaseToken, WallMs};
use std::sync::Arc;

use crate::status;

/// RFC 3339, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DateTime(pub WallMs);

#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let at: jiff::Timestamp =
            text.parse().map_err(|_| InputValueError::custom("not an RFC 3339 time"))?;
        Ok(Self(WallMs(u64::try_from(at.as_millisecond()).unwrap_or(0))))
    }

    fn to_value(&self) -> Value {
        let at = i64::try_from(self.0.0).ok();
        let at = at.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
        Value::String(at.to_string())
    }
}

/// A definition: a batch spec or an action definition, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsoncString(pub String);

#[Scalar(name = "JSONCString")]
impl ScalarType for JsoncString {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            value => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// An integer of up to 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BigInt(pub u64);

#[Scalar(name = "BigInt")]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => number.as_u64().map(Self),
            Value::String(text) => text.parse().ok().map(Self),
            _ => None,
        }
        .ok_or_else(|| InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}

/// A count for a field of type `Int`, which has 32 bits.
pub(crate) fn int(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The kinds of nodes. An id is the base64 of `Kind:key`, as Sourcegraph's are.
macro_rules! kinds {
    ($($kind:ident),*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($kind),* }

        impl Kind {
            fn name(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind)),* }
            }

            fn parse(name: &str) -> Option<Self> {
                match name { $(stringify!($kind) => Some(Self::$kind),)* _ => None }
            }
        }
    };
}

kinds!(
    Action,
    ActionExecution,
    ActionJob,
    Agent,
    Repository,
    CodeHost,
    SavedSearch,
    PatchSet,
    Patch,
    Campaign,
    CampaignChangeset,
    ExternalChangeset,
    BulkOperation,
    AccessToken,
    Secret,
    ChangesetEvent,
    User
);

pub(crate) fn id(kind: Kind, key: impl std::fmt::Display) -> ID {
    STANDARD.encode(format!("{}:{key}", kind.name())).into()
}

/// What an id names.
pub(crate) fn parse_any(id: &ID) -> Result<(Kind, String), Error> {
    let bad = || status::bad(format!("`{}` is not an id", shown(id)));
    let bytes = STANDARD.decode(id.as_str()).map_err(|_| bad())?;
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    let (kind, key) = text.split_once(':').ok_or_else(bad)?;
    Ok((Kind::parse(kind).ok_or_else(bad)?, key.to_owned()))
}

/// The key of an id of one kind.
pub(crate) fn key(id: &ID, wanted: Kind) -> Result<String, Error> {
    let (kind, key) = parse_any(id)?;
    if kind != wanted {
        let (kind, wanted) = (kind.name(), wanted.name());
        return Err(status::bad(format!("this is the id of a {kind}, not of a {wanted}")));
    }
    Ok(key)
}

/// As [`key`], for kinds whose keys are numbers.
pub(crate) fn number(id: &ID, wanted: Kind) -> Result<u64, Error> {
    let key = key(id, wanted)?;
    // An id that `pullActionJob` gave has its lease behind the number.
    let number = key.split(':').next().unwrap_or_default();
    number.parse().map_err(|_| status::bad(format!("`{}` is not an id", shown(id))))
}

/// The lease in an id that `pullActionJob` gave.
pub(crate) fn lease(id: &ID) -> Option<LeaseToken> {
    let key = key(id, Kind::ActionJob).ok()?;
    LeaseToken::parse_hex(key.split_once(':')?.1).ok()
}

fn shown(id: &ID) -> String {
    id.as_str().chars().filter(|c| !c.is_control()).take(80).collect()
}

/// A cursor: opaque to clients, the key of the last item to us.
pub(crate) fn cursor(key: impl std::fmt::Display) -> String {
    URL_SAFE_NO_PAD.encode(key.to_string())
}

pub(crate) fn from_cursor<K: std::str::FromStr>(cursor: Option<&str>) -> Result<Option<K>, Error> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bad = || status::bad("`after` is not a cursor of this list");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    text.parse().map(Some).map_err(|_| bad())
}

pub(crate) fn service<'a>(ctx: &Context<'a>) -> &'a Arc<Service> {
    ctx.data_unchecked::<Arc<Service>>()
}

pub(crate) fn caller<'a>(ctx: &Context<'a>) -> &'a Caller {
    ctx.data_unchecked::<Caller>()
}
