//! A JSON schema of a custom resource, read once: what a field is, what it may be, and the rules on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::{Map, Value};

use crate::cel::compile_regex;

/// A schema at one place of an object.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// `type`.
    pub kind: JsonType,
    /// Whether null is a value.
    pub nullable: bool,
    /// `default`.
    pub default: Option<Arc<Value>>,
    /// `properties`.
    pub properties: BTreeMap<String, Node>,
    /// `additionalProperties`.
    pub additional: Additional,
    /// `items`.
    pub items: Option<Box<Node>>,
    /// `required`.
    pub required: Vec<String>,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-list-type` with its keys.
    pub list: ListType,
    /// `x-kubernetes-map-type: atomic`.
    pub atomic: bool,
    /// `x-kubernetes-validations`.
    pub rules: Vec<Rule>,
    /// What values must be like, if there is anything beside the type.
    pub checks: Option<Box<Checks>>,
}

/// The `type` of a schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JsonType {
    /// None given.
    #[default]
    Any,
    /// `object`
    Object,
    /// `array`
    Array,
    /// `string`
    String,
    /// `integer`
    Integer,
    /// `number`
    Number,
    /// `boolean`
    Boolean,
}

/// `additionalProperties`.
#[derive(Debug, Clone, Default)]
pub enum Additional {
    /// Not given.
    #[default]
    None,
    /// `true` or `false`.
    Allowed(bool),
    /// A schema.
    Schema(Box<Node>),
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListType {
    /// By position.
    #[default]
    Atomic,
    /// Items are unique.
    Set,
    /// Items are told apart by these fields.
    Map(Arc<[String]>),
}

/// Conditions on values.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// `format`; empty if none.
    pub format: String,
    /// `maximum`, and whether it is excluded itself.
    pub maximum: Option<(serde_json::Number, bool)>,
    /// `minimum`, and whether it is excluded itself.
    pub minimum: Option<(serde_json::Number, bool)>,
    /// `multipleOf`.
    pub multiple_of: Option<serde_json::Number>,
    /// `maxLength`.
    pub max_length: Option<u64>,
    /// `minLength`.
    pub min_length: Option<u64>,
    /// `pattern`, as written and compiled; one that does not compile matches everything.
    pub pattern: Option<(String, Option<Regex>)>,
    /// `maxItems`.
    pub max_items: Option<u64>,
    /// `minItems`.
    pub min_items: Option<u64>,
    /// `uniqueItems`.
    pub unique: bool,
    /// `maxProperties`.
    pub max_properties: Option<u64>,
    /// `minProperties`.
    pub min_properties: Option<u64>,
    /// `enum`.
    pub allowed: Vec<Value>,
    /// `allOf`.
    pub all_of: Vec<Node>,
    /// `anyOf`.
    pub any_of: Vec<Node>,
    /// `oneOf`.
    pub one_of: Vec<Node>,
    /// `not`.
    pub not: Option<Box<Node>>,
}

/// One of `x-kubernetes-validations`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// The expression.
    pub rule: String,
    /// What is told when it does not hold.
    pub message: String,
    /// An expression for what is told.
    pub message_expression: String,
    /// `FieldValueInvalid` and the like; empty if not given.
    pub reason: String,
    /// The field to name, relative to where the rule is.
    pub field_path: String,
    /// Whether the rule is evaluated without an old value.
    pub optional_old: Option<bool>,
}

impl JsonType {
    /// The type of that name; an unknown name is like none.
    pub fn named(name: &str) -> JsonType {
        match name {
            "object" => JsonType::Object,
            "array" => JsonType::Array,
            "string" => JsonType::String,
            "integer" => JsonType::Integer,
            "number" => JsonType::Number,
            "boolean" => JsonType::Boolean,
            _ => JsonType::Any,
        }
    }

    /// The name in schemas.
    pub fn name(self) -> &'static str {
        match self {
            JsonType::Any => "",
            JsonType::Object => "object",
            JsonType::Array => "array",
            JsonType::String => "string",
            JsonType::Integer => "integer",
            JsonType::Number => "number",
            JsonType::Boolean => "boolean",
        }
    }
}

impl Node {
    /// Reads a schema. What is of a wrong type in it is taken as absent.
    pub fn read(schema: &Value) -> Node {
        let Some(schema) = schema.as_object() else { return Node::default() };
        let truth = |name: &str| schema.get(name).and_then(Value::as_bool).unwrap_or(false);
        let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default();
        let list = match text("x-kubernetes-list-type") {
            "set" => ListType::Set,
            "map" => ListType::Map(strings(schema, "x-kubernetes-list-map-keys").into()),
            _ => ListType::Atomic,
        };
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
        Node {
            kind: JsonType::named(text("type")),
            nullable: truth("nullable"),
            default: schema.get("default").cloned().map(Arc::new),
            properties: properties.map(|(name, schema)| (name.clone(), Node::read(schema))).collect(),
            additional: match schema.get("additionalProperties") {
                None | Some(Value::Null) => Additional::None,
                Some(Value::Bool(allowed)) => Additional::Allowed(*allowed),
                Some(schema) => Additional::Schema(Box::new(Node::read(schema))),
            },
            items: schema.get("items").filter(|items| items.is_object()).map(|items| Box::new(Node::read(items))),
            required: strings(schema, "required"),
            preserve: truth("x-kubernetes-preserve-unknown-fields"),
            embedded: truth("x-kubernetes-embedded-resource"),
            int_or_string: truth("x-kubernetes-int-or-string"),
            list,
            atomic: text("x-kubernetes-map-type") == "atomic",
            rules: rules.map(Rule::read).collect(),
            checks: Checks::read(schema).map(Box::new),
        }
    }

    /// Whether `test` holds for this schema or one inside.
    pub fn any(&self, test: &mut dyn FnMut(&Node) -> bool) -> bool {
        test(self) || self.children().any(|child| child.any(test))
    }

    /// The schemas of what is inside a value: properties, items, additional properties.
    pub fn children(&self) -> impl Iterator<Item = &Node> {
        let additional = match &self.additional {
            Additional::Schema(node) => Some(&**node),
            _ => None,
        };
        self.properties.values().chain(self.items.as_deref()).chain(additional)
    }
}

fn strings(schema: &Map<String, Value>, name: &str) -> Vec<String> {
    let items = schema.get(name).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Rule {
    /// Reads one rule.
    pub fn read(rule: &Value) -> Rule {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Rule {
            rule: text("rule"),
            message: text("message"),
            message_expression: text("messageExpression"),
            reason: text("reason"),
            field_path: text("fieldPath"),
            optional_old: rule.get("optionalOldSelf").and_then(Value::as_bool),
        }
    }
}

impl Checks {
    fn read(schema: &Map<String, Value>) -> Option<Checks> {
        const NAMES: [&str; 17] = [
            "format",
            "maximum",
            "minimum",
            "multipleOf",
            "maxLength",
            "minLength",
            "pattern",
            "maxItems",
            "minItems",
            "uniqueItems",
            "maxProperties",
            "minProperties",
            "enum",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
        ];
        if !NAMES.iter().any(|name| schema.contains_key(*name)) {
            return None;
        }
        let count = |name: &str| schema.get(name).and_then(Value::as_i64).map(|n| n.max(0) as u64);
        let number = |name: &str| schema.get(name).and_then(Value::as_number).cloned();
        let truth = |name: &str| schema.get(name).and_then(Value::as_bool).unwrap_or(false);
        let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default();
        let all = |name: &str| {
            let schemas = schema.get(name).and_then(Value::as_array).into_iter().flatten();
            schemas.map(Node::read).collect()
        };
        let pattern = Some(text("pattern")).filter(|pattern| !pattern.is_empty());
        Some(Checks {
            format: text("format").to_owned(),
            maximum: number("maximum").map(|n| (n, truth("exclusiveMaximum"))),
            minimum: number("minimum").map(|n| (n, truth("exclusiveMinimum"))),
            multiple_of: number("multipleOf"),
            max_length: count("maxLength"),
            min_length: count("minLength"),
            pattern: pattern.map(|pattern| (pattern.to_owned(), compile_regex(pattern).ok())),
            max_items: count("maxItems"),
            min_items: count("minItems"),
            unique: truth("uniqueItems"),
            max_properties: count("maxProperties"),
            min_properties: count("minProperties"),
            allowed: schema.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
            all_of: all("allOf"),
            any_of: all("anyOf"),
            one_of: all("oneOf"),
            not: schema.get("not").map(|not| Box::new(Node::read(not))),
        })
    }
}
