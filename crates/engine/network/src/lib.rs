//! Networks of containers: address pools, bridges, endpoints and published ports.
