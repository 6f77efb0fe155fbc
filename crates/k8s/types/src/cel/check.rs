//! Types and names are checked, and the worst cost is summed up, on the way from the syntax tree to code.

use std::sync::Arc;

use super::ast::{Expr, Fold, Kind as Node, Macro, Op};
use super::code::{Callee, Code, FoldCode};
use super::eval::step_cost;
use super::functions::{Known, compile_regex, find, text_cost};
use super::types::{Bindings, Kind, Type, UNBOUNDED, assignable, join, substitute};
use super::value::{Text, Value};
use super::{Program, Scope, SyntaxError, time};

/// A node that was checked.
struct Checked {
    code: Code,
    of: Type,
    cost: u64,
}

/// Checks a whole expression.
pub(super) fn check(expr: &Expr, scope: &Scope) -> Result<Program, Vec<SyntaxError>> {
    let mut checker = Checker {
        names: scope.variables.iter().map(|(name, of)| (name.clone(), of.clone())).collect(),
        used: vec![false; scope.variables.len()],
        slots: scope.variables.len(),
        issues: Vec::new(),
        mixed: false,
    };
    let checked = checker.expr(expr);
    if !checker.issues.is_empty() {
        checker.issues.dedup();
        return Err(checker.issues);
    }
    Ok(Program {
        code: checked.code,
        result: checked.of,
        max_cost: checked.cost,
        used: checker.used,
        slots: checker.slots,
    })
}

struct Checker {
    /// Names in scope; the index is the slot. Inner names hide outer ones.
    names: Vec<(String, Type)>,
    /// Which of the scope's own variables were looked at.
    used: Vec<bool>,
    slots: usize,
    issues: Vec<SyntaxError>,
    /// Whether the list literals being checked are arguments of `format`, which may be of any types.
    mixed: bool,
}

impl Checker {
    fn issue(&mut self, at: usize, message: impl Into<String>) -> Checked {
        self.issues.push(SyntaxError { at, message: message.into() });
        Checked { code: Code::Const(Value::Null), of: Type::any(), cost: 0 }
    }

    fn expr(&mut self, expr: &Expr) -> Checked {
        let at = expr.at;
        let constant = |value, of| Checked { code: Code::Const(value), of, cost: 0 };
        match &expr.kind {
            Node::Null => constant(Value::Null, Type::scalar(Kind::Null)),
            Node::Bool(b) => constant(Value::Bool(*b), Type::scalar(Kind::Bool)),
            Node::Int(n) => constant(Value::Int(*n), Type::scalar(Kind::Int)),
            Node::Uint(n) => constant(Value::Uint(*n), Type::scalar(Kind::Uint)),
            Node::Double(n) => constant(Value::Double(*n), Type::scalar(Kind::Double)),
            Node::String(s) => {
                constant(Value::String(Text::Shared(s.as_str().into())), Type::sized(Kind::String, s.len() as u64))
            }
            Node::Bytes(b) => constant(Value::Bytes(b.as_slice().into()), Type::sized(Kind::Bytes, b.len() as u64)),
            Node::Ident(name) => self.ident(at, name),
            Node::Select { of, field, optional } => self.select(expr, of, field, *optional),
            Node::Has { of, field } => self.has(at, of, field),
            Node::Index { of, index, optional } => self.index(at, of, index, *optional),
            Node::Call { target, function, args } => self.call(at, target.as_deref(), function, args),
            Node::And(items) => self.logic(at, items, "_&&_", Code::And),
            Node::Or(items) => self.logic(at, items, "_||_", Code::Or),
            Node::Not(of) => self.unary(at, of, "!_", Code::Not),
            Node::Neg(of) => self.unary(at, of, "-_", Code::Neg),
            Node::Cond(parts) => self.condition(at, parts),
            Node::Binary(op, sides) => self.binary(at, *op, sides),
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Fold(fold) => self.fold(fold),
            Node::OptMap { of, var, body, flat } => self.opt_map(at, of, var, body, *flat),
        }
    }

    fn lookup(&self, name: &str) -> Option<usize> {
        self.names.iter().rposition(|(known, _)| known == name)
    }

