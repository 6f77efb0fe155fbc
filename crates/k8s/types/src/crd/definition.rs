//! Checks of a whole definition: names, versions, what each version says, conversion.

use serde_json::Value;

use super::defaults::check_defaults;
use super::fieldpath;
use super::node::{JsonType, Node};
use super::{openapi, structural};
use crate::field::{Error, Errors, Path};
use crate::names;

/// The most selectable fields of a version.
const MOST_SELECTABLE: usize = 8;

/// Checks a new definition, or with `old` an update. Metadata is checked elsewhere, but for the rule on the name.
pub(super) fn check(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let (spec, path) = (&new["spec"], Path::new("spec"));
    if old.is_none() {
        let want = format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group"));
        let name = text(&new["metadata"], "name");
        if name != want && !name.is_empty() {
            let detail = "must be spec.names.plural+\".\"+spec.group";
            errors.push(Error::invalid(&Path::new("metadata").child("name"), name, detail));
        }
    }
    check_spec(spec, old.map(|old| &old["spec"]), &path, errors);
    if let Some(old) = old {
        immutable(new, old, &path, errors);
    }
    check_names(&new["status"]["acceptedNames"], &Path::new("status").child("acceptedNames"), errors);
    stored_versions(new, errors);
    approval(new, old, errors);
    if spec["preserveUnknownFields"] == true && old.is_none_or(|old| old["spec"]["preserveUnknownFields"] != true) {
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(Error::invalid(&path.child("preserveUnknownFields"), true, detail));
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn versions(spec: &Value) -> &[Value] {
    spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn immutable(new: &Value, old: &Value, path: &Path, errors: &mut Errors) {
    let mut same = |names: &[&'static str]| {
        let at = |object: &Value| names.iter().fold(object["spec"].clone(), |value, name| value[name].clone());
        if at(new) != at(old) {
            errors.push(Error::invalid(&path.children(names), at(new), "field is immutable"));
        }
    };
    if super::condition(old, "Established") == "True" {
        same(&["scope"]);
        same(&["names", "kind"]);
    }
    same(&["group"]);
    same(&["names", "plural"]);
}

fn check_spec(spec: &Value, old: Option<&Value>, path: &Path, errors: &mut Errors) {
    group(text(spec, "group"), &path.child("group"), errors);
    one_of(text(spec, "scope"), &["Cluster", "Namespaced"], &path.child("scope"), errors);
    let versions = versions(spec);
    let shared = Shared::of(versions);
    check_versions(spec, old, &shared, path, errors);
    let storage = versions.iter().filter(|version| version["storage"] == true).count();
    let at = path.child("versions");
    let repeated = versions.iter().enumerate().any(|(n, v)| versions[..n].iter().any(|w| w["name"] == v["name"]));
    if repeated {
        errors.push(Error::invalid(&at, versions, "must contain unique version names"));
    }
    if storage != 1 {
        errors.push(Error::invalid(&at, versions, "must have exactly one version marked as storage version"));
    }
    for name in ["plural", "singular", "kind", "listKind"] {
        if text(&spec["names"], name).is_empty() {
            errors.push(Error::required(&path.child("names").child(name), ""));
        }
    }
    check_names(&spec["names"], &path.child("names"), errors);
    check_shared(spec, old, &shared, path, errors);
    conversion(spec, path, errors);
}

/// What all versions say alike is said once, under the definition itself; that is where Kubernetes reports errors about it.
struct Shared {
    schema: bool,
    subresources: bool,
    columns: bool,
    selectable: bool,
}

impl Shared {
    fn of(versions: &[Value]) -> Shared {
        let same = |name: &str| {
            versions.first().is_some_and(|first| {
                !first[name].is_null() && versions.iter().all(|version| version[name] == first[name])
            })
        };
        Shared {
            schema: same("schema"),
            subresources: same("subresources"),
            columns: same("additionalPrinterColumns"),
            selectable: same("selectableFields"),
        }
    }
}

fn check_versions(spec: &Value, old: Option<&Value>, shared: &Shared, path: &Path, errors: &mut Errors) {
    for (n, version) in versions(spec).iter().enumerate() {
        let at = path.child("versions").index(n);
        if version["schema"]["openAPIV3Schema"].is_null() {
            errors.push(Error::required(&at.child("schema").child("openAPIV3Schema"), ""));
        }
        for why in names::dns1035_label(text(version, "name")) {
            errors.push(Error::invalid(&at.child("name"), text(version, "name"), why));
        }
        deprecation(version, &at.child("deprecationWarning"), errors);
        if !shared.schema {
            let unchanged = old.is_some_and(|old| unchanged(version, old));
            schema(version, has_status(version), unchanged, &at.child("schema"), errors);
        }
        if !shared.subresources {
            subresources(&version["subresources"], &at.child("subresources"), errors);
        }
        if !shared.columns {
            columns(version, &at.child("additionalPrinterColumns"), errors);
        }
        if !shared.selectable {
            selectable(version, &at.child("selectableFields"), errors);
        }
    }
}

fn check_shared(spec: &Value, old: Option<&Value>, shared: &Shared, path: &Path, errors: &mut Errors) {
    let Some(first) = versions(spec).first() else { return };
    if shared.schema {
        let unchanged = old.is_some_and(|old| unchanged(first, old));
        let status = versions(spec).iter().any(has_status);
        schema(first, status, unchanged, &path.child("validation"), errors);
    }
    if shared.subresources {
        subresources(&first["subresources"], &path.child("subresources"), errors);
    }
    if shared.columns {
        columns(first, &path.child("additionalPrinterColumns"), errors);
    }
    if shared.selectable {
        selectable(first, &path.child("selectableFields"), errors);
    }
}

fn unchanged(version: &Value, old: &Value) -> bool {
    let same = versions(old).iter().find(|other| other["name"] == version["name"]);
    same.is_some_and(|other| other["schema"] == version["schema"])
}

fn has_status(version: &Value) -> bool {
    !version["subresources"]["status"].is_null()
}

fn group(group: &str, path: &Path, errors: &mut Errors) {
    let why = names::dns1123_subdomain(group);
    if group.is_empty() {
        errors.push(Error::required(path, ""));
    } else if !why.is_empty() {
        errors.push(Error::invalid(path, group, why.join(",")));
    } else if !group.contains('.') {
        errors.push(Error::invalid(path, group, "should be a domain with at least one dot"));
    }
}

fn one_of(value: &str, allowed: &[&str], path: &Path, errors: &mut Errors) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
    } else if !allowed.contains(&value) {
        errors.push(Error::not_supported(path, value, allowed));
    }
}

fn check_names(given: &Value, path: &Path, errors: &mut Errors) {
    for (name, mixed) in [("plural", false), ("singular", false), ("kind", true), ("listKind", true)] {
        let value = text(given, name);
        let why = names::dns1035_label(&if mixed { value.to_lowercase() } else { value.to_owned() });
        if !value.is_empty() && !why.is_empty() {
            let mixed = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            errors.push(Error::invalid(&path.child(name), value, format!("{mixed}{}", why.join(","))));
        }
    }
    let kind = text(given, "kind");
    for name in ["shortNames", "categories"] {
        if name == "categories" && !kind.is_empty() && kind == text(given, "listKind") {
            let at = path.child("listKind");
            errors.push(Error::invalid(&at, kind, "kind and listKind may not be the same"));
        }
        for (n, value) in given[name].as_array().into_iter().flatten().enumerate() {
            let value = value.as_str().unwrap_or_default();
            let why = names::dns1035_label(value);
            if !why.is_empty() {
                errors.push(Error::invalid(&path.child(name).index(n), value, why.join(",")));
            }
        }
    }
}

fn deprecation(version: &Value, path: &Path, errors: &mut Errors) {
    let Some(warning) = version["deprecationWarning"].as_str() else { return };
    let mut told = |detail: String| errors.push(Error::invalid(path, warning, detail));
    if version["deprecated"] != true {
        told("can only be set for deprecated versions".into());
        return;
    }
    if warning.len() > 256 {
        told("must be <= 256 characters long".into());
    }
    if warning.is_empty() {
        told("must not be an empty string".into());
    }
    if let Some((at, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        told(format!("must only contain printable UTF-8 characters; non-printable character found at index {at}"));
    }
}

fn schema(version: &Value, status: bool, unchanged: bool, path: &Path, errors: &mut Errors) {
    let schema = &version["schema"]["openAPIV3Schema"];
    if !schema.is_object() {
        return;
    }
    let at = path.child("openAPIV3Schema");
    if status {
        root_of_status(schema, path, &at, errors);
    }
    if schema["nullable"] == true {
        errors.push(Error::forbidden(&path.child("openAPIV3Schema.nullable"), "nullable cannot be true at the root"));
    }
    let mut found = structural::check(schema, &at);
    if found.is_empty() {
        found = check_defaults(&Node::read(schema), &at);
    }
    let rules = found.is_empty();
    errors.append(found);
    openapi::check(schema, openapi::Options { rules, any_cost: unchanged }, &at, errors);
}

/// Beside a status subresource the root may say nothing that the status would lose.
fn root_of_status(schema: &Value, path: &Path, at: &Path, errors: &mut Errors) {
    const FORBIDDEN: [&str; 17] = [
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "enum",
        "maxProperties",
        "minProperties",
        "additionalProperties",
        "default",
        "nullable",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "$ref",
        "definitions",
    ];
    let kind = text(schema, "type");
    if !kind.is_empty() && kind != "object" {
        let detail =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(Error::invalid(&path.child("openAPIV3Schema.type"), kind, detail));
    }
    if structural::fields(schema).any(|(name, value)| FORBIDDEN.contains(&name.as_str()) && !value.is_null()) {
        let allowed = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength \
                       MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties \
                       ExternalDocs Example XPreserveUnknownFields XValidations]";
        let detail =
            format!("only {allowed} fields are allowed at the root of the schema if the status subresource is enabled");
        errors.push(Error::invalid(at, schema.clone(), detail));
    }
}

fn simple_path(given: &str, path: &Path, errors: &mut Errors) -> bool {
    let fine = given.starts_with('.');
    if !fine {
        errors.push(Error::invalid(path, given, "must be a simple json path starting with ."));
    }
    fine
}

fn subresources(given: &Value, path: &Path, errors: &mut Errors) {
    let scale = &given["scale"];
    if !scale.is_object() {
        return;
    }
    let rules = [
        ("specReplicasPath", "scale.specReplicasPath", &[".spec."][..], "should be a json path under .spec"),
        ("statusReplicasPath", "scale.statusReplicasPath", &[".status."][..], "should be a json path under .status"),
        (
            "labelSelectorPath",
            "scale.labelSelectorPath",
            &[".spec.", ".status."][..],
            "should be a json path under either .spec or .status",
        ),
    ];
    for (name, shown, prefixes, detail) in rules {
        let (value, at) = (text(scale, name), path.child(shown));
        if value.is_empty() {
            if name != "labelSelectorPath" {
                errors.push(Error::required(&at, ""));
            }
        } else if simple_path(value, &at, errors) && !prefixes.iter().any(|prefix| value.starts_with(prefix)) {
            errors.push(Error::invalid(&at, value, detail));
        }
    }
}

fn columns(version: &Value, path: &Path, errors: &mut Errors) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 10] =
        ["binary", "byte", "date", "date-time", "double", "float", "int32", "int64", "name", "password"];
    for (n, column) in version["additionalPrinterColumns"].as_array().into_iter().flatten().enumerate() {
        let at = path.index(n);
        if text(column, "name").is_empty() {
            errors.push(Error::required(&at.child("name"), ""));
        }
        let kind = text(column, "type");
        let detail = format!("must be one of {}", TYPES.join(","));
        if kind.is_empty() {
            errors.push(Error::required(&at.child("type"), detail));
        } else if !TYPES.contains(&kind) {
            errors.push(Error::invalid(&at.child("type"), kind, detail));
        }
        let format = text(column, "format");
        if !format.is_empty() && !FORMATS.contains(&format) {
            let detail = format!("must be one of {}", FORMATS.join(","));
            errors.push(Error::invalid(&at.child("format"), format, detail));
        }
        let (json_path, at) = (text(column, "jsonPath"), at.child("JSONPath"));
        if json_path.is_empty() {
            errors.push(Error::required(&at, ""));
        } else {
            simple_path(json_path, &at, errors);
        }
    }
}

