//! Our `.proto` files become types, and descriptors for their JSON.

use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["swarming", "config", "status", "prpc", "stored", "phalanx"]
        .map(|file| format!("proto/{file}.proto"));
    println!("cargo::rerun-if-changed=proto");
    let described = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), described.encode_to_vec())?;
    prost_build::Config::new()
        .bytes(["."])
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .include_file("wire.rs")
        .compile_fds(described)?;
    Ok(())
}
