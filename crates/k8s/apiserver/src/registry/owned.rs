//! Who owns which fields (`metadata.managedFields`), kept up to date by every write.

use serde_json::Value;

use super::Call;
use crate::catalog::Row;

/// Notes what a new object's creator owns.
pub fn on_create(_call: &Call, _row: &Row, _new: &mut Value) {}

/// Notes what an update changed. Both objects are of the row's version.
pub fn on_update(_call: &Call, _row: &Row, _subresource: &str, _new: &mut Value, _old: &Value) {}
