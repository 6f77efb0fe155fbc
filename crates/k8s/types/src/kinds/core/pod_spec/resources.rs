//! What containers and pods ask for and may use at most.

use crate::amounts::{Amounts, amounts, of_spec};
use crate::field::{Error, Errors, Kind};
use crate::kinds::core::resource_name as name;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;
use crate::quantity::Quantity;

/// Whose requirements are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A container.
    Container,
    /// A pod as a whole.
    Pod,
}

/// Checks limits, requests and claims. `claims` are the names in `spec.resourceClaims`.
pub fn requirements(resources: &At, of: Of, claims: &[&str], errors: &mut Errors) {
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    let (mut plain, mut huge) = (false, false);
    let mut most = Amounts::new();
    for (list, of_limits) in [(&limits, true), (&requests, false)] {
        for (resource, at) in list.entries() {
            match of {
                Of::Container => name::of_container(&at, resource, errors),
                Of::Pod => name::of_pod(&at, resource, errors),
            }
            let amount = name::amount(&at, resource, errors);
            plain |= matches!(resource, "cpu" | "memory");
            let Some(amount) = amount else { continue };
            if !of_limits {
                within_limit(&limits, &requests, resource, &amount, most.get(resource), errors);
            }
            if name::is_huge_page(resource) {
                huge = true;
                if !name::divides_into_pages(resource, &amount) {
                    let detail = format!("{amount} is not positive integer multiple of {resource}");
                    at.invalid_value(errors, amount.to_string(), detail);
                }
            }
            if of_limits {
                most.insert(resource.to_owned(), amount);
            }
        }
    }
    if huge && !plain {
        resources.forbidden(errors, "HugePages require cpu or memory");
    }
    claim_names(&resources.get("claims"), claims, errors);
}

fn within_limit(
    limits: &At,
    requests: &At,
    resource: &str,
    amount: &Quantity,
    limit: Option<&Quantity>,
    errors: &mut Errors,
) {
    let detail = match limit {
        Some(limit) if amount != limit && !name::may_overcommit(resource) => {
            format!("must be equal to {resource} limit of {limit}")
        }
        Some(limit) if amount > limit => format!("must be less than or equal to {resource} limit of {limit}"),
        None if !name::may_overcommit(resource) => {
            return limits.required(errors, "Limit must be set for non overcommitable resources");
        }
        _ => return,
    };
    requests.invalid_value(errors, amount.to_string(), detail);
}

fn claim_names(list: &At, claims: &[&str], errors: &mut Errors) {
    let mut seen: Vec<String> = Vec::new();
    for claim in list.each() {
        let claim_name = claim["name"].text();
        if claim_name.is_empty() {
            claim.required(errors, "");
            continue;
        }
        let request = claim.get("request");
        let mut key = claim_name.to_owned();
        if !request.is_unset() {
            check::dns_label(&request, errors);
            key = format!("{claim_name}/{}", request.text());
        }
        let all_of_it = |seen: &String| seen.split('/').next() == Some(claim_name);
        if seen.iter().any(|s| s == claim_name || *s == key) || (request.is_unset() && seen.iter().any(all_of_it)) {
            claim.duplicate_value(errors, key.clone());
        }
        seen.push(key);
        if !claims.contains(&claim_name) {
            let mut detail = "must be one of the names in pod.spec.resourceClaims".to_owned();
            let mut known = claims.to_vec();
            known.sort_unstable();
            match known.is_empty() {
                true => detail.push_str(" which is empty"),
                false => detail.push_str(&format!(": {}", known.join(", "))),
            }
            let path = claim.path().to_string();
            errors.push(Error { kind: Kind::NotFound, field: path, value: Some(claim_name.into()), detail });
        }
    }
}

/// Checks `spec.resourceClaims`.
pub fn claims(list: &At, errors: &mut Errors) {
    let mut names = std::collections::HashSet::new();
    for claim in list.each() {
        let at = claim.get("name");
        if at.needed(errors) {
            match names.insert(at.text().to_owned()) {
                true => check::dns_label(&at, errors),
                false => at.duplicate(errors),
            }
        }
        let (direct, template) = (claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName"));
        match (direct.is_set(), template.is_set()) {
            (true, true) => {
                let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                claim.invalid(errors, detail);
            }
            (false, false) => {
                claim.invalid(errors, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
            }
            _ => {}
        }
        for at in [direct, template].iter().filter(|at| at.is_set()) {
            check::dns_subdomain(at, errors);
        }
    }
}

/// Checks `spec.resources`: what the pod as a whole has must hold what its containers ask for.
pub fn of_pod(spec: &At, errors: &mut Errors) {
    let resources = spec.get("resources");
    if resources.is_null() {
        return;
    }
    if resources["claims"].is_set() {
        resources.get("claims").forbidden(errors, "claims cannot be set for Resources at pod-level");
    }
    requirements(&resources, Of::Pod, &[], errors);
    let (own, limits) = (amounts(&resources["requests"]), amounts(&resources["limits"]));
    let requests = resources.get("requests");
    for (resource, asked) in of_spec(spec, "requests") {
        if !["cpu", "memory"].contains(&resource.as_str()) && !name::is_huge_page(&resource) {
            continue;
        }
        let has = own.get(&resource).cloned().unwrap_or(Quantity::ZERO);
        if asked > has {
            let detail = format!("must be greater than or equal to aggregate container requests of {asked}");
            requests.key(&resource).invalid_value(errors, has.to_string(), detail);
        }
    }
    for (index, container) in spec["containers"].items().iter().enumerate() {
        for (resource, limit) in amounts(&container["resources"]["limits"]) {
            if let Some(most) = limits.get(&resource).filter(|most| limit > **most) {
                let path = resources.path().child("containers").index(index).key(&resource).child("limits");
                let detail = format!("must be less than or equal to pod limits of {most}");
                errors.push(Error::invalid(&path, limit.to_string(), detail));
            }
        }
    }
}
