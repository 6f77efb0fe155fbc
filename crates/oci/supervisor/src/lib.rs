//! The process that owns the containers and outlives the daemon, and the daemon's client for it.
