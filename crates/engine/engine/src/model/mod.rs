//! The engine's own types: what is asked for, and the views it answers with.

pub mod config;
pub mod event;
pub mod exec;
pub mod filters;
pub mod host;
pub mod image;
pub mod mode;
pub mod mount;
pub mod network;
pub mod pod;
pub mod stats;
pub mod stream;
pub mod system;
pub mod view;
pub mod volume;
