//! gRPC's codes, and how HTTP says them.

use bytes::Bytes;
use http::StatusCode;
use prost_types::Any;

/// The numbers are gRPC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    Ok = 0,
    Canceled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    pub fn http(self) -> StatusCode {
        let number = match self {
            Self::Ok => 200,
            Self::Canceled => 499,
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::ResourceExhausted => 429,
            Self::Unknown | Self::Internal | Self::DataLoss => 500,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        };
        StatusCode::from_u16(number).expect("these are statuses")
    }

    /// What a client is told instead of a message that may say too much.
    fn public(self) -> Option<&'static str> {
        match self {
            Self::Internal => Some("Internal server error"),
            Self::Unknown => Some("Unknown server error"),
            Self::Unavailable => Some("Service unavailable"),
            Self::DeadlineExceeded => Some("Request deadline exceeded"),
            Self::DataLoss => Some("Unrecoverable data loss or data corruption"),
            _ => None,
        }
    }
}

/// Why a call gives nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    pub code: Code,
    pub message: String,
    pub details: Vec<Any>,
    /// Where pRPC itself answers with another status than its code has.
    pub(super) http: Option<StatusCode>,
}

impl Status {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), http: None }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }

    /// Detail goes to the log, never to the client.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a call failed");
        Self::new(Code::Internal, "the server failed")
    }

    pub(super) fn with_http(mut self, status: StatusCode) -> Self {
        self.http = Some(status);
        self
    }

    /// The body of the answer.
    pub(super) fn text(&self) -> Bytes {
        let shown = match (self.http, self.code.public()) {
            (None, Some(public)) => public,
            _ => &self.message,
        };
        format!("{shown}\n").into()
    }
}