    fn ident(&mut self, at: usize, name: &str) -> Checked {
        if let Some(slot) = self.lookup(name) {
            if let Some(used) = self.used.get_mut(slot) {
                *used = true;
            }
            return Checked { code: Code::Slot(slot), of: self.names[slot].1.clone(), cost: 1 };
        }
        match type_named(name) {
            Some(name) => Checked { code: Code::Const(Value::Type(name)), of: Type::scalar(Kind::Type), cost: 0 },
            None => self.issue(at, format!("undeclared reference to '{name}' (in container '')")),
        }
    }

    fn select(&mut self, whole: &Expr, of: &Expr, field: &str, optional: bool) -> Checked {
        if let Some(name) = self.qualified(whole).as_deref().and_then(type_named) {
            return Checked { code: Code::Const(Value::Type(name)), of: Type::scalar(Kind::Type), cost: 0 };
        }
        let operand = self.expr(of);
        let (inner, is_optional) = match &operand.of.kind {
            Kind::Optional(inner) => ((**inner).clone(), true),
            _ => (operand.of.clone(), false),
        };
        let Some((name, of)) = self.field(whole.at, &inner, field) else {
            return Checked { code: Code::Const(Value::Null), of: Type::any(), cost: 0 };
        };
        let of = if optional || is_optional { Type::optional(of) } else { of };
        let code = Code::Select { of: Box::new(operand.code), name, optional };
        Checked { code, of, cost: operand.cost.saturating_add(1) }
    }

    /// The property behind a field and its type; reports what cannot be selected.
    fn field(&mut self, at: usize, of: &Type, field: &str) -> Option<(Arc<str>, Type)> {
        match &of.kind {
            Kind::Dyn => Some((field.into(), Type::any())),
            Kind::Map(_, value) => Some((field.into(), (**value).clone())),
            Kind::Object(object) => match object.fields.get(field) {
                Some(known) => Some((known.property.clone(), known.of.clone())),
                None => {
                    self.issue(at, format!("undefined field '{field}'"));
                    None
                }
            },
            _ => {
                self.issue(at, format!("type '{of}' does not support field selection"));
                None
            }
        }
    }

    fn has(&mut self, at: usize, of: &Expr, field: &str) -> Checked {
        let operand = self.expr(of);
        let inner = match &operand.of.kind {
            Kind::Optional(inner) => (**inner).clone(),
            _ => operand.of.clone(),
        };
        let name = self.field(at, &inner, field).map_or_else(|| field.into(), |(name, _)| name);
        let code = Code::Has { of: Box::new(operand.code), name };
        Checked { code, of: Type::scalar(Kind::Bool), cost: operand.cost }
    }

    fn index(&mut self, at: usize, of: &Expr, index: &Expr, optional: bool) -> Checked {
        let operand = self.expr(of);
        let index = self.expr(index);
        let args = [operand.of, index.of];
        let of = if args[0].is_dyn() { Type::any() } else { self.overload(at, "_[_]", false, &args) };
        let of = match (optional, &of.kind) {
            (true, Kind::Optional(_)) | (false, _) => of,
            (true, _) => Type::optional(of),
        };
        let cost = operand.cost.saturating_add(index.cost).saturating_add(1);
        let code = Code::Index { of: Box::new(operand.code), index: Box::new(index.code), optional };
        Checked { code, of, cost }
    }

    /// The result of the signatures that take these arguments; reports if there is none.
    fn overload(&mut self, at: usize, name: &str, member: bool, args: &[Type]) -> Type {
        let found = find(name).and_then(|known| resolve(known, member, args));
        found.unwrap_or_else(|| {
            let shown: Vec<String> = args.iter().map(Type::to_string).collect();
            let shown = match (member, shown.split_first()) {
                (true, Some((target, rest))) => format!("{target}.({})", rest.join(", ")),
                _ => format!("({})", shown.join(", ")),
            };
            self.issue(at, format!("found no matching overload for '{name}' applied to '{shown}'"));
            Type::any()
        })
    }

    /// `a.b.c` if it is only names and no variable.
    fn qualified(&self, expr: &Expr) -> Option<String> {
        match &expr.kind {
            Node::Ident(name) if self.lookup(name).is_none() => Some(name.clone()),
            Node::Select { of, field, optional: false } => Some(format!("{}.{field}", self.qualified(of)?)),
            _ => None,
        }
    }

