//! Pods get the number of their priority class; one class at most is the default.

use k8s_types::policy::read::{Read, put};
use k8s_types::status::ApiError;
use serde_json::Value;

use super::{Attributes, Operation, lookup};
use crate::registry::Registry;

const GROUP: &str = "scheduling.k8s.io";

pub async fn mutate(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    if !attributes.is("", "pods") {
        return Ok(());
    }
    match attributes.operation {
        Operation::Create => set(registry, attributes).await,
        Operation::Update => {
            let before = attributes.before()["spec"].clone();
            let Some(pod) = attributes.object.as_deref_mut() else { return Ok(()) };
            for field in ["priority", "preemptionPolicy"] {
                if pod["spec"][field].is_null() && before[field].is_set() {
                    put(pod, &["spec", field], before[field].clone());
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn set(registry: &Registry, attributes: &mut Attributes<'_>) -> Result<(), ApiError> {
    let spec = &attributes.after()["spec"];
    let name = spec["priorityClassName"].text().to_owned();
    let class = if name.is_empty() {
        default_class(registry).await?
    } else {
        let class = lookup::get(registry, GROUP, "priorityclasses", "", &name).await?;
        let missing = || attributes.forbidden(format_args!("no PriorityClass with name {name} was found"));
        Some(class.ok_or_else(missing)?)
    };
    let class = class.as_ref().unwrap_or(&Value::Null);
    let priority = class["value"].int().unwrap_or(0);
    let preemption = class["preemptionPolicy"].as_str().unwrap_or("PreemptLowerPriority");
    if let Some(given) = spec["priority"].int().filter(|given| *given != priority) {
        return Err(attributes.forbidden(format_args!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        )));
    }
    if let Some(given) = spec["preemptionPolicy"].as_str().filter(|given| *given != preemption) {
        return Err(attributes.forbidden(format_args!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {preemption} from the given PriorityClass name"
        )));
    }
    let Some(pod) = attributes.object.as_deref_mut() else { return Ok(()) };
    if class.is_set() {
        put(pod, &["spec", "priorityClassName"], class["metadata"]["name"].clone());
    }
    put(pod, &["spec", "priority"], priority);
    put(pod, &["spec", "preemptionPolicy"], preemption);
    Ok(())
}

/// Of several that say they are the default the lowest.
async fn default_class(registry: &Registry) -> Result<Option<Value>, ApiError> {
    let classes = lookup::list(registry, GROUP, "priorityclasses", "").await?;
    let defaults = classes.into_iter().filter(|class| class["globalDefault"].yes());
    Ok(defaults.min_by_key(|class| class["value"].int().unwrap_or(0)))
}

pub async fn validate(registry: &Registry, attributes: &Attributes<'_>) -> Result<(), ApiError> {
    let written = matches!(attributes.operation, Operation::Create | Operation::Update);
    if !written || !attributes.is(GROUP, "priorityclasses") || !attributes.after()["globalDefault"].yes() {
        return Ok(());
    }
    match default_class(registry).await? {
        Some(class) if class["metadata"]["name"] != attributes.name => {
            let name = class["metadata"]["name"].text();
            let why = format_args!("PriorityClass {name} is already marked as default. Only one default can exist");
            Err(attributes.forbidden(why))
        }
        _ => Ok(()),
    }
}
