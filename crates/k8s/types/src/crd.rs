//! Custom resources: definitions are checked, their schemas become rows of the table, and objects are checked against them.
//!
//! A definition is a `CustomResourceDefinition` as JSON. [`POLICY`] is what its kind does by itself; [`versions`] compiles what it defines. A
//! [`Version`] holds everything about the objects of one version: their row and type (pruning, defaults, decoding and patches are those of every
//! kind), their schema with its rules, columns, scale. All of it is compiled once and shared.
//!
//! - [`definition`], [`structural`], [`openapi`], [`defaults`]: what is wrong with a definition
//! - [`node`]: a schema, read; [`rows`] as a type of the table, [`decl`] as a type of expressions
//! - [`check`], [`lists`], [`rules`]: what is wrong with an object
//! - [`naming`]: which names of a definition are accepted beside others

mod check;
mod columns;
mod decl;
mod defaults;
mod definition;
mod fieldpath;
mod formats;
mod jsonpath;
mod lists;
mod naming;
mod node;
mod openapi;
mod policy;
mod rows;
mod rules;
mod structural;
#[cfg(test)]
mod tests;
mod version;

pub use columns::Column;
pub use jsonpath::JsonPath;
pub use naming::{Naming, names_of};
pub use node::{Additional, Checks, JsonType, ListType, Node, Rule};
pub use policy::{FINALIZER, POLICY, condition, set_condition};
pub use version::{Scale, Version, versions};
