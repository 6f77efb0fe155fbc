//! Endpoints spread over slices so that little is written: an endpoint stays in the slice where it is, new ones go where something is written anyway.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_client::Expectations;
use k8s_client::informer::Key;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};

use super::desired::Group;
use super::text;

/// Whose slices they are.
pub struct Owner {
    pub reference: OwnerReference,
    pub labels: BTreeMap<String, String>,
}

/// Writes the slices of one service.
pub struct Slices<'a> {
    pub client: &'a Client,
    pub expected: &'a Expectations,
    pub key: &'a Key,
}

/// What has to be written.
#[derive(Debug, Default, PartialEq)]
pub struct Writes {
    pub create: Vec<EndpointSlice>,
    pub update: Vec<EndpointSlice>,
    pub delete: Vec<Arc<EndpointSlice>>,
}

impl Slices<'_> {
    /// Makes the slices that are there into what is wanted.
    pub async fn write(
        &self,
        owner: &Owner,
        there: Vec<Arc<EndpointSlice>>,
        groups: Vec<Group>,
        most: usize,
    ) -> kube::Result<()> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.key.0);
        let writes = fill(owner, &self.key.1, there, groups, most);
        self.expected.create(&text(self.key), writes.create.len());
        let mut first = Ok(());
        // what is new comes before what is old goes, or endpoints would be missing in between
        for slice in &writes.create {
            if let Err(error) = api.create(&PostParams::default(), slice).await {
                self.expected.created(&text(self.key));
                first = first.and(Err(error));
            }
        }
        for slice in &writes.update {
            let name = slice.metadata.name.as_deref().unwrap_or_default();
            first = first.and(api.replace(name, &PostParams::default(), slice).await.map(drop));
        }
        if first.is_ok() {
            for slice in &writes.delete {
                let name = slice.metadata.name.as_deref().unwrap_or_default();
                let only = Preconditions { uid: slice.metadata.uid.clone(), ..Preconditions::default() };
                let params = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
                first = first.and(crate::ignore_absent(api.delete(name, &params).await));
            }
        }
        match first {
            // the namespace is being deleted, or the service was
            Err(kube::Error::Api(status)) if status.code == 403 || status.code == 404 => Ok(()),
            other => other,
        }
    }
}

/// What has to be written so that the slices say what is wanted.
pub fn fill(owner: &Owner, service: &str, there: Vec<Arc<EndpointSlice>>, groups: Vec<Group>, most: usize) -> Writes {
    let mut writes = Writes::default();
    let mut left = there;
    for group in groups {
        let ports = sorted(&group.ports);
        let is_own = |slice: &Arc<EndpointSlice>| {
            let same_ports = sorted(slice.ports.as_deref().unwrap_or_default()) == ports;
            slice.address_type == group.family && same_ports && slice.metadata.deletion_timestamp.is_none()
        };
        let (own, others) = left.into_iter().partition(is_own);
        left = others;
        fill_group(owner, service, own, group, most, &mut writes);
    }
    writes.delete.extend(left.into_iter().filter(|slice| slice.metadata.deletion_timestamp.is_none()));
    writes
}

fn fill_group(
    owner: &Owner,
    service: &str,
    own: Vec<Arc<EndpointSlice>>,
    group: Group,
    most: usize,
    writes: &mut Writes,
) {
    let is_empty = group.endpoints.is_empty();
    let mut wanted: HashMap<String, Endpoint> =
        group.endpoints.into_iter().map(|endpoint| (identity(&endpoint), endpoint)).collect();
    let mut slices: Vec<(EndpointSlice, bool)> = Vec::new();
    for slice in &own {
        let mut new = EndpointSlice::clone(slice);
        let kept =
            slice.endpoints.iter().flatten().filter_map(|endpoint| wanted.remove(&identity(endpoint))).take(most);
        let kept: Vec<Endpoint> = kept.collect();
        let mut changed = slice.endpoints.as_deref().unwrap_or_default() != kept;
        new.endpoints = Some(kept);
        changed |= slice.metadata.labels.as_ref() != Some(&owner.labels);
        new.metadata.labels = Some(owner.labels.clone());
        slices.push((new, changed));
    }
    let mut rest: Vec<(String, Endpoint)> = wanted.into_iter().collect();
    rest.sort_by(|one, other| one.0.cmp(&other.0));
    let mut rest = rest.into_iter().map(|(_, endpoint)| endpoint).peekable();
    // first where something is written anyway, the fullest of those first; then one that is not, rather than a new one
    slices.sort_by_key(|(slice, changed)| (!*changed, std::cmp::Reverse(slice.endpoints.iter().flatten().count())));
    for (slice, changed) in &mut slices {
        let endpoints = slice.endpoints.get_or_insert_default();
        let room = most.saturating_sub(endpoints.len());
        let before = endpoints.len();
        endpoints.extend(rest.by_ref().take(room));
        *changed |= endpoints.len() != before;
    }
    while rest.peek().is_some() || is_empty && slices.is_empty() {
        let endpoints: Vec<Endpoint> = rest.by_ref().take(most).collect();
        writes.create.push(new_slice(owner, service, group.family, &group.ports, endpoints));
        if is_empty {
            break;
        }
    }
    let mut keep_one = is_empty;
    for (slice, changed) in slices {
        let used = slice.endpoints.as_ref().is_some_and(|endpoints| !endpoints.is_empty());
        if used || std::mem::take(&mut keep_one) {
            writes.update.extend(changed.then_some(slice));
        } else if let Some(old) = own.iter().find(|old| old.metadata.name == slice.metadata.name) {
            writes.delete.push(old.clone());
        }
    }
}

