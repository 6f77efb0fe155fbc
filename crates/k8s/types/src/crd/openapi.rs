//! Checks of a schema beyond its structure: keywords that are not supported, how extensions go together, and the rules.

use serde_json::{Value, json};

use super::decl::REQUEST_SIZE;
use super::fieldpath;
use super::node::Node;
use super::rules::{Refused, compile_own};
use super::structural::fields;
use crate::field::{Error, Errors, Path};

/// The most one expression may cost by estimation.
const EXPRESSION_LIMIT: u64 = 10_000_000;
/// The most all expressions of a schema may cost by estimation.
const SCHEMA_LIMIT: u64 = 100_000_000;

/// What is asked of schemas.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Whether rules are compiled: only in schemas that are structural and whose defaults are good.
    pub rules: bool,
    /// Whether single rules may be expensive: the schema was accepted before.
    pub any_cost: bool,
}

/// Checks a whole schema.
pub(super) fn check(schema: &Value, options: Options, path: &Path, errors: &mut Errors) {
    let mut walk = Walk { options, schema_errors: Errors::new(), rule_errors: Errors::new(), costs: Vec::new() };
    let place = Place { root: true, ..Place::default() };
    walk.schema(schema, &place, Some(Some(1)), path);
    let total = walk.costs.iter().fold(0u64, |sum, (_, cost)| sum.saturating_add(*cost));
    let mut costs = walk.costs;
    errors.append(walk.schema_errors);
    errors.append(walk.rule_errors);
    if total > SCHEMA_LIMIT {
        costs.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        for (path, _) in costs.into_iter().take(4) {
            let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            errors.push(Error::forbidden(&path, detail));
        }
        let name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.push(Error::forbidden(path, over(name, total, SCHEMA_LIMIT)));
    }
}

/// What is known from outside about the place of a schema.
#[derive(Debug, Clone, Default)]
struct Place {
    root: bool,
    inside_meta: bool,
    /// Why defaults are forbidden here.
    no_default: Option<String>,
    /// The schema around whose values cannot be found again in an old object.
    uncorrelated: Option<Path>,
}

struct Walk {
    options: Options,
    schema_errors: Errors,
    rule_errors: Errors,
    costs: Vec<(Path, u64)>,
}

/// How often a schema's values can be there: never for rules (inside of `allOf`), without bound, or at most so often.
type Times = Option<Option<u64>>;

impl Walk {
    fn schema(&mut self, schema: &Value, place: &Place, times: Times, path: &Path) {
        if !schema.is_object() {
            return;
        }
        let before = self.schema_errors.len();
        self.keywords(schema, place, path);
        self.inner(schema, place, times, path);
        self.maps_and_lists(schema, path);
        self.rules(schema, place, times, path, before);
    }

