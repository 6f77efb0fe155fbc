//! What the pods of a stateful set and their claims are called.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use serde_json::{Value, json};

use crate::owned::{self, name};
use crate::pods;
use crate::revisions::POD_LABEL;

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The place of a pod in its set; nothing if it is none of the set's by its name.
pub fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let digits = name(&pod.metadata).strip_prefix(name(&set.metadata))?.strip_prefix('-')?;
    let ordinal = digits.parse::<i32>().ok().filter(|ordinal| *ordinal >= 0)?;
    (ordinal.to_string() == digits).then_some(ordinal)
}

pub fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", name(&set.metadata))
}

/// The revision that a pod is of.
pub fn revision(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(POD_LABEL).map(String::as_str)
}

pub fn claim_templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    set.spec.volume_claim_templates.as_deref().unwrap_or_default()
}

pub fn claim_name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> String {
    format!("{}-{}", name(&template.metadata), pod_name(set, ordinal))
}

/// The pod of a place.
pub fn pod(set: &StatefulSet, template: &PodTemplateSpec, ordinal: i32, revision: &str) -> Pod {
    let mut pod = pods::from_template(template, &owned::reference(set));
    let pod_name = pod_name(set, ordinal);
    pod.metadata.generate_name = None;
    pod.metadata.name = Some(pod_name.clone());
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME.to_owned(), pod_name.clone());
    labels.insert(POD_INDEX.to_owned(), ordinal.to_string());
    labels.insert(POD_LABEL.to_owned(), revision.to_owned());
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(pod_name);
    spec.subdomain = set.spec.service_name.clone().filter(|service| !service.is_empty());
    let claims = claim_templates(set);
    let volumes = spec.volumes.get_or_insert_default();
    volumes.retain(|volume| !claims.iter().any(|claim| name(&claim.metadata) == volume.name));
    volumes.extend(claims.iter().map(|claim| Volume {
        name: name(&claim.metadata).to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_name(set, claim, ordinal),
            read_only: None,
        }),
        ..Volume::default()
    }));
    pod
}

/// The labels that a pod should have and does not, as a patch.
pub fn missing(pod: &Pod, ordinal: i32) -> Option<Value> {
    let has = |key: &str| pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(key));
    let wanted = json!({POD_NAME: name(&pod.metadata), POD_INDEX: ordinal.to_string()});
    let complete = has(POD_NAME) && has(POD_INDEX);
    (!complete).then(|| json!({"metadata": {"uid": pod.metadata.uid, "labels": wanted}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_the_names_of_its_place() {
        let set: StatefulSet = serde_json::from_value(json!({
            "metadata": {"name": "db", "uid": "u"},
            "spec": {"serviceName": "dbs", "selector": {},
                "template": {"metadata": {"labels": {"app": "db"}},
                    "spec": {"containers": [], "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]}},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]},
        }))
        .unwrap();
        let pod = pod(&set, &set.spec.template, 3, "db-1");
        assert_eq!(ordinal(&set, &pod), Some(3));
        assert_eq!(revision(&pod), Some("db-1"));
        assert_eq!(missing(&pod, 3), None);
        let spec = serde_json::to_value(&pod).unwrap();
        assert_eq!((&spec["spec"]["hostname"], &spec["spec"]["subdomain"]), (&json!("db-3"), &json!("dbs")));
        let volumes = json!([{"name": "tmp", "emptyDir": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-3"}}]);
        assert_eq!(spec["spec"]["volumes"], volumes);
        for other in ["db-x", "db", "db-03", "dbx-3", "db--1"] {
            let pod: Pod = serde_json::from_value(json!({"metadata": {"name": other}})).unwrap();
            assert_eq!(ordinal(&set, &pod), None, "{other}");
        }
    }
}
