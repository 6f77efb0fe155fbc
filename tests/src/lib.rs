//! Harness for the end-to-end tests: a daemon of its own in its own namespaces, and the stock clients.
