//! Names and amounts of resources: which of them exist, which are whole numbers, which may be overcommitted.

use crate::field::Errors;
use crate::names;
use crate::policy::At;
use crate::policy::check::{self, NEGATIVE};
use crate::policy::read::Read;
use crate::quantity::Quantity;

const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Resources counted in whole numbers.
const WHOLE: &[&str] = &[
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// `hugepages-2Mi` and its like.
pub fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// A resource of Kubernetes itself: without a domain, or under kubernetes.io.
pub fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource of someone else, such as `example.com/gpu`.
pub fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether pods may ask for less than their limit.
pub fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// Whether only whole numbers make sense.
pub fn is_whole(name: &str) -> bool {
    WHOLE.contains(&name) || is_extended(name)
}

/// Whether the name is one of a quota's: plain, or of huge pages, or `count/...`.
pub fn is_standard_of_quota(name: &str) -> bool {
    let of_quota = STANDARD.contains(&name);
    of_quota || is_huge_page(name) || name.starts_with("requests.hugepages-")
}

fn is_standard(name: &str) -> bool {
    is_standard_of_quota(name)
}

/// Any resource: a known one, or one with a domain. `name` is told at `at`; says whether it is good.
pub fn any(at: &At, name: &str, errors: &mut Errors) -> bool {
    let messages = names::qualified_name(name);
    let good = messages.is_empty();
    for message in messages {
        at.invalid_value(errors, name, message);
    }
    if good && !name.contains('/') && !is_standard(name) {
        at.invalid_value(errors, name, "must be a standard resource type or fully qualified");
        return false;
    }
    good
}

/// A resource that a container can have.
pub fn of_container(at: &At, name: &str, errors: &mut Errors) {
    any(at, name, errors);
    if !name.contains('/') {
        let standard = ["cpu", "memory", "ephemeral-storage"].contains(&name) || is_huge_page(name);
        if !standard {
            at.invalid_value(errors, name, "must be a standard resource for containers");
        }
    } else if !is_native(name) && !is_extended(name) {
        at.invalid_value(errors, name, "doesn't follow extended resource name standard");
    }
}

/// A resource that a pod as a whole can have.
pub fn of_pod(at: &At, name: &str, errors: &mut Errors) {
    if any(at, name, errors) && !["cpu", "memory"].contains(&name) && !is_huge_page(name) {
        errors.push(crate::field::Error::not_supported(&at.path(), name, &["cpu", "hugepages-", "memory"]));
    }
}

/// A resource that a quota can bound.
pub fn of_quota(at: &At, name: &str, errors: &mut Errors) {
    any(at, name, errors);
    if !name.contains('/') && !is_standard_of_quota(name) {
        at.invalid_value(errors, name, "must be a standard resource for quota");
    }
}

/// An amount of a resource: not negative, whole where the resource is. `None` for what is no amount, which the table tells.
pub fn amount(at: &At, name: &str, errors: &mut Errors) -> Option<Quantity> {
    let amount = Quantity::from_value(at.value()).ok()?;
    if amount.sign() < 0 {
        at.invalid_value(errors, amount.to_string(), NEGATIVE);
    }
    if is_whole(name) && amount.milli_value() % 1000 != 0 {
        at.invalid_value(errors, amount.to_string(), "must be an integer");
    }
    Some(amount)
}

/// An amount of at least nothing, in whole numbers.
pub fn basic_amount(at: &At, errors: &mut Errors) {
    if let Ok(amount) = Quantity::from_value(at.value())
        && amount.value() < 0
    {
        at.invalid_value(errors, amount.value(), "must be a valid resource quantity");
    }
}

/// An amount above nothing.
pub fn positive_amount(at: &At, errors: &mut Errors) -> bool {
    match Quantity::from_value(at.value()) {
        Ok(amount) if amount.sign() <= 0 => {
            at.invalid_value(errors, amount.to_string(), check::NOT_POSITIVE);
            false
        }
        _ => true,
    }
}

/// Whether an amount of huge pages is a whole number of such pages.
pub fn divides_into_pages(name: &str, amount: &Quantity) -> bool {
    let size = name.strip_prefix("hugepages-").and_then(|size| Quantity::parse(size).ok());
    let size = size.map_or(0, |size| size.value());
    size > 0 && amount.value() % size == 0
}

/// The names in a resource list, for reading.
pub fn names_in(list: &serde_json::Value) -> impl Iterator<Item = &str> {
    list.fields().keys().map(String::as_str)
}
