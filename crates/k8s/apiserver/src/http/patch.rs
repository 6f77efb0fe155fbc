//! PATCH: the four kinds of patch over objects and their subresources.

use http::Response;
use k8s_types::codec::{self, Format};
use k8s_types::field::{Error, Errors, Path};
use k8s_types::object::GroupKind;
use k8s_types::patch::json::JsonPatch;
use k8s_types::patch::{PatchKind, merge, strategic};
use k8s_types::schema::Type;
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::body::Body;
use super::objects::{Ask, settle_kind};
use super::parts::{scale_of, scaled};
use crate::registry::{Change, Missing, Owner, Registry, decode_error};

/// A patch that was read.
#[derive(Clone)]
enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
}

impl Ask {
    pub(super) async fn patch(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        self.accepted(false)?;
        let kind = self.patch_kind()?;
        self.check_patch(kind)?;
        let call = self.call("PatchOptions")?;
        let mut change = Change::of(&call, &self.row, self.namespace(), &self.path.name, &self.path.subresource);
        let whole = self.path.subresource.is_empty();
        let format = if kind == PatchKind::Apply { Format::Yaml } else { Format::Json };
        let body = codec::decode_untyped(&self.body, format)
            .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
        if kind == PatchKind::Apply {
            change.owned = true;
            change.missing = if whole { Missing::Create } else { Missing::Refuse };
            return self.apply(registry, &change, &body).await;
        }
        change.missing = Missing::Refuse;
        let patch = match kind {
            PatchKind::Json => Patch::Json(body),
            PatchKind::Merge => Patch::Merge(body),
            _ => Patch::Strategic(body),
        };
        let scale = self.path.subresource == "scale";
        let r = &self.row.resource;
        let (ty, api_version, of) = match r.subresource(&self.path.subresource).filter(|_| scale) {
            Some(sub) => (Type::Struct(sub.object.clone()), sub.api_version(), sub.kind.to_string()),
            None => (r.ty(), r.api_version(), r.kind.to_string()),
        };
        let patched = |current: Value| -> Result<Value, ApiError> {
            let patched = patch.clone().apply(current, &ty)?;
            let decoded = codec::conform(patched, &ty, call.validation).map_err(|e| decode_error(e, &self.row))?;
            decoded.warnings.into_iter().for_each(|warning| call.warn(warning));
            let mut value = decoded.value;
            settle_kind(&mut value, &api_version, &of)?;
            Ok(value)
        };
        let (stored, _) = registry
            .modify(&change, |current| match current {
                _ if scale => scaled(&self.row, current, patched),
                Some(current) => patched(current.clone()),
                None => Err(ApiError::not_found(&self.row.group_resource(), &self.path.name)),
            })
            .await?;
        if scale {
            return self.answer_scale(&stored.in_version()?, &call);
        }
        self.respond(200, &stored, Some(&call))
    }

    async fn apply(
        &self,
        registry: &Registry,
        change: &Change<'_>,
        config: &Value,
    ) -> Result<Response<Body>, ApiError> {
        let r = &self.row.resource;
        let owner = Owner::new(registry, change.call, &self.row, &self.path.subresource);
        let scale = self.path.subresource == "scale";
        let config = if scale { self.scale_config(config) } else { config.clone() };
        let (stored, created) = registry
            .modify(change, |current| {
                let merged = owner.apply(current, &config)?;
                let decoded = codec::conform(merged, &r.ty(), change.call.validation);
                let decoded = decoded.map_err(|e| decode_error(e, &self.row))?;
                decoded.warnings.into_iter().for_each(|warning| change.call.warn(warning));
                let mut value = decoded.value;
                settle_kind(&mut value, &r.api_version(), &r.kind)?;
                Ok(value)
            })
            .await?;
        if scale {
            return self.respond_value(200, &scale_of(&self.row, &stored.in_version()?)?, change.call);
        }
        self.respond(if created { 201 } else { 200 }, &stored, Some(change.call))
    }

    /// A configuration of a `Scale` as one of the object itself.
    fn scale_config(&self, config: &Value) -> Value {
        let r = &self.row.resource;
        let mut own = json!({"apiVersion": r.api_version(), "kind": &*r.kind, "metadata": config["metadata"].clone()});
        if let Some(replicas) = config["spec"]["replicas"].as_i64() {
            self.row.set_scale(&mut own, replicas);
        }
        own
    }

    fn patch_kind(&self) -> Result<PatchKind, ApiError> {
        let builtin = self.row.behaviour.policy().is_some();
        let allowed = |kind: &PatchKind| builtin || *kind != PatchKind::Strategic;
        let media = super::negotiate::clause(&self.content_type).media;
        let kind = PatchKind::of(&media).filter(allowed);
        kind.ok_or_else(|| {
            let types: Vec<&str> = PatchKind::ALL.iter().filter(|k| allowed(k)).map(|k| k.media_type()).collect();
            ApiError::unsupported_media_type(&types)
        })
    }

    fn check_patch(&self, kind: PatchKind) -> Result<(), ApiError> {
        let mut errors = Errors::new();
        if kind == PatchKind::Apply && self.parameters.get("fieldManager").is_empty() {
            errors.push(Error::required(&Path::new("fieldManager"), "is required for apply patch"));
        }
        if kind != PatchKind::Apply && self.parameters.flag("force").is_some() {
            errors.push(Error::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
        }
        match errors.is_empty() {
            true => Ok(()),
            false => Err(ApiError::invalid(&GroupKind::new("meta.k8s.io", "PatchOptions"), "", &errors)),
        }
    }
}

impl Patch {
    fn apply(self, current: Value, ty: &Type) -> Result<Value, ApiError> {
        match self {
            Patch::Json(operations) => JsonPatch::decode(operations)?.apply(current),
            Patch::Merge(patch) => merge::apply(current, patch),
            Patch::Strategic(patch) => strategic::apply(current, patch, ty),
        }
    }
}
