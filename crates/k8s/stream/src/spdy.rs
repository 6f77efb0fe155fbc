//! SPDY/3.1 as kubectl, the API servers and the kubelets speak it.
//!
//! Frames and header compression are those of the draft; of the rest only what those programs do: no flow control (nobody sends or obeys `WINDOW_UPDATE`, so
//! a stream that nobody reads holds the connection back once it has its megabyte), no priorities, no push.

pub mod connection;
pub mod frame;
pub mod headers;

pub use connection::{Connection, Stream, StreamEnd};
