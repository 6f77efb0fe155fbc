//! What kinds of objects there are, asked from the API.

use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope, verbs};

use k8s_client::follow::Meta;

/// A kind of objects.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Its names.
    pub resource: ApiResource,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether all objects of a namespace can be deleted at once.
    pub collection: bool,
}

impl Kind {
    /// The API for the metadata of objects of the kind; the namespace is left out for kinds of the cluster.
    pub fn api(&self, client: &Client, namespace: &str) -> Api<Meta<DynamicObject>> {
        if self.namespaced && !namespace.is_empty() {
            Api::namespaced_with(client.clone(), namespace, &self.resource)
        } else {
            Api::all_with(client.clone(), &self.resource)
        }
    }

    /// Group and plural name.
    pub fn key(&self) -> (String, String) {
        (self.resource.group.clone(), self.resource.plural.clone())
    }
}

/// All kinds whose objects can be listed, watched and deleted, each in the version that the server prefers.
pub async fn deletable(client: &Client) -> kube::Result<Vec<Kind>> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let all = discovery.groups().flat_map(|group| group.recommended_resources());
    Ok(all.filter_map(|(resource, capabilities)| kind(resource, &capabilities)).collect())
}

fn kind(resource: ApiResource, capabilities: &ApiCapabilities) -> Option<Kind> {
    let can = |verb: &str| capabilities.supports_operation(verb);
    // Events are in two groups and go by themselves; what a server only computes has no objects.
    let passing = resource.plural == "events";
    let wanted = can(verbs::LIST) && can(verbs::WATCH) && can(verbs::DELETE) && !passing;
    wanted.then(|| Kind {
        namespaced: capabilities.scope == Scope::Namespaced,
        collection: can(verbs::DELETE_COLLECTION),
        resource,
    })
}
