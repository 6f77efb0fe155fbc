//! Rendering of parsed templates over JSON values, printed as Go would print them.

use super::TemplateError;
use super::parse::{Node, Pipeline, Term};
use serde_json::Value;

/// Renders `nodes` for `value`.
pub(super) fn render(nodes: &[Node], value: &Value) -> Result<String, TemplateError> {
    let mut scope = Scope { variables: vec![(String::new(), value.clone())], out: String::new() };
    scope.nodes(nodes, value)?;
    Ok(scope.out)
}

/// Go's notion of an empty value.
fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// As Go's `%v`.
fn display(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(nested).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            format!(
                "map[{}]",
                fields.iter().map(|(name, value)| format!("{name}:{}", nested(value))).collect::<Vec<_>>().join(" ")
            )
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn nested(value: &Value) -> String {
    if value.is_null() { "<nil>".into() } else { display(value) }
}

struct Scope {
    variables: Vec<(String, Value)>,
    out: String,
}

impl Scope {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), TemplateError> {
        nodes.iter().try_for_each(|node| self.node(node, dot))
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), TemplateError> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                match pipeline.assign.first() {
                    Some(name) => self.variables.push((name.clone(), value)),
                    None => self.out.push_str(&display(&value)),
                }
            }
            Node::If { arms, otherwise } => {
                for (condition, body) in arms {
                    if truth(&self.pipeline(condition, dot)?) {
                        return self.block(body, dot);
                    }
                }
                return self.block(otherwise, dot);
            }
            Node::With { on, body, otherwise } => {
                let value = self.pipeline(on, dot)?;
                return if truth(&value) { self.block(body, &value) } else { self.block(otherwise, dot) };
            }
            Node::Range { over, body, otherwise } => return self.range(over, body, otherwise, dot),
        }
        Ok(())
    }

    /// Variables of a block end with it.
    fn block(&mut self, nodes: &[Node], dot: &Value) -> Result<(), TemplateError> {
        let depth = self.variables.len();
        let result = self.nodes(nodes, dot);
        self.variables.truncate(depth);
        result
    }

    fn range(&mut self, over: &Pipeline, body: &[Node], otherwise: &[Node], dot: &Value) -> Result<(), TemplateError> {
        let items: Vec<(Value, Value)> = match self.pipeline(over, dot)? {
            Value::Array(items) => {
                items.into_iter().enumerate().map(|(index, item)| (Value::from(index), item)).collect()
            }
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (Value::String(name), value)).collect(),
            Value::Null => Vec::new(),
            other => return Err(failed(&over.source, format!("range can't iterate over {}", display(&other)))),
        };
        if items.is_empty() {
            return self.block(otherwise, dot);
        }
        for (key, item) in items {
            let depth = self.variables.len();
            match over.assign.as_slice() {
                [value] => self.variables.push((value.clone(), item.clone())),
                [index, value, ..] => {
                    self.variables.push((index.clone(), key));
                    self.variables.push((value.clone(), item.clone()));
                }
                [] => {}
            }
            let result = self.nodes(body, &item);
            self.variables.truncate(depth);
            result?;
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut piped: Option<Value> = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, piped, dot, &pipeline.source)?);
        }
        Ok(piped.unwrap_or(Value::Null))
    }

    fn command(
        &self,
        command: &[Term],
        piped: Option<Value>,
        dot: &Value,
        source: &str,
    ) -> Result<Value, TemplateError> {
        let (first, rest) = command.split_first().ok_or_else(|| failed(source, "missing value for command".into()))?;
        let Term::Word(function) = first else {
            if !rest.is_empty() || piped.is_some() {
                return Err(failed(source, "can't give argument to non-function".into()));
            }
            return self.term(first, dot, source);
        };
        let mut arguments = rest.iter().map(|term| self.term(term, dot, source)).collect::<Result<Vec<_>, _>>()?;
        arguments.extend(piped);
        call(function, &arguments).map_err(|why| failed(source, why))
    }

    fn term(&self, term: &Term, dot: &Value, source: &str) -> Result<Value, TemplateError> {
        match term {
            Term::Literal(value) => Ok(value.clone()),
            Term::Field(path) => field(dot.clone(), path, source),
            Term::Group(pipeline, path) => field(self.pipeline(pipeline, dot)?, path, source),
            Term::Variable(name, path) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let (_, value) = found.ok_or_else(|| failed(source, format!("undefined variable \"${name}\"")))?;
                field(value.clone(), path, source)
            }
            Term::Word(function) => call(function, &[]).map_err(|why| failed(source, why)),
        }
    }
}

fn failed(at: &str, why: String) -> TemplateError {
    TemplateError::Execute { at: at.to_string(), why }
}

fn field(mut value: Value, path: &[String], source: &str) -> Result<Value, TemplateError> {
    for name in path {
        value = match value {
            Value::Object(mut fields) => match fields.remove(name) {
                Some(value) => value,
                None => return Err(failed(source, format!("map has no entry for key {name:?}"))),
            },
            Value::Null => return Err(failed(source, format!("nil data; no entry for key {name:?}"))),
            other => return Err(failed(source, format!("can't evaluate field {name} in {}", display(&other)))),
        };
    }
    Ok(value)
}

