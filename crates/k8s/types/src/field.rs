//! Where a field is and what is wrong with it, printed as Kubernetes prints it.

mod error;
mod path;
mod print;
#[cfg(test)]
mod tests;

pub use error::{Error, Errors, Kind};
pub use path::Path;
pub use print::{float, plain, prints, quote, value as print_value};
