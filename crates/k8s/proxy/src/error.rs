//! What can go wrong with services on a node.

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}: {source}")]
    Netlink { what: &'static str, source: netlink::Error },
    #[error("{0:?} is no subnet: want ADDRESS/BITS")]
    Subnet(String),
    #[error("start the thread that keeps services: {0}")]
    Thread(std::io::Error),
}

pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn failed(what: &'static str) -> impl Fn(netlink::Error) -> Error {
    move |source| Error::Netlink { what, source }
}
