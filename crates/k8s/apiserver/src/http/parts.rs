//! Subresources: those that are parts of the object, those that are objects of another kind, those that only a kubelet can answer.

use http::Response;
use k8s_types::field::{Error, Errors, Path};
use k8s_types::object::{self, GroupKind};
use k8s_types::status::{ApiError, Reason};
use k8s_types::{codec, schema};
use serde_json::{Value, json};

use super::body::Body;
use super::objects::{Ask, success};
use crate::catalog::Row;
use crate::registry::{Call, Change, Registry};

impl Ask {
    pub(super) async fn get_part(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        match self.path.subresource.as_str() {
            "scale" => {
                let stored = self.find(registry).await?;
                let scale = scale_of(&self.row, &stored.in_version()?)?;
                self.respond_value(200, &scale, &self.call("GetOptions")?)
            }
            "status" | "ephemeralcontainers" | "resize" | "approval" => self.get(registry).await,
            _ => Err(self.streams(registry).await),
        }
    }

    pub(super) async fn create_part(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        self.accepted(false)?;
        let subresource = self.path.subresource.as_str();
        let (namespace, name) = (self.namespace(), self.path.name.as_str());
        if !matches!(subresource, "binding" | "eviction" | "token") {
            return Err(self.streams(registry).await);
        }
        let call = self.call("CreateOptions")?;
        let mut object = self.decode(&call)?;
        match subresource {
            "binding" => registry.bind(&call, &self.row, namespace, name, object).await?,
            "eviction" => registry.evict(&call, &self.row, namespace, name, object).await?,
            _ => {
                if let Some(sub) = self.row.resource.subresource(subresource) {
                    codec::default(&mut object, &schema::Type::Struct(sub.object.clone()));
                }
                let Some(access) = registry.access() else { return Err(self.refused("create")) };
                let answer = access.answer(&call, &self.row, subresource, namespace, name, object).await;
                return self.respond_value(201, &answer.ok_or_else(|| self.refused("create"))??, &call);
            }
        }
        self.respond_value(201, &success(None), &call)
    }

    pub(super) async fn update_part(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        self.accepted(false)?;
        let call = self.call("UpdateOptions")?;
        let new = self.decode(&call)?;
        self.check_name(&new)?;
        let change = Change::of(&call, &self.row, self.namespace(), &self.path.name, &self.path.subresource);
        if self.path.subresource == "scale" {
            let (stored, _) =
                registry.modify(&change, |current| scaled(&self.row, current, |_| Ok(new.clone()))).await?;
            return self.respond_value(200, &scale_of(&self.row, &stored.in_version()?)?, &call);
        }
        let (stored, _) = registry.modify(&change, |_| Ok(new.clone())).await?;
        self.respond(200, &stored, Some(&call))
    }

    /// What only a kubelet, or whatever is behind a service, can answer.
    async fn streams(&self, registry: &Registry) -> ApiError {
        let object = match self.find(registry).await {
            Ok(stored) => stored.value().unwrap_or_default(),
            Err(error) => return error,
        };
        let name = &self.path.name;
        if self.row.is("", "pods") && object["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
            return ApiError::bad_request(format!("pod {name} does not have a host assigned"));
        }
        let text = format!(
            "{} of {} \"{name}\" needs a kubelet, and there is none here yet",
            self.path.subresource,
            self.row.group_resource()
        );
        ApiError::new(501, Reason::Unknown, text)
    }

    /// The object after a change of its scale, and back.
    pub(super) fn answer_scale(&self, changed: &Value, call: &Call) -> Result<Response<Body>, ApiError> {
        self.respond_value(200, &scale_of(&self.row, changed)?, call)
    }
}

/// The `Scale` of an object.
pub fn scale_of(row: &Row, object: &Value) -> Result<Value, ApiError> {
    let (wanted, there, selector) =
        row.scale(object).ok_or_else(|| ApiError::internal(format_args!("{} has no scale", row.group_resource())))?;
    let mut metadata = serde_json::Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let mut status = json!({"replicas": there});
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    let mut spec = json!({});
    if wanted != 0 {
        spec["replicas"] = wanted.into();
    }
    Ok(json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}))
}

/// An object whose scale is what `make` makes of the scale it has.
pub fn scaled(
    row: &Row,
    current: Option<&Value>,
    make: impl FnOnce(Value) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let current = current.ok_or_else(|| ApiError::internal("a scale of nothing"))?;
    let scale = make(scale_of(row, current)?)?;
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let mut errors = Errors::new();
        let path = Path::new("spec").child("replicas");
        errors.push(Error::invalid(&path, replicas, "must be greater than or equal to 0"));
        return Err(ApiError::invalid(&GroupKind::new("autoscaling", "Scale"), object::name(current), &errors));
    }
    let mut new = current.clone();
    for field in ["resourceVersion", "uid"] {
        match scale["metadata"][field].as_str().unwrap_or_default() {
            "" => {}
            text => object::set_metadata(&mut new, field, text),
        }
    }
    if object::resource_version(&scale).is_empty() {
        object::remove_metadata(&mut new, "resourceVersion");
    }
    row.set_scale(&mut new, replicas);
    Ok(new)
}
