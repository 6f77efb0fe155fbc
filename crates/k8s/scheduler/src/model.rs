//! The cluster as the scheduler sees it: nodes with what is placed on them, templates that many pods share, and a journal of what changed.

pub mod cluster;
pub mod journal;
pub mod namespaces;
pub mod node;
pub mod population;
pub mod resources;
pub mod template;
pub mod terms;
pub mod topology;
pub mod volumes;

pub use cluster::Cluster;
pub use node::{Load, NodeId, NodeInfo, Placed};
pub use resources::Resources;
pub use template::Template;
