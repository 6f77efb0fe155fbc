//! The seam to access control: what is asked, as attributes, and what is answered.

use std::sync::Arc;

use crate::Identity;

/// What a request wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Who asks.
    pub identity: &'a Identity,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the HTTP method in lower case for a path.
    pub verb: &'a str,
    /// What it is about.
    pub target: Target<'a>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// Objects.
    Resource(Resource<'a>),
    /// A path that names no object, such as `/healthz`.
    Path(&'a str),
}

/// Which objects a request is about; what it does not name is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resource<'a> {
    /// API group, empty for core.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Plural name.
    pub resource: &'a str,
    /// Subresource.
    pub subresource: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// Label selector of a list, watch or deletecollection.
    pub label_selector: &'a str,
    /// Field selector of a list, watch or deletecollection.
    pub field_selector: &'a str,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, for this reason.
    Allow(Arc<str>),
    /// Refused; the reason may be empty.
    Deny(String),
}

impl<'a> Attributes<'a> {
    /// The namespace it is about; empty for the cluster, all namespaces and paths.
    pub fn namespace(&self) -> &'a str {
        match self.target {
            Target::Resource(resource) => resource.namespace,
            Target::Path(_) => "",
        }
    }

    /// The text that refuses it, as clients know it.
    pub fn refusal(&self, reason: &str) -> String {
        let user = &self.identity.name;
        let text = match self.target {
            Target::Path(path) => format!("User \"{user}\" cannot {} path \"{path}\"", self.verb),
            Target::Resource(r) => {
                let resource = if r.subresource.is_empty() {
                    r.resource.to_owned()
                } else {
                    format!("{}/{}", r.resource, r.subresource)
                };
                let group = r.group;
                let verb = self.verb;
                let scope = if r.namespace.is_empty() {
                    "at the cluster scope".to_owned()
                } else {
                    format!("in the namespace \"{}\"", r.namespace)
                };
                format!("User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {scope}")
            }
        };
        if reason.is_empty() { text } else { format!("{text}: {reason}") }
    }
}
