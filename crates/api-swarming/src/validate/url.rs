//! URLs as Go's `net/url` reads them, which decides what a task may name as its CIPD server.
//!
//! Browsers, and with them the `url` crate, take or repair much of what Go refuses.

use super::text::{length, quote};

/// Bytes in the URL of a CIPD server.
const URL_BYTES: usize = 1024;

/// `https`, or `http` to this machine.
///
/// Facts: luci-go `swarming/server/validate/validate.go` (`CIPDServer`, `SecureURL`).
pub fn secure_url(text: &str) -> Result<(), String> {
    length(text, URL_BYTES)?;
    let (scheme, host) = parse(text)?;
    let is_local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
    match scheme.as_str() {
        _ if host.is_empty() => Err(format!("invalid URL {}", quote(text))),
        "https" => Ok(()),
        "http" if is_local => Ok(()),
        _ => Err(format!("{} is not secure", quote(text))),
    }
}

/// The scheme in lower case, and the host without its port. Both may be empty.
fn parse(text: &str) -> Result<(String, String), String> {
    let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
    let failed = |shown: &str, why: String| format!("parse {}: {why}", quote(shown));
    let parsed = without_fragment(url).map_err(|why| failed(url, why))?;
    escapes(fragment).map_err(|why| failed(text, why))?;
    Ok(parsed)
}

fn without_fragment(url: &str) -> Result<(String, String), String> {
    if url.chars().any(|c| c.is_ascii_control()) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    let (scheme, rest) = scheme(url)?;
    let scheme = scheme.to_ascii_lowercase();
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    if !path.starts_with('/') {
        if !scheme.is_empty() {
            return Ok((scheme, String::new()));
        }
        if path.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let has_authority = !scheme.is_empty() || !path.starts_with("///");
    let Some(rest) = path.strip_prefix("//").filter(|_| has_authority) else {
        escapes(path)?;
        return Ok((scheme, String::new()));
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match authority.rsplit_once('@') {
        None => host(authority)?,
        Some((user, at)) => {
            let host = host(at)?;
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
            if !user.chars().all(allowed) {
                return Err("net/url: invalid userinfo".to_owned());
            }
            user.splitn(2, ':').try_for_each(escapes)?;
            host
        }
    };
    escapes(path)?;
    Ok((scheme, host))
}

/// What is before the first `:`, if that can be a scheme, and what is behind it.
fn scheme(url: &str) -> Result<(&str, &str), String> {
    let in_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let end = url.find(|c: char| !in_scheme(c)).unwrap_or(url.len());
    match url[end..].strip_prefix(':') {
        Some(_) if end == 0 => Err("missing protocol scheme".to_owned()),
        Some(rest) if url.starts_with(|c: char| c.is_ascii_alphabetic()) => Ok((&url[..end], rest)),
        _ => Ok(("", url)),
    }
}

/// The name in `name:port`, or the address in `[address]:port`.
fn host(text: &str) -> Result<String, String> {
    match text.rfind('[') {
        Some(0) => {
            let end = text.rfind(']').ok_or("missing ']' in host")?;
            port(&text[end + 1..])?;
            let inside = &text[1..end];
            host_escapes(inside)?;
            let address = inside.split_once('%').map_or(inside, |(address, _)| address);
            if address.parse::<std::net::Ipv4Addr>().is_ok() {
                return Err("invalid IP-literal".to_owned());
            }
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                let shown = quote(inside);
                return Err(format!("invalid host: ParseAddr({shown}): unable to parse IP"));
            }
            Ok(inside.to_owned())
        }
        Some(_) => Err("invalid IP-literal".to_owned()),
        None => {
            let (name, after) = text.split_at(text.rfind(':').unwrap_or(text.len()));
            port(after)?;
            host_escapes(text)?;
            Ok(name.to_owned())
        }
    }
}

/// Nothing, or `:` and any digits.
fn port(text: &str) -> Result<(), String> {
    let digits = text.strip_prefix(':').or_else(|| text.is_empty().then_some(""));
    if digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return Ok(());
    }
    Err(format!("invalid port {} after host", quote(text)))
}

