//! Names and versions of CIPD packages.
//!
//! Facts: luci-go `cipd/common/common.go`, `cipd/common/iid.go`, `cipd/client/cipd/template/template.go`.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use super::path::{self, Directories};
use super::text::{only, quote};
use crate::proto::swarming::CipdPackage;

/// Packages in one task.
pub const MAX_PACKAGES: usize = 64;
/// Bytes in the path where a package goes.
pub const PATH_BYTES: usize = 256;

/// Upstream's server fills in names to see whether they are well formed; it runs on this.
const VARIABLES: [(&str, &str); 3] =
    [("os", "linux"), ("arch", "amd64"), ("platform", "linux-amd64")];

/// Go's decoder takes any bits at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A package's name, in which `${os}`, `${arch}` and `${platform}` may stand.
pub fn package_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("required".to_owned());
    }
    let filled =
        expand(name).map_err(|why| format!("bad package name template {}: {why}", quote(name)))?;
    let in_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
    let shown = quote(&filled);
    if !filled.split('/').all(|part| only(part, in_part)) {
        return Err(format!(
            r#"invalid package name {shown}: must be a slash-separated path where each component matches "[a-z0-9_\-\.]+""#
        ));
    }
    if filled.split('/').any(|part| part.bytes().all(|byte| byte == b'.')) {
        return Err(format!(
            "invalid package name {shown}: dots-only path components are forbidden"
        ));
    }
    Ok(())
}

fn expand(template: &str) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = template;
    let mut mistake = None;
    let mut skipped = false;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let (before, whole) = (&rest[..start], &rest[start..=start + length]);
        filled.push_str(before);
        rest = &rest[start + length + 1..];
        let inside = &whole[2..length];
        let (variable, wanted) = match inside.split_once('=') {
            Some((variable, values)) => (variable, Some(values)),
            None => (inside, None),
        };
        match VARIABLES.iter().find(|(name, _)| *name == variable) {
            Some((_, value))
                if wanted.is_none_or(|all| all.split(',').any(|one| one == *value)) =>
            {
                filled.push_str(value);
            }
            Some(_) => {
                skipped = true;
                filled.push_str(whole);
            }
            None => {
                mistake = Some(format!("unknown variable {}", quote(whole)));
                filled.push_str(whole);
            }
        }
    }
    filled.push_str(rest);
    if skipped {
        return Err("package template does not apply to the current system".to_owned());
    }
    if let Some(mistake) = mistake {
        return Err(mistake);
    }
    if filled.contains('$') {
        return Err(format!("unable to process some variables in {}", quote(template)));
    }
    Ok(filled)
}

/// An instance id, a ref, or a tag.
pub fn version(version: &str) -> Result<(), String> {
    if version.is_empty() {
        return Err("required".to_owned());
    }
    // What looks like an instance id is no ref, but it has passed already.
    if is_instance_id(version) || is_ref(version) || is_tag(version) {
        return Ok(());
    }
    Err(format!("bad version {}: not an instance ID, a ref or a tag", quote(version)))
}

/// Whether the version means the same package for ever.
pub fn is_pinned(version: &str) -> bool {
    is_instance_id(version) || is_tag(version)
}

/// SHA1 in hex, or a digest and one byte that names its algorithm, in base64.
fn is_instance_id(text: &str) -> bool {
    const SHA1_HEX: usize = 40;
    if text.len() == SHA1_HEX {
        return text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    }
    // Go's decoder skips line ends.
    let text = text.replace(['\r', '\n'], "");
    if text.len() < 28 {
        return false;
    }
    let Ok(bytes) = BASE64.decode(text) else { return false };
    match bytes.split_last() {
        Some((0, _)) | None => false,
        Some((1, digest)) => digest.len() == 20,
        Some((2, digest)) => digest.len() == 32,
        Some((_, digest)) => digest.len() % 2 == 0,
    }
}

fn is_ref(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_./-".contains(c);
    text.len() <= 256 && only(text, allowed)
}

