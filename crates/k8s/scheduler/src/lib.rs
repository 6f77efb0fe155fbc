//! Gives every pod a node.
