//! The controllers that make pods, over an API server in this process and a kubelet that only says that it runs them.

mod cluster;
mod daemonset;
mod deployment;
mod job;
mod replication;
mod statefulset;
