//! Volumes over an API server in this process.
