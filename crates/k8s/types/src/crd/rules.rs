//! The rules of a schema, compiled once, and how they are evaluated on an object.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::check::old_item;
use super::decl::{REQUEST_SIZE, declare};
use super::fieldpath;
use super::node::{Additional, JsonType, ListType, Node, Rule};
use crate::cel::{CompileError, Kind, PER_CALL_LIMIT, PER_OBJECT_LIMIT, Program, Scope, Type, Value as Cel};
use crate::field::{Error, Errors, Kind as Fault, Path};

/// How long a message made by an expression may be, in bytes.
const MESSAGE_LIMIT: usize = 5 * 1024;

/// The rules of a schema and of the schemas inside that have any.
#[derive(Debug, Default)]
pub(super) struct Rules {
    own: Vec<Compiled>,
    of: Option<Arc<Type>>,
    kind: JsonType,
    list: ListType,
    properties: BTreeMap<String, Rules>,
    items: Option<Box<Rules>>,
    additional: Option<Box<Rules>>,
}

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Compiled {
    pub rule: Rule,
    pub program: Result<Program, Refused>,
    pub message: Option<Result<Program, Refused>>,
    /// The dotted path after the rule's place; empty if none was given.
    pub field: String,
}

/// Why an expression cannot be used.
#[derive(Debug)]
pub(super) enum Refused {
    /// It does not compile.
    Compile(CompileError),
    /// Its result is of a wrong type.
    Result(&'static str),
    /// Nothing is known about the type it is about.
    NoType,
}

impl Compiled {
    /// Whether the rule looks at the old value.
    pub fn uses_old(&self) -> bool {
        self.program.as_ref().is_ok_and(|program| program.uses(1))
    }
}

/// Compiles the rules at `node` itself.
pub(super) fn compile_own(node: &Node, root: bool) -> (Vec<Compiled>, Option<Arc<Type>>, u64) {
    let Some(declared) = declare(node, root) else {
        let refuse = |rule: &Rule| Compiled {
            rule: rule.clone(),
            program: Err(Refused::NoType),
            message: None,
            field: String::new(),
        };
        return (node.rules.iter().map(refuse).collect(), None, 1);
    };
    let cardinality = REQUEST_SIZE / (declared.least + 1);
    let of = declared.of;
    let scope = Scope::new(&[("self", of.clone()), ("oldSelf", of.clone())]);
    let optional = Scope::new(&[("self", of.clone()), ("oldSelf", Type::optional(of.clone()))]);
    let compiled = node.rules.iter().map(|rule| {
        let scope = if rule.optional_old == Some(true) { &optional } else { &scope };
        let program = typed(&rule.rule, scope, &Kind::Bool, "cel expression must evaluate to a bool");
        let message = Some(&rule.message_expression).filter(|text| !text.trim().is_empty());
        let wrong = "messageExpression must evaluate to a string";
        let message = message.map(|text| typed(text, scope, &Kind::String, wrong));
        let field = fieldpath::parse(&rule.field_path, node).map(|found| found.path).unwrap_or_default();
        Compiled { rule: rule.clone(), program, message, field }
    });
    (compiled.collect(), Some(Arc::new(of)), cardinality)
}

fn typed(source: &str, scope: &Scope, want: &Kind, wrong: &'static str) -> Result<Program, Refused> {
    let program = Program::compile(source, scope).map_err(Refused::Compile)?;
    if std::mem::discriminant(&program.result().kind) == std::mem::discriminant(want) {
        return Ok(program);
    }
    Err(Refused::Result(wrong))
}

impl Rules {
    /// Compiles all rules of `node`; none if there are no rules at all.
    pub fn compile(node: &Node, root: bool) -> Option<Rules> {
        let (own, of, _) = if node.rules.is_empty() { (Vec::new(), None, 0) } else { compile_own(node, root) };
        let properties = node.properties.iter();
        let properties =
            properties.filter_map(|(name, node)| Some((name.clone(), Rules::compile(node, node.embedded)?)));
        let inner = |node: &Node| Rules::compile(node, node.embedded).map(Box::new);
        let rules = Rules {
            own,
            of,
            kind: node.kind,
            list: node.list.clone(),
            properties: properties.collect(),
            items: node.items.as_deref().and_then(inner),
            additional: match &node.additional {
                Additional::Schema(node) => inner(node),
                _ => None,
            },
        };
        let some = !rules.own.is_empty() || !rules.properties.is_empty();
        (some || rules.items.is_some() || rules.additional.is_some()).then_some(rules)
    }

    /// The rules of what is under the property `name`.
    pub fn property(&self, name: &str) -> Option<&Rules> {
        self.properties.get(name)
    }

    /// Evaluates all rules on `value`.
    pub fn check(&self, value: &Value, old: Option<&Value>, path: &Path, errors: &mut Errors) {
        let mut run = Run { left: PER_OBJECT_LIMIT, errors };
        let same = old.is_some_and(|old| old == value);
        let _ = run.at(self, value, old, path, same);
    }
}

/// Ends the evaluation of all further rules.
struct Stop;

struct Run<'e> {
    left: u64,
    errors: &'e mut Errors,
}

