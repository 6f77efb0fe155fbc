//! How changes are written in the log.
