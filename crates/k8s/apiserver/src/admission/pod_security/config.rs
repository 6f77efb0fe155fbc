//! What an operator says about the pod security standards: defaults for namespaces without labels, and who is exempt. As kube-apiserver reads it, from the
//! file of `--admission-control-config-file`.

use std::path::{Path, PathBuf};

use k8s_types::codec::{self, Format};
use k8s_types::policy::read::Read;
use serde_json::Value;

use super::level::{self, Grades};

const PLUGIN: &str = "PodSecurity";
const KIND: &str = "PodSecurityConfiguration";

/// Defaults and exemptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What a namespace asks for whose labels do not say.
    pub defaults: Grades,
    /// Users whose requests are not looked at.
    pub usernames: Vec<String>,
    /// Runtime classes whose pods are not looked at.
    pub runtime_classes: Vec<String>,
    /// Namespaces that are not looked at.
    pub namespaces: Vec<String>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file, or one that it names, cannot be read.
    #[error("read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It does not say what it should.
    #[error("{path}: {why}")]
    Invalid {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Config {
    /// Reads an `AdmissionConfiguration`. Plug-ins that are not there are refused: nobody should think that they work.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let file = document(path)?;
        let invalid = |why: String| ConfigError::Invalid { path: path.to_owned(), why };
        if file["kind"] != "AdmissionConfiguration" {
            return Err(invalid("it is no AdmissionConfiguration of apiserver.config.k8s.io/v1".to_owned()));
        }
        let mut config = Config::default();
        for plugin in file["plugins"].items() {
            match plugin["name"].text() {
                PLUGIN => {}
                other => return Err(invalid(format!("the plug-in {other:?} takes no configuration"))),
            }
            config = match plugin["path"].text() {
                "" => Config::of(&plugin["configuration"]).map_err(invalid)?,
                other => {
                    let path = path.parent().unwrap_or(Path::new("")).join(other);
                    Config::of(&document(&path)?).map_err(|why| ConfigError::Invalid { path, why })?
                }
            };
        }
        Ok(config)
    }

    fn of(value: &Value) -> Result<Config, String> {
        if value["kind"] != KIND {
            return Err(format!("it is no {KIND} of pod-security.admission.config.k8s.io/v1"));
        }
        for (name, _) in value.fields() {
            if !["apiVersion", "kind", "defaults", "exemptions"].contains(&name.as_str()) {
                return Err(format!("unknown field {name:?}"));
            }
        }
        let (defaults, bad) = level::read(|key| value["defaults"][key].as_str(), Grades::FREE);
        if let Some(bad) = bad.first() {
            return Err(format!("defaults.{}: {:?} {}", bad.key, bad.value, bad.detail));
        }
        let exemptions = &value["exemptions"];
        let names = |field: &str| exemptions[field].items().iter().map(|name| name.text().to_owned()).collect();
        let (usernames, runtime_classes, namespaces) =
            (names("usernames"), names("runtimeClasses"), names("namespaces"));
        Ok(Config { defaults, usernames, runtime_classes, namespaces })
    }

    /// Whether nothing in a namespace is looked at.
    pub fn exempts_namespace(&self, name: &str) -> bool {
        self.namespaces.iter().any(|known| known == name)
    }

    /// Whether what this user does is not looked at.
    pub fn exempts_user(&self, name: &str) -> bool {
        self.usernames.iter().any(|known| known == name)
    }

    /// Whether a pod of this specification is not looked at.
    pub fn exempts_class(&self, spec: &Value) -> bool {
        let class = spec["runtimeClassName"].text();
        !class.is_empty() && self.runtime_classes.iter().any(|known| known == class)
    }
}

fn document(path: &Path) -> Result<Value, ConfigError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    codec::decode_untyped(&bytes, Format::Yaml)
        .map_err(|error| ConfigError::Invalid { path: path.to_owned(), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(plugins: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admission.yaml");
        let text = format!("apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins: {plugins}");
        std::fs::write(&path, text).unwrap();
        let inner = "kind: PodSecurityConfiguration\nexemptions: {namespaces: [a]}";
        std::fs::write(folder.path().join("inner.yaml"), inner).unwrap();
        Config::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_and_exemptions_are_read() {
        let config = read(
            "[{name: PodSecurity, configuration: {kind: PodSecurityConfiguration, defaults: {enforce: baseline, \
                enforce-version: v1.30, warn: restricted}, exemptions: {usernames: [root], runtimeClasses: [kata]}}}]",
        )
        .unwrap();
        assert_eq!(config.defaults.enforce.to_string(), "baseline:v1.30");
        assert_eq!(config.defaults.warn.to_string(), "restricted:latest");
        assert!(config.exempts_user("root") && !config.exempts_user("") && !config.exempts_namespace("a"));
        assert!(config.exempts_class(&serde_json::json!({"runtimeClassName": "kata"})));
        assert!(!config.exempts_class(&serde_json::json!({})));
        assert!(read("[{name: PodSecurity, path: inner.yaml}]").unwrap().exempts_namespace("a"));
        assert_eq!(read("[]").unwrap(), Config::default());
    }

    #[test]
    fn what_it_does_not_do_is_refused() {
        for (plugins, wanted) in [
            ("[{name: ImagePolicyWebhook}]", "takes no configuration"),
            ("[{name: PodSecurity, configuration: {kind: Other}}]", "no PodSecurityConfiguration"),
            (
                "[{name: PodSecurity, configuration: {kind: PodSecurityConfiguration, defaults: {enforce: high}}}]",
                "must be one of",
            ),
            ("[{name: PodSecurity, configuration: {kind: PodSecurityConfiguration, extra: 1}}]", "unknown field"),
            ("[{name: PodSecurity, path: none.yaml}]", "read "),
        ] {
            let error = read(plugins).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
