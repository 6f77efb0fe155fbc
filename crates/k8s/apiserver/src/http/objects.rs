//! Requests about objects: which verb over which row, with what options, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use k8s_store::At;
use k8s_types::codec::{self, Format};
use k8s_types::object;
use k8s_types::schema::{Verb, Verbs};
use k8s_types::status::ApiError;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::answer;
use super::body::Body;
use super::components;
use super::lists;
use super::negotiate::{self, Accepted};
use super::options::{ListParameters, Parameters};
use super::path::ResourcePath;
use super::render::{self, IncludeObject};
use crate::Identity;
use crate::catalog::Row;
use crate::registry::{Call, Change, DeleteOptions, Filter, ListQuery, Page, Registry};
use crate::stored::Stored;
use crate::watch::{self, Watch};

/// How long a watch lasts at least when the client does not say; at most twice as long.
const WATCH: Duration = Duration::from_secs(1800);

/// A request about objects, after it was allowed.
pub struct Ask {
    /// Method.
    pub method: Method,
    /// What the path names.
    pub path: ResourcePath,
    /// Its row.
    pub row: Arc<Row>,
    /// Query parameters.
    pub parameters: Parameters,
    /// `Accept`
    pub accept: String,
    /// `Content-Type`
    pub content_type: String,
    /// `User-Agent`
    pub user_agent: String,
    /// Who asks.
    pub identity: Arc<Identity>,
    /// The body, read already.
    pub body: Bytes,
}

/// The verb of a method over what a path names, as access rules know it.
pub fn verb(method: &Method, path: &ResourcePath, watch: bool) -> &'static str {
    match (method.as_str(), path.name.is_empty()) {
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        ("GET" | "HEAD", _) if watch || path.watch => "watch",
        ("GET" | "HEAD", true) => "list",
        ("GET" | "HEAD", false) => "get",
        _ => "",
    }
}

impl Ask {
    pub(super) fn accepted(&self, list: bool) -> Result<Accepted, ApiError> {
        self.settle(negotiate::objects(&self.accept, list)?, negotiate::objects, list)
    }

    /// Custom resources have no protobuf: what is accepted beside it is taken.
    fn settle(
        &self,
        accepted: Accepted,
        again: fn(&str, bool) -> Result<Accepted, ApiError>,
        list: bool,
    ) -> Result<Accepted, ApiError> {
        let plain = accepted.shape == negotiate::Shape::Object;
        if accepted.format != Format::Protobuf || !plain || self.row.behaviour.policy().is_some() {
            return Ok(accepted);
        }
        let others: Vec<&str> =
            self.accept.split(',').filter(|clause| !clause.contains("application/vnd.kubernetes.protobuf")).collect();
        if others.is_empty() {
            return Err(ApiError::not_acceptable(&negotiate::OBJECTS[..2]));
        }
        again(&others.join(","), list)
    }

    fn include(&self) -> Result<IncludeObject, ApiError> {
        IncludeObject::parse(self.parameters.get("includeObject"))
    }

    /// The call of a write; `kind` is that of its options, such as `CreateOptions`.
    pub(super) fn call(&self, kind: &str) -> Result<Call, ApiError> {
        let manager = self.parameters.manager(kind, &self.user_agent)?;
        let mut call = Call::of(self.identity.clone(), manager);
        call.dry_run = self.parameters.dry_run(kind)?;
        call.validation = self.parameters.validation(kind)?;
        call.force = self.parameters.flag("force").unwrap_or(false);
        Ok(call)
    }

    pub(super) fn refused(&self, action: &str) -> ApiError {
        ApiError::method_not_allowed(&self.row.group_resource(), action)
    }

    fn verbs(&self) -> Option<Verbs> {
        match self.path.subresource.as_str() {
            "" => Some(self.row.resource.verbs),
            name => self.row.resource.subresource(name).map(|sub| sub.verbs),
        }
    }