    fn call(&mut self, at: usize, target: Option<&Expr>, function: &str, args: &[Expr]) -> Checked {
        let qualified = target.and_then(|target| self.qualified(target)).map(|prefix| format!("{prefix}.{function}"));
        let (name, target) = match qualified.filter(|name| find(name).is_some()) {
            Some(name) => (name, None),
            None => (function.to_owned(), target),
        };
        let Some(known) = find(&name).filter(|_| name.starts_with(|c: char| c.is_ascii_alphabetic())) else {
            return self.issue(at, format!("undeclared reference to '{name}' (in container '')"));
        };
        let outer = std::mem::replace(&mut self.mixed, name == "format");
        let checked: Vec<Checked> = target.into_iter().chain(args).map(|arg| self.expr(arg)).collect();
        self.mixed = outer;
        let types: Vec<Type> = checked.iter().map(|arg| arg.of.clone()).collect();
        let issues = self.issues.len();
        let of = self.overload(at, &name, target.is_some(), &types);
        if self.issues.len() > issues {
            return Checked { code: Code::Const(Value::Null), of, cost: 0 };
        }
        let of = sized(of, &types);
        let sizes: Vec<u64> = types.iter().map(|of| of.max).collect();
        let own = known.function.cost.of(&sizes, of.max);
        let cost = checked.iter().fold(own, |sum, arg| sum.saturating_add(arg.cost));
        self.literal(at, &name, checked.last().map(|arg| &arg.code));
        let code = into_call(known, &name, checked);
        Checked { code, of, cost }
    }

    /// Reports literals that could never be read.
    fn literal(&mut self, at: usize, name: &str, last: Option<&Code>) {
        let Some(Code::Const(Value::String(text))) = last else { return };
        let text = text.as_str();
        let message = match name {
            "matches" | "find" => compile_regex(text).err().map(|why| format!("invalid {name} argument: {why}")),
            "duration" if spec::duration::parse(text).is_err() => Some("invalid duration argument".into()),
            "timestamp" if time::parse_timestamp(text).is_none() => Some("invalid timestamp argument".into()),
            _ => None,
        };
        if let Some(message) = message {
            self.issue(at, message);
        }
    }

    fn logic(&mut self, at: usize, items: &[Expr], name: &str, make: fn(Vec<Code>) -> Code) -> Checked {
        let mut codes = Vec::with_capacity(items.len());
        let mut cost = 0u64;
        let mut before = Type::scalar(Kind::Bool);
        for item in items {
            let checked = self.expr(item);
            if !codes.is_empty() {
                self.overload(at, name, false, &[before, checked.of.clone()]);
            }
            before = checked.of;
            cost = cost.saturating_add(checked.cost);
            codes.push(checked.code);
        }
        Checked { code: make(codes), of: Type::scalar(Kind::Bool), cost }
    }

    fn unary(&mut self, at: usize, of: &Expr, name: &str, make: fn(Box<Code>) -> Code) -> Checked {
        let operand = self.expr(of);
        let of = self.overload(at, name, false, std::slice::from_ref(&operand.of));
        Checked { code: make(Box::new(operand.code)), of, cost: operand.cost.saturating_add(1) }
    }

    fn condition(&mut self, at: usize, parts: &[Expr; 3]) -> Checked {
        let [condition, yes, no] = [&parts[0], &parts[1], &parts[2]].map(|part| self.expr(part));
        let of = self.overload(at, "_?_:_", false, &[condition.of, yes.of.clone(), no.of.clone()]);
        let of = join(&yes.of, &no.of).unwrap_or(of);
        let cost = condition.cost.saturating_add(yes.cost.max(no.cost));
        Checked { code: Code::Cond(Box::new([condition.code, yes.code, no.code])), of, cost }
    }

    fn binary(&mut self, at: usize, op: Op, sides: &[Expr; 2]) -> Checked {
        let [left, right] = [&sides[0], &sides[1]].map(|side| self.expr(side));
        let name = match op {
            Op::Lt | Op::Le | Op::Gt | Op::Ge => "_<_",
            op => op.name(),
        };
        let args = [left.of, right.of];
        let issues = self.issues.len();
        let mut of = self.overload(at, name, false, &args);
        if let Some(issue) = self.issues.get_mut(issues) {
            issue.message = issue.message.replacen("'_<_'", &format!("'{}'", op.name()), 1);
        }
        let [a, b] = [args[0].max, args[1].max];
        if op == Op::Add {
            of.max =
                if matches!(of.kind, Kind::String | Kind::Bytes | Kind::List(..)) { a.saturating_add(b) } else { 1 };
        }
        let own = match op {
            Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => text_cost(a.min(b)).max(1),
            Op::In if matches!(args[1].kind, Kind::List(..)) => b,
            Op::Add if matches!(of.kind, Kind::String | Kind::Bytes) => text_cost(of.max).max(1),
            _ => 1,
        };
        let cost = left.cost.saturating_add(right.cost).saturating_add(own);
        Checked { code: Code::Binary(op, Box::new([left.code, right.code])), of, cost }
    }

