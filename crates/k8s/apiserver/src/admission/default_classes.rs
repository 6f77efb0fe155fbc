//! Claims and ingresses that name no class get the default one; claims grow only where their class lets them.

use k8s_types::policy::read::{Read, put};
use k8s_types::quantity::Quantity;
use k8s_types::status::ApiError;

use super::{Attributes, Operation, lookup};
use crate::registry::Registry;

const STORAGE: &str = "storage.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const DEFAULT_STORAGE: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const CLAIM_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub async fn claims(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    if !attributes.is("", "persistentvolumeclaims") || attributes.operation != Operation::Create {
        return Ok(());
    }
    let claim = attributes.after();
    if claim["spec"]["storageClassName"].is_set() || claim["metadata"]["annotations"][CLAIM_CLASS].is_set() {
        return Ok(());
    }
    let classes = lookup::list(registry, STORAGE, "storageclasses", "").await?;
    let default = lookup::default_class(classes, &DEFAULT_STORAGE);
    if let (Some(class), Some(claim)) = (default, attributes.object.as_deref_mut()) {
        put(claim, &["spec", "storageClassName"], class["metadata"]["name"].clone());
    }
    Ok(())
}

pub async fn ingresses(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    if !attributes.is(NETWORKING, "ingresses") || attributes.operation != Operation::Create {
        return Ok(());
    }
    let ingress = attributes.after();
    let annotated = ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"].is_set();
    if ingress["spec"]["ingressClassName"].is_set() || annotated {
        return Ok(());
    }
    let classes = lookup::list(registry, NETWORKING, "ingressclasses", "").await?;
    let default = lookup::default_class(classes, &["ingressclass.kubernetes.io/is-default-class"]);
    if let (Some(class), Some(ingress)) = (default, attributes.object.as_deref_mut()) {
        put(ingress, &["spec", "ingressClassName"], class["metadata"]["name"].clone());
    }
    Ok(())
}

pub async fn claim_growth(registry: &Registry, attributes: &Attributes<'_>) -> Result<(), ApiError> {
    if !attributes.is("", "persistentvolumeclaims") || attributes.operation != Operation::Update {
        return Ok(());
    }
    let (new, old) = (attributes.after(), attributes.before());
    let asked =
        |claim: &serde_json::Value| Quantity::from_value(&claim["spec"]["resources"]["requests"]["storage"]).ok();
    let grows = matches!((asked(new), asked(old)), (Some(new), Some(old)) if new > old);
    if !grows {
        return Ok(());
    }
    if old["status"]["phase"] != "Bound" {
        return Err(attributes.forbidden("Only bound persistent volume claims can be expanded"));
    }
    let class = match new["metadata"]["annotations"][CLAIM_CLASS].text() {
        "" => new["spec"]["storageClassName"].text(),
        class => class,
    };
    let class = match class {
        "" => None,
        class => lookup::get(registry, STORAGE, "storageclasses", "", class).await?,
    };
    if class.is_some_and(|class| class["allowVolumeExpansion"].yes()) {
        return Ok(());
    }
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    Err(attributes.forbidden(why))
}
