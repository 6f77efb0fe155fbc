//! Project chores: `cargo xtask dist|test|demo|tidy|bench`.

fn main() {}
