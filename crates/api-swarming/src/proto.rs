//! The messages of the wire, generated from `proto/`.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

#[expect(clippy::all, clippy::pedantic, reason = "it is generated")]
mod wire {
    include!(concat!(env!("OUT_DIR"), "/wire.rs"));
}

pub use wire::google::rpc;
pub use wire::luci::prpc;
pub use wire::phalanx as own;
pub use wire::phalanx::swarming as stored;
pub use wire::swarming::config;
pub use wire::swarming::v2 as swarming;

/// For JSON and text, which need the names.
pub(crate) static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    DescriptorPool::decode(&bytes[..]).expect("the build wrote them")
});
