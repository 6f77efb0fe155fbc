//! How the binary is linked, and what it says of itself: its compiler; `cargo xtask dist` tells commit and date.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // At a fixed address. A position-independent program has to write 40,000 addresses into 1.2 MB of its own memory
    // before it does anything, which takes longer than starting a container does otherwise; `sampan runtime` pays it
    // twice. Stack, heap and mappings are still placed at random by the kernel, as with Go's programs.
    for argument in ["-static", "-no-pie"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    for name in ["SAMPAN_COMMIT", "SAMPAN_BUILD_DATE"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("--version").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let words: Vec<&str> = said.split_whitespace().take(2).collect();
    let compiler = if words.is_empty() { "rustc".to_owned() } else { words.join(" ") };
    println!("cargo::rustc-env=SAMPAN_COMPILER={compiler}");
}
