//! Runs the pods of one node: what the API says is to run here, made so by a container runtime, and told back.
//!
//! It talks to the cluster only through the API and to containers only through the traits of `pods`. Nothing is asked again and again: a pod is looked at when
//! it changed, when something happened to its containers, when a probe's result changed, or when a moment came that was waited for.
//!
//! - [`kubelet`]: everything started and bound together
//! - [`config`], [`context`]: what a node is told about itself, what its workers share
//! - [`node`]: the node's own object, its lease, its addresses
//! - [`worker`]: one task for each pod: looks, plans, lets things be done, tells
//! - [`view`], [`observed`]: what is wanted, what is there
//! - [`plan`], [`status`], [`backoff`]: computed from both, by functions that do nothing else
//! - [`sandbox`], [`start`], [`end`], [`hooks`]: what is done
//! - [`probes`]: whether containers are well
//! - [`reporter`]: what the API is told
//! - [`admission`], [`pressure`], [`garbage`], [`logs`]: what a node bears
//! - [`static_pods`]: manifests in a folder of the node
//! - [`lookup`]: the pods of this node and their containers, for those who serve them
//! - [`sources`]: config maps and secrets that pods name, each watched once
//! - [`volumes`]: folders and files of a pod, and what keeps them as the API says
//! - [`environment`]: variables, commands and arguments of a container
//! - [`security`]: who a container's processes are and what they may do
//! - [`network_files`]: names of a pod: host name, `/etc/hosts`, `/etc/resolv.conf`
//! - [`server`]: logs, exec, attach, ports and statistics over HTTPS

mod admission;
mod backoff;
pub mod config;
mod context;
mod end;
pub mod environment;
mod garbage;
mod hooks;
pub mod kubelet;
mod last_words;
mod logs;
pub mod lookup;
pub mod network_files;
mod node;
mod observed;
mod plan;
mod pressure;
mod probes;
mod reporter;
mod sandbox;
pub mod security;
pub mod server;
pub mod sources;
mod start;
mod static_pods;
mod status;
mod view;
pub mod volumes;
mod worker;

pub use config::Config;
pub use kubelet::{Error, Kubelet};
