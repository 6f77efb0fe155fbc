//! Pods with real containers, each test on a host of its own: network namespace, mounts, folders and control groups.

mod confinement;
mod death;
mod faults;
mod images;
mod life;
mod network;
mod speed;
mod streams;
mod world;
