//! The Kubernetes API over HTTPS: one registry that serves every kind, with admission, discovery and access control.
//!
//! ```text
//! TLS ─▶ http ─▶ auth (who, may they) ─▶ registry (verb over a row of the catalog) ─▶ admission ─▶ k8s-store
//! service(identity) ─────────▲
//! ```
//! An object in work is a `serde_json::Value`; what is stored, listed and watched is its canonical JSON (see [`stored`]), which lists and
//! watches send as it is. Nothing here knows a kind by itself: what differs between kinds is in the table of k8s-types and its policies.
//!
//! - [`server`]: opening, serving, the in-process service; [`config`] what it is told.
//! - [`catalog`]: the rows that are served now, built in and custom; [`registry`]: the verbs over a row.
//! - [`http`]: routes, negotiation, bodies; [`discovery`], health and metrics beside it.
//! - [`datastore`]: the store in the folder, or an etcd that several servers share.
//! - [`admission`], [`allocate`]: what changes or refuses objects on their way to the store.
//! - `proxy`: what nodes, pods and services answer themselves: logs, exec, ports, their HTTP, and what they use (`metrics.k8s.io`).
//! - [`auth`], [`pki`], [`bootstrap`], [`crd`]: who may what, keys, first objects, custom resources.

pub mod admission;
pub mod allocate;
pub mod auth;
pub mod authorize;
pub mod bootstrap;
pub mod catalog;
pub mod config;
pub mod crd;
pub mod datastore;
pub mod discovery;
pub mod health;
pub mod http;
pub mod identity;
pub mod metrics;
pub mod pki;
mod proxy;
pub mod registry;
pub mod server;
pub mod stored;
#[cfg(test)]
mod testing;
pub mod watch;

pub use config::{Build, Config, OpenError};
pub use identity::Identity;
pub use server::ApiServer;
