//! The built-in table and how it is searched.

use super::{Resource, StructRef};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Resources and kinds.
#[derive(Default)]
pub struct Schema {
    resources: Vec<Resource>,
    kinds: HashMap<(&'static str, &'static str, &'static str), StructRef>,
}

impl Schema {
    /// Every resource, by group and version in the order in which discovery lists them, then by plural.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resource of a path; the core group is empty.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        self.resources.iter().find(|row| row.group == group && row.version == version && row.plural == plural)
    }

    /// The resource whose objects are of a kind.
    pub fn resource_of_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|row| row.group == group && row.version == version && row.kind == kind)
    }

    /// What the objects of any kind are: of resources, lists (`PodList`), subresources (`Scale`), options (`DeleteOptions` in every group), `Status`.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<StructRef> {
        self.kinds.get(&(group, version, kind)).cloned()
    }

    /// A type that is not a kind, such as `io.k8s.apimachinery.pkg.apis.meta.v1`, `ObjectMeta`.
    pub fn struct_named(&self, _package: &str, _name: &str) -> Option<StructRef> {
        None
    }

    /// `ObjectMeta`, for the metadata of custom resources.
    pub fn object_meta(&self) -> StructRef {
        self.struct_named("io.k8s.apimachinery.pkg.apis.meta.v1", "ObjectMeta").expect("the table has ObjectMeta")
    }
}

static BUILTIN: LazyLock<Schema> = LazyLock::new(Schema::default);

/// The kinds that every cluster has.
pub fn builtin() -> &'static Schema {
    &BUILTIN
}