    /// Answers it.
    pub async fn answer(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        let Some(verbs) = self.verbs() else { return Ok(answer::not_found()) };
        if !self.row.is_hub() && self.row.converts_by_webhook() {
            let what = format!(
                "{}: versions are converted by a webhook, which this server does not call",
                self.row.group_resource()
            );
            return Err(ApiError::new(501, k8s_types::status::Reason::InternalError, what));
        }
        if !self.row.resource.namespaced && !self.path.namespace.is_empty() && !self.row.is("", "namespaces") {
            return Ok(answer::not_found());
        }
        let has = |verb: Verb| if verbs.contains(verb) { Ok(()) } else { Err(self.refused(verb.name())) };
        let whole = self.path.subresource.is_empty();
        match (&self.method, self.path.name.is_empty()) {
            (&Method::GET | &Method::HEAD, collection) if whole => {
                let parameters = self.parameters.list(self.path.watch)?;
                if parameters.watch {
                    has(Verb::Watch)?;
                    self.watch(registry, parameters).await
                } else if collection {
                    has(Verb::List)?;
                    self.list(registry, parameters).await
                } else {
                    has(Verb::Get)?;
                    self.get(registry).await
                }
            }
            (&Method::POST, true) => {
                has(Verb::Create)?;
                self.create(registry).await
            }
            (&Method::PUT, false) if whole => {
                has(Verb::Update)?;
                self.update(registry).await
            }
            (&Method::DELETE, false) if whole => {
                has(Verb::Delete)?;
                self.delete(registry).await
            }
            (&Method::DELETE, true) if whole => {
                has(Verb::DeleteCollection)?;
                self.delete_collection(registry).await
            }
            (&Method::GET | &Method::HEAD, false) => {
                has(Verb::Get)?;
                self.get_part(registry).await
            }
            (&Method::POST, false) if !whole => {
                has(Verb::Create)?;
                self.create_part(registry).await
            }
            (&Method::PUT, false) => {
                has(Verb::Update)?;
                self.update_part(registry).await
            }
            (&Method::PATCH, false) => {
                has(Verb::Patch)?;
                self.patch(registry).await
            }
            (method, _) => Err(self.refused(&method.as_str().to_ascii_lowercase())),
        }
    }

    /// Namespace for the registry: an object of the cluster has none, a namespace among them.
    pub(super) fn namespace(&self) -> &str {
        if self.row.resource.namespaced { &self.path.namespace } else { "" }
    }

    pub(super) fn respond(
        &self,
        status: u16,
        stored: &Stored,
        call: Option<&Call>,
    ) -> Result<Response<Body>, ApiError> {
        let accepted = self.accepted(false)?;
        let bytes = render::object(stored, accepted, self.include()?)?;
        let mut response = answer::bytes(status, accepted.content_type(false), bytes);
        if let Some(call) = call {
            answer::warn(&mut response, call.take_warnings());
        }
        Ok(response)
    }

    pub(super) fn respond_value(&self, status: u16, value: &Value, call: &Call) -> Result<Response<Body>, ApiError> {
        let mut response = answer::value(status, self.accepted(false)?, value);
        answer::warn(&mut response, call.take_warnings());
        Ok(response)
    }

    pub(super) async fn get(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        self.accepted(false)?;
        let stored = self.find(registry).await?;
        self.respond(200, &stored, None)
    }

    pub(super) async fn find(&self, registry: &Registry) -> Result<Stored, ApiError> {
        let at = match self.parameters.get("resourceVersion") {
            "" => At::Latest,
            "0" => At::Any,
            text => At::NotOlderThan(text.parse().map_err(|_| super::options::version_error(text))?),
        };
        if self.row.is("", "componentstatuses") {
            let filter = Filter::everything().named(&self.path.name)?;
            let entry = components::page(registry, &self.row, &filter).await?.entries.into_iter().next();
            let found = entry.map(|entry| Stored { row: self.row.clone(), bytes: entry.value, revision: 0 });
            return found.ok_or_else(|| ApiError::not_found(&self.row.group_resource(), &self.path.name));
        }
        let found = registry.get_stored(&self.row, self.namespace(), &self.path.name, at).await?;
        found.ok_or_else(|| ApiError::not_found(&self.row.group_resource(), &self.path.name))
    }

    async fn list(&self, registry: &Registry, p: ListParameters) -> Result<Response<Body>, ApiError> {
        let (accepted, include) = (self.accepted(true)?, self.include()?);
        let page = self.page(registry, &p).await?;
        lists::list(&self.row, page, accepted, include).await
    }

    /// The page of objects that the parameters ask for.
    async fn page(&self, registry: &Registry, p: &ListParameters) -> Result<Page, ApiError> {
        let filter = Filter::parse(&self.row, &p.labels, &p.fields)?;
        let query = ListQuery {
            namespace: self.namespace(),
            filter: &filter,
            limit: p.limit,
            token: &p.token,
            version: p.version,
            version_match: p.version_match,
        };
        if self.row.is("", "componentstatuses") {
            return components::page(registry, &self.row, &filter).await;
        }
        registry.page(&self.row, &query).await
    }