    fn keywords(&mut self, schema: &Value, place: &Place, path: &Path) {
        let errors = &mut self.schema_errors;
        const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
        let kind = schema["type"].as_str().unwrap_or_default();
        if !kind.is_empty() && !TYPES.contains(&kind) {
            errors.push(Error::not_supported(&path.child("type"), kind, &TYPES));
        }
        if let (Some(reason), false) = (&place.no_default, schema["default"].is_null()) {
            errors.push(Error::forbidden(&path.child("default"), format!("must not be set {reason}")));
        }
        for name in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
            if !schema[name].is_null() && schema[name] != json!("") {
                errors.push(Error::forbidden(&path.child(name), format!("{name} is not supported")));
            }
        }
        if kind == "null" {
            let detail = "type cannot be set to null, use nullable as an alternative";
            errors.push(Error::forbidden(&path.child("type"), detail));
        }
        if schema["items"].is_array() {
            let detail = "items must be a schema object and not an array";
            errors.push(Error::forbidden(&path.child("items"), detail));
        }
        if place.inside_meta && schema["x-kubernetes-embedded-resource"] == true {
            let at = path.child("x-kubernetes-embedded-resource");
            errors.push(Error::forbidden(&at, "must not be used inside of resource meta"));
        }
        if schema["uniqueItems"] == true {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            errors.push(Error::forbidden(&path.child("uniqueItems"), detail));
        }
        if schema["x-kubernetes-preserve-unknown-fields"] == false {
            let at = path.child("x-kubernetes-preserve-unknown-fields");
            errors.push(Error::invalid(&at, false, "must be true or undefined"));
        }
    }

    fn inner(&mut self, schema: &Value, place: &Place, times: Times, path: &Path) {
        let inner = Place { root: false, ..place.clone() };
        let additional = &schema["additionalProperties"];
        if !additional.is_null() {
            let has_properties = schema["properties"].as_object().is_some_and(|map| !map.is_empty());
            if has_properties && *additional != Value::Bool(true) {
                let detail = "additionalProperties and properties are mutual exclusive";
                self.schema_errors.push(Error::forbidden(&path.child("additionalProperties"), detail));
            }
            let mut inner = inner.clone();
            if place.inside_meta {
                inner.no_default = Some("inside additionalProperties applying to object metadata".into());
            }
            let times = times.map(|times| multiply(times, schema["maxProperties"].as_u64()));
            self.schema(additional, &inner, times, &path.child("additionalProperties"));
        }
        for (name, property) in fields(&schema["properties"]) {
            let mut inner = inner.clone();
            let embedded = schema["x-kubernetes-embedded-resource"] == true;
            if (place.root || embedded) && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
                inner.inside_meta = true;
                if place.root {
                    inner.no_default = Some(format!("in top-level {name}"));
                }
            }
            self.schema(property, &inner, times, &path.child("properties").key(name));
        }
        self.schema(&schema["not"], &inner, None, &path.child("not"));
        for name in ["allOf", "oneOf", "anyOf"] {
            for (n, of) in schema[name].as_array().into_iter().flatten().enumerate() {
                self.schema(of, &inner, None, &path.child(name).index(n));
            }
        }
        if schema["items"].is_object() {
            let mut inner = inner;
            if schema["x-kubernetes-list-type"] != "map" && inner.uncorrelated.is_none() {
                inner.uncorrelated = Some(path.clone());
            }
            let times = times.map(|times| multiply(times, schema["maxItems"].as_u64()));
            self.schema(&schema["items"], &inner, times, &path.child("items"));
        }
    }

    fn maps_and_lists(&mut self, schema: &Value, path: &Path) {
        let errors = &mut self.schema_errors;
        let kind = schema["type"].as_str().unwrap_or_default();
        for (name, want, allowed) in [
            ("x-kubernetes-map-type", "object", &["atomic", "granular"][..]),
            ("x-kubernetes-list-type", "array", &["atomic", "set", "map"][..]),
        ] {
            let Some(given) = schema[name].as_str() else { continue };
            if kind != want {
                let detail = format!("must be {want} if {name} is specified");
                let at = path.child("type");
                errors.push(if kind.is_empty() {
                    Error::required(&at, detail)
                } else {
                    Error::invalid(&at, kind, detail)
                });
            } else if given == "set" {
                atomic_items(&schema["items"], &path.child("items"), errors);
            }
            if !allowed.contains(&given) {
                errors.push(Error::not_supported(&path.child(name), given, allowed));
            }
        }
        let list = schema["x-kubernetes-list-type"].as_str();
        let keys = schema["x-kubernetes-list-map-keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !keys.is_empty() && list != Some("map") {
            let at = path.child("x-kubernetes-list-type");
            let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
            errors.push(list.map_or_else(|| Error::required(&at, detail), |list| Error::invalid(&at, list, detail)));
        }
        if list == Some("map") {
            keyed_list(schema, keys, path, errors);
        }
        if matches!(list, Some("map" | "set")) {
            keyed_items(schema, list.unwrap_or_default(), keys, path, errors);
        }
    }

    fn rules(&mut self, schema: &Value, place: &Place, times: Times, path: &Path, before: usize) {
        let rules = schema["x-kubernetes-validations"].as_array().map(Vec::as_slice).unwrap_or_default();
        if rules.is_empty() {
            return;
        }
        let at = path.child("x-kubernetes-validations");
        let node = Node::read(schema);
        for (n, rule) in rules.iter().enumerate() {
            rule_fields(rule, &node, &at.index(n), &mut self.schema_errors);
        }
        let Some(times) = times.filter(|_| self.options.rules && self.schema_errors.len() == before) else { return };
        let (compiled, of, cardinality) = compile_own(&node, place.root || node.embedded);
        if of.is_none() {
            let detail = "failed to convert to declType for CEL validation rules";
            self.rule_errors.push(Error::internal(&at, detail));
            return;
        }
        let times = times.unwrap_or(cardinality);
        for (n, compiled) in compiled.iter().enumerate() {
            let at = at.index(n);
            if let Ok(program) = &compiled.program {
                self.cost(&at.child("rule"), program.max_cost().saturating_mul(times), "estimated rule cost");
            }
            self.refused(compiled.program.as_ref().err(), "", &at.child("rule"), &rules[n]);
            match &compiled.message {
                Some(Ok(program)) => {
                    self.cost(&at.child("messageExpression"), program.max_cost(), "estimated messageExpression cost");
                }
                Some(Err(refused)) => {
                    self.refused(Some(refused), "messageExpression ", &at.child("messageExpression"), &rules[n]);
                }
                None => {}
            }
            if compiled.uses_old() {
                if let Some(around) = &place.uncorrelated {
                    let detail =
                        format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {around}");
                    self.rule_errors.push(Error::invalid(&at.child("rule"), compiled.rule.rule.as_str(), detail));
                }
            } else if let Some(given) = compiled.rule.optional_old {
                let detail = "may not be set if oldSelf is not used in rule";
                self.rule_errors.push(Error::invalid(&at.child("optionalOldSelf"), given, detail));
            }
        }
    }

    fn cost(&mut self, path: &Path, cost: u64, name: &str) {
        if cost > EXPRESSION_LIMIT && !self.options.any_cost {
            self.rule_errors.push(Error::forbidden(path, over(name, cost, EXPRESSION_LIMIT)));
        }
        self.costs.push((path.clone(), cost));
    }

    fn refused(&mut self, refused: Option<&Refused>, what: &str, path: &Path, rule: &Value) {
        let Some(refused) = refused else { return };
        let what = if matches!(refused, Refused::Compile(_)) { what } else { "" };
        self.rule_errors.push(Error::invalid(path, rule.clone(), format!("{what}{refused}")));
    }
}

