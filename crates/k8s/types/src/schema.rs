//! The table of kinds: resources with their verbs and subresources, and the types that their objects are made of.
//!
//! The built-in part is parsed from `kinds/*.kinds` (described in `docs/kubernetes-kinds.md`); a type's body is parsed when it is looked at for the first
//! time, and its names are slices of the program itself. A custom resource builds the same [`Resource`] and [`Type`] at run time, so that what walks an
//! object (decoding, pruning, defaulting, patches, field ownership) does not tell them apart.

mod parse;
mod resource;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod types;

pub use resource::{Resource, Subresource, Verb, Verbs};
pub(crate) use table::META;
pub use table::{Schema, builtin};
pub use text::Text;
pub use types::{
    Field, List, ListKind, Map, Patch, PatchStrategy, Presence, SchemaOr, StringType, Struct, StructRef, Type, Union,
};