    async fn watch(&self, registry: &Registry, p: ListParameters) -> Result<Response<Body>, ApiError> {
        let accepted = self.settle(negotiate::events(&self.accept)?, |accept, _| negotiate::events(accept), false)?;
        let include = self.include()?;
        let mut filter = Filter::parse(&self.row, &p.labels, &p.fields)?;
        if !self.path.name.is_empty() {
            filter = filter.named(&self.path.name)?;
        }
        let namespace = match filter.namespace() {
            Some(only) if self.row.resource.namespaced && self.namespace().is_empty() => only.to_owned(),
            _ => self.namespace().to_owned(),
        };
        let single = filter.name().filter(|_| !self.row.resource.namespaced || !namespace.is_empty());
        let key = single.map(|name| self.row.key(&namespace, name));
        let prefix = key.clone().unwrap_or_else(|| self.row.prefix(&namespace));
        let legacy = p.version.unwrap_or(0) == 0 && p.initial_events.is_none();
        let wants_all = p.initial_events == Some(true) || legacy;
        let mut initial = std::collections::VecDeque::new();
        let mut initial_end = None;
        let after = if wants_all {
            let query = ListQuery {
                namespace: &namespace,
                filter: &filter,
                limit: 0,
                token: "",
                version: p.version,
                version_match: crate::registry::VersionMatch::NotOlderThan,
            };
            let page = registry.page(&self.row, &query).await?;
            initial.extend(page.entries);
            initial_end = (p.bookmarks && p.initial_events == Some(true)).then_some(page.revision);
            page.revision
        } else {
            match p.version {
                None | Some(0) => registry.store().revision(),
                Some(version) => version,
            }
        };
        let watcher = registry.store().watch(&prefix, after).map_err(crate::registry::watch_error)?;
        let lasts = p.timeout.map_or_else(|| WATCH + jitter(), Duration::from_secs);
        let end = Instant::now() + lasts;
        let watch = Watch {
            row: self.row.clone(),
            filter,
            watcher,
            initial,
            initial_end,
            bookmarks: p.bookmarks,
            key,
            end,
            accepted,
            include,
        };
        Ok(answer::with(200, accepted.content_type(true), Body::stream(watch::frames(watch))))
    }

    /// Decodes the body as an object of the row, or of a subresource's kind.
    pub(super) fn decode(&self, call: &Call) -> Result<Value, ApiError> {
        let r = &self.row.resource;
        let sub = (!self.path.subresource.is_empty()).then(|| r.subresource(&self.path.subresource)).flatten();
        let (ty, api_version, kind) = match sub {
            Some(sub) => (codec_type(&sub.object), sub.api_version(), sub.kind.as_str()),
            None => (r.ty(), r.api_version(), r.kind.as_str()),
        };
        let format = negotiate::body(&self.content_type)?;
        if format == Format::Protobuf && self.row.behaviour.policy().is_none() {
            return Err(ApiError::unsupported_media_type(&negotiate::OBJECTS[..2]));
        }
        let decoded = codec::decode(&self.body, format, &ty, call.validation)
            .map_err(|e| crate::registry::decode_error(e, &self.row))?;
        decoded.warnings.into_iter().for_each(|warning| call.warn(warning));
        let mut value = decoded.value;
        settle_kind(&mut value, &api_version, kind)?;
        Ok(value)
    }

    async fn create(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        self.accepted(false)?;
        let call = self.call("CreateOptions")?;
        let object = self.decode(&call)?;
        let namespace = self.namespace();
        if self.row.is("", "bindings") {
            let pods = registry.row("", "pods")?;
            let name = object::name(&object).to_owned();
            registry.bind(&call, &pods, namespace, &name, object).await?;
            return self.respond_value(201, &success(None), &call);
        }
        if !self.row.resource.verbs.contains(Verb::Get)
            && let Some(access) = registry.access()
        {
            let mut object = object;
            codec::default(&mut object, &self.row.resource.ty());
            if let Some(answer) = access.answer(&call, &self.row, "", namespace, "", object).await {
                return self.respond_value(201, &answer?, &call);
            }
            return Err(self.refused("create"));
        }
        let stored = registry.create_object(&call, &self.row, namespace, object).await?;
        self.respond(201, &stored, Some(&call))
    }

    async fn update(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        self.accepted(false)?;
        let call = self.call("UpdateOptions")?;
        let new = self.decode(&call)?;
        self.check_name(&new)?;
        let change = Change::of(&call, &self.row, self.namespace(), &self.path.name, "");
        let (stored, created) = registry.modify(&change, |_| Ok(new.clone())).await?;
        self.respond(if created { 201 } else { 200 }, &stored, Some(&call))
    }

    pub(super) fn check_name(&self, new: &Value) -> Result<(), ApiError> {
        let (own, name) = (object::name(new), &self.path.name);
        if own.is_empty() {
            return Err(ApiError::bad_request("name must be provided").with_details(Default::default()));
        }
        if own != name {
            let text = format!("the name of the object ({own}) does not match the name on the URL ({name})");
            return Err(ApiError::bad_request(text));
        }
        Ok(())
    }