    fn list(&mut self, items: &[(Expr, bool)]) -> Checked {
        let mut codes = Vec::with_capacity(items.len());
        let mut cost = 10u64;
        let mut item_type = None;
        for (item, optional) in items {
            let checked = self.expr(item);
            cost = cost.saturating_add(checked.cost);
            let of = self.unwrapped(item.at, checked.of, *optional);
            item_type = Some(self.joined(item.at, item_type, of));
            codes.push((checked.code, *optional));
        }
        let of = Type::list(item_type.unwrap_or_else(|| Type::sized(Kind::Dyn, 0)), items.len() as u64);
        Checked { code: Code::List(codes), of, cost }
    }

    fn map(&mut self, entries: &[(Expr, Expr, bool)]) -> Checked {
        let mut codes = Vec::with_capacity(entries.len());
        let mut cost = 30u64;
        let (mut keys, mut values) = (None, None);
        for (key, value, optional) in entries {
            let checked_key = self.expr(key);
            let checked = self.expr(value);
            cost = cost.saturating_add(checked_key.cost).saturating_add(checked.cost);
            keys = Some(self.joined(key.at, keys, checked_key.of));
            let of = self.unwrapped(value.at, checked.of, *optional);
            values = Some(self.joined(value.at, values, of));
            codes.push((checked_key.code, checked.code, *optional));
        }
        let any = || Type::sized(Kind::Dyn, 0);
        let kind = Kind::Map(Arc::new(keys.unwrap_or_else(any)), Arc::new(values.unwrap_or_else(any)));
        Checked { code: Code::Map(codes), of: Type::sized(kind, entries.len() as u64), cost }
    }

    fn unwrapped(&mut self, at: usize, of: Type, optional: bool) -> Type {
        match (&of.kind, optional) {
            (Kind::Optional(inner), true) => (**inner).clone(),
            (Kind::Dyn, _) | (_, false) => of,
            _ => self.issue(at, format!("expected type 'optional_type' but found '{of}'")).of,
        }
    }

    /// Literals hold values of one type.
    fn joined(&mut self, at: usize, before: Option<Type>, of: Type) -> Type {
        let Some(before) = before else { return of };
        match join(&before, &of) {
            Some(joined) => joined,
            None if self.mixed => Type::sized(Kind::Dyn, before.max.max(of.max)),
            None => self.issue(at, format!("expected type '{before}' but found '{of}'")).of,
        }
    }

    /// Declares names, in the slots after those that are taken.
    fn declare(&mut self, name: &str, of: Type) -> usize {
        self.names.push((name.to_owned(), of));
        self.slots = self.slots.max(self.names.len());
        self.names.len() - 1
    }

