//! Gives every pod a node.
//!
//! ```text
//! caches ─▶ run ─▶ queue ─▶ decide ─▶ assumed on the node at once ─▶ bind (many at a time) ─▶ seen in the cache
//!                    ▲         └─ no node: preemption, condition, event ─▶ waits for what the rejecting rules care about
//!                    └───────────────────────────────────────────────────┘
//! ```
//! - [`model`]: the cluster as it is seen here, changed by events, with a journal of changes
//! - [`plugins`]: the rules, one file each
//! - [`queue`]: who waits, and for what ([`hints`])
//! - [`class`]: what is known for one template of pods, with nodes that are [`alike`] in groups; [`rank`] says how good they are, [`decide`] chooses by it,
//!   [`failure`] says why not, [`preemption`] makes room
//! - [`sources`] what is followed, [`run`] the task, [`bind`] and [`report`] what is written
//!
//! One task owns all state and decides; nothing in it waits for the API. A decision costs what changed since the last pod of the same template and one look at
//! each group of nodes that are alike: it grows neither with the nodes (beyond the number of ways in which they differ) nor with the pods.

pub mod alike;
pub mod bind;
pub mod class;
pub mod decide;
pub mod failure;
pub mod hints;
pub mod model;
pub mod plugins;
pub mod preemption;
pub mod queue;
pub mod rank;
pub mod report;
pub mod run;
pub mod sources;

pub use decide::{Choice, Decider};
use k8s_client::Informers;
pub use model::Cluster;
use tokio::task::JoinSet;

/// The running scheduler; it ends when this is dropped.
pub struct Scheduler {
    tasks: JoinSet<()>,
}

/// Starts it on caches that others share; must be called on a tokio runtime.
pub fn start(informers: &Informers) -> Scheduler {
    let mut tasks = JoinSet::new();
    tasks.spawn(run::run(informers.clone()));
    Scheduler { tasks }
}

impl Scheduler {
    /// Ends it. Bindings that are under way may or may not be written.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}