    fn delete_options(&self) -> Result<(DeleteOptions, Call), ApiError> {
        let mut options = json!({});
        if !self.body.is_empty() {
            let format = negotiate::body(&self.content_type)?;
            let kind = k8s_types::schema::builtin().kind("meta.k8s.io", "v1", "DeleteOptions");
            options = match kind {
                Some(kind) => {
                    codec::decode(&self.body, format, &codec_type(&kind), Default::default()).map(|d| d.value)
                }
                None => codec::decode_untyped(&self.body, format),
            }
            .map_err(|e| ApiError::bad_request(e.to_string()))?;
        }
        let mut call = self.call("DeleteOptions")?;
        if let Ok(seconds) = self.parameters.get("gracePeriodSeconds").parse::<i64>() {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(orphan) = self.parameters.flag("orphanDependents") {
            options["orphanDependents"] = orphan.into();
        }
        match self.parameters.get("propagationPolicy") {
            "" => {}
            policy => options["propagationPolicy"] = policy.into(),
        }
        if options["dryRun"].as_array().is_some_and(|all| all.iter().any(|v| v == "All")) {
            call.dry_run = crate::admission::DryRun::All;
        }
        Ok((DeleteOptions::read(&options)?, call))
    }

    async fn delete(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        self.accepted(false)?;
        let (options, call) = self.delete_options()?;
        let deleted = registry.delete_object(&call, &self.row, self.namespace(), &self.path.name, &options).await?;
        if !deleted.gone || returns_object(&self.row) {
            let status = if !deleted.gone && options.asks_to_wait() { 202 } else { 200 };
            return self.respond_value(status, &deleted.object, &call);
        }
        let r = &self.row.resource;
        let mut details = json!({"name": self.path.name, "kind": &*r.plural, "uid": object::uid(&deleted.object)});
        if !r.group.is_empty() {
            details["group"] = r.group.as_str().into();
        }
        let status = success(Some(details));
        self.respond_value(200, &status, &call)
    }

    async fn delete_collection(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        let (accepted, include) = (self.accepted(true)?, self.include()?);
        let (options, call) = self.delete_options()?;
        let p = self.parameters.list(false)?;
        let page = self.page(registry, &p).await?;
        for entry in &page.entries {
            let (namespace, name) = self.row.split_key(&entry.key);
            match registry.delete_object(&call, &self.row, namespace, name, &options).await {
                Ok(_) => {}
                Err(error) if error.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        lists::list(&self.row, page, accepted, include).await
    }
}

/// A `Status` of success.
pub fn success(details: Option<Value>) -> Value {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    match details {
        Some(details) => status["details"] = details,
        None => status["code"] = 201.into(),
    }
    status
}

/// The kind that a body says it is of must be the one that is wanted; where it says nothing it gets it.
pub fn settle_kind(value: &mut Value, api_version: &str, kind: &str) -> Result<(), ApiError> {
    let Some(fields) = value.as_object_mut() else {
        return Err(ApiError::bad_request("the body is not an object"));
    };
    let own = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    if let Some(own) = own("apiVersion").filter(|own| own != api_version) {
        let text =
            format!("the API version in the data ({own}) does not match the expected API version ({api_version})");
        return Err(ApiError::bad_request(text));
    }
    if let Some(own) = own("kind").filter(|own| own != kind) {
        let text = format!("the kind in the data ({own}) does not match the expected kind ({kind})");
        return Err(ApiError::bad_request(text));
    }
    fields.insert("apiVersion".to_owned(), api_version.into());
    fields.insert("kind".to_owned(), kind.into());
    Ok(())
}

fn codec_type(of: &k8s_types::schema::StructRef) -> k8s_types::schema::Type {
    k8s_types::schema::Type::Struct(of.clone())
}

/// Kinds whose deletion answers the object that is gone.
fn returns_object(row: &Row) -> bool {
    let r = &row.resource;
    match &*r.group {
        "" => matches!(
            &*r.plural,
            "persistentvolumeclaims"
                | "persistentvolumes"
                | "pods"
                | "podtemplates"
                | "resourcequotas"
                | "serviceaccounts"
                | "services"
        ),
        "storage.k8s.io" => r.plural != "csistoragecapacities",
        "resource.k8s.io" => true,
        _ => false,
    }
}

/// Spreads the ends of watches.
fn jitter() -> Duration {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    WATCH.mul_f64(f64::from(nanos) / 1e9)
}
