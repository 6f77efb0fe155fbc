//! Selectors of labels and of fields: what a list or a watch is narrowed to, and what `LabelSelector` objects say.

pub mod field;
pub mod label;

pub use field::FieldSelector;
pub use label::LabelSelector;