fn is_tag(text: &str) -> bool {
    let in_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    let in_value = |c: char| c.is_ascii_alphanumeric() || "$()*+,-./:;<=>@\\_{}~ ".contains(c);
    let Some((key, value)) = text.split_once(':') else { return false };
    text.len() <= 400
        && only(key, in_key)
        && only(value, in_value)
        && !value.starts_with(' ')
        && !value.ends_with(' ')
}

/// Everything wrong with a task's packages, and with where they go beside what `directories` holds.
pub fn packages(
    packages: &[CipdPackage],
    pinned: bool,
    owner: &str,
    directories: &mut Directories,
) -> Vec<String> {
    let mut mistakes = Vec::new();
    if packages.len() > MAX_PACKAGES {
        mistakes.push(format!("can have up to {MAX_PACKAGES} packages"));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, package) in packages.iter().enumerate() {
        let CipdPackage { package_name: name, version: asked, path } = package;
        let mut found = Vec::new();
        found.extend(package_name(name).err().map(|why| format!("name: {why}")));
        found.extend(version(asked).err().map(|why| format!("version: {why}")));
        found.extend(path::check(path, PATH_BYTES, false).err().map(|why| format!("path: {why}")));
        if path.len() <= PATH_BYTES {
            // Packages may share a directory, hence one owner for all.
            directories.add(path, owner.to_owned(), format!("{name}:{asked}"));
        }
        if pinned && !is_pinned(asked) {
            found.push(
                "an idempotent task cannot have unpinned packages; \
                 use tags or instance IDs as package versions"
                    .to_owned(),
            );
        }
        mistakes.extend(found.into_iter().map(|why| format!("package {index} ({name}): {why}")));
        if !seen.insert((path, name)) {
            let name = quote(name);
            mistakes.push(format!("package {name} is specified more than once in path {path}"));
        }
    }
    mistakes.extend(directories.conflicts());
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, why) in [
            ("infra/tools/cas/${platform}", ""),
            ("a/${os}-${arch}", ""),
            ("a/${os=linux,mac}", ""),
            ("a.b/-_", ""),
            ("", "required"),
            (
                "A",
                r#"invalid package name "A": must be a slash-separated path where each component matches "[a-z0-9_\-\.]+""#,
            ),
            ("/a", "must be a slash-separated"),
            ("a//b", "must be a slash-separated"),
            ("a/..", "dots-only path components are forbidden"),
            ("a/${x}", r#"bad package name template "a/${x}": unknown variable "${x}""#),
            ("a/${os=mac}", "package template does not apply to the current system"),
            ("a/$os", r#"unable to process some variables in "a/$os""#),
            ("a/${os", "unable to process some variables"),
            ("${}", r#"unknown variable "${}""#),
        ] {
            match package_name(name) {
                Ok(()) => assert_eq!(why, "", "{name}"),
                Err(said) => assert!(!why.is_empty() && said.contains(why), "{name}: {said}"),
            }
        }
    }

    #[test]
    fn versions() {
        let sha256 = BASE64.encode([&[7_u8; 32][..], &[2]].concat());
        let other = BASE64.encode([&[7_u8; 32][..], &[0]].concat());
        for (text, good, pinned) in [
            ("latest", true, false),
            ("refs/heads/main", true, false),
            ("git_revision:abc", true, true),
            ("version:2@1.0 x", true, true),
            (&"a1".repeat(20), true, true),
            (&sha256, true, true),
            (&other, false, false),
            ("k: v", false, false),
            ("K:v", false, false),
            ("Latest", false, false),
            ("k:", false, false),
            (&"r".repeat(257), false, false),
            (&format!("k:{}", "v".repeat(399)), false, false),
        ] {
            assert_eq!((version(text).is_ok(), is_pinned(text)), (good, pinned), "{text}");
        }
        assert_eq!(version(""), Err("required".to_owned()));
        assert!(version("!").unwrap_err().contains(r#"bad version "!": not an instance ID"#));
    }
}
