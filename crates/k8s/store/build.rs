//! Generates the messages and clients of etcd's API from the subset in `proto/`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/etcd.proto");
    let files = protox::compile(["etcd.proto"], ["proto"])?;
    tonic_prost_build::configure().build_server(false).emit_package(true).bytes(".").compile_fds(files)?;
    Ok(())
}
