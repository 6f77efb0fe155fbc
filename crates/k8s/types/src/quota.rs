//! Quotas: what an object uses, which quotas it falls under, and whether it still fits. Shared by admission and the controller that recounts.

mod scopes;
#[cfg(test)]
mod tests;
mod usage;

use serde_json::Value;

pub use usage::{Subject, usage};

use crate::amounts::{Amounts, Sum, amounts, text};
use crate::policy::read::Read;

/// What a request does to the use of one quota.
#[derive(Debug, PartialEq)]
pub struct Charge {
    /// Which of the quotas.
    pub index: usize,
    /// Its `status.used` with the request counted.
    pub used: Amounts,
}

/// The names of a quota that objects of this subject count for.
pub fn names_for(subject: Subject<'_>, quota: &Value, object: &Value) -> Vec<String> {
    let hard = amounts(&quota["status"]["hard"]);
    let names: Vec<String> = hard.into_keys().filter(|name| usage::concerns(subject, name)).collect();
    if names.is_empty() || !scopes::all_match(subject, quota, object) { Vec::new() } else { names }
}

/// What all the objects of a subject use of what a quota names; `spec.hard` says the names. For recounting.
pub fn recount<'a>(subject: Subject<'_>, quota: &Value, objects: impl Iterator<Item = &'a Value>) -> Amounts {
    let names: Vec<String> =
        amounts(&quota["spec"]["hard"]).into_keys().filter(|name| usage::concerns(subject, name)).collect();
    let mut sum: Amounts = names.iter().map(|name| (name.clone(), crate::quantity::Quantity::ZERO)).collect();
    if !names.is_empty() {
        for object in objects.filter(|object| scopes::all_match(subject, quota, object)) {
            let used = usage(subject, object).into_iter().filter(|(name, _)| names.contains(name)).collect();
            sum.add(&used);
        }
    }
    sum
}

/// Counts a create (without `old`) or an update against the quotas of a namespace. Answers the quotas that change; where it does not fit the
/// text after `is forbidden: `.
pub fn decide(
    quotas: &[Value],
    subject: Subject<'_>,
    object: &Value,
    old: Option<&Value>,
) -> Result<Vec<Charge>, String> {
    let asked = usage(subject, object);
    let mut charges = Vec::new();
    for (index, quota) in quotas.iter().enumerate() {
        let names = names_for(subject, quota, object);
        if names.is_empty() {
            continue;
        }
        let name = quota["metadata"]["name"].text();
        if let Some(missing) = usage::unspecified(subject, &names, object) {
            return Err(format!("failed quota: {name}: must specify {missing}"));
        }
        let used = amounts(&quota["status"]["used"]);
        if !names.iter().all(|name| used.contains_key(name)) {
            return Err(format!("status unknown for quota: {name}, resources: {}", names.join(",")));
        }
        let counted_before = old.filter(|old| !names_for(subject, quota, old).is_empty());
        let mut delta = asked.clone();
        if let Some(old) = counted_before {
            let before = usage(subject, old);
            for (name, amount) in &mut delta {
                if let Some(before) = before.get(name) {
                    amount.sub(before);
                }
            }
        }
        delta.retain(|name, amount| names.contains(name) && amount.sign() > 0);
        if delta.is_empty() {
            continue;
        }
        let mut total = used.clone();
        total.add(&delta);
        let hard = amounts(&quota["status"]["hard"]);
        let over = |name: &&String| hard.get(*name).is_some_and(|hard| total[*name] > *hard);
        let exceeded: Vec<&String> = delta.keys().filter(over).collect();
        if !exceeded.is_empty() {
            let show = |of: &Amounts| text(of, &exceeded);
            let (requested, used, limited) = (show(&delta), show(&used), show(&hard));
            return Err(format!("exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}"));
        }
        charges.push(Charge { index, used: total });
    }
    Ok(charges)
}
