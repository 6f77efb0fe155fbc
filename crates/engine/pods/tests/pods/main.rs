//! Pods with real containers, each test on a host of its own: network namespace, mounts, folders and control groups.

mod life;
mod world;
