//! Removing a group and everything beneath it.
