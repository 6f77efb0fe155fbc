//! Server-side apply: the configuration is merged, what its manager does not say any more is removed, what others own is refused or taken.

use super::compare::{NoKey, compare};
use super::conflict;
use super::managers::{Entry, Identity, Managers, Operation};
use super::set::Set;
use super::shape::At;
use super::update::{Taking, kept, write, zero};
use super::{Request, conform, last_applied, merge, owned, remove};
use crate::object;
use crate::patch::json::same;
use crate::status::{ApiError, Reason};
use serde_json::Value;

/// The manager of objects that were there before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager whose applies take over what `kubectl apply` without `--server-side` had applied.
const KUBECTL: &str = "kubectl";

impl Request<'_> {
    pub(super) fn try_apply(&self, live: Option<&Value>, config: &Value, force: bool) -> Result<Value, ApiError> {
        self.check_config(config)?;
        let nothing;
        let current = match live {
            Some(live) => live,
            None => {
                let mut empty = zero(self.ty);
                object::set_gvk(&mut empty, &object::Gvk::of(self.api_version, self.kind));
                nothing = empty;
                &nothing
            }
        };
        let mut managers = Managers::decode(object::managed_fields(current))
            .map_err(|error| plain_failure(format!("failed to decode managed fields: {error}")))?;
        if managers.0.is_empty() && live.is_some() {
            managers = self
                .updated(None, current, managers, BEFORE_FIRST_APPLY)
                .map_err(|error| self.untold(current, &error))?;
        }
        let mut applied = self.applied(current, config, managers.clone(), force)?;
        if let Err(conflicts) = &mut applied
            && self.manager == KUBECTL
        {
            // what client-side apply has applied and nobody changed since is kubectl's own
            if let Some(mine) = last_applied::still_applied(self, current) {
                conflicts.retain_mut(|(_, contested)| {
                    *contested = contested.difference(&mine);
                    !contested.is_empty()
                });
                if conflicts.is_empty() {
                    applied = self.applied(current, config, managers, true)?;
                }
            }
        }
        let (merged, managers) = applied.map_err(conflict::refuse)?;
        let mut merged = merged.unwrap_or_else(|| current.clone());
        if self.manager == KUBECTL {
            last_applied::renew(&mut merged, config);
        }
        write(&mut merged, managers);
        Ok(merged)
    }

    /// The merged object (`None` when it is the live one) and its managers; or the conflicts.
    fn applied(
        &self,
        live: &Value,
        config: &Value,
        managers: Managers,
        force: bool,
    ) -> Result<Result<(Option<Value>, Managers), conflict::Conflicts>, ApiError> {
        let untold = |error: NoKey| self.untold(live, &error);
        let at = At::new(self.ty);
        let mut managers = self.fitted(live, managers);
        let merged = merge::merge(at, live, config);
        let identity = Identity::new(self.manager, Operation::Apply, self.api_version, self.subresource);
        let last = managers.take(&identity);
        let fields = owned::fields(at, config).map_err(untold)?;
        let fields = fields.recursive_difference(&Set::of_fields(self.reset));
        let time = last.as_ref().and_then(|last| last.time.clone());
        managers.put(Entry {
            identity: identity.clone(),
            api_version: self.api_version.to_owned(),
            time,
            fields: fields.clone(),
        });
        let merged = match last.filter(|last| !last.fields.is_subset(&fields) || last.api_version != self.api_version) {
            Some(last) => self.pruned(merged, &managers, &last).map_err(untold)?,
            None => merged,
        };
        let reset = Set::of_fields(self.reset);
        let changes = compare(at, Some(live), Some(&merged)).map_err(untold)?.without(&reset);
        let taking = if force { Taking::Force } else { Taking::Ask };
        let (mut managers, conflicts) =
            self.taken(live, &merged, &changes, managers, Some(&identity), &taking).map_err(untold)?;
        if !conflicts.is_empty() {
            return Ok(Err(conflicts));
        }
        let changed = !same(live, &merged);
        if let Some(mut entry) = managers.take(&identity) {
            entry.fields = self.stripped(entry.fields);
            if changed {
                entry.time = Some(self.now.to_owned());
            }
            if !entry.fields.is_empty() {
                managers.put(entry);
            }
        }
        Ok(Ok((changed.then_some(merged), managers)))
    }

    /// Removes what this manager applied last time, does not apply now, and nobody else owns.
    fn pruned(&self, merged: Value, managers: &Managers, last: &Entry) -> Result<Value, NoKey> {
        let Some((before, ty)) = self.in_version(&merged, &last.api_version) else { return Ok(merged) };
        let at = At::new(&ty);
        let last_fields = owned::with_named(&last.fields, at);
        let mut pruned = remove::remove(at, &before, &last_fields).unwrap_or_default();
        // first in the version of what was pruned: other versions may not convert without those fields
        let mut versions: Vec<&str> = vec![&last.api_version];
        for entry in &managers.0 {
            if !versions.contains(&entry.api_version.as_str()) {
                versions.push(&entry.api_version);
            }
        }
        let mut held_in = last.api_version.as_str();
        for version in versions {
            let owned_there = managers.0.iter().filter(|entry| entry.api_version == version);
            let owned_there = owned_there.fold(Set::new(), |mut all, entry| {
                all.union_with(entry.fields.clone());
                all
            });
            let whole = self.in_version(&merged, version);
            let part = self.between(&pruned, held_in, version);
            let (Some((whole, ty)), Some(part)) = (whole, part) else { continue };
            let at = At::new(&ty);
            let mut stays = owned::with_named(&owned::fields(at, &part)?, at);
            stays.union_with(owned::with_named(&owned_there, at));
            let goes = owned::with_named(&owned::fields(at, &whole)?, at).difference(&stays);
            pruned = remove::remove(at, &whole, &goes).unwrap_or_default();
            held_in = version;
        }
        // what nobody owns and this manager never did is not for it to remove
        let Some(part) = self.between(&pruned, held_in, &last.api_version) else { return Ok(merged) };
        let stays = owned::with_named(&owned::fields(at, &part)?, at);
        let goes = owned::with_named(&owned::fields(at, &before)?, at).difference(&stays).intersection(&last_fields);
        let result = remove::remove(at, &before, &goes).unwrap_or_default();
        Ok(self.between(&result, &last.api_version, self.api_version).unwrap_or(merged))
    }

    /// An object that is in one version in another.
    fn between(&self, object: &Value, from: &str, to: &str) -> Option<Value> {
        if from == to {
            return Some(object.clone());
        }
        self.versions.convert(object, to).map(|(object, _)| object)
    }

    fn check_config(&self, config: &Value) -> Result<(), ApiError> {
        let gvk = object::gvk(config);
        if gvk != object::Gvk::of(self.api_version, self.kind) {
            return Err(ApiError::bad_request(format!("invalid object type: {gvk}")));
        }
        if object::metadata(config)
            .and_then(|metadata| metadata.get("managedFields"))
            .is_some_and(|given| !given.is_null())
        {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        conform::check(At::new(self.ty), config).map_err(|why| {
            let who = format!("{}/{}; {gvk}", object::namespace(config), object::name(config));
            plain_failure(format!("failed to create typed patch object ({who}): {why}"))
        })
    }

    fn untold(&self, live: &Value, error: &NoKey) -> ApiError {
        let who = format!("{}/{}; {}", object::namespace(live), object::name(live), object::gvk(live));
        plain_failure(format!("failed to create typed live object ({who}): {error}"))
    }
}

/// Kubernetes answers these with 500 and no reason.
fn plain_failure(message: String) -> ApiError {
    ApiError::new(500, Reason::Unknown, message)
}

/// As [`Request::update`] after an apply that was not to be tracked: the live object's managers.
pub(super) fn restore(live: Option<&Value>, new: &mut Value) {
    write(new, kept(live));
}