fn multiply(times: Option<u64>, by: Option<u64>) -> Option<u64> {
    Some(times?.saturating_mul(by?)).filter(|times| *times < REQUEST_SIZE)
}

fn over(name: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{name} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

/// Items of a set are compared as a whole.
fn atomic_items(items: &Value, path: &Path, errors: &mut Errors) {
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let list = items["x-kubernetes-list-type"].as_str();
    match items["type"].as_str() {
        Some("array") if list.is_some_and(|list| list != "atomic") => {
            errors.push(Error::invalid(&path.child("x-kubernetes-list-type"), list.unwrap_or_default(), detail));
        }
        Some("object") if items["x-kubernetes-map-type"] != "atomic" => {
            errors.push(Error::invalid(&path.child("x-kubernetes-map-type"), Value::Null, detail));
        }
        _ => {}
    }
}

fn keyed_list(schema: &Value, keys: &[Value], path: &Path, errors: &mut Errors) {
    let at = path.child("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.push(Error::required(&at, "must not be empty if x-kubernetes-list-type is map"));
    }
    let items = &schema["items"];
    if items.is_null() {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        errors.push(Error::required(&path.child("items"), detail));
        return;
    }
    let kind = items["type"].as_str().unwrap_or_default();
    if kind != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(Error::invalid(&path.child("items").child("type"), kind, detail));
        return;
    }
    for (n, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        match items["properties"].get(name) {
            Some(property) if matches!(property["type"].as_str(), Some("array" | "object")) => {
                let at = path.child("items").child("properties").key(name).child("type");
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.push(Error::invalid(&at, kind, detail));
            }
            Some(_) => {}
            None => errors.push(Error::invalid(&at, keys, "entries must all be names of item properties")),
        }
        if keys[..n].contains(key) {
            errors.push(Error::invalid(&at, keys, "must not contain duplicate entries"));
        }
    }
}

fn keyed_items(schema: &Value, list: &str, keys: &[Value], path: &Path, errors: &mut Errors) {
    let (items, at) = (&schema["items"], path.child("items"));
    if items["nullable"] == true {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list}");
        errors.push(Error::forbidden(&at.child("nullable"), detail));
    }
    if list != "map" {
        return;
    }
    let required = items["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for key in keys {
        let name = key.as_str().unwrap_or_default();
        let Some(property) = items["properties"].get(name) else { continue };
        let at = at.child("properties").key(name);
        if !required.contains(key) && property["default"].is_null() {
            let detail =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(Error::required(&at.child("default"), detail));
        }
        if property["nullable"] == true {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(Error::forbidden(&at.child("nullable"), detail));
        }
    }
}

/// What is wrong with a rule apart from its expressions.
fn rule_fields(rule: &Value, node: &Node, path: &Path, errors: &mut Errors) {
    let text = |name: &str| rule[name].as_str().unwrap_or_default();
    let lines = |text: &str| text.contains(['\n', '\r']);
    let (source, message) = (text("rule").trim(), text("message").trim());
    if source.is_empty() {
        errors.push(Error::required(&path.child("rule"), "rule is not specified"));
    } else if !text("message").is_empty() && message.is_empty() {
        errors.push(Error::invalid(&path.child("message"), text("message"), "must be non-empty if specified"));
    } else if lines(message) {
        errors.push(Error::invalid(&path.child("message"), text("message"), "must not contain line breaks"));
    } else if lines(source) && message.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        errors.push(Error::required(&path.child("message"), detail));
    }
    if !text("messageExpression").is_empty() && text("messageExpression").trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.push(Error::required(&path.child("messageExpression"), detail));
    }
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    if let Some(reason) = rule["reason"].as_str().filter(|reason| !REASONS.contains(reason)) {
        errors.push(Error::not_supported(&path.child("reason"), reason, &REASONS));
    }
    let field = text("fieldPath");
    let at = path.child("fieldPath");
    if !field.is_empty() && field.trim().is_empty() {
        errors.push(Error::invalid(&at, field, "must be non-empty if specified"));
    }
    if lines(field) {
        errors.push(Error::invalid(&at, field, "must not contain line breaks"));
    }
    if !field.is_empty() && fieldpath::parse(field, node).is_err() {
        errors.push(Error::invalid(&at, field, "must be a valid path"));
    }
}
