//! Networks of containers: address pools, bridges, endpoints and published ports.
//!
//! One [`Networks`] belongs to one daemon instance. It keeps the definitions of its networks in the daemon's
//! database, makes bridges and virtual Ethernet pairs over netlink, and owns one nf_tables table whose rules never
//! change: a bridge, a subnet or a published port is an element of one of its sets and maps. On networks that users define it answers names.
//!
//! What is *not* stored: addresses in use and published ports. Both belong to endpoints, an [`Endpoint`] is stored by
//! its owner with the container, and [`Networks::reconcile`] is told which of them live when a daemon starts.
//!
//! This crate knows namespaces only as descriptors: it never runs anything inside a container, never deletes a virtual
//! Ethernet pair that can die with its namespace, and leaves every other table of the host's firewall alone.
//!
//! All calls are synchronous and short (no more than a few milliseconds); callers on an async runtime may call
//! them directly where the documentation says so and otherwise from a blocking thread.

mod binding;
mod bridge;
mod config;
mod dns;
mod endpoint;
mod error;
pub mod files;
mod firewall;
mod ipam;
mod network;
mod networks;
mod pool;
mod ports;
mod records;
mod sandbox;

pub use config::{AddressPool, NetworkConfig};
pub use endpoint::{AttachRequest, BadMac, Endpoint, EndpointId, Live, MacAddr};
pub use error::{Error, Kind, Result};
pub use network::{Driver, Ipam, IpamPool, Network, NetworkId, NetworkSpec, Subnet, Subnet4, Subnet6};
pub use networks::{Networks, PODS, PodNetwork, Reconciled};
pub use ports::{BoundPort, HostPorts, PortRequest, Protocol};
pub use sandbox::run_inside;