    fn fold(&mut self, fold: &Fold) -> Checked {
        let range = self.expr(&fold.range);
        let (key, item) = match &range.of.kind {
            Kind::List(item, _) => (Type::scalar(Kind::Int), (**item).clone()),
            Kind::Map(key, value) => ((**key).clone(), (**value).clone()),
            Kind::Dyn => (Type::any(), Type::any()),
            _ => {
                let of = &range.of;
                let message = format!(
                    "expression of type '{of}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                return self.issue(fold.range.at, message);
            }
        };
        let base = self.names.len();
        let over_keys = matches!(range.of.kind, Kind::Map(..));
        let (first, second) = match fold.vars.as_slice() {
            [one] => (self.declare(one, if over_keys { key.clone() } else { item.clone() }), None),
            [one, two, ..] => {
                let first = self.declare(one, key.clone());
                (first, Some(self.declare(two, item.clone())))
            }
            [] => return self.issue(fold.range.at, "macro without a variable"),
        };
        let guard = fold.guard.as_ref().map(|guard| self.boolean(guard));
        let wants_bool = matches!(fold.macro_, Macro::All | Macro::Exists | Macro::ExistsOne | Macro::Filter);
        let body = if wants_bool { self.boolean(&fold.body) } else { self.expr(&fold.body) };
        self.names.truncate(base);
        let turns = range.of.max;
        let per_turn = step_cost(fold.macro_)
            .saturating_add(body.cost)
            .saturating_add(guard.as_ref().map_or(0, |guard| guard.cost));
        let cost = range.cost.saturating_add(1).saturating_add(turns.saturating_mul(per_turn));
        let of = match fold.macro_ {
            Macro::All | Macro::Exists | Macro::ExistsOne => Type::scalar(Kind::Bool),
            Macro::Map | Macro::TransformList => Type::list(body.of, turns),
            Macro::Filter => Type::list(if over_keys { key } else { item }, turns),
            Macro::TransformMap => {
                let key = if over_keys { key } else { Type::scalar(Kind::Int) };
                Type::sized(Kind::Map(Arc::new(key), Arc::new(body.of)), turns)
            }
            Macro::TransformMapEntry => Type::sized(body.of.kind, turns),
        };
        let guard = guard.map(|guard| guard.code);
        let code = FoldCode { macro_: fold.macro_, range: range.code, first, second, guard, body: body.code };
        Checked { code: Code::Fold(Box::new(code)), of, cost }
    }

    fn boolean(&mut self, expr: &Expr) -> Checked {
        let checked = self.expr(expr);
        if !matches!(checked.of.kind, Kind::Bool | Kind::Dyn) {
            let of = &checked.of;
            return self.issue(expr.at, format!("expected type 'bool' but found '{of}'"));
        }
        checked
    }

    fn opt_map(&mut self, at: usize, of: &Expr, var: &str, body: &Expr, flat: bool) -> Checked {
        let operand = self.expr(of);
        let inner = match &operand.of.kind {
            Kind::Optional(inner) => (**inner).clone(),
            Kind::Dyn => Type::any(),
            _ => {
                let shown = format!("found no matching overload for 'optMap' applied to '{}'", operand.of);
                return self.issue(at, shown);
            }
        };
        let slot = self.declare(var, inner);
        let body = self.expr(body);
        self.names.truncate(slot);
        let of = if flat { body.of } else { Type::optional(body.of) };
        let cost = operand.cost.saturating_add(body.cost).saturating_add(2);
        let code = Code::OptMap { of: Box::new(operand.code), slot, body: Box::new(body.code), flat };
        Checked { code, of, cost }
    }
}

fn into_call(known: &'static Known, name: &str, checked: Vec<Checked>) -> Code {
    let mut codes: Vec<Code> = checked.into_iter().map(|arg| arg.code).collect();
    if name == "matches"
        && let [_, Code::Const(Value::String(pattern))] = codes.as_slice()
        && let Ok(regex) = compile_regex(pattern.as_str())
    {
        let length = pattern.as_str().len() as u64;
        codes.truncate(1);
        if let Some(of) = codes.pop() {
            return Code::Matches { of: Box::new(of), regex, length };
        }
    }
    Code::Call(Callee(known.function), codes)
}

fn resolve(known: &Known, member: bool, args: &[Type]) -> Option<Type> {
    let mut result: Option<Type> = None;
    for signature in known.signatures.iter().filter(|s| s.member == member && s.args.len() == args.len()) {
        let mut bound = Bindings::default();
        if !signature.args.iter().zip(args).all(|(wanted, given)| assignable(wanted, given, &mut bound)) {
            continue;
        }
        let of = substitute(&signature.result, &bound);
        result = Some(match result {
            None => of,
            Some(before) if std::mem::discriminant(&before.kind) == std::mem::discriminant(&of.kind) => before,
            Some(_) => Type::any(),
        });
    }
    result
}

/// A result whose size the signature does not say is no larger than the first argument.
fn sized(mut of: Type, args: &[Type]) -> Type {
    let bound = args.iter().map(|arg| arg.max).fold(0, u64::saturating_add);
    if of.max != UNBOUNDED {
        return of;
    }
    of.max = bound;
    if let Kind::List(item, keyed) = &of.kind
        && item.max == UNBOUNDED
    {
        let item = Type { kind: item.kind.clone(), max: bound };
        of.kind = Kind::List(Arc::new(item), keyed.clone());
    }
    of
}

fn type_named(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 13] = [
        "null_type",
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "type",
        "google.protobuf.Timestamp",
        "google.protobuf.Duration",
        "optional_type",
    ];
    NAMES.into_iter().find(|known| *known == name)
}
