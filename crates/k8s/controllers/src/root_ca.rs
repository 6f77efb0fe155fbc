//! Publishes the cluster's authority in every namespace, as the config map `kube-root-ca.crt`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};

use k8s_client::follow::{self, Meta};
use k8s_client::queue::Queue;

const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
/// Where the API server tells its authority.
const SOURCE: (&str, &str, &str) = ("kube-system", "extension-apiserver-authentication", "client-ca-file");

/// Runs until dropped.
pub async fn run(client: Client) {
    let queue: Queue<String> = Queue::default();
    let named = follow::config().fields(&format!("metadata.name={NAME}"));
    let source = follow::config().fields(&format!("metadata.name={}", SOURCE.1));
    let all = |name: &str| queue.add(name.to_owned());
    tokio::join!(
        follow::objects(Api::<Meta<Namespace>>::all(client.clone()), follow::config(), |event| {
            follow::object(event).iter().for_each(|namespace| all(&namespace.name_any()));
        }),
        follow::objects(Api::<Meta<ConfigMap>>::all(client.clone()), named, |event| {
            follow::object(event).iter().filter_map(|map| map.namespace()).for_each(|namespace| all(&namespace));
        }),
        follow::objects(Api::<Meta<ConfigMap>>::namespaced(client.clone(), SOURCE.0), source, |event| {
            // Another authority: everywhere.
            if follow::object(event).is_some() {
                all("");
            }
        }),
        queue.clone().work("root-ca-publisher", 2, |namespace| sync(client.clone(), queue.clone(), namespace)),
    );
}

/// Publishes in one namespace, or looks at all where the name is empty.
async fn sync(client: Client, queue: Queue<String>, namespace: String) -> kube::Result<()> {
    if namespace.is_empty() { everywhere(&client, &queue).await } else { publish(&client, &namespace).await }
}

async fn everywhere(client: &Client, queue: &Queue<String>) -> kube::Result<()> {
    let namespaces = Api::<Meta<Namespace>>::all(client.clone()).list(&Default::default()).await?;
    namespaces.items.iter().for_each(|namespace| queue.add(namespace.name_any()));
    Ok(())
}

async fn publish(client: &Client, namespace: &str) -> kube::Result<()> {
    let Some(found) = Api::<Meta<Namespace>>::all(client.clone()).get_opt(namespace).await? else { return Ok(()) };
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let source = Api::<ConfigMap>::namespaced(client.clone(), SOURCE.0).get_opt(SOURCE.1).await?;
    let Some(authority) = source.and_then(|map| map.data?.remove(SOURCE.2)) else { return Ok(()) };
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let wanted = BTreeMap::from([(KEY.to_owned(), authority)]);
    match api.get_opt(NAME).await? {
        Some(map) if map.data.as_ref() == Some(&wanted) => Ok(()),
        Some(map) => {
            let stale = map.data.unwrap_or_default().into_keys().filter(|key| key != KEY).map(|key| (key, None));
            let data: BTreeMap<String, Option<String>> =
                wanted.into_iter().map(|(key, value)| (key, Some(value))).chain(stale).collect();
            let patch = Patch::Merge(serde_json::json!({ "data": data }));
            api.patch(NAME, &PatchParams::default(), &patch).await.map(drop)
        }
        None => {
            let text = "The authority that signs what the API server and the cluster's parts show each other.";
            let metadata = ObjectMeta {
                name: Some(NAME.to_owned()),
                annotations: Some(BTreeMap::from([("kubernetes.io/description".to_owned(), text.to_owned())])),
                ..ObjectMeta::default()
            };
            let map = ConfigMap { metadata, data: Some(wanted), ..ConfigMap::default() };
            crate::ignore_present(api.create(&PostParams::default(), &map).await)
        }
    }
}
