//! What a pod refers to, by the fields that make a kubelet read it.

use k8s_types::object;
use k8s_types::policy::read::Read;
use serde_json::Value;

/// What is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Secret,
    ConfigMap,
    Claim,
    Account,
    ResourceClaim,
}

/// A kind, and `namespace/name`.
pub type Reference = (Kind, Box<str>);

/// Everything a pod refers to, once each.
pub fn of_pod(pod: &Value) -> Vec<Reference> {
    let namespace = object::namespace(pod);
    let mut found = Vec::new();
    let mut add = |kind: Kind, name: &Value| {
        if let Some(name) = name.as_str().filter(|name| !name.is_empty()) {
            found.push((kind, format!("{namespace}/{name}").into_boxed_str()));
        }
    };
    let spec = &pod["spec"];
    add(Kind::Account, &spec["serviceAccountName"]);
    for secret in spec["imagePullSecrets"].items() {
        add(Kind::Secret, &secret["name"]);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec[list].items() {
            of_container(container, &mut add);
        }
    }
    for volume in spec["volumes"].items() {
        of_volume(volume, &mut add);
        if volume["ephemeral"].is_set() {
            let claim = format!("{}-{}", object::name(pod), volume["name"].text());
            add(Kind::Claim, &Value::String(claim));
        }
    }
    for claim in spec["resourceClaims"].items() {
        add(Kind::ResourceClaim, &claim["resourceClaimName"]);
    }
    for claim in pod["status"]["resourceClaimStatuses"].items() {
        add(Kind::ResourceClaim, &claim["resourceClaimName"]);
    }
    found.sort_by(|a, b| (a.0 as u8, &a.1).cmp(&(b.0 as u8, &b.1)));
    found.dedup();
    found
}

fn of_container(container: &Value, add: &mut impl FnMut(Kind, &Value)) {
    for variable in container["env"].items() {
        let from = &variable["valueFrom"];
        add(Kind::Secret, &from["secretKeyRef"]["name"]);
        add(Kind::ConfigMap, &from["configMapKeyRef"]["name"]);
    }
    for source in container["envFrom"].items() {
        add(Kind::Secret, &source["secretRef"]["name"]);
        add(Kind::ConfigMap, &source["configMapRef"]["name"]);
    }
}

fn of_volume(volume: &Value, add: &mut impl FnMut(Kind, &Value)) {
    add(Kind::Secret, &volume["secret"]["secretName"]);
    add(Kind::ConfigMap, &volume["configMap"]["name"]);
    add(Kind::Claim, &volume["persistentVolumeClaim"]["claimName"]);
    for source in volume["projected"]["sources"].items() {
        add(Kind::Secret, &source["secret"]["name"]);
        add(Kind::ConfigMap, &source["configMap"]["name"]);
    }
    add(Kind::Secret, &volume["azureFile"]["secretName"]);
    add(Kind::Secret, &volume["csi"]["nodePublishSecretRef"]["name"]);
    for driver in ["cephfs", "rbd", "flexVolume", "iscsi", "scaleIO", "storageos", "cinder"] {
        add(Kind::Secret, &volume[driver]["secretRef"]["name"]);
    }
}

/// The secrets that a volume of the cluster refers to, as `namespace/name`; `claim` is the namespace of its claim.
pub fn of_volume_object(volume: &Value, claim: &str) -> Vec<Box<str>> {
    let spec = &volume["spec"];
    let mut found = Vec::new();
    let mut add = |reference: &Value, name: &str, space: &str| {
        let name = reference[name].text();
        if !name.is_empty() {
            let own = reference[space].text();
            found.push(format!("{}/{name}", if own.is_empty() { claim } else { own }).into_boxed_str());
        }
    };
    add(&spec["azureFile"], "secretName", "secretNamespace");
    for driver in ["cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"] {
        add(&spec[driver]["secretRef"], "name", "namespace");
    }
    for stage in ["controllerPublishSecretRef", "nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"] {
        add(&spec["csi"][stage], "name", "namespace");
    }
    found
}
