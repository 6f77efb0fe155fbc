//! What can be asked for below a resource: paths and operations, before they are written in one version or the other.

use super::Custom;
use super::definitions::custom_name;
use super::parameters::{self, NAME, NAMESPACE, PATH, PRETTY, Parameter};
use crate::schema::{META, Resource, StructRef, Subresource, Verb, builtin};

/// What a body or an answer is.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// A type of the table.
    Struct(StructRef),
    /// A definition of a custom resource.
    Custom(String),
    /// A patch of any sort.
    Patch,
    /// Text, or a stream.
    Text,
}

/// A path and what can be asked for there.
pub(super) struct PathItem<'a> {
    pub(super) path: String,
    pub(super) parameters: Vec<Parameter<'a>>,
    pub(super) operations: Vec<Operation<'a>>,
}

/// One method on a path.
pub(super) struct Operation<'a> {
    pub(super) method: &'static str,
    pub(super) id: String,
    pub(super) tag: String,
    pub(super) description: String,
    /// `x-kubernetes-action`
    pub(super) action: &'static str,
    /// Group, version and kind.
    pub(super) kind: (&'a str, &'a str, &'a str),
    pub(super) body: Option<(Shape, bool)>,
    pub(super) query: Vec<Parameter<'a>>,
    pub(super) codes: &'static [&'static str],
    pub(super) answer: Shape,
}

/// The media types of patches.
pub(super) const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// The media types of objects.
pub(super) const OBJECTS: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The paths of a built-in resource.
pub(super) fn builtin_paths(row: &Resource) -> Vec<PathItem<'_>> {
    let of = Shape::Struct(row.object.clone());
    let list = builtin().kind(&row.group, &row.version, &row.list_kind).map_or(Shape::Text, Shape::Struct);
    Paths { row, of, list }.all()
}

/// The paths of a custom resource.
pub(super) fn custom_paths(custom: &Custom) -> Vec<PathItem<'_>> {
    let row = &*custom.resource;
    let (of, list) = (custom_name(row, &row.kind), custom_name(row, &row.list_kind));
    Paths { row, of: Shape::Custom(of), list: Shape::Custom(list) }.all()
}

struct Paths<'a> {
    row: &'a Resource,
    of: Shape,
    list: Shape,
}

