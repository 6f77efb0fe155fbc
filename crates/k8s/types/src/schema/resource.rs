//! A row of the table: a resource, its verbs and its subresources.

use super::{StructRef, Text, Type};

/// A resource: a kind in one version, and how it is served.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its group; empty for the core.
    pub group: Text,
    /// Its version.
    pub version: Text,
    /// Its kind.
    pub kind: Text,
    /// The kind of its list; empty for a resource that cannot be listed.
    pub list_kind: Text,
    /// Its name in paths.
    pub plural: Text,
    /// Its name for one object.
    pub singular: Text,
    /// Abbreviations.
    pub short_names: Vec<Text>,
    /// Groups of resources such as `all`.
    pub categories: Vec<Text>,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// What can be done with it.
    pub verbs: Verbs,
    /// What is beneath an object.
    pub subresources: Vec<Subresource>,
    /// The fields that field selectors may name beside `metadata.name` and `metadata.namespace`, such as `spec.nodeName`.
    pub selectable: Vec<Text>,
    /// The group in which its objects are stored; another one only for `events.k8s.io`, whose objects are those of the core.
    pub storage_group: Text,
    /// The version in which its objects are stored.
    pub storage_version: Text,
    /// What its objects are.
    pub object: StructRef,
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The type of its objects.
    pub fn ty(&self) -> Type {
        Type::Struct(self.object.clone())
    }

    /// The subresource of a name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }
}

/// What is beneath an object of a resource: `status`, `scale`, `log`.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// Its name in paths.
    pub name: Text,
    /// The group of the kind that it takes and gives.
    pub group: Text,
    /// The version of that kind.
    pub version: Text,
    /// The kind that it takes and gives.
    pub kind: Text,
    /// What can be done with it. `Get` and `Create` stand for what streams (`exec`, `proxy`).
    pub verbs: Verbs,
    /// What it takes and gives.
    pub object: StructRef,
}

impl Subresource {
    /// `v1` or `autoscaling/v1`, of the kind that it takes.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// What can be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// In the order of their names.
    pub const ALL: [Verb; 8] = [
        Verb::Create,
        Verb::Delete,
        Verb::DeleteCollection,
        Verb::Get,
        Verb::List,
        Verb::Patch,
        Verb::Update,
        Verb::Watch,
    ];

    /// Its name in discovery and in rules.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Patch => "patch",
            Verb::Update => "update",
            Verb::Watch => "watch",
        }
    }
}

/// A set of verbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verbs(u8);

impl Verbs {
    /// Every verb.
    pub const ALL: Verbs = Verbs(u8::MAX);

    /// Those of a status subresource.
    pub const STATUS: Verbs = Verbs(1 << Verb::Get as u8 | 1 << Verb::Patch as u8 | 1 << Verb::Update as u8);

    /// Whether it has a verb.
    pub fn contains(self, verb: Verb) -> bool {
        self.0 & (1 << verb as u8) != 0
    }

    /// Those it has, in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Verb> {
        Verb::ALL.into_iter().filter(move |verb| self.contains(*verb))
    }
}

impl FromIterator<Verb> for Verbs {
    fn from_iter<I: IntoIterator<Item = Verb>>(verbs: I) -> Self {
        Verbs(verbs.into_iter().fold(0, |bits, verb| bits | 1 << verb as u8))
    }
}
