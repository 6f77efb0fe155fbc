//! Node ports of services: one number for a port whatever its protocols, and a port that tells the health of balanced services.

use std::collections::HashMap;

use k8s_types::field::{Error, Path};
use k8s_types::policy::read::{Read, put};
use k8s_types::status::ApiError;
use serde_json::Value;

use super::{Allocator, Claims, Numbers, Reservation, claims, invalid, random};
use crate::registry::Registry;

fn has_node_ports(service: &Value) -> bool {
    matches!(service["spec"]["type"].text(), "NodePort" | "LoadBalancer")
}

/// Ports are chosen by the server, unless a balanced service wants none.
fn chooses(service: &Value) -> bool {
    let spec = &service["spec"];
    spec["type"] == "NodePort" || spec["allocateLoadBalancerNodePorts"].as_bool().unwrap_or(true)
}

fn needs_health_port(service: &Value) -> bool {
    let spec = &service["spec"];
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

impl Allocator {
    pub(super) async fn node_ports(
        &self,
        registry: &Registry,
        service: &mut Value,
        old: Option<&Value>,
        reservation: &mut Reservation,
    ) -> Result<(), ApiError> {
        let before = old.map(Claims::of).unwrap_or_default();
        if has_node_ports(service) {
            self.service_ports(registry, service, &before, reservation).await?;
        }
        if needs_health_port(service) {
            self.health_port(registry, service, &before, reservation).await?;
        }
        Ok(())
    }

    async fn service_ports(
        &self,
        registry: &Registry,
        service: &mut Value,
        before: &Claims,
        reservation: &mut Reservation,
    ) -> Result<(), ApiError> {
        let ports: Vec<(i64, i64)> = service["spec"]["ports"]
            .items()
            .iter()
            .map(|port| (port["port"].int().unwrap_or(0), port["nodePort"].int().unwrap_or(0)))
            .collect();
        // one node port for a port that is there with several protocols
        let mut of_port: HashMap<i64, u16> = HashMap::new();
        for (i, (port, asked)) in ports.iter().enumerate().filter(|(_, (_, asked))| *asked != 0) {
            let Ok(number) = u16::try_from(*asked) else { continue };
            if !before.ports.contains(&number) && !of_port.values().any(|n| *n == number) {
                let path = Path::new("spec").child("ports").index(i).child("nodePort");
                self.claim_port(registry, number, reservation)
                    .await?
                    .map_err(|why| invalid(service, &Error::invalid(&path, *asked, why).into()))?;
            }
            of_port.entry(*port).or_insert(number);
        }
        if !chooses(service) {
            return Ok(());
        }
        for (i, (port, _)) in ports.iter().enumerate().filter(|(_, (_, asked))| *asked == 0) {
            let number = match of_port.get(port) {
                Some(number) => *number,
                None => self
                    .choose_port(reservation)
                    .map_err(|why| ApiError::internal(format_args!("failed to allocate a nodePort: {why}")))?,
            };
            of_port.insert(*port, number);
            put(&mut service["spec"]["ports"][i], &["nodePort"], number);
        }
        Ok(())
    }

    async fn health_port(
        &self,
        registry: &Registry,
        service: &mut Value,
        before: &Claims,
        reservation: &mut Reservation,
    ) -> Result<(), ApiError> {
        let asked = service["spec"]["healthCheckNodePort"].int().unwrap_or(0);
        if asked == 0 {
            let number = self.choose_port(reservation).map_err(|why| {
                ApiError::internal(format_args!("failed to allocate a HealthCheck NodePort 0: {why}"))
            })?;
            put(service, &["spec", "healthCheckNodePort"], number);
            return Ok(());
        }
        match u16::try_from(asked) {
            Ok(number) if !before.ports.contains(&number) => {
                self.claim_port(registry, number, reservation).await?.map_err(|why| {
                    ApiError::internal(format_args!("failed to allocate requested HealthCheck NodePort {asked}: {why}"))
                })
            }
            _ => Ok(()),
        }
    }

    fn choose_port(&self, reservation: &mut Reservation) -> Result<u16, &'static str> {
        let (first, last) = self.inner.ports;
        let port_of = |number: u128| u16::try_from(u128::from(first) + number).unwrap_or(last);
        let mut taken = self.taken();
        let numbers = Numbers::of_ports(first, last);
        let number = numbers.choose(random(), |number| !taken.ports.contains(&port_of(number)));
        let port = port_of(number.ok_or("range is full")?);
        taken.ports.insert(port);
        reservation.marked.ports.insert(port);
        Ok(port)
    }

    async fn claim_port(
        &self,
        registry: &Registry,
        port: u16,
        reservation: &mut Reservation,
    ) -> Result<Result<(), String>, ApiError> {
        let (first, last) = self.inner.ports;
        if !(first..=last).contains(&port) {
            return Ok(Err(format!(
                "provided port is not in the valid range. The range of valid ports is {first}-{last}"
            )));
        }
        if claims::is_there(registry, &claims::port_key(port)).await? {
            return Ok(Err("provided port is already allocated".to_owned()));
        }
        if self.taken().ports.insert(port) {
            reservation.marked.ports.insert(port);
        }
        Ok(Ok(()))
    }
}
