//! Layers on disk and their shared mounts.
