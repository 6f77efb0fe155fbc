//! One rule of a role: which verbs on which resources, names and paths it allows.

use serde_json::{Value, json};

use crate::authorize::{Resource, Target};

/// A rule, read once. Its texts are as they stand in the role.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// `apiGroups`.
    pub groups: Vec<String>,
    /// `resources`.
    pub resources: Vec<String>,
    /// `nonResourceURLs`.
    pub paths: Vec<String>,
    /// `resourceNames`.
    pub names: Vec<String>,
    /// `verbs`.
    pub verbs: Vec<String>,
}

impl Rule {
    /// A rule that allows everything on resources.
    pub fn all_resources() -> Rule {
        let all = || vec!["*".to_owned()];
        Rule { groups: all(), resources: all(), verbs: all(), ..Rule::default() }
    }

    /// A rule that allows everything on paths.
    pub fn all_paths() -> Rule {
        Rule { paths: vec!["*".to_owned()], verbs: vec!["*".to_owned()], ..Rule::default() }
    }

    /// The rules of a role's object.
    pub fn all_of(role: &Value) -> Vec<Rule> {
        role["rules"].as_array().map(|rules| rules.iter().map(Rule::read).collect()).unwrap_or_default()
    }

    /// Reads a `PolicyRule`; what is absent is empty.
    pub fn read(rule: &Value) -> Rule {
        let texts = |field: &str| {
            let texts = rule[field].as_array().map(Vec::as_slice).unwrap_or_default();
            texts.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Rule {
            groups: texts("apiGroups"),
            resources: texts("resources"),
            paths: texts("nonResourceURLs"),
            names: texts("resourceNames"),
            verbs: texts("verbs"),
        }
    }

    /// As a `PolicyRule`.
    pub fn to_value(&self) -> Value {
        let mut value = json!({ "verbs": self.verbs });
        let fields = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.paths),
        ];
        for (field, texts) in fields {
            if !texts.is_empty() {
                value[field] = json!(texts);
            }
        }
        value
    }

    /// Whether it allows a verb on a target.
    pub fn allows(&self, verb: &str, target: &Target<'_>) -> bool {
        if !has(&self.verbs, verb) {
            return false;
        }
        match target {
            Target::Path(path) => self.paths.iter().any(|rule| path_covers(rule, path)),
            Target::Resource(resource) => {
                has(&self.groups, resource.group)
                    && self.resources.iter().any(|rule| covers_resource(rule, resource))
                    && (self.names.is_empty() || self.names.iter().any(|name| name == resource.name))
            }
        }
    }

    /// Whether everything that `part` allows is allowed by this rule too. `part` is one of [`Rule::parts`].
    pub fn covers(&self, part: &Rule) -> bool {
        part.verbs.iter().all(|verb| has(&self.verbs, verb))
            && part.groups.iter().all(|group| has(&self.groups, group))
            && part
                .resources
                .iter()
                .all(|resource| self.resources.iter().any(|own| covers_resource_text(own, resource)))
            && part.paths.iter().all(|path| self.paths.iter().any(|own| path_covers(own, path)))
            && (self.names.is_empty()
                || (!part.names.is_empty() && part.names.iter().all(|name| self.names.contains(name))))
    }

    /// The same as rules of one group, resource, name and verb each, or one path and verb.
    pub fn parts(&self) -> Vec<Rule> {
        let one = |text: &String| vec![text.clone()];
        let mut parts = Vec::new();
        for group in &self.groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let part =
                        Rule { groups: one(group), resources: one(resource), verbs: one(verb), ..Rule::default() };
                    match self.names.is_empty() {
                        true => parts.push(part),
                        false => parts.extend(self.names.iter().map(|name| Rule { names: one(name), ..part.clone() })),
                    }
                }
            }
        }
        for path in &self.paths {
            parts.extend(self.verbs.iter().map(|verb| Rule { paths: one(path), verbs: one(verb), ..Rule::default() }));
        }
        parts
    }
}

