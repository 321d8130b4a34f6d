//! Ids. A [`JobId`] can never be passed for a [`GroupId`].

use std::fmt;

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

integer_id!(
    /// A unit of work with a history. Positive; unique for the life of a data directory. The executor protocol wants an
    /// integer, so it is one everywhere.
    JobId,
    u64
);
integer_id!(
    /// A set of jobs that finishes exactly once: an execution.
    GroupId,
    u64
);
integer_id!(
    /// Which try of a job, from 1. Never reused.
    AttemptNumber,
    u32
);

integer_id!(
    /// An action: a definition that is run again and again.
    ActionId,
    u64
);
integer_id!(
    /// A query that is run again and again.
    SavedSearchId,
    u64
);
integer_id!(
    /// The patches of one end of an execution, or those that a client sent.
    PatchSetId,
    u64
);
integer_id!(
    /// What is to become one changeset.
    PatchId,
    u64
);
integer_id!(
    /// A campaign.
    CampaignId,
    u64
);
integer_id!(
    /// A changeset of a campaign: a branch of a repository, and maybe its pull request.
    ChangesetId,
    u64
);
integer_id!(
    /// An operation over many changesets.
    BulkOperationId,
    u64
);
integer_id!(
    /// A code host.
    CodeHostId,
    u64
);
integer_id!(
    /// An access token, not its secret.
    AccessTokenId,
    u64
);

/// The unguessable right to one attempt: the attempt's number and a keyed digest over job, attempt and runner.
///
/// It is derived, not stored, so a copy of the database holds no usable token. On the wire it is 40 hex digits, the shape of
/// a Sourcegraph job token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub [u8; 20]);

impl LeaseToken {
    /// The attempt that the token claims to be for. Only the engine can say whether the claim is true.
    pub fn attempt(&self) -> AttemptNumber {
        AttemptNumber(u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]))
    }

    pub fn parse_hex(text: &str) -> Result<Self, ParseTokenError> {
        let bytes = text.as_bytes();
        if bytes.len() != 40 {
            return Err(ParseTokenError);
        }
        let mut out = [0u8; 20];
        for (i, pair) in bytes.chunks_exact(2).enumerate() {
            out[i] = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Ok(Self(out))
    }

    pub fn to_hex(&self) -> String {
        use fmt::Write;
        self.0.iter().fold(String::with_capacity(40), |mut s, b| {
            let _ = write!(s, "{b:02x}");
            s
        })
    }
}

/// SECURITY: a token must not reach a log by way of `{:?}`.
impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseToken(attempt {}, …)", self.attempt())
    }
}

/// The text is not 40 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseTokenError;

impl fmt::Display for ParseTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a job token is 40 hexadecimal digits")
    }
}

impl std::error::Error for ParseTokenError {}

fn hex_digit(byte: u8) -> Result<u8, ParseTokenError> {
    (byte as char).to_digit(16).map(|d| d as u8).ok_or(ParseTokenError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_round_trips_and_names_its_attempt() {
        let mut bytes = [7u8; 20];
        bytes[..4].copy_from_slice(&3u32.to_be_bytes());
        let token = LeaseToken(bytes);
        assert_eq!(LeaseToken::parse_hex(&token.to_hex()), Ok(token));
        assert_eq!(token.attempt(), AttemptNumber(3));
        assert!(!format!("{token:?}").contains("0707"));
        assert!(LeaseToken::parse_hex("zz").is_err());
        assert!(LeaseToken::parse_hex(&"é".repeat(20)).is_err());
    }
}
