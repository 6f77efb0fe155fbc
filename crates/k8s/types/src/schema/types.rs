//! What objects are made of: types, structs, fields, and how each is merged.

use super::Text;
use super::parse::{self, Source};
use serde_json::Value;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// The type of a value in an object. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// Any number; a double in protobuf.
    Number,
    /// A string, perhaps one of a closed set.
    String(StringType),
    /// Bytes; base64 in JSON.
    Bytes,
    /// A whole number of 32 bits or a string.
    IntOrString,
    /// An amount such as `100Mi`; kept as it was written. JSON numbers are accepted too.
    Quantity,
    /// RFC 3339, to the second.
    Time,
    /// RFC 3339, to the microsecond.
    MicroTime,
    /// A duration in Go's notation, such as `1m30s`.
    Duration,
    /// A set of fields in the notation of `metadata.managedFields`; not looked into.
    FieldsV1,
    /// Any JSON value, not looked into.
    Any,
    /// One of the three alternatives that a JSON schema has inside; for everything but decoding the same as [`Type::Any`].
    SchemaOr(SchemaOr),
    /// A list.
    List(Arc<List>),
    /// A map from strings.
    Map(Arc<Map>),
    /// An object with known fields.
    Struct(StructRef),
}

impl Type {
    /// A string without a closed set of values.
    pub const STRING: Type = Type::String(StringType { allowed: None, format: Text::Static("") });

    /// The struct, if it is one.
    pub fn as_struct(&self) -> Option<&Struct> {
        match self {
            Type::Struct(of) => Some(of),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Type::List(list) => Some(list),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Type::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Whether nothing inside the value is known, so that it is always taken or replaced as a whole.
    pub fn is_opaque(&self) -> bool {
        matches!(self, Type::Any | Type::FieldsV1 | Type::SchemaOr(_))
    }

    /// Whether the value is replaced as a whole when it is applied (server-side apply): scalars, opaque values, atomic lists, maps and structs.
    /// A field may say otherwise about a struct: ask [`Field::is_atomic`] where there is one.
    pub fn is_atomic(&self) -> bool {
        match self {
            Type::List(list) => matches!(list.kind, ListKind::Atomic),
            Type::Map(map) => map.atomic,
            Type::Struct(of) => of.atomic,
            _ => true,
        }
    }
}

/// A string's closed set of values and its format.
#[derive(Clone, Debug, Default)]
pub struct StringType {
    /// The values allowed, where the set is closed.
    pub allowed: Option<Arc<[Text]>>,
    /// The format as OpenAPI names it; empty without one.
    pub format: Text,
}

/// The alternatives inside a JSON schema, each beside a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOr {
    /// `additionalProperties: false`
    Bool,
    /// `items: [{}, {}]`
    Schemas,
    /// `dependencies: {a: [b, c]}`
    Strings,
}

/// A list and how two of them are merged.
#[derive(Clone, Debug)]
pub struct List {
    /// What each item is.
    pub item: Type,
    /// How lists are merged by server-side apply.
    pub kind: ListKind,
    /// Whether an item may be null (custom resources only).
    pub nullable: bool,
    /// Whether the list is in a message of its own in protobuf (`repeated` cannot be the value of a map).
    pub wrapped: bool,
}

/// How server-side apply merges lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// As a whole.
    Atomic,
    /// By value.
    Set,
    /// By these fields of the items. A key that an item lacks has the default of its field.
    Map(Arc<[Text]>),
}

/// A map from strings.
#[derive(Clone, Debug)]
pub struct Map {
    /// What each value is.
    pub value: Type,
    /// Whether server-side apply replaces it as a whole.
    pub atomic: bool,
    /// Whether a value may be null (custom resources only).
    pub nullable: bool,
}

/// An object with known fields.
#[derive(Clone, Debug, Default)]
pub struct Struct {
    /// Its name without a package, such as `PodSpec`; empty where a custom resource's schema has none.
    pub name: Text,
    /// The package that OpenAPI puts before the name, such as `io.k8s.api.core.v1`.
    pub package: Text,
    /// What it is, in a sentence or two; may be empty.
    pub description: Text,
    /// In the order of their names.
    pub fields: Vec<Field>,
    /// Whether it is a kind: has `apiVersion` and `kind` (which are among the fields and have no number).
    pub kind: bool,
    /// Whether server-side apply replaces it as a whole.
    pub atomic: bool,
    /// Whether unknown fields are kept.
    pub preserve_unknown: bool,
    /// Whether it is an object with `apiVersion`, `kind` and `metadata` of its own, which are kept though they are not among the fields.
    pub embedded: bool,
    /// Of which fields only one may be set.
    pub unions: Vec<Union>,
    /// The fields that have numbers, in the order in which protobuf writes them; those of a message that JSON does not show are next to each other.
    pub(crate) wire: Vec<u16>,
}

impl Struct {
    /// Brings the fields into their orders.
    pub(super) fn sort(&mut self) {
        self.fields.sort_by(|a, b| a.name.cmp(&b.name));
        let numbered = |at: &u16| self.fields[usize::from(*at)].number > 0;
        let mut wire: Vec<u16> = (0..self.fields.len() as u16).filter(numbered).collect();
        wire.sort_by_key(|at| self.fields[usize::from(*at)].wire_path());
        self.wire = wire;
    }

    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|field| field.name.as_str().cmp(name)).ok().map(|at| &self.fields[at])
    }
}

