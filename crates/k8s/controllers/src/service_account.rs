//! Every namespace has the service account `default`; secrets with tokens go with their accounts.

use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::{Client, ResourceExt};

use k8s_client::follow::{self, Event, Meta};
use k8s_client::queue::Queue;

const NAME: &str = "default";
const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// Runs until dropped.
pub async fn run(client: Client) {
    tokio::join!(defaults(client.clone()), tokens(client));
}

/// Makes the account in every namespace.
async fn defaults(client: Client) {
    let queue: Queue<String> = Queue::default();
    let named = follow::config().fields(&format!("metadata.name={NAME}"));
    tokio::join!(
        follow::objects(Api::<Meta<Namespace>>::all(client.clone()), follow::config(), |event| {
            follow::object(event).iter().for_each(|namespace| queue.add(namespace.name_any()));
        }),
        follow::objects(Api::<Meta<ServiceAccount>>::all(client.clone()), named, |event| {
            if let Event::Delete(account) = event {
                account.namespace().into_iter().for_each(|namespace| queue.add(namespace));
            }
        }),
        queue.clone().work("service-account", 2, |namespace| make(client.clone(), namespace)),
    );
}

async fn make(client: Client, namespace: String) -> kube::Result<()> {
    let namespace = namespace.as_str();
    let Some(found) = Api::<Meta<Namespace>>::all(client.clone()).get_opt(namespace).await? else { return Ok(()) };
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    if Api::<Meta<ServiceAccount>>::namespaced(client.clone(), namespace).get_opt(NAME).await?.is_some() {
        return Ok(());
    }
    let api = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    crate::ignore_present(api.create(&PostParams::default(), &account).await)
}

/// Deletes secrets whose account is gone. Keys are namespaces and the names of secrets.
async fn tokens(client: Client) {
    let queue: Queue<(String, String)> = Queue::default();
    let gone: Queue<(String, String)> = Queue::default();
    let typed = follow::config().fields(&format!("type={TOKEN_TYPE}"));
    let key = |object: &dyn Fn() -> (Option<String>, String)| {
        let (namespace, name) = object();
        (namespace.unwrap_or_default(), name)
    };
    tokio::join!(
        follow::objects(Api::<Meta<Secret>>::all(client.clone()), typed, |event| {
            if let Event::Apply(secret) | Event::InitApply(secret) = event {
                queue.add(key(&|| (secret.namespace(), secret.name_any())));
            }
        }),
        follow::objects(Api::<Meta<ServiceAccount>>::all(client.clone()), follow::config(), |event| {
            if let Event::Delete(account) = event {
                gone.add(key(&|| (account.namespace(), account.name_any())));
            }
        }),
        gone.clone().work("token-cleaner", 1, |account| tokens_of(client.clone(), queue.clone(), account)),
        queue.clone().work("token-cleaner", 1, |secret| clean(client.clone(), secret)),
    );
}

/// Queues the secrets of an account.
async fn tokens_of(
    client: Client,
    queue: Queue<(String, String)>,
    (namespace, account): (String, String),
) -> kube::Result<()> {
    let params = kube::api::ListParams::default().fields(&format!("type={TOKEN_TYPE}"));
    let secrets = Api::<Meta<Secret>>::namespaced(client, &namespace).list(&params).await?;
    for secret in secrets.items.iter().filter(|secret| secret.annotations().get(ACCOUNT) == Some(&account)) {
        queue.add((namespace.clone(), secret.name_any()));
    }
    Ok(())
}

async fn clean(client: Client, (namespace, name): (String, String)) -> kube::Result<()> {
    let (namespace, name) = (namespace.as_str(), name.as_str());
    let secrets = Api::<Meta<Secret>>::namespaced(client.clone(), namespace);
    let Some(secret) = secrets.get_opt(name).await? else { return Ok(()) };
    let Some(account) = secret.annotations().get(ACCOUNT) else { return Ok(()) };
    let found = Api::<Meta<ServiceAccount>>::namespaced(client.clone(), namespace).get_opt(account).await?;
    let wanted = secret.annotations().get(ACCOUNT_UID);
    if found.is_some_and(|found| wanted.is_none_or(|uid| found.metadata.uid.as_ref() == Some(uid))) {
        return Ok(());
    }
    let only = Preconditions { uid: secret.metadata.uid.clone(), resource_version: None };
    crate::ignore_absent(secrets.delete(name, &DeleteParams::default().preconditions(only)).await)
}
