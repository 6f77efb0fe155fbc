//! What changed, in order: results that are kept catch up with it instead of being made again.

use std::collections::VecDeque;
use std::sync::Arc;

use super::node::NodeId;
use super::template::Template;

/// Who is further behind than this starts anew.
const KEPT: usize = 64 * 1024;

/// One change.
#[derive(Debug, Clone)]
pub enum Entry {
    /// What a node offers, or who it is kept for.
    Node(NodeId),
    /// Taints, images, labels (those that pods are not spread or gathered by), whether pods may be sent there.
    Properties(NodeId),
    /// An image is on more nodes, or on fewer.
    Image(Arc<str>),
    /// So many pods of a template more (or less) on a node.
    Pods { node: NodeId, template: Arc<Template>, by: i64, leaving: bool },
}

#[derive(Debug, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    /// The number of the first entry that is kept.
    first: u64,
}

impl Journal {
    pub fn push(&mut self, entry: Entry) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
            self.first += 1;
        }
        self.entries.push_back(entry);
    }

    /// The number that the next entry will have.
    pub fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The entries from a number on; `None` where some of them are not kept any more.
    pub fn since(&self, number: u64) -> Option<impl Iterator<Item = &Entry>> {
        let skip = number.checked_sub(self.first)?;
        Some(self.entries.range(usize::try_from(skip).ok()?.min(self.entries.len())..))
    }
}