/// Every `%` has two hex digits behind it.
fn escapes(text: &str) -> Result<(), String> {
    each_escape(text).try_for_each(|escape| match escape {
        [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => Ok(()),
        bad => Err(bad_escape(bad)),
    })
}

/// In a host only bytes beyond ASCII, and `%` itself, may be escaped.
fn host_escapes(text: &str) -> Result<(), String> {
    for (index, byte) in text.bytes().enumerate() {
        if byte == b'%' {
            let escape = each_escape(&text[index..]).next().unwrap_or_default();
            match escape {
                b"%25" => {}
                [_, b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', low] if low.is_ascii_hexdigit() => {}
                bad => return Err(bad_escape(bad)),
            }
        } else if b" \\^`{|}/?#@".contains(&byte) {
            let shown = quote(char::from(byte).encode_utf8(&mut [0; 4]));
            return Err(format!("invalid character {shown} in host name"));
        }
    }
    Ok(())
}

/// Each `%` with up to two bytes behind it.
fn each_escape(text: &str) -> impl Iterator<Item = &[u8]> {
    text.match_indices('%').map(|(index, _)| {
        let rest = &text.as_bytes()[index..];
        &rest[..rest.len().min(3)]
    })
}

/// The bytes may end inside of a character.
fn bad_escape(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        shown.push_str(quote(chunk.valid()).trim_matches('"'));
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    format!("invalid URL escape \"{shown}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, why) in [
            ("https://cipd.example.com", ""),
            ("HTTPS://x:8080/path?q", ""),
            ("http://localhost:80", ""),
            ("http://127.0.0.1", ""),
            ("http://[::1]:9", ""),
            ("https://user:pw@host/", ""),
            ("https://%c3%a9.com", ""),
            ("http://example.com", "is not secure"),
            ("http://localhost.evil.com", "is not secure"),
            ("http://localhost@evil.com", "is not secure"),
            ("http://localhost:pwd@evil.com", "is not secure"),
            ("http://LOCALHOST", "is not secure"),
            ("ftp://localhost", "is not secure"),
            ("//localhost", "is not secure"),
            ("", r#"invalid URL """#),
            ("cipd.example.com", r#"invalid URL "cipd.example.com""#),
            ("https:cipd", "invalid URL"),
            ("https://", "invalid URL"),
            ("https://:80", "invalid URL"),
            ("https://a:b", r#"parse "https://a:b": invalid port ":b" after host"#),
            ("https://a:b:2", ""),
            ("https://a b", r#"invalid character " " in host name"#),
            ("https://a\\b", r#"invalid character "\\" in host name"#),
            ("https://a b@c", "net/url: invalid userinfo"),
            ("https://%41", r#"invalid URL escape "%41""#),
            ("https://a/%4", r#"invalid URL escape "%4""#),
            ("https://a/%4é", r#"invalid URL escape "%4\xc3""#),
            ("https://a#%", r#"parse "https://a#%": invalid URL escape "%""#),
            ("://x", "missing protocol scheme"),
            ("1a:b", "first path segment in URL cannot contain colon"),
            ("https://a\n", "invalid control character"),
            ("https://[::1", "missing ']' in host"),
            ("https://x[::1]", "invalid IP-literal"),
            ("https://[1.2.3.4]", "invalid IP-literal"),
            ("https://[x]", "invalid host: ParseAddr"),
        ] {
            match secure_url(text) {
                Ok(()) => assert_eq!(why, "", "{text}"),
                Err(said) => assert!(!why.is_empty() && said.contains(why), "{text}: {said}"),
            }
        }
        assert!(secure_url(&"x".repeat(1025)).unwrap_err().contains("1025 > 1024"));
    }
}
