//! JSONPath as printed columns use it: fields, indexes, slices, wildcards, filters.

use serde_json::Value;

/// A compiled path.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Any,
    /// Everything below.
    Deep,
    Slice(Option<i64>, Option<i64>, i64),
    Index(i64),
    Filter(Filter),
}

#[derive(Debug, Clone, PartialEq)]
struct Filter {
    left: JsonPath,
    /// An operator and what is compared with; without one the left side must exist.
    right: Option<(String, Operand)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Literal(Value),
    Path(JsonPath),
}

impl JsonPath {
    /// Reads `.status.conditions[?(@.type=="Ready")].status`, with or without braces around.
    pub fn parse(text: &str) -> Option<JsonPath> {
        let text = text.trim();
        let text = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        let text = text.strip_prefix('$').unwrap_or(text);
        steps(text).map(|steps| JsonPath { steps })
    }

    /// All values that the path leads to.
    pub fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.steps {
            found = found.into_iter().flat_map(|value| step.apply(value)).collect();
        }
        found
    }
}

fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Deep);
            rest = after;
            if !rest.starts_with('[') && !rest.is_empty() {
                rest = field(rest, &mut steps);
            }
        } else if let Some(after) = rest.strip_prefix('.') {
            rest = if after.starts_with('[') || after.is_empty() { after } else { field(after, &mut steps) };
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after)?;
            steps.push(bracket(&after[..end])?);
            rest = &after[end + 1..];
        } else if steps.is_empty() {
            rest = field(rest, &mut steps);
        } else {
            return None;
        }
    }
    Some(steps)
}

/// Reads a name up to the next dot or bracket; a backslash makes them part of it.
fn field<'t>(text: &'t str, steps: &mut Vec<Step>) -> &'t str {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => {
                end = at;
                break;
            }
            c => name.push(c),
        }
    }
    steps.push(if name == "*" { Step::Any } else { Step::Field(name) });
    &text[end..]
}

/// Where the bracket ends that was opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (1, None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (c, quote) {
            ('\\', Some(_)) => {
                chars.next();
            }
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(c),
            ('[', None) => depth += 1,
            (']', None) => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    let inner = inner.trim();
    if inner == "*" {
        return Some(Step::Any);
    }
    if let Some(name) = unquoted(inner) {
        return Some(Step::Field(name));
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return self::filter(filter).map(Step::Filter);
    }
    if inner.contains(':') {
        let mut parts = inner.splitn(3, ':').map(str::trim);
        let mut number = || match parts.next() {
            None | Some("") => Some(None),
            Some(text) => text.parse().ok().map(Some),
        };
        return Some(Step::Slice(number()?, number()?, number()?.unwrap_or(1)));
    }
    inner.parse().ok().map(Step::Index)
}

fn unquoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| *c == '\'' || *c == '"')?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(inner.replace("\\'", "'").replace("\\\"", "\"").replace("\\\\", "\\"))
}

fn filter(text: &str) -> Option<Filter> {
    const OPERATORS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];
    let at =
        OPERATORS.iter().filter_map(|op| text.find(op).map(|at| (at, *op))).min_by_key(|(at, op)| (*at, 3 - op.len()));
    let path = |text: &str| JsonPath::parse(text.trim().strip_prefix('@')?);
    let Some((at, operator)) = at else { return Some(Filter { left: path(text)?, right: None }) };
    let right = text[at + operator.len()..].trim();
    let operand = match unquoted(right) {
        Some(text) => Operand::Literal(text.into()),
        None if right.starts_with('@') => Operand::Path(path(right)?),
        None => Operand::Literal(serde_json::from_str(right).ok()?),
    };
    Some(Filter { left: path(&text[..at])?, right: Some((operator.to_owned(), operand)) })
}

impl Step {
    fn apply<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Step::Field(name), Value::Object(map)) => map.get(name).into_iter().collect(),
            (Step::Any, Value::Object(map)) => map.values().collect(),
            (Step::Any, Value::Array(items)) => items.iter().collect(),
            (Step::Deep, value) => {
                let mut all = vec![value];
                let mut at = 0;
                while at < all.len() {
                    match all[at] {
                        Value::Object(map) => all.extend(map.values()),
                        Value::Array(items) => all.extend(items),
                        _ => {}
                    }
                    at += 1;
                }
                all
            }
            (Step::Index(n), Value::Array(items)) => {
                let at = if *n < 0 { items.len() as i64 + n } else { *n };
                usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
            }
            (Step::Slice(from, to, step), Value::Array(items)) => {
                let length = items.len() as i64;
                let clamp = |n: i64| (if n < 0 { length + n } else { n }).clamp(0, length) as usize;
                let (from, to) = (clamp(from.unwrap_or(0)), clamp(to.unwrap_or(length)));
                let step = usize::try_from(*step).unwrap_or(1).max(1);
                items.get(from..to.max(from)).unwrap_or_default().iter().step_by(step).collect()
            }
            (Step::Filter(filter), Value::Array(items)) => items.iter().filter(|item| filter.takes(item)).collect(),
            _ => Vec::new(),
        }
    }
}

impl Filter {
    fn takes(&self, item: &Value) -> bool {
        let left = self.left.find(item).into_iter().next();
        let Some((operator, right)) = &self.right else { return left.is_some() };
        let right = match right {
            Operand::Literal(value) => Some(value),
            Operand::Path(path) => path.find(item).into_iter().next(),
        };
        let (Some(left), Some(right)) = (left, right) else { return false };
        let order = match (left, right) {
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (a, b) => (a == b).then_some(std::cmp::Ordering::Equal),
        };
        match operator.as_str() {
            "==" => order.is_some_and(|order| order.is_eq()),
            "!=" => order.is_none_or(|order| order.is_ne()),
            "<" => order.is_some_and(|order| order.is_lt()),
            "<=" => order.is_some_and(|order| order.is_le()),
            ">" => order.is_some_and(|order| order.is_gt()),
            _ => order.is_some_and(|order| order.is_ge()),
        }
    }
}