impl<'a> Paths<'a> {
    fn all(&self) -> Vec<PathItem<'a>> {
        let row = self.row;
        let root = if row.group.is_empty() { "/api".into() } else { format!("/apis/{}", row.group) };
        let root = format!("{root}/{}", row.version);
        let scope = if row.namespaced { "namespaces/{namespace}/" } else { "" };
        let mut items = Vec::new();
        if row.namespaced && row.verbs.contains(Verb::List) {
            let everywhere = self.operation(Verb::List, "ForAllNamespaces");
            items.push(self.item(format!("{root}/{}", row.plural), &[PRETTY], vec![everywhere]));
        }
        let collection = [Verb::List, Verb::Create, Verb::DeleteCollection];
        let object = [Verb::Get, Verb::Update, Verb::Patch, Verb::Delete];
        let inside: &[Parameter] = if row.namespaced { &[NAMESPACE, PRETTY] } else { &[PRETTY] };
        let named: &[Parameter] = if row.namespaced { &[NAME, NAMESPACE, PRETTY] } else { &[NAME, PRETTY] };
        items.push(self.item(format!("{root}/{scope}{}", row.plural), inside, self.verbs(&collection)));
        let path = format!("{root}/{scope}{}/{{name}}", row.plural);
        items.push(self.item(path.clone(), named, self.verbs(&object)));
        for sub in &row.subresources {
            let path = format!("{path}/{}", sub.name);
            items.push(self.item(path.clone(), named, self.sub(sub, "")));
            if sub.name == "proxy" {
                let named: Vec<_> = named.iter().copied().chain([PATH]).collect();
                items.push(self.item(format!("{path}/{{path}}"), &named, self.sub(sub, "WithPath")));
            }
        }
        items.retain(|item| !item.operations.is_empty());
        items
    }

    fn item(&self, path: String, parameters: &[Parameter<'a>], operations: Vec<Operation<'a>>) -> PathItem<'a> {
        PathItem { path, parameters: parameters.to_vec(), operations }
    }

    fn verbs(&self, wanted: &[Verb]) -> Vec<Operation<'a>> {
        wanted.iter().filter(|verb| self.row.verbs.contains(**verb)).map(|verb| self.operation(*verb, "")).collect()
    }

    fn operation(&self, verb: Verb, suffix: &str) -> Operation<'a> {
        let row = self.row;
        let mut operation = self.plain(verb, (&row.group, &row.version, &row.kind), self.of.clone());
        let scope = if row.namespaced && suffix.is_empty() { "Namespaced" } else { "" };
        let noun = if verb == Verb::DeleteCollection { "Collection" } else { "" };
        operation.id = format!("{}{}{noun}{scope}{}{suffix}", word(verb), self.module(), row.kind);
        if verb == Verb::List {
            operation.answer = self.list.clone();
        }
        operation
    }

    /// A verb as it is for objects and subresources alike.
    fn plain(&self, verb: Verb, kind: (&'a str, &'a str, &'a str), of: Shape) -> Operation<'a> {
        let meta = |name: &str| builtin().struct_named(META, name).map_or(Shape::Text, Shape::Struct);
        let (method, action, says) = match verb {
            Verb::Create => ("post", "post", "create"),
            Verb::Delete => ("delete", "delete", "delete"),
            Verb::DeleteCollection => ("delete", "deletecollection", "delete every"),
            Verb::Get => ("get", "get", "read"),
            Verb::List | Verb::Watch => ("get", "list", "list or watch every"),
            Verb::Patch => ("patch", "patch", "change part of"),
            Verb::Update => ("put", "put", "replace"),
        };
        let (body, query): (_, &[Parameter]) = match verb {
            Verb::Create | Verb::Update => (Some((of.clone(), true)), parameters::CREATE),
            Verb::Delete => (Some((meta("DeleteOptions"), false)), parameters::DELETE),
            Verb::DeleteCollection => (Some((meta("DeleteOptions"), false)), parameters::DELETE_COLLECTION),
            Verb::Get => (None, &[]),
            Verb::List | Verb::Watch => (None, parameters::LIST),
            Verb::Patch => (Some((Shape::Patch, true)), parameters::PATCH),
        };
        let codes: &[&str] = match verb {
            Verb::Create => &["200", "201", "202"],
            Verb::Update | Verb::Patch => &["200", "201"],
            Verb::Delete => &["200", "202"],
            _ => &["200"],
        };
        let removes = matches!(verb, Verb::Delete | Verb::DeleteCollection);
        Operation {
            method,
            id: String::new(),
            tag: self.tag(),
            description: format!("{says} {}", kind.2),
            action,
            kind,
            body,
            query: query.to_vec(),
            codes,
            answer: if removes { meta("Status") } else { of },
        }
    }

    fn sub(&self, sub: &'a Subresource, suffix: &str) -> Vec<Operation<'a>> {
        let scope = if self.row.namespaced { "Namespaced" } else { "" };
        let noun = format!("{scope}{}{}{suffix}", self.row.kind, capital(&sub.name));
        let streams = sub.kind.ends_with("Options");
        let of = if sub.kind == self.row.kind { self.of.clone() } else { Shape::Struct(sub.object.clone()) };
        let kind = (&*sub.group, &*sub.version, &*sub.kind);
        let verbs = sub.verbs.iter().map(|verb| {
            let mut operation = self.plain(verb, kind, of.clone());
            operation.description = format!("{} of {}", sub.name, self.row.kind);
            operation.id = format!("{}{}{noun}", word(verb), self.module());
            if streams {
                let method = capital(operation.method);
                operation.id = format!("connect{}{method}{noun}", self.module());
                operation.action = "connect";
                operation.answer = Shape::Text;
                operation.body = None;
                operation.codes = &["200"];
                operation.query = parameters::options(&sub.object);
            }
            if sub.name == "log" {
                operation.answer = Shape::Text;
                let options = builtin().kind("", "v1", "PodLogOptions");
                operation.query = options.and_then(|of| of.as_static()).map_or(Vec::new(), parameters::options);
            }
            operation
        });
        verbs.collect()
    }

    /// `AppsV1`, `CoreV1`, `RbacAuthorizationV1`.
    fn module(&self) -> String {
        format!("{}{}", capital(&self.group()), capital(&self.row.version))
    }

    /// `apps_v1`, `rbacAuthorization_v1`.
    fn tag(&self) -> String {
        format!("{}_{}", self.group(), self.row.version)
    }

    fn group(&self) -> String {
        if self.row.group.is_empty() {
            return "core".into();
        }
        let labels = self.row.group.trim_end_matches(".k8s.io").split('.').enumerate();
        labels.map(|(at, label)| if at == 0 { label.to_owned() } else { capital(label) }).collect()
    }
}

/// The verb as operations are named.
fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Delete | Verb::DeleteCollection => "delete",
        Verb::Get => "read",
        Verb::List | Verb::Watch => "list",
        Verb::Patch => "patch",
        Verb::Update => "replace",
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}
