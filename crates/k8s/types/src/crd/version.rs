//! One version of a custom resource, compiled: its row, its schema, and what its objects do.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::columns::Column;
use super::node::Node;
use super::rules::Rules;
use super::{check, lists, rows};
use crate::codec;
use crate::field::{Error, Errors, Kind, Path};
use crate::policy::read::{put, same};
use crate::schema::{Resource, Subresource, Text, Verb, Verbs, builtin};

/// Everything about the objects of one version.
#[derive(Debug)]
pub struct Version {
    /// Its row.
    pub resource: Arc<Resource>,
    /// `openAPIV3Schema` as written.
    pub schema: Arc<Value>,
    /// Columns after the name.
    pub columns: Vec<Column>,
    /// Whether the status is a subresource.
    pub status: bool,
    /// The scale subresource.
    pub scale: Option<Scale>,
    /// The warning about a deprecated version.
    pub deprecation: Option<String>,
    /// Whether any field has a default, so that objects stored before can lack it.
    pub has_defaults: bool,
    node: Node,
    rules: Option<Rules>,
}

/// Where a scale subresource finds its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// Wanted replicas.
    pub spec: Vec<String>,
    /// Replicas that there are.
    pub status: Vec<String>,
    /// The selector, as text.
    pub selector: Option<Vec<String>>,
}

/// Compiles the served versions of a definition, with the names that were accepted.
pub fn versions(definition: &Value) -> Vec<Version> {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    versions.filter(|version| version["served"] == true).map(|version| Version::compile(definition, version)).collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<Text> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(|text| text.to_owned().into()).collect()
}

impl Version {
    fn compile(definition: &Value, version: &Value) -> Version {
        let schema = version["schema"]["openAPIV3Schema"].clone();
        let node = Node::read(&schema);
        let has_defaults = node.any(&mut |node| node.default.is_some());
        let subresources = &version["subresources"];
        Version {
            resource: Arc::new(resource(definition, version, &node)),
            columns: Column::read(version),
            status: !subresources["status"].is_null(),
            scale: Scale::read(&subresources["scale"]),
            deprecation: deprecation(definition, version),
            has_defaults,
            rules: Rules::compile(&node, true),
            node,
            schema: Arc::new(schema),
        }
    }

    /// Fills in defaults.
    pub fn defaults(&self, object: &mut Value) {
        if self.has_defaults {
            codec::default(object, &self.resource.ty());
        }
    }

    /// Starts a new object: generation 1, no status if that is a subresource.
    pub fn prepare_create(&self, new: &mut Value) {
        if self.status
            && let Some(new) = new.as_object_mut()
        {
            new.remove("status");
        }
        put(new, &["metadata", "generation"], 1);
    }

    /// Brings back what an update may not change, and counts the generation.
    pub fn prepare_update(&self, new: &mut Value, old: &Value) {
        if self.status
            && let Some(new) = new.as_object_mut()
        {
            match old.get("status") {
                Some(status) => new.insert("status".to_owned(), status.clone()),
                None => new.remove("status"),
            };
        }
        let content = |object: &Value| {
            let members = object.as_object().into_iter().flatten();
            let kept = members.filter(|(name, _)| *name != "metadata" && !(self.status && *name == "status"));
            kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<String, Value>>()
        };
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
        let changed = content(new) != content(old);
        put(new, &["metadata", "generation"], generation + i64::from(changed));
    }

    /// Takes everything but the status from the old object.
    pub fn prepare_status(&self, new: &mut Value, old: &Value) {
        let managed = new["metadata"]["managedFields"].clone();
        let version = new["metadata"]["resourceVersion"].clone();
        let status = new.get("status").cloned();
        let mut kept = old.clone();
        for (name, value) in [("managedFields", managed), ("resourceVersion", version)] {
            if !value.is_null() {
                put(&mut kept, &["metadata", name], value);
            }
        }
        if let Some(kept) = kept.as_object_mut() {
            match status {
                Some(status) => kept.insert("status".to_owned(), status),
                None => kept.remove("status"),
            };
        }
        *new = kept;
    }

    /// What is wrong with a new object, its metadata aside.
    pub fn check_create(&self, new: &Value, errors: &mut Errors) {
        let root = Path::root();
        let mut found = Errors::new();
        check::check(&self.node, new, None, &root, &mut found);
        self.check_scale(new, true, &mut found);
        self.check_more(new, None, &mut found);
        errors.append(found);
    }

    /// What is wrong with a change. Faults of what did not change are left out.
    pub fn check_update(&self, new: &Value, old: &Value, errors: &mut Errors) {
        let root = Path::root();
        let mut found = Errors::new();
        check::check(&self.node, new, Some(old), &root, &mut found);
        self.check_scale(new, true, &mut found);
        let (mut lists_new, mut lists_old) = (Errors::new(), Errors::new());
        lists::check(&self.node, new, &root, &mut lists_new);
        lists::check(&self.node, old, &root, &mut lists_old);
        if lists_old.is_empty() {
            found.append(lists_new);
        }
        self.check_rules(new, Some(old), &mut found);
        errors.append(found);
    }

    /// What is wrong with a change of the status.
    pub fn check_status(&self, new: &Value, old: &Value, errors: &mut Errors) {
        let Some(node) = self.node.properties.get("status") else { return };
        let Some(status) = new.get("status") else { return };
        let path = Path::new("status");
        let old = old.get("status");
        let mut found = Errors::new();
        check::check(node, status, old, &path, &mut found);
        self.check_scale(new, false, &mut found);
        lists::check(node, status, &path, &mut found);
        if found.is_empty()
            && let Some(rules) = self.rules.as_ref().and_then(|rules| rules.property("status"))
        {
            rules.check(status, old, &path, &mut found);
        }
        errors.append(found);
    }