fn selectable(version: &Value, path: &Path, errors: &mut Errors) {
    let given = version["selectableFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let schema = &version["schema"]["openAPIV3Schema"];
    if given.is_empty() || !schema.is_object() {
        return;
    }
    let node = Node::read(schema);
    let mut seen: Vec<String> = Vec::new();
    for (n, field) in given.iter().enumerate() {
        let (value, at) = (text(field, "jsonPath"), path.index(n).child("jsonPath"));
        if value.is_empty() {
            errors.push(Error::required(&at, ""));
            continue;
        }
        let found = match fieldpath::parse_dotted(value, &node) {
            Ok(found) => found,
            Err(why) => {
                errors.push(Error::invalid(&at, value, format!("is an invalid path: {why}")));
                continue;
            }
        };
        if found.first == "metadata" {
            errors.push(Error::invalid(&at, value, "must not point to fields in metadata"));
        }
        if !matches!(found.node.kind, JsonType::String | JsonType::Boolean | JsonType::Integer) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.push(Error::invalid(&at, value, detail));
        }
        if seen.contains(&found.path) {
            errors.push(Error::duplicate(&at, value));
        } else {
            seen.push(found.path);
        }
    }
    if seen.len() > MOST_SELECTABLE {
        errors.push(Error::too_many(path, seen.len(), MOST_SELECTABLE));
    }
}