/// Go's built-in functions and docker's own.
fn call(function: &str, arguments: &[Value]) -> Result<Value, String> {
    let argument = |at: usize| {
        arguments.get(at).ok_or_else(|| format!("wrong number of args for {function}: got {}", arguments.len()))
    };
    let text = |at: usize| {
        argument(at).map(|value| if let Value::String(text) = value { text.clone() } else { display(value) })
    };
    Ok(match function {
        "json" => Value::String(serde_json::to_string(argument(0)?).map_err(|error| error.to_string())?),
        "lower" => Value::String(text(0)?.to_lowercase()),
        "upper" => Value::String(text(0)?.to_uppercase()),
        "title" => Value::String(title(&text(0)?)),
        "join" => {
            let Value::Array(items) = argument(0)? else { return Err("join wants a list".into()) };
            Value::String(items.iter().map(display).collect::<Vec<_>>().join(&text(1)?))
        }
        "split" => Value::Array(text(0)?.split(text(1)?.as_str()).map(Value::from).collect()),
        "pad" => {
            let spaces = |at: usize| argument(at).map(|value| " ".repeat(value.as_u64().unwrap_or(0) as usize));
            Value::String(format!("{}{}{}", spaces(1)?, text(0)?, spaces(2)?))
        }
        "truncate" => Value::String(text(0)?.chars().take(argument(1)?.as_u64().unwrap_or(0) as usize).collect()),
        "print" => Value::String(arguments.iter().map(display).collect::<Vec<_>>().join("")),
        "println" => Value::String(arguments.iter().map(display).collect::<Vec<_>>().join(" ") + "\n"),
        "printf" => Value::String(printf(&text(0)?, &arguments[1..])),
        "len" => Value::from(match argument(0)? {
            Value::String(text) => text.len(),
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            other => return Err(format!("len of type {}", display(other))),
        }),
        "index" => arguments[1..].iter().try_fold(argument(0)?.clone(), |value, key| index(&value, key))?,
        "not" => Value::Bool(!truth(argument(0)?)),
        "and" => pick(arguments, false).ok_or("wrong number of args for and")?,
        "or" => pick(arguments, true).ok_or("wrong number of args for or")?,
        "eq" => {
            let first = argument(0)?;
            argument(1)?;
            Value::Bool(arguments[1..].iter().any(|other| other == first))
        }
        "ne" => Value::Bool(argument(0)? != argument(1)?),
        "lt" => Value::Bool(compare(argument(0)?, argument(1)?)?.is_lt()),
        "le" => Value::Bool(compare(argument(0)?, argument(1)?)?.is_le()),
        "gt" => Value::Bool(compare(argument(0)?, argument(1)?)?.is_gt()),
        "ge" => Value::Bool(compare(argument(0)?, argument(1)?)?.is_ge()),
        _ => return Err(format!("function {function:?} not defined")),
    })
}

/// The first argument whose truth is `wanted`, else the last.
fn pick(arguments: &[Value], wanted: bool) -> Option<Value> {
    arguments.iter().find(|value| truth(value) == wanted).or(arguments.last()).cloned()
}

fn index(value: &Value, key: &Value) -> Result<Value, String> {
    match (value, key) {
        (Value::Object(fields), Value::String(name)) => Ok(fields.get(name).cloned().unwrap_or(Value::Null)),
        (Value::Array(items), Value::Number(at)) => {
            let at = at.as_u64().ok_or("index is negative")? as usize;
            items.get(at).cloned().ok_or_else(|| format!("error calling index: index out of range: {at}"))
        }
        (Value::Null, _) => Err("error calling index: index of untyped nil".into()),
        _ => Err(format!("error calling index: cannot index {} with {}", display(value), display(key))),
    }
}

fn compare(left: &Value, right: &Value) -> Result<std::cmp::Ordering, String> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Ok(left.cmp(right)),
        _ => left
            .as_f64()
            .zip(right.as_f64())
            .and_then(|(left, right)| left.partial_cmp(&right))
            .ok_or_else(|| "incompatible types for comparison".into()),
    }
}

fn title(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            let shown = if start { c.to_ascii_uppercase() } else { c };
            start = !c.is_alphanumeric();
            shown
        })
        .collect()
}

/// `%s`, `%v`, `%d` and `%q`; widths are taken as minimal widths.
fn printf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut width = String::new();
        while let Some(digit) = chars.next_if(|c| c.is_ascii_digit() || *c == '-') {
            width.push(digit);
        }
        let verb = chars.next();
        if verb == Some('%') {
            out.push('%');
            continue;
        }
        let shown = match (verb, arguments.next()) {
            (Some('q'), Some(value)) => format!("{:?}", display(value)),
            (_, Some(value)) => display(value),
            (Some(verb), None) => format!("%!{verb}(MISSING)"),
            (None, None) => "%!(NOVERB)".into(),
        };
        let (left, width) = width.strip_prefix('-').map_or((false, width.as_str()), |width| (true, width));
        let width = width.parse().unwrap_or(0);
        out.push_str(&if left { format!("{shown:<width$}") } else { format!("{shown:>width$}") });
    }
    out
}
