//! How the binary is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // At a fixed address. A position-independent program has to write 40,000 addresses into 1.2 MB of its own memory
    // before it does anything, which takes longer than starting a container does otherwise; `sampan runtime` pays it
    // twice. Stack, heap and mappings are still placed at random by the kernel, as with Go's programs.
    for argument in ["-static", "-no-pie"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
