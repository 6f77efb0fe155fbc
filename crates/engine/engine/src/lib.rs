//! The life cycle of containers: create, start, exec, logs, statistics, events, health and restart.
