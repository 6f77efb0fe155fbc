//! Controllers of the cluster; each talks only through the API.
