//! What every part of the cluster reads and writes the API with; it does not know who serves the API.
//!
//! - [`follow`]: one list, then every change, of objects or of their metadata alone
//! - [`informer`]: shared caches with indexes and handlers
//! - [`leader`]: one among several acts
//! - [`queue`]: keys to look at, once each, again after failure
//! - [`expectations`]: what was done that the cache does not show yet
//! - [`recorder`][]: events
//! - [`placement`]: whether a pod may be on a node by what both say of it

pub mod expectations;
pub mod follow;
pub mod informer;
pub mod leader;
pub mod placement;
pub mod queue;
pub mod recorder;

pub use expectations::Expectations;
pub use informer::{Change, Index, Informer, Informers, Subscription};
pub use leader::{Election, Leadership};
pub use queue::Queue;
pub use recorder::{Recorder, Severity};
