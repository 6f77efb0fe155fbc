//! Errors of this crate: what was attempted, and the class a caller acts on.

use std::net::{IpAddr, SocketAddr};

use crate::network::BadSubnet;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Class of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    NotFound,
    Conflict,
    Invalid,
    Denied,
    Unavailable,
    Unimplemented,
    Internal,
}

/// What can go wrong with networks; the texts are docker's where docker has one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("network {0} not found")]
    NoSuchNetwork(String),
    #[error("network {0} is ambiguous ({1} matches found on ID prefix)")]
    Ambiguous(String, usize),
    #[error("network with name {0} already exists")]
    NameTaken(String),
    #[error("{0} is a pre-defined network and cannot be removed")]
    RemovePredefined(String),
    #[error("operation is not permitted on predefined {0} network")]
    Predefined(String),
    #[error("error while removing network: network {network} has active endpoints ({endpoints})")]
    InUse { network: String, endpoints: String },
    #[error("only one instance of \"{0}\" network is allowed")]
    OnlyOne(String),
    #[error("cannot create network: bridge name {bridge} is used by network {network}")]
    BridgeTaken { bridge: String, network: String },
    #[error("device {0} exists and is not a bridge")]
    NotABridge(String),
    #[error("no device for {0} in the sandbox")]
    NoDevice(String),
    #[error("{0}")]
    BadSpec(String),
    #[error("plugin \"{0}\" not found")]
    NoSuchDriver(String),
    #[error(transparent)]
    BadSubnet(#[from] BadSubnet),
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    PoolOverlaps,
    #[error("all predefined address pools have been fully subnetted")]
    PoolsExhausted,
    #[error("no available IPv4 addresses on this network's address pools: {network} ({id})")]
    AddressesExhausted { network: String, id: String },
    #[error("user specified IP address is supported on user defined networks only")]
    AddressNotOnDefault,
    #[error("user specified IP address is supported only when connecting to networks with user configured subnets")]
    AddressWithoutSubnet,
    #[error("no configured subnet contains IP address {0}")]
    AddressOutside(IpAddr),
    #[error("Address already in use")]
    AddressInUse(IpAddr),
    #[error("endpoint with name {container} already exists in network {network}")]
    AlreadyConnected { container: String, network: String },
    #[error("container {container} is not connected to network {network}")]
    NotConnected { container: String, network: String },
    #[error("driver failed programming external connectivity on endpoint {name} ({endpoint}): {source}")]
    Publish { name: String, endpoint: String, source: Box<Error> },
    #[error("Bind for {ip}:{port} failed: port is already allocated")]
    PortAllocated { ip: IpAddr, port: u16 },
    #[error("failed to bind host port for {host}:{container}/{protocol}: {}", plain(.source))]
    PortBind { host: SocketAddr, container: SocketAddr, protocol: &'static str, source: std::io::Error },
    #[error("all ports are allocated")]
    NoFreePort,
    #[error("{0} is not implemented")]
    Unimplemented(String),
    #[error("{action}: {source}")]
    Netlink { action: String, source: netlink::Error },
    #[error("{action}: {source}")]
    Io { action: String, source: std::io::Error },
    #[error("network database: {0}")]
    Database(Box<redb::Error>),
    #[error("network {id} in the database: {source}")]
    Record { id: String, source: serde_json::Error },
}

/// The error in docker's words, which carry no number.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        std::io::ErrorKind::AddrNotAvailable => "cannot assign requested address".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

pub(crate) fn netlink_error(action: impl Into<String>) -> impl FnOnce(netlink::Error) -> Error {
    let action = action.into();
    move |source| Error::Netlink { action, source }
}

pub(crate) fn io_error<E: Into<std::io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Error {
    let action = action.into();
    move |source| Error::Io { action, source: source.into() }
}

pub(crate) fn database_error<E: Into<redb::Error>>(source: E) -> Error {
    Error::Database(Box::new(source.into()))
}

impl Error {
    /// The class of this error.
    pub fn kind(&self) -> Kind {
        match self {
            Error::NoSuchNetwork(_) | Error::NoSuchDriver(_) => Kind::NotFound,
            Error::NotConnected { .. } => Kind::Denied,
            Error::NameTaken(_) => Kind::Conflict,
            Error::RemovePredefined(_)
            | Error::Predefined(_)
            | Error::InUse { .. }
            | Error::PoolOverlaps
            | Error::OnlyOne(_)
            | Error::BridgeTaken { .. }
            | Error::AddressInUse(_)
            | Error::AlreadyConnected { .. } => Kind::Denied,
            Error::Ambiguous(..)
            | Error::BadSpec(_)
            | Error::BadSubnet(_)
            | Error::AddressNotOnDefault
            | Error::AddressWithoutSubnet
            | Error::AddressOutside(_) => Kind::Invalid,
            Error::PoolsExhausted | Error::AddressesExhausted { .. } => Kind::Unavailable,
            Error::Publish { source, .. } => source.kind(),
            // dockerd answers 500 to a port that is taken
            Error::PortAllocated { .. } | Error::PortBind { .. } | Error::NoFreePort => Kind::Internal,
            Error::Unimplemented(_) => Kind::Unimplemented,
            Error::NotABridge(_) | Error::NoDevice(_) => Kind::Internal,
            Error::Netlink { .. } | Error::Io { .. } | Error::Database(_) | Error::Record { .. } => Kind::Internal,
        }
    }
}
