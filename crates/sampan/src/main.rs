//! Entry point: chooses the process's role from its name and first argument before any thread exists.

fn main() {}
