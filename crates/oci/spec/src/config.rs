//! Decoding of the runtime specification's JSON, with the field in the error.

use std::fmt;

use serde::de::DeserializeOwned;

/// Why a text is not what it should be.
#[derive(Debug, thiserror::Error)]
pub struct DecodeError {
    /// Where in the text: `linux.seccomp.syscalls[3].action`; empty for the text as a whole.
    pub field: String,
    /// What is wrong, with line and column.
    pub source: serde_json::Error,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.is_empty() {
            true => write!(f, "{}", self.source),
            false => write!(f, "{}: {}", self.field, self.source),
        }
    }
}

/// Decodes a configuration or a part of one.
pub fn decode<T: DeserializeOwned>(text: &[u8]) -> Result<T, DecodeError> {
    match serde_json::from_slice(text) {
        Ok(decoded) => Ok(decoded),
        // Only a failure pays for knowing where.
        Err(source) => Err(DecodeError { field: field::<T>(text), source }),
    }
}

fn field<T: DeserializeOwned>(text: &[u8]) -> String {
    let mut reader = serde_json::Deserializer::from_slice(text);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => String::new(),
        Err(error) => {
            // A dot is the whole, a question mark what could not be told: the text ended before its name.
            let path = error.path().to_string();
            path.strip_suffix('?').unwrap_or(&path).trim_end_matches('.').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Spec;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = decode::<Spec>(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn errors_name_the_field() {
        refused(
            r#"{"linux": {"namespaces": [{"type": "pid"}, {"type": "x"}]}}"#,
            "linux.namespaces[1].type: unknown variant `x`",
        );
        refused(r#"{"process": {"cwd": 3}}"#, "process.cwd: invalid type");
        refused(r#"{"process": {"user": {}}}"#, "process: missing field `cwd`");
        refused(r#"{"hostname": "a""#, "EOF while parsing");
        refused(r#"{"process": {"cwd""#, "process: EOF while parsing");
        refused("", "EOF while parsing");
        refused("{} {}", "trailing characters");
    }
}
