//! The built-in table and how it is searched.

use super::parse::{self, File};
use super::types::LazyStruct;
use super::{Resource, StructRef};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The files of the table in the order in which discovery lists groups.
const FILES: &[&str] = &[
    include_str!("../../kinds/core_v1.kinds"),
    include_str!("../../kinds/apiregistration_v1.kinds"),
    include_str!("../../kinds/apps_v1.kinds"),
    include_str!("../../kinds/events_v1.kinds"),
    include_str!("../../kinds/authentication_v1.kinds"),
    include_str!("../../kinds/authorization_v1.kinds"),
    include_str!("../../kinds/autoscaling_v2.kinds"),
    include_str!("../../kinds/autoscaling_v1.kinds"),
    include_str!("../../kinds/batch_v1.kinds"),
    include_str!("../../kinds/certificates_v1.kinds"),
    include_str!("../../kinds/networking_v1.kinds"),
    include_str!("../../kinds/policy_v1.kinds"),
    include_str!("../../kinds/rbac_v1.kinds"),
    include_str!("../../kinds/storage_v1.kinds"),
    include_str!("../../kinds/storagemigration_v1.kinds"),
    include_str!("../../kinds/admissionregistration_v1.kinds"),
    include_str!("../../kinds/apiextensions_v1.kinds"),
    include_str!("../../kinds/scheduling_v1.kinds"),
    include_str!("../../kinds/scheduling_v1alpha3.kinds"),
    include_str!("../../kinds/coordination_v1.kinds"),
    include_str!("../../kinds/node_v1.kinds"),
    include_str!("../../kinds/discovery_v1.kinds"),
    include_str!("../../kinds/flowcontrol_v1.kinds"),
    include_str!("../../kinds/resource_v1.kinds"),
    include_str!("../../kinds/metrics_v1beta1.kinds"),
    include_str!("../../kinds/admission_v1.kinds"),
    include_str!("../../kinds/apidiscovery_v2.kinds"),
    include_str!("../../kinds/meta_v1.kinds"),
];

/// The package of metadata, options and `Status`, whose kinds are in every group.
pub(crate) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Resources and kinds.
pub struct Schema {
    resources: Vec<Resource>,
    /// By package and name.
    structs: HashMap<(&'static str, &'static str), &'static LazyStruct>,
    /// By group, version and kind.
    kinds: HashMap<(&'static str, &'static str, &'static str), &'static LazyStruct>,
    /// Packages by the short name that the files use, such as `apps/v1`.
    packages: HashMap<&'static str, &'static str>,
    /// Groups and versions by package.
    homes: HashMap<&'static str, (&'static str, &'static str)>,
}

impl Schema {
    /// Every resource, by group and version in the order in which discovery lists them, then by plural.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resource of a path; the core group is empty.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Resource> {
        self.resources.iter().find(|row| row.plural == plural && row.group == group && row.version == version)
    }

    /// The resource whose objects are of a kind.
    pub fn resource_of_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|row| row.kind == kind && row.group == group && row.version == version)
    }

    /// What the objects of any kind are: of resources, lists (`PodList`), subresources (`Scale`), options (`DeleteOptions`, in every group), `Status`.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<StructRef> {
        let of = self.kinds.get(&(group, version, kind)).or_else(|| self.kinds.get(&("meta.k8s.io", "v1", kind)));
        of.map(|of| StructRef::Static(of))
    }

    /// A type by package and name, such as `io.k8s.api.core.v1`, `PodSpec`.
    pub fn struct_named(&self, package: &str, name: &str) -> Option<StructRef> {
        self.structs.get(&(package, name)).map(|of| StructRef::Static(of))
    }

    /// `ObjectMeta`, for the metadata of custom resources.
    pub fn object_meta(&self) -> StructRef {
        self.struct_named(META, "ObjectMeta").expect("the table has ObjectMeta")
    }

    /// `ListMeta`, for lists of custom resources.
    pub fn list_meta(&self) -> StructRef {
        self.struct_named(META, "ListMeta").expect("the table has ListMeta")
    }

    /// Every type, by package and name.
    pub fn structs(&self) -> Vec<StructRef> {
        let mut names: Vec<_> = self.structs.iter().collect();
        names.sort_by_key(|(name, _)| **name);
        names.into_iter().map(|(_, of)| StructRef::Static(of)).collect()
    }

    /// The group and the version of the kinds in a package.
    pub(crate) fn home(&self, package: &str) -> Option<(&'static str, &'static str)> {
        self.homes.get(package).copied()
    }

    /// The package that a file calls by its short name.
    pub(super) fn package(&self, short: &str) -> Option<&'static str> {
        self.packages.get(short).copied()
    }

    fn new(files: impl Iterator<Item = File>) -> Self {
        let files: Vec<File> = files.collect();
        let mut schema = Schema {
            resources: Vec::new(),
            structs: HashMap::new(),
            kinds: HashMap::new(),
            homes: files.iter().map(|file| (file.package, (file.group, file.version))).collect(),
            packages: files.iter().map(|file| (file.short, file.package)).collect(),
        };
        let homes: HashMap<_, _> = files.iter().map(|file| (file.short, (file.group, file.version))).collect();
        for file in &files {
            for &(name, of) in &file.structs {
                schema.structs.insert((file.package, name), of);
                if of.is_kind() {
                    schema.kinds.insert((file.group, file.version, name), of);
                }
            }
        }
        let rows = |file: &File| file.resources.iter().map(|row| parse::resource(row, file, &schema, &homes)).collect();
        schema.resources = files.iter().flat_map(|file| -> Vec<Resource> { rows(file) }).collect();
        schema
    }
}

static BUILTIN: LazyLock<Schema> = LazyLock::new(|| Schema::new(FILES.iter().map(|text| parse::file(text))));

/// The kinds that every cluster has.
pub fn builtin() -> &'static Schema {
    &BUILTIN
}
