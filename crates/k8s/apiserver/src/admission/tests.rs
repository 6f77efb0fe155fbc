//! Plug-ins on a registry over a store in memory.
