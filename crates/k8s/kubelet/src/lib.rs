//! Runs the pods of one node: what the API says is to run here, made so by a container runtime, and told back.
//!
//! It talks to the cluster only through the API and to containers only through the traits of `pods`. Nothing is asked again and again: a pod is looked at when
//! it changed, when something happened to its containers, when a probe's result changed, or when a moment came that was waited for.
//!
//! - [`config`]: what a node is told about itself
//! - [`lookup`]: the pods of this node and their containers, for those who serve them
//! - [`sources`]: config maps and secrets that pods name, each watched once
//! - [`volumes`]: folders and files of a pod, and what keeps them as the API says
//! - [`environment`]: variables, commands and arguments of a container
//! - [`security`]: who a container's processes are and what they may do
//! - [`network_files`]: names of a pod: host name, `/etc/hosts`, `/etc/resolv.conf`
//! - [`server`]: logs, exec, attach, ports and statistics over HTTPS

pub mod config;
pub mod environment;
pub mod kubelet;
pub mod lookup;
pub mod network_files;
pub mod security;
pub mod server;
pub mod sources;
pub mod volumes;

pub use config::Config;
pub use kubelet::{Error, Kubelet};