    fn check_more(&self, new: &Value, old: Option<&Value>, errors: &mut Errors) {
        lists::check(&self.node, new, &Path::root(), errors);
        self.check_rules(new, old, errors);
    }

    /// Rules are evaluated only where types and sizes are right.
    fn check_rules(&self, new: &Value, old: Option<&Value>, errors: &mut Errors) {
        let Some(rules) = &self.rules else { return };
        let blocks = |error: &Error| {
            let sizes = matches!(error.kind, Kind::TooLong | Kind::TooMany);
            sizes || matches!(error.kind, Kind::NotSupported | Kind::Required | Kind::TypeInvalid)
        };
        if errors.iter().any(blocks) {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            errors.push(Error::invalid(&Path::root(), "null", detail));
        } else {
            rules.check(new, old, &Path::root(), errors);
        }
    }

    fn check_scale(&self, object: &Value, spec: bool, errors: &mut Errors) {
        let Some(scale) = &self.scale else { return };
        let paths = if spec { vec![&scale.spec, &scale.status] } else { vec![&scale.status] };
        for path in paths {
            let Some(value) = find(object, path) else { continue };
            let shown = Path::new(format!(".{}", path.join(".")));
            match value.as_i64() {
                None => {
                    let detail =
                        format!(".{} accessor error: {value} is of the wrong type, expected int64", path.join("."));
                    errors.push(Error::invalid(&shown, 0, detail));
                }
                Some(n) if n < 0 => errors.push(Error::invalid(&shown, n, "should be a non-negative integer")),
                Some(n) if n > i64::from(i32::MAX) => {
                    let detail = format!("should be less than or equal to {}", i32::MAX);
                    errors.push(Error::invalid(&shown, n, detail));
                }
                Some(_) => {}
            }
        }
    }

    /// The cells of an object's line, without that of the name.
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        self.columns.iter().map(|column| column.cell(object, now)).collect()
    }

    /// Whether both versions say the same about objects, so that requests under way need not end.
    pub fn is_like(&self, other: &Version) -> bool {
        same(&self.schema, &other.schema) && self.resource.api_version() == other.resource.api_version()
    }
}

fn find<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |value, name| value.get(name))
}

impl Scale {
    fn read(scale: &Value) -> Option<Scale> {
        let path = |name: &str| -> Option<Vec<String>> {
            let path = scale[name].as_str()?.strip_prefix('.')?;
            Some(path.split('.').map(str::to_owned).collect())
        };
        Some(Scale {
            spec: path("specReplicasPath")?,
            status: path("statusReplicasPath")?,
            selector: path("labelSelectorPath"),
        })
    }

    /// Replicas wanted, replicas there are, and the selector of an object.
    pub fn of(&self, object: &Value) -> (Option<i64>, i64, String) {
        let number = |path: &[String]| find(object, path).and_then(Value::as_i64);
        let selector = self.selector.as_ref().and_then(|path| find(object, path)).and_then(Value::as_str);
        (number(&self.spec), number(&self.status).unwrap_or(0), selector.unwrap_or_default().to_owned())
    }

    /// Sets the replicas wanted.
    pub fn set(&self, object: &mut Value, replicas: i64) {
        let path: Vec<&str> = self.spec.iter().map(String::as_str).collect();
        put(object, &path, replicas);
    }
}

fn deprecation(definition: &Value, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    let given = version["deprecationWarning"].as_str().filter(|text| !text.is_empty());
    let spec = &definition["spec"];
    let made =
        || format!("{}/{} {} is deprecated", text(spec, "group"), text(version, "name"), text(&spec["names"], "kind"));
    Some(given.map_or_else(made, str::to_owned))
}

fn resource(definition: &Value, version: &Value, node: &Node) -> Resource {
    let spec = &definition["spec"];
    let accepted = &definition["status"]["acceptedNames"];
    let names = if accepted["kind"].is_string() { accepted } else { &spec["names"] };
    let storage = spec["versions"].as_array().into_iter().flatten().find(|version| version["storage"] == true);
    let owned = |value: &Value, name: &str| Text::from(text(value, name).to_owned());
    let object = rows::object(node, text(names, "kind"));
    let mut subresources = Vec::new();
    let given = &version["subresources"];
    if !given["status"].is_null() {
        subresources.push(Subresource {
            name: "status".into(),
            group: owned(spec, "group"),
            version: owned(version, "name"),
            kind: owned(names, "kind"),
            verbs: Verbs::STATUS,
            object: object.clone(),
        });
    }
    if let (true, Some(object)) = (given["scale"].is_object(), builtin().kind("autoscaling", "v1", "Scale")) {
        subresources.push(Subresource {
            name: "scale".into(),
            group: "autoscaling".into(),
            version: "v1".into(),
            kind: "Scale".into(),
            verbs: [Verb::Get, Verb::Patch, Verb::Update].into_iter().collect(),
            object,
        });
    }
    let selectable = version["selectableFields"].as_array().into_iter().flatten();
    let selectable = selectable.filter_map(|field| field["jsonPath"].as_str()?.strip_prefix('.'));
    Resource {
        group: owned(spec, "group"),
        version: owned(version, "name"),
        kind: owned(names, "kind"),
        list_kind: owned(names, "listKind"),
        plural: owned(names, "plural"),
        singular: owned(names, "singular"),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: text(spec, "scope") == "Namespaced",
        verbs: Verbs::ALL,
        subresources,
        selectable: selectable.map(|path| path.to_owned().into()).collect(),
        storage_group: owned(spec, "group"),
        storage_version: storage.map(|version| owned(version, "name")).unwrap_or_default(),
        object,
    }
}
