//! What a bot measured while it ran a task, and what came out: parts of `task_update`.

use std::io::Read;

use serde::{Deserialize, Deserializer};

use super::wire::TaskUpdateRequest;
use crate::proto::swarming as proto;

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct OperationStats {
    /// Seconds.
    pub duration: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct IsolatedStats {
    pub download: Option<CasStats>,
    pub upload: Option<CasStats>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct CasStats {
    pub duration: Option<f64>,
    pub initial_number_items: Option<i64>,
    pub initial_size: Option<i64>,
    /// Packed sizes, passed on as they are.
    #[serde(deserialize_with = "base64_bytes")]
    pub items_cold: Option<Vec<u8>>,
    #[serde(deserialize_with = "base64_bytes")]
    pub items_hot: Option<Vec<u8>>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct NamedCachesStats {
    pub install: Option<OperationStats>,
    pub uninstall: Option<OperationStats>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct CipdPins {
    pub client_package: Option<CipdPackage>,
    pub packages: Option<Vec<CipdPackage>>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct CipdPackage {
    pub package_name: Option<String>,
    pub version: Option<String>,
    pub path: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct CasReference {
    pub cas_instance: Option<String>,
    pub digest: Option<Digest>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Digest {
    pub hash: Option<String>,
    #[serde(deserialize_with = "number")]
    pub size_bytes: i64,
}

impl From<CasReference> for proto::CasReference {
    fn from(of: CasReference) -> Self {
        let digest = of.digest.unwrap_or_default();
        let digest =
            proto::Digest { hash: digest.hash.unwrap_or_default(), size_bytes: digest.size_bytes };
        Self { cas_instance: of.cas_instance.unwrap_or_default(), digest: Some(digest) }
    }
}

impl From<CipdPackage> for proto::CipdPackage {
    fn from(of: CipdPackage) -> Self {
        Self {
            package_name: of.package_name.unwrap_or_default(),
            version: of.version.unwrap_or_default(),
            path: of.path.unwrap_or_default(),
        }
    }
}

impl From<CipdPins> for proto::CipdPins {
    fn from(of: CipdPins) -> Self {
        let packages = of.packages.unwrap_or_default();
        Self {
            client_package: of.client_package.map(Into::into),
            packages: packages.into_iter().map(Into::into).collect(),
        }
    }
}

impl TaskUpdateRequest {
    /// What `GetResult` shows of it when asked for statistics.
    pub fn performance_stats(&self) -> proto::PerformanceStats {
        // What did not take place is left out.
        let operation = |of: Option<&OperationStats>| {
            let duration = seconds(of?.duration);
            (duration != 0.0).then_some(proto::OperationStats { duration })
        };
        let transfer = |of: Option<&CasStats>| {
            let stats = proto::CasOperationStats::from(of?);
            (stats != proto::CasOperationStats::default()).then_some(stats)
        };
        let isolated = self.isolated_stats.as_ref();
        let caches = self.named_caches_stats.as_ref();
        proto::PerformanceStats {
            bot_overhead: seconds(self.bot_overhead),
            isolated_download: transfer(isolated.and_then(|of| of.download.as_ref())),
            isolated_upload: transfer(isolated.and_then(|of| of.upload.as_ref())),
            package_installation: operation(self.cipd_stats.as_ref()),
            cache_trim: operation(self.cache_trim_stats.as_ref()),
            named_caches_install: operation(caches.and_then(|of| of.install.as_ref())),
            named_caches_uninstall: operation(caches.and_then(|of| of.uninstall.as_ref())),
            cleanup: operation(self.cleanup_stats.as_ref()),
        }
    }
}

impl From<&CasStats> for proto::CasOperationStats {
    fn from(of: &CasStats) -> Self {
        let bytes = |of: &Option<Vec<u8>>| of.clone().unwrap_or_default().into();
        let initial = of.initial_number_items.unwrap_or_default();
        let (num_items_cold, total_bytes_items_cold) = count_and_sum(of.items_cold.as_deref());
        let (num_items_hot, total_bytes_items_hot) = count_and_sum(of.items_hot.as_deref());
        Self {
            duration: seconds(of.duration),
            initial_number_items: i32::try_from(initial).unwrap_or(i32::MAX),
            initial_size: of.initial_size.unwrap_or_default(),
            items_cold: bytes(&of.items_cold),
            items_hot: bytes(&of.items_hot),
            num_items_cold,
            total_bytes_items_cold,
            num_items_hot,
            total_bytes_items_hot,
        }
    }
}

/// How many sizes there are in a packed set of them, and what they come to. The set is zlib's stream of differences to the size
/// before, each in groups of seven bits, the lowest first. A broken one counts for nothing.
fn count_and_sum(packed: Option<&[u8]>) -> (i64, i64) {
    /// SECURITY: a few bytes can unpack to any number.
    const UNPACKED_MAX: u64 = 16 * 1024 * 1024;
    let mut bytes = Vec::new();
    let Some(packed) = packed else { return (0, 0) };
    let unpack = flate2::read::ZlibDecoder::new(packed);
    if unpack.take(UNPACKED_MAX + 1).read_to_end(&mut bytes).is_err()
        || bytes.len() as u64 > UNPACKED_MAX
    {
        return (0, 0);
    }
    let (mut count, mut sum, mut size, mut step, mut shift) = (0_i64, 0_i64, 0_i64, 0_i64, 0_u32);
    for byte in bytes {
        // More is no size.
        if shift > 56 {
            return (0, 0);
        }
        step = step.saturating_add(i64::from(byte & 0x7f) << shift);
        if byte & 0x80 != 0 {
            shift += 7;
            continue;
        }
        size = size.saturating_add(step);
        count += 1;
        sum = sum.saturating_add(size);
        (step, shift) = (0, 0);
    }
    (count, sum)
}

/// The client API has less precision.
fn seconds(of: Option<f64>) -> f32 {
    of.unwrap_or_default().clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

/// Standard base64, in lines or not.
pub(super) fn base64_bytes<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Vec<u8>>, D::Error> {
    use base64::Engine as _;
    let Some(mut text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    text.retain(|c| !c.is_ascii_whitespace());
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    bytes.map(Some).map_err(|error| serde::de::Error::custom(format!("bad base64: {error}")))
}

/// A whole number, or the text of one.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    match Option::<Either>::deserialize(from)? {
        None => Ok(0),
        Some(Either::Number(number)) => Ok(number),
        Some(Either::Text(text)) => text
            .parse()
            .map_err(|_| serde::de::Error::custom("expected a number or the text of one")),
    }
}
