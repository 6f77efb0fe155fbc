//! Copies into and out of a root.