impl Run<'_> {
    /// `unchanged`: the value, or the nearest thing around it that can be found again, is as it was.
    fn at(
        &mut self,
        rules: &Rules,
        value: &Value,
        old: Option<&Value>,
        path: &Path,
        unchanged: bool,
    ) -> Result<(), Stop> {
        if value.is_null() {
            return Ok(());
        }
        if let Some(of) = &rules.of {
            let variables = [Cel::of(value, of), old.map_or(Cel::Null, |old| Cel::of(old, of))];
            for rule in &rules.own {
                self.rule(rules, rule, &variables, (value, old), path, unchanged)?;
            }
        }
        match value {
            Value::Array(items) => {
                let Some(inner) = &rules.items else { return Ok(()) };
                for (n, item) in items.iter().enumerate() {
                    let old = old_item(&rules.list, item, old);
                    self.at(inner, item, old, &path.index(n), same(item, old, unchanged))?;
                }
            }
            Value::Object(map) => {
                for (key, item) in map {
                    let old = old.and_then(|old| old.get(key));
                    if let Some(inner) = rules.properties.get(key) {
                        self.at(inner, item, old, &path.child(key.clone()), same(item, old, unchanged))?;
                    } else if let Some(inner) = &rules.additional {
                        self.at(inner, item, old, &path.key(key), same(item, old, unchanged))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn rule<'a>(
        &mut self,
        rules: &Rules,
        rule: &'a Compiled,
        variables: &[Cel<'a>; 2],
        (value, old): (&Value, Option<&Value>),
        path: &Path,
        unchanged: bool,
    ) -> Result<(), Stop> {
        let kind = rules.kind.name();
        if self.left == 0 {
            let detail = "validation failed due to running out of cost budget, no further validation rules will be run";
            self.errors.push(Error::invalid(path, kind, detail));
            return Err(Stop);
        }
        let program = match &rule.program {
            Ok(program) => program,
            Err(_) if rule.rule.rule.trim().is_empty() => return Ok(()),
            Err(refused) => {
                self.errors.push(Error::invalid(path, kind, format!("rule compile error: {refused}")));
                return Ok(());
            }
        };
        let optional = rule.rule.optional_old == Some(true);
        if program.uses(1) && old.is_none() && !optional {
            return Ok(());
        }
        let variables = if optional { [variables[0].clone(), wrap(old, &variables[1])] } else { variables.clone() };
        let (result, cost) = program.evaluate(&variables, PER_CALL_LIMIT);
        let text = if rule.rule.message.is_empty() { rule.rule.rule.trim() } else { rule.rule.message.trim() };
        if cost > self.left {
            let detail = "validation failed due to running out of cost budget, no further validation rules will be run";
            self.errors.push(Error::invalid(path, kind, detail));
            return Err(Stop);
        }
        self.left -= cost;
        match result {
            Ok(Cel::Bool(true)) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.is_over_budget() => {
                let detail = format!(
                    "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {text}"
                );
                self.errors.push(Error::invalid(path, kind, detail));
                return Err(Stop);
            }
            Err(error) if error.to_string().starts_with("no such overload") => {
                let detail = format!(
                    "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {text}"
                );
                self.errors.push(Error::invalid(path, kind, detail));
                return Ok(());
            }
            Err(error) => {
                self.errors.push(Error::invalid(path, kind, format!("{error} evaluating rule: {text}")));
                return Ok(());
            }
        }
        if !program.uses(1) && unchanged {
            return Ok(());
        }
        let detail = self.message(rule, &variables, path, kind)?;
        self.errors.push(fault(rule, rules.kind, value, path, detail));
        Ok(())
    }

    /// What is told about a rule that does not hold.
    fn message<'a>(
        &mut self,
        rule: &'a Compiled,
        variables: &[Cel<'a>; 2],
        path: &Path,
        kind: &str,
    ) -> Result<String, Stop> {
        if let Some(Ok(program)) = &rule.message {
            let (result, cost) = program.evaluate(variables, PER_CALL_LIMIT);
            let over = result.as_ref().is_err_and(|error| error.is_over_budget());
            if over || cost > self.left {
                let detail = if over {
                    let source = &rule.rule.message_expression;
                    format!(
                        "no further validation rules will be run due to call cost exceeds limit for messageExpression: {source:?}"
                    )
                } else {
                    "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run".into()
                };
                self.errors.push(Error::invalid(path, kind, detail));
                return Err(Stop);
            }
            self.left -= cost;
            let text = result.ok().and_then(|value| value.as_str().map(|text| text.trim().to_owned()));
            if let Some(text) =
                text.filter(|text| !text.is_empty() && text.len() <= MESSAGE_LIMIT && !text.contains('\n'))
            {
                return Ok(text);
            }
        }
        Ok(match rule.rule.message.trim() {
            "" => format!("failed rule: {}", rule.rule.rule.trim()),
            message => message.to_owned(),
        })
    }
}

/// Whether nothing changed: the value itself where its old one is known, else what is around it.
fn same(value: &Value, old: Option<&Value>, around: bool) -> bool {
    old.map_or(around, |old| old == value)
}

fn wrap<'a>(old: Option<&Value>, value: &Cel<'a>) -> Cel<'a> {
    match old {
        Some(_) => Cel::some(value.clone()),
        None => Cel::Optional(None),
    }
}

fn fault(rule: &Compiled, kind: JsonType, value: &Value, path: &Path, detail: String) -> Error {
    let path = if rule.field.is_empty() { path.clone() } else { path.child(rule.field.clone()) };
    let shown = (!matches!(kind, JsonType::Object | JsonType::Array)).then(|| value.clone());
    match rule.rule.reason.as_str() {
        "FieldValueForbidden" => Error::forbidden(&path, detail),
        "FieldValueRequired" => Error::required(&path, detail),
        "FieldValueDuplicate" => Error::duplicate(&path, shown.unwrap_or(Value::Null)),
        _ => Error { kind: Fault::Invalid, field: path.to_string(), value: shown, detail },
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Compile(error) => write!(f, "compilation failed: {error}"),
            Refused::Result(text) => f.write_str(text),
            Refused::NoType => f.write_str("failed to convert to declType for CEL validation rules"),
        }
    }
}
