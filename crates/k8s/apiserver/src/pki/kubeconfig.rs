//! The administrator's kubeconfig.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::PkiError;
use super::files::{self, Access};

/// What a kubeconfig says.
pub(super) struct Entry<'a> {
    pub server: &'a str,
    pub authority: &'a str,
    pub certificate: &'a str,
    pub key: &'a str,
}

/// Writes the file, unless it says this already. Where it stands with one cluster and one user, only what must change
/// is replaced, so that a default namespace that was set in it stays.
pub(super) fn write(path: &Path, entry: &Entry<'_>) -> Result<(), PkiError> {
    let stored = files::read(path, Access::Secret)?.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = stored.as_deref().and_then(|text| updated(text, entry)).unwrap_or_else(|| fresh(entry));
    match stored.as_deref() == Some(text.as_str()) {
        true => Ok(()),
        false => files::write(path, text.as_bytes(), Access::Secret),
    }
}

fn values(entry: &Entry<'_>) -> [(&'static str, String); 4] {
    [
        ("certificate-authority-data:", STANDARD.encode(entry.authority)),
        ("server:", entry.server.to_owned()),
        ("client-certificate-data:", STANDARD.encode(entry.certificate)),
        ("client-key-data:", STANDARD.encode(entry.key)),
    ]
}

fn fresh(entry: &Entry<'_>) -> String {
    let [authority, server, certificate, key] = values(entry).map(|(_, value)| value);
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: sampan\n  cluster:\n    certificate-authority-data: {authority}\n    server: {server}\n\
         contexts:\n\
         - name: sampan\n  context:\n    cluster: sampan\n    user: sampan-admin\n\
         current-context: sampan\n\
         preferences: {{}}\n\
         users:\n\
         - name: sampan-admin\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n"
    )
}

/// The text with its four values replaced, where each stands in it exactly once.
fn updated(text: &str, entry: &Entry<'_>) -> Option<String> {
    let values = values(entry);
    let mut seen = [0; 4];
    let mut updated = String::with_capacity(text.len());
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        match values.iter().position(|(name, _)| line.trim_start().starts_with(name)) {
            Some(index) => {
                seen[index] += 1;
                let (name, value) = &values[index];
                updated.push_str(&format!("{indent}{name} {value}\n"));
            }
            None => {
                updated.push_str(line);
                updated.push('\n');
            }
        }
    }
    (seen == [1; 4]).then_some(updated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(server: &str) -> Entry<'_> {
        Entry { server, authority: "A", certificate: "C", key: "K" }
    }

    #[test]
    fn a_namespace_that_was_set_stays_when_the_server_moves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.kubeconfig");
        write(&path, &entry("https://127.0.0.1:1")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("    user: sampan-admin", "    namespace: team\n    user: sampan-admin"))
            .unwrap();
        write(&path, &entry("https://127.0.0.1:2")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("namespace: team\n"));
        assert!(text.contains("    server: https://127.0.0.1:2\n") && !text.contains(":1\n"));
    }

    #[test]
    fn a_file_of_another_shape_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.kubeconfig");
        std::fs::write(&path, "rubbish").unwrap();
        write(&path, &entry("https://127.0.0.1:1")).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("apiVersion: v1\n"));
    }
}