fn new_slice(
    owner: &Owner,
    service: &str,
    family: &str,
    ports: &[EndpointPort],
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{service}-")),
            labels: Some(owner.labels.clone()),
            owner_references: Some(vec![owner.reference.clone()]),
            ..ObjectMeta::default()
        },
        address_type: family.to_owned(),
        endpoints: Some(endpoints),
        ports: Some(ports.to_vec()),
    }
}

/// What makes an endpoint the same one after a change.
fn identity(endpoint: &Endpoint) -> String {
    let pod = endpoint.target_ref.as_ref().and_then(|reference| reference.uid.as_deref()).unwrap_or_default();
    format!("{} {pod}", endpoint.addresses.first().map_or("", String::as_str))
}

fn sorted(ports: &[EndpointPort]) -> Vec<(String, Option<i32>, String, Option<String>)> {
    let mut all: Vec<_> = ports
        .iter()
        .map(|port| {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            (port.name.clone().unwrap_or_default(), port.port, protocol, port.app_protocol.clone())
        })
        .collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { reference: OwnerReference::default(), labels: BTreeMap::new() }
    }

    fn group(last: impl IntoIterator<Item = u16>) -> Group {
        let endpoint =
            |n: u16| Endpoint { addresses: vec![format!("10.42.{}.{}", n / 256, n % 256)], ..Endpoint::default() };
        Group { family: "IPv4", ports: vec![], endpoints: last.into_iter().map(endpoint).collect() }
    }

    /// As the server would have them afterwards.
    fn stored(mut there: Vec<Arc<EndpointSlice>>, writes: Writes) -> Vec<Arc<EndpointSlice>> {
        let name = |slice: &EndpointSlice| slice.metadata.name.clone();
        there.retain(|slice| !writes.delete.iter().any(|gone| name(gone) == name(slice)));
        for slice in writes.update {
            let at = there.iter().position(|old| name(old) == name(&slice)).expect("it is there");
            there[at] = Arc::new(slice);
        }
        for (n, mut slice) in writes.create.into_iter().enumerate() {
            slice.metadata.name = Some(format!("s{}", there.len() + n * 1000));
            there.push(Arc::new(slice));
        }
        there
    }

    fn count(slices: &[Arc<EndpointSlice>]) -> Vec<usize> {
        slices.iter().map(|slice| slice.endpoints.iter().flatten().count()).collect()
    }

    #[test]
    fn few_slices_are_written() {
        let writes = fill(&owner(), "web", vec![], vec![group(0..250)], 100);
        assert_eq!((writes.create.len(), writes.update.len()), (3, 0));
        let there = stored(vec![], writes);
        assert_eq!(count(&there), [100, 100, 50]);
        assert_eq!(fill(&owner(), "web", there.clone(), vec![group(0..250)], 100), Writes::default());
        // one goes and one comes: one write
        let writes = fill(&owner(), "web", there.clone(), vec![group((1..250).chain([400]))], 100);
        assert_eq!((writes.create.len(), writes.update.len(), writes.delete.len()), (0, 1, 0));
        let writes = fill(&owner(), "web", there.clone(), vec![group(0..251)], 100);
        assert_eq!((writes.create.len(), writes.update.len(), writes.delete.len()), (0, 1, 0));
        let writes = fill(&owner(), "web", there.clone(), vec![group([])], 100);
        assert_eq!(
            (writes.create.len(), writes.update.len(), writes.delete.len()),
            (0, 1, 2),
            "one says that there is nobody"
        );
    }

    #[test]
    fn nobody_is_said_once() {
        let there = stored(vec![], fill(&owner(), "web", vec![], vec![group([])], 100));
        assert_eq!(count(&there), [0]);
        assert_eq!(fill(&owner(), "web", there.clone(), vec![group([])], 100), Writes::default());
        let writes = fill(&owner(), "web", there.clone(), vec![group([1])], 100);
        assert_eq!((writes.create.len(), writes.update.len(), writes.delete.len()), (0, 1, 0));
        assert_eq!(fill(&owner(), "web", there, vec![], 100).delete.len(), 1);
    }
}
