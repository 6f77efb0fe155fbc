//! Streams of exec, attach and port-forward, over WebSocket and SPDY.
//!
//! A request is answered with 101 and becomes one of two things, whatever it speaks:
//!
//! ```text
//! Process::accept ─▶ Process { stdin, stdout, stderr, resize } ─▶ finish(outcome)
//! Ports::accept   ─▶ Ports ─▶ next() ─▶ Forward { port, input, output, error }
//! ```
//! What a peer does not read holds back who writes to it, what nobody takes from it holds the peer back; between them is a megabyte at most for each stream.
//! Dropping either ends the connection. [`Process::gone`] and [`Ports::gone`] tell when the peer is not there any more, a peer that was killed while
//! it was held back among them: something is written every few seconds where nothing else is.
//!
//! - [`websocket`]: RFC 6455, both sides; [`channels`]: Kubernetes' subprotocols in it
//! - [`spdy`]: SPDY/3.1 as kubectl and the kubelets speak it; [`tunnel`]: SPDY inside of WebSocket
//! - [`negotiate`]: which of them a request asks for
//! - [`wire`]: what writes to a peer
//!
//! It knows neither pods nor containers.

pub mod channels;
pub mod negotiate;
pub mod ports;
pub mod process;
pub mod spdy;
pub mod tunnel;
pub mod websocket;
pub mod wire;

pub use negotiate::{Accepted, Refused};
pub use ports::{Forward, Ports};
pub use process::{Outcome, Process, Size, Wanted};
pub use wire::{Gone, Writer};
