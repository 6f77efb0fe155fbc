//! Revisioned keys with watches, on an embedded log or on etcd.