/// Fields of which only one may be set.
#[derive(Clone, Debug, Default)]
pub struct Union {
    /// The field that names which one; empty without one.
    pub discriminator: Text,
    /// The field and what the discriminator then says.
    pub members: Vec<(Text, Text)>,
}

/// A struct of the built-in table, whose body is parsed at the first look, or one of a custom resource. Dereferences to [`Struct`].
#[derive(Clone)]
pub enum StructRef {
    /// Of the built-in table; may refer to itself.
    Static(&'static LazyStruct),
    /// Of a custom resource.
    Shared(Arc<Struct>),
}

impl StructRef {
    /// The struct, if it is of the built-in table.
    pub(crate) fn as_static(&self) -> Option<&'static Struct> {
        match self {
            StructRef::Static(lazy) => Some(lazy.get()),
            StructRef::Shared(_) => None,
        }
    }

    /// Whether both are the same struct, not only equal ones.
    pub fn same(&self, other: &Self) -> bool {
        std::ptr::eq::<Struct>(&**self, &**other)
    }
}

impl Deref for StructRef {
    type Target = Struct;

    fn deref(&self) -> &Struct {
        match self {
            StructRef::Static(lazy) => lazy.get(),
            StructRef::Shared(of) => of,
        }
    }
}

impl From<Struct> for StructRef {
    fn from(of: Struct) -> Self {
        StructRef::Shared(Arc::new(of))
    }
}

impl std::fmt::Debug for StructRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // not the fields: a struct may contain itself
        write!(f, "{}.{}", self.package, self.name)
    }
}

/// A struct of the built-in table before and after it was looked at.
pub struct LazyStruct {
    source: Source,
    parsed: OnceLock<Struct>,
}

impl LazyStruct {
    pub(super) fn new(source: Source) -> Self {
        LazyStruct { source, parsed: OnceLock::new() }
    }

    /// Whether it is a kind, without parsing it.
    pub(super) fn is_kind(&self) -> bool {
        match self.source {
            Source::Text { head, .. } => head.starts_with("kind "),
            Source::ListOf { .. } => true,
        }
    }

    fn get(&self) -> &Struct {
        self.parsed.get_or_init(|| parse::body(&self.source))
    }
}

/// A field of a struct.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in JSON.
    pub name: Text,
    /// Its number in protobuf; 0 if it has none.
    pub number: u32,
    /// The numbers of the messages around it that JSON does not show, outermost first; 0 where there is none.
    pub outer: [u8; 2],
    /// What its value is.
    pub ty: Type,
    /// What of a zero value is left in JSON.
    pub presence: Presence,
    /// Whether a value must be given.
    pub required: bool,
    /// Whether null is a value of its own (custom resources only; elsewhere null is the same as nothing).
    pub nullable: bool,
    /// What it is when it is not given.
    pub default: Option<Arc<Value>>,
    /// How strategic merge patches treat it.
    pub patch: Patch,
    /// Whether server-side apply replaces its struct as a whole, where the field says so and not its type.
    pub atomic: Option<bool>,
    /// What it is for, in a sentence or two; may be empty.
    pub description: Text,
}

impl Field {
    /// An optional field of a type, with nothing else said about it.
    pub fn new(name: impl Into<Text>, ty: Type) -> Self {
        Field {
            name: name.into(),
            number: 0,
            outer: [0; 2],
            ty,
            presence: Presence::Pointer,
            required: false,
            nullable: false,
            default: None,
            patch: Patch::default(),
            atomic: None,
            description: Text::default(),
        }
    }

    /// The numbers on the way to the field, for sorting.
    fn wire_path(&self) -> [u32; 3] {
        match self.outer {
            [0, _] => [self.number, 0, 0],
            [outer, 0] => [outer.into(), self.number, 0],
            [outer, inner] => [outer.into(), inner.into(), self.number],
        }
    }

    /// Whether server-side apply replaces the value as a whole.
    pub fn is_atomic(&self) -> bool {
        match self.ty {
            Type::Struct(_) => self.atomic.unwrap_or_else(|| self.ty.is_atomic()),
            _ => self.ty.is_atomic(),
        }
    }
}

/// What remains of a zero value (`false`, 0, `""`, `{}` of a struct) in JSON, as with the Go types that clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is kept; nothing and zero are two things.
    Pointer,
    /// It is left out: nothing and zero are the same.
    Omitted,
    /// It is always there, even when it was not given.
    Always,
}

/// How strategic merge patches treat a field.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// Whether what is there is merged with the patch.
    pub strategy: PatchStrategy,
    /// Whether keys that the patch does not list are dropped (`$retainKeys`).
    pub retain_keys: bool,
    /// By which field items of lists are told apart.
    pub merge_key: Option<Text>,
}

/// Whether a strategic merge patch merges lists or replaces them; maps and structs merge unless `Replace` is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatchStrategy {
    /// Nothing is said: lists are replaced, maps and structs are merged.
    #[default]
    Unsaid,
    /// Lists are merged.
    Merge,
    /// Replaced as a whole.
    Replace,
}
