//! The index by itself.
