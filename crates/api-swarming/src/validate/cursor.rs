//! How a page of a list leads to the next.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::prpc::Status;

/// Where a page ended. Opaque to clients; it names its call, because lists are ordered each in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    pub fn write(rpc: &str, last: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{rpc} {last}"))
    }

    /// `None` for the first page.
    pub fn read(rpc: &str, cursor: &str) -> Result<Option<Self>, Status> {
        if cursor.is_empty() {
            return Ok(None);
        }
        let bad = || Status::invalid("bad pagination cursor");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
        let text = String::from_utf8(bytes).map_err(|_| bad())?;
        match text.split_once(' ') {
            Some((of, last)) if of == rpc => Ok(Some(Self(last.to_owned()))),
            _ => Err(bad()),
        }
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// Of a list that is ordered by a number.
    pub fn number(rpc: &str, cursor: &str) -> Result<Option<u64>, Status> {
        let Some(Self(last)) = Self::read(rpc, cursor)? else { return Ok(None) };
        last.parse().map(Some).map_err(|_| Status::invalid("bad pagination cursor"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_only_its_own_calls() {
        let cursor = Cursor::write("ListTasks", "17");
        assert_eq!(Cursor::number("ListTasks", &cursor).unwrap(), Some(17));
        assert!(Cursor::read("ListTasks", "").unwrap().is_none());
        for (rpc, cursor) in
            [("ListBots", cursor.as_str()), ("ListTasks", "?"), ("ListTasks", "Zm9v")]
        {
            let Err(status) = Cursor::number(rpc, cursor) else { panic!("{cursor}") };
            assert_eq!(status.message, "bad pagination cursor");
        }
    }
}