impl std::fmt::Display for Rule {
    /// The way kube-apiserver lists rights that somebody lacks: `{APIGroups:["apps"], Resources:["pods"], Verbs:["get"]}`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.paths),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(_, texts)| !texts.is_empty())
            .map(|(name, texts)| format!("{name}:{}", quoted(texts)))
            .collect();
        write!(f, "{{{}}}", parts.join(", "))
    }
}

/// Texts in quotes and brackets with blanks between: `["a" "b"]`.
pub fn quoted(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| k8s_types::field::quote(text)).collect();
    format!("[{}]", texts.join(" "))
}

fn has(texts: &[String], wanted: &str) -> bool {
    texts.iter().any(|text| text == "*" || text == wanted)
}

fn covers_resource(rule: &str, resource: &Resource<'_>) -> bool {
    if rule == "*" {
        return true;
    }
    match (rule.split_once('/'), resource.subresource) {
        (None, "") => rule == resource.resource,
        (Some((parent, sub)), subresource) if !subresource.is_empty() => {
            sub == subresource && (parent == "*" || parent == resource.resource)
        }
        _ => false,
    }
}

fn covers_resource_text(rule: &str, resource: &str) -> bool {
    let subresource = resource.split_once('/').map(|(_, subresource)| subresource);
    rule == "*" || rule == resource || (subresource.is_some() && rule.strip_prefix("*/") == subresource)
}

fn path_covers(rule: &str, path: &str) -> bool {
    rule == path || rule.ends_with('*') && path.starts_with(rule.trim_end_matches('*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(value: Value) -> Rule {
        Rule::read(&value)
    }

    fn allows(rule: &Rule, verb: &str, group: &str, resource: &str, name: &str) -> bool {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        rule.allows(verb, &Target::Resource(Resource { group, resource, subresource, name, ..Resource::default() }))
    }

    #[test]
    fn every_form_of_a_rule_on_resources() {
        let pods = rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "*/scale", "pods/log"]}));
        for (verb, group, resource, want) in [
            ("get", "", "pods", true),
            ("list", "", "pods", false),
            ("get", "apps", "pods", false),
            ("get", "", "pods/log", true),
            ("get", "", "pods/exec", false),
            ("get", "", "deployments/scale", true),
            ("get", "", "scale", false),
            ("get", "", "deployments", false),
        ] {
            assert_eq!(allows(&pods, verb, group, resource, "x"), want, "{verb} {group} {resource}");
        }
        let all = Rule::all_resources();
        assert!(allows(&all, "anything", "any.group", "things/sub", "x"));
        assert!(!all.allows("get", &Target::Path("/healthz")));
        let named = rule(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["secrets"], "resourceNames": ["a"]}));
        assert!(allows(&named, "get", "", "secrets", "a") && !allows(&named, "get", "", "secrets", "b"));
        assert!(!allows(&named, "list", "", "secrets", ""));
        let literal = rule(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/*"]}));
        assert!(!allows(&literal, "get", "", "pods/log", "x"));
    }

    #[test]
    fn paths_with_a_star_at_their_end() {
        let paths = rule(json!({"verbs": ["get"], "nonResourceURLs": ["/healthz", "/apis/*"]}));
        for (path, want) in [("/healthz", true), ("/healthz/x", false), ("/apis/apps", true), ("/apis", false)] {
            assert_eq!(paths.allows("get", &Target::Path(path)), want, "{path}");
        }
        assert!(!paths.allows("post", &Target::Path("/healthz")));
        assert!(Rule::all_paths().allows("post", &Target::Path("/anything")));
    }

    #[test]
    fn lacking_rights_are_listed_as_by_kube_apiserver() {
        let rule =
            rule(json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}));
        let want = r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get" "list"]}"#;
        assert_eq!(rule.to_string(), want);
        assert_eq!(Rule::all_paths().to_string(), r#"{NonResourceURLs:["*"], Verbs:["*"]}"#);
    }
}