fn conversion(spec: &Value, path: &Path, errors: &mut Errors) {
    let (given, at) = (&spec["conversion"], path.child("conversion"));
    if given.is_null() {
        return;
    }
    let strategy = text(given, "strategy");
    one_of(strategy, &["None", "Webhook"], &at.child("strategy"), errors);
    let webhook = &given["webhook"];
    let config_at = at.child("webhookClientConfig");
    if strategy != "Webhook" {
        if !webhook["clientConfig"].is_null() {
            errors.push(Error::forbidden(&config_at, "should not be set when strategy is not set to Webhook"));
        }
        return;
    }
    let config = &webhook["clientConfig"];
    if config.is_null() {
        errors.push(Error::required(&config_at, "required when strategy is set to Webhook"));
    } else if config["url"].is_null() == config["service"].is_null() {
        errors.push(Error::required(&config_at, "exactly one of url or service is required"));
    }
    let reviews = webhook["conversionReviewVersions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reviews_at = at.child("conversionReviewVersions");
    if reviews.is_empty() {
        errors.push(Error::required(&reviews_at, ""));
    } else if !reviews.iter().any(|version| *version == "v1" || *version == "v1beta1") {
        errors.push(Error::invalid(&reviews_at, reviews, "must include at least one of v1, v1beta1"));
    }
}

fn stored_versions(new: &Value, errors: &mut Errors) {
    let stored = new["status"]["storedVersions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let path = Path::new("status").child("storedVersions");
    if stored.is_empty() {
        errors.push(Error::invalid(&path, stored, "must have at least one stored version"));
        return;
    }
    let versions = versions(&new["spec"]);
    for version in versions.iter().filter(|version| version["storage"] == true && !stored.contains(&version["name"])) {
        let detail = format!("must have the storage version {}", text(version, "name"));
        errors.push(Error::invalid(&path, stored, detail));
    }
    for (n, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| version["name"] == *name) {
            let name = name.as_str().unwrap_or_default();
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.push(Error::invalid(&path.index(n), name, detail));
        }
    }
}

const APPROVAL: &str = "api-approved.kubernetes.io";

/// Groups of the Kubernetes community want their approval named.
fn approval(new: &Value, old: Option<&Value>, errors: &mut Errors) {
    let group = text(&new["spec"], "group");
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    if !protected {
        return;
    }
    let state = |object: &Value| match object["metadata"]["annotations"][APPROVAL].as_str() {
        None | Some("") => "missing",
        Some(text) if text.starts_with("unapproved") => "bypassed",
        Some(text) if text.contains("://") => "approved",
        Some(_) => "invalid",
    };
    let now = state(new);
    if old.is_some_and(|old| state(old) == now) {
        return;
    }
    let path = Path::new("metadata").child("annotations").key(APPROVAL);
    match now {
        "missing" => {
            let detail = format!(
                "protected groups must have approval annotation \"{APPROVAL}\", see https://github.com/kubernetes/enhancements/pull/1111"
            );
            errors.push(Error::required(&path, detail));
        }
        "invalid" => {
            let value = new["metadata"]["annotations"][APPROVAL].clone();
            let detail = format!(
                "protected groups must have approval annotation \"{APPROVAL}\" with either a URL or a reason starting with \
                 \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111"
            );
            errors.push(Error::invalid(&path, value, detail));
        }
        _ => {}
    }
}

/// What is worth a warning in a definition.
pub(super) fn warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let gather = |object: &Value| {
        let mut found = Vec::new();
        for version in versions(&object["spec"]) {
            gather(&version["schema"]["openAPIV3Schema"], &mut found);
        }
        found
    };
    let before = old.map(gather).unwrap_or_default();
    let mut found = gather(new);
    found.retain(|warning| !before.contains(warning));
    found.dedup();
    found
}

fn gather(schema: &Value, found: &mut Vec<String>) {
    let format = text(schema, "format");
    if !format.is_empty() && !super::formats::is_known(format) {
        found.push(format!("unrecognized format {format:?}"));
    }
    let items = &schema["items"];
    if schema["x-kubernetes-list-type"] == "set" && (items["type"] == "object" || items["type"] == "array") {
        let kind = text(items, "type");
        found.push(format!(
            "x-kubernetes-list-type: set for items of type {kind:?} is not supported by server-side apply or CEL validation rules"
        ));
    }
    for (_, property) in structural::fields(&schema["properties"]) {
        gather(property, found);
    }
    for name in ["items", "additionalProperties", "not"] {
        if schema[name].is_object() {
            gather(&schema[name], found);
        }
    }
    for name in ["allOf", "anyOf", "oneOf"] {
        schema[name].as_array().into_iter().flatten().for_each(|schema| gather(schema, found));
    }
}
