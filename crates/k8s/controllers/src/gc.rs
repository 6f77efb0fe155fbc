//! Deletes objects whose owners are gone; lets those wait that are deleted in the foreground, and be forgotten those that are orphaned.
//!
//! - [`graph`]: who owns whom, kept by watches of metadata alone; says what is to be looked at
//! - `monitors`: one watch for every kind, custom ones come and go
//! - `attempt`: looks at one object and does what is due; what is there now decides, not what was seen

mod attempt;
pub mod graph;
mod monitors;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;

use graph::{Graph, Work};
use k8s_client::queue::Queue;
use monitors::Kinds;

/// Objects that are looked at at the same time.
const WORKERS: usize = 8;

/// What the parts of the collector share.
struct Shared {
    client: Client,
    graph: Mutex<Graph>,
    kinds: Kinds,
    queue: Queue<Work>,
}

impl Shared {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the graph and queues what is to be looked at because of that.
    fn change(&self, change: impl FnOnce(&mut Graph) -> Vec<Work>) {
        let work = change(&mut self.graph());
        work.into_iter().for_each(|work| self.queue.add(work));
    }
}

/// Runs until dropped.
pub async fn run(client: Client) {
    let shared = Arc::new(Shared { client, graph: Mutex::default(), kinds: Kinds::default(), queue: Queue::default() });
    let look = |work: Work| look(shared.clone(), work);
    let work = shared.queue.clone().work("garbage-collector", WORKERS, look);
    tokio::join!(monitors::run(shared.clone()), work);
}

async fn look(shared: Arc<Shared>, work: Work) -> Result<(), attempt::Failure> {
    match work {
        Work::Delete(uid) => attempt::delete(&shared, uid).await,
        Work::Orphan(uid) => attempt::orphan(&shared, uid).await,
    }
}
