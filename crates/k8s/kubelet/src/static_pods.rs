//! Static pods: manifests in a folder of the node, run here whatever the scheduler says.
//!
//! The API has each of them as a *mirror pod*, bound to this node and owned by it, and it is the mirror that is run: status, logs and exec are those of any other pod. A manifest that
//! changed is another pod: the mirror of the old one is deleted first. A mirror that somebody deleted is made again, and the pod starts anew. While the API cannot be reached, what
//! runs goes on and what is new in the folder waits.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_client::Informer;
use k8s_openapi::api::core::v1::{Node, Pod, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use tokio::sync::Notify;

use crate::server::Watcher;

const MIRROR: &str = "kubernetes.io/config.mirror";
const HASH: &str = "kubernetes.io/config.hash";
const SOURCE: &str = "kubernetes.io/config.source";
/// An editor may write in several steps.
const SETTLE: Duration = Duration::from_millis(100);
/// Pause before what the API refused is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Why a manifest makes no pod.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("read it: {0}")]
    Read(#[from] std::io::Error),
    #[error("it is no pod: {0}")]
    Yaml(#[from] yaml_serde::Error),
    #[error("it has no name")]
    Nameless,
}

/// What follows the folder.
pub struct StaticPods {
    pub client: Client,
    pub folder: PathBuf,
    pub node: Informer<Node>,
    /// Those of this node.
    pub pods: Informer<Pod>,
}

/// Namespace and name.
type Name = (String, String);

impl StaticPods {
    /// Runs until dropped.
    pub async fn run(self) {
        self.pods.synced().await;
        let changed = Arc::new(Notify::new());
        let wake = changed.clone();
        let _pods = self.pods.on(move |_| wake.notify_one());
        let wake = changed.clone();
        let _node = self.node.on(move |_| wake.notify_one());
        let watcher = Watcher::default();
        let mut watching = watcher.watch(&self.folder.join("any"));
        loop {
            let done = self.round().await;
            let moved = async {
                match &mut watching {
                    Some(watching) => watching.changed().await,
                    None => std::future::pending().await,
                }
            };
            let again = async {
                match done {
                    Ok(()) => std::future::pending().await,
                    Err(_) => tokio::time::sleep(AGAIN).await,
                }
            };
            tokio::select! {
                () = moved => tokio::time::sleep(SETTLE).await,
                () = changed.notified() => {}
                () = again => {}
            }
        }
    }

    /// Makes the mirrors as the folder is.
    async fn round(&self) -> Result<(), kube::Error> {
        let Some(node) = self.node.list().into_iter().next() else { return Ok(()) };
        let wanted = read(&self.folder, &node);
        let there: BTreeMap<Name, Arc<Pod>> = self
            .pods
            .list()
            .into_iter()
            .filter(|pod| pod.annotations().get(SOURCE).is_some_and(|source| source == "file"))
            .map(|pod| ((pod.namespace().unwrap_or_default(), pod.name_any()), pod))
            .collect();
        let mut failed = None;
        for (name, mirror) in &there {
            let same =
                wanted.get(name).is_some_and(|pod| pod.annotations().get(HASH) == mirror.annotations().get(HASH));
            if !same && mirror.metadata.deletion_timestamp.is_none() {
                failed = self.delete(name, mirror).await.err().or(failed);
            }
        }
        for (name, pod) in wanted.iter().filter(|(name, _)| !there.contains_key(*name)) {
            failed = self.create(name, pod).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    async fn create(&self, name: &Name, pod: &Pod) -> Result<(), kube::Error> {
        match Api::<Pod>::namespaced(self.client.clone(), &name.0).create(&PostParams::default(), pod).await {
            Ok(_) => Ok(()),
            // The cache is behind, or another one has its name.
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
            Err(error) => {
                tracing::warn!(pod = ?name, %error, "a static pod is not mirrored");
                Err(error)
            }
        }
    }

    async fn delete(&self, name: &Name, mirror: &Pod) -> Result<(), kube::Error> {
        let preconditions = Preconditions { uid: mirror.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match Api::<Pod>::namespaced(self.client.clone(), &name.0).delete(&name.1, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The mirrors that a folder asks for; what cannot be read is told and left out.
fn read(folder: &Path, node: &Node) -> BTreeMap<Name, Pod> {
    let mut pods = BTreeMap::new();
    let mut paths = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
            paths.insert(entry.path());
        }
    }
    for path in paths {
        match manifest(&path).map(|pod| mirror(pod, node)) {
            Ok(pod) => {
                pods.insert((pod.namespace().unwrap_or_default(), pod.name_any()), pod);
            }
            Err(error) => tracing::warn!(manifest = %path.display(), %error, "a manifest makes no pod"),
        }
    }
    pods
}

/// YAML, and so JSON too.
fn manifest(path: &Path) -> Result<Pod, Fault> {
    let text = std::fs::read_to_string(path)?;
    let mut pod: Pod = yaml_serde::from_str(&text)?;
    if pod.metadata.name.as_deref().is_none_or(str::is_empty) {
        return Err(Fault::Nameless);
    }
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let hash = format!("{:016x}", hasher.finish());
    pod.metadata.annotations.get_or_insert_default().insert(HASH.to_owned(), hash);
    Ok(pod)
}

/// The pod as the API gets it.
fn mirror(mut pod: Pod, node: &Node) -> Pod {
    let node_name = node.name_any();
    let meta = &mut pod.metadata;
    meta.name = Some(format!("{}-{node_name}", meta.name.as_deref().unwrap_or_default()));
    meta.namespace.get_or_insert_with(|| "default".to_owned());
    let annotations = meta.annotations.get_or_insert_default();
    let hash = annotations.get(HASH).cloned().unwrap_or_default();
    annotations.insert(MIRROR.to_owned(), hash);
    annotations.insert(SOURCE.to_owned(), "file".to_owned());
    meta.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node_name.clone(),
        uid: node.uid().unwrap_or_default(),
        controller: Some(true),
        ..OwnerReference::default()
    }]);
    (meta.uid, meta.resource_version) = (None, None);
    pod.status = None;
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(node_name);
    // It has no account, and no taint drives it away.
    spec.automount_service_account_token = Some(false);
    let everything = Toleration {
        effect: Some("NoExecute".to_owned()),
        operator: Some("Exists".to_owned()),
        ..Toleration::default()
    };
    spec.tolerations.get_or_insert_default().push(everything);
    pod
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_mirrors_and_what_is_no_pod_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "web.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: x}]}\n",
        );
        write("other.json", r#"{"metadata":{"name":"other","namespace":"kube-system"},"spec":{"containers":[]}}"#);
        write(".web.yaml.swp", "metadata: {name: hidden}");
        write("bad.yaml", "metadata: {}");
        let node: Node = serde_json::from_value(serde_json::json!({"metadata": {"name": "n", "uid": "u"}})).unwrap();
        let pods = read(folder.path(), &node);
        let names: Vec<(&str, &str)> = pods.keys().map(|(namespace, name)| (&**namespace, &**name)).collect();
        assert_eq!(names, [("default", "web-n"), ("kube-system", "other-n")]);
        let web = &pods[&("default".to_owned(), "web-n".to_owned())];
        assert_eq!(web.annotations().get(HASH), web.annotations().get(MIRROR));
        assert_eq!(web.spec.as_ref().and_then(|spec| spec.node_name.as_deref()), Some("n"));
        let before = web.annotations().get(HASH).cloned();
        write("web.yaml", "metadata: {name: web}\nspec: {containers: [{name: c, image: y}]}\n");
        let after = read(folder.path(), &node);
        assert_ne!(after[&("default".to_owned(), "web-n".to_owned())].annotations().get(HASH).cloned(), before);
    }
}
