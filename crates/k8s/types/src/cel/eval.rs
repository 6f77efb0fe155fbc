//! Evaluation within a budget.

use std::sync::Arc;

use super::ast::{Macro, Op};
use super::code::{Code, FoldCode};
use super::functions::{add, arithmetic, text_cost};
use super::value::{List, Map, Value};
use super::{EvalError, MAX_VALUE};

type Outcome<'a> = Result<Value<'a>, EvalError>;

const LIST_COST: u64 = 10;
const MAP_COST: u64 = 30;

/// Evaluates `code`; also returns what it cost.
pub(super) fn evaluate<'a>(code: &'a Code, variables: &[Value<'a>], slots: usize, budget: u64) -> (Outcome<'a>, u64) {
    let mut frame = variables.to_vec();
    frame.resize(slots.max(variables.len()), Value::Null);
    let mut machine = Machine { frame, left: budget };
    let result = machine.eval(code);
    (result, budget - machine.left)
}

struct Machine<'a> {
    frame: Vec<Value<'a>>,
    left: u64,
}

impl<'a> Machine<'a> {
    fn spend(&mut self, cost: u64) -> Result<(), EvalError> {
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(EvalError::over_budget())
            }
        }
    }

    fn eval(&mut self, code: &'a Code) -> Outcome<'a> {
        match code {
            Code::Const(value) => Ok(value.clone()),
            Code::Slot(slot) => {
                self.spend(1)?;
                Ok(self.frame[*slot].clone())
            }
            Code::Select { of, name, optional } => {
                let value = self.eval(of)?;
                self.spend(1)?;
                select(value, name, *optional)
            }
            Code::Has { of, name } => {
                let value = self.eval(of)?;
                has(&value, name).map(Value::Bool)
            }
            Code::Index { of, index, optional } => {
                let value = self.eval(of)?;
                let index = self.eval(index)?;
                self.spend(1)?;
                self.index(value, &index, *optional)
            }
            Code::And(items) => self.logic(items, false),
            Code::Or(items) => self.logic(items, true),
            Code::Not(of) => {
                self.spend(1)?;
                match self.eval(of)? {
                    Value::Bool(b) => Ok(Value::Bool(!b)),
                    _ => Err(no_overload()),
                }
            }
            Code::Neg(of) => {
                self.spend(1)?;
                match self.eval(of)? {
                    Value::Int(n) => n.checked_neg().map(Value::Int).ok_or_else(|| EvalError::new("integer overflow")),
                    Value::Double(n) => Ok(Value::Double(-n)),
                    Value::Duration(n) => Ok(Value::Duration(n.saturating_neg())),
                    _ => Err(no_overload()),
                }
            }
            Code::Cond(parts) => match self.eval(&parts[0])? {
                Value::Bool(true) => self.eval(&parts[1]),
                Value::Bool(false) => self.eval(&parts[2]),
                _ => Err(no_overload()),
            },
            Code::Binary(op, sides) => {
                let left = self.eval(&sides[0])?;
                let right = self.eval(&sides[1])?;
                self.binary(*op, left, right)
            }
            Code::Call(callee, args) => self.call(callee.0, args),
            Code::Matches { of, regex, length } => {
                let value = self.eval(of)?;
                let text = value.as_str().ok_or_else(no_overload)?;
                self.spend(text_cost(text.len() as u64 + 1) * length.div_ceil(4).max(1))?;
                Ok(Value::Bool(regex.is_match(text)))
            }
            Code::List(items) => self.list(items),
            Code::Map(entries) => self.map(entries),
            Code::Fold(fold) => self.fold(fold),
            Code::OptMap { of, slot, body, flat } => match self.eval(of)? {
                Value::Optional(None) => Ok(Value::Optional(None)),
                Value::Optional(Some(inner)) => {
                    self.frame[*slot] = (*inner).clone();
                    let mapped = self.eval(body)?;
                    Ok(if *flat { mapped } else { Value::some(mapped) })
                }
                _ => Err(no_overload()),
            },
        }
    }

    /// `&&` (`until` is false) and `||` (`until` is true): one operand that decides is enough, whatever the others say.
    fn logic(&mut self, items: &'a [Code], until: bool) -> Outcome<'a> {
        let mut failed = None;
        for item in items {
            match self.eval(item) {
                Ok(Value::Bool(b)) if b == until => return Ok(Value::Bool(until)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failed = failed.or(Some(no_overload())),
                Err(error) if error.is_over_budget() => return Err(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(Value::Bool(!until)), Err)
    }

    fn call(&mut self, function: &'static super::functions::Function, args: &'a [Code]) -> Outcome<'a> {
        let mut values = Vec::with_capacity(args.len());
        let mut sizes = Vec::with_capacity(args.len());
        for arg in args {
            let value = self.eval(arg)?;
            sizes.push(value.size());
            values.push(value);
        }
        let cost = function.cost;
        let before = cost.of(&sizes, 0);
        self.spend(before)?;
        let result = (function.run)(&values)?;
        self.spend(cost.of(&sizes, result.size()) - before.min(cost.of(&sizes, result.size())))?;
        Ok(result)
    }

    fn binary(&mut self, op: Op, left: Value<'a>, right: Value<'a>) -> Outcome<'a> {
        match op {
            Op::Eq | Op::Ne => {
                let weight = left.weight(self.left).min(right.weight(self.left));
                self.spend(weight.max(1))?;
                Ok(Value::Bool(left.equals(&right) == (op == Op::Eq)))
            }
            Op::Lt | Op::Le | Op::Gt | Op::Ge => {
                self.spend(text_cost(left.size().min(right.size())).max(1))?;
                let order = left.order(&right).ok_or_else(no_overload)?;
                Ok(Value::Bool(match op {
                    Op::Lt => order.is_lt(),
                    Op::Le => order.is_le(),
                    Op::Gt => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
            Op::In => match &right {
                Value::List(list) => {
                    let weight = left.weight(self.left);
                    self.spend((list.len() as u64).saturating_mul(weight).max(1))?;
                    Ok(Value::Bool(list.contains(&left)))
                }
                Value::Map(map) => {
                    self.spend(1)?;
                    Ok(Value::Bool(map.get(&left).is_some()))
                }
                _ => Err(no_overload()),
            },
            Op::Add => {
                let size = left.size().saturating_add(right.size());
                self.spend(match &left {
                    Value::String(_) | Value::Bytes(_) => text_cost(size).max(1),
                    Value::List(_) => 1 + size / 10,
                    _ => 1,
                })?;
                if size > MAX_VALUE as u64 {
                    return Err(EvalError::new("result is too large"));
                }
                add(&left, &right)
            }
            op => {
                self.spend(1)?;
                arithmetic(op, &left, &right)
            }
        }
    }

    fn index(&mut self, value: Value<'a>, index: &Value<'a>, optional: bool) -> Outcome<'a> {
        let value = match value {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => return self.index((*inner).clone(), index, true),
            value => value,
        };
        let found = match &value {
            Value::List(list) => {
                let at = match index {
                    Value::Int(n) => usize::try_from(*n).ok(),
                    Value::Uint(n) => usize::try_from(*n).ok(),
                    Value::Double(n) if n.fract() == 0.0 && *n >= 0.0 => Some(*n as usize),
                    _ => return Err(no_overload()),
                };
                let missing = || format!("index out of bounds: {}", as_key(index));
                at.and_then(|at| list.get(at)).ok_or_else(missing)
            }
            Value::Map(map) => map.get(index).ok_or_else(|| format!("no such key: {}", as_key(index))),
            _ => return Err(no_overload()),
        };
        optionally(found, optional)
    }

    fn list(&mut self, items: &'a [(Code, bool)]) -> Outcome<'a> {
        self.spend(LIST_COST)?;
        let mut list = Vec::with_capacity(items.len());
        for (item, optional) in items {
            match (self.eval(item)?, optional) {
                (Value::Optional(inner), true) => list.extend(inner.map(|inner| (*inner).clone())),
                (_, true) => return Err(no_overload()),
                (value, false) => list.push(value),
            }
        }
        Ok(Value::list(list))
    }

    fn map(&mut self, items: &'a [(Code, Code, bool)]) -> Outcome<'a> {
        self.spend(MAP_COST)?;
        let mut entries: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(items.len());
        for (key, value, optional) in items {
            let key = self.eval(key)?;
            let value = match (self.eval(value)?, optional) {
                (Value::Optional(None), true) => continue,
                (Value::Optional(Some(inner)), true) => (*inner).clone(),
                (_, true) => return Err(no_overload()),
                (value, false) => value,
            };
            if !matches!(key, Value::String(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_)) {
                return Err(EvalError::new("unsupported key type"));
            }
            self.insert(&mut entries, key, value)?;
        }
        Ok(Value::Map(Map::Shared(Arc::new(entries))))
    }

    fn insert(
        &mut self,
        entries: &mut Vec<(Value<'a>, Value<'a>)>,
        key: Value<'a>,
        value: Value<'a>,
    ) -> Result<(), EvalError> {
        self.spend(1 + entries.len() as u64 / 10)?;
        if entries.iter().any(|(old, _)| old.equals(&key)) {
            return Err(EvalError::new(format!("insert failed: key {} already exists", as_key(&key))));
        }
        entries.push((key, value));
        Ok(())
    }

    fn fold(&mut self, fold: &'a FoldCode) -> Outcome<'a> {
        let range = self.eval(&fold.range)?;
        match &range {
            Value::List(list) => {
                let pairs = list.iter().enumerate().map(|(n, item)| (Value::Int(n as i64), item));
                self.fold_over(fold, pairs, false)
            }
            Value::Map(map) => self.fold_over(fold, map.iter(), true),
            _ => Err(no_overload()),
        }
    }

    fn fold_over(
        &mut self,
        fold: &'a FoldCode,
        pairs: impl Iterator<Item = (Value<'a>, Value<'a>)>,
        keys: bool,
    ) -> Outcome<'a> {
        let mut state = Folded::default();
        self.spend(1)?;
        for (key, item) in pairs {
            match fold.second {
                Some(second) => {
                    self.frame[fold.first] = key.clone();
                    self.frame[second] = item.clone();
                }
                None => self.frame[fold.first] = if keys { key.clone() } else { item.clone() },
            }
            self.spend(step_cost(fold.macro_))?;
            if let Some(guard) = &fold.guard {
                match self.eval(guard)? {
                    Value::Bool(true) => {}
                    Value::Bool(false) => continue,
                    _ => return Err(no_overload()),
                }
            }
            let value = self.eval(&fold.body);
            if let Some(done) = self.step(fold.macro_, &mut state, key, item, value, keys)? {
                return Ok(done);
            }
        }
        state.finish(fold.macro_)
    }

    /// Takes one item in; a value ends the loop.
    fn step(
        &mut self,
        macro_: Macro,
        state: &mut Folded<'a>,
        key: Value<'a>,
        item: Value<'a>,
        value: Outcome<'a>,
        keys: bool,
    ) -> Result<Option<Value<'a>>, EvalError> {
        match (macro_, value) {
            (_, Err(error)) if error.is_over_budget() => return Err(error),
            (Macro::All, Ok(Value::Bool(false))) => return Ok(Some(Value::Bool(false))),
            (Macro::Exists, Ok(Value::Bool(true))) => return Ok(Some(Value::Bool(true))),
            (Macro::All | Macro::Exists, Ok(Value::Bool(_))) => {}
            (Macro::All | Macro::Exists, Err(error)) => state.failed = state.failed.take().or(Some(error)),
            (_, Err(error)) => return Err(error),
            (Macro::ExistsOne, Ok(Value::Bool(b))) => state.count += usize::from(b),
            (Macro::Filter, Ok(Value::Bool(true))) => state.items.push(if keys { key } else { item }),
            (Macro::Filter, Ok(Value::Bool(false))) => {}
            (Macro::Map | Macro::TransformList, Ok(value)) => state.items.push(value),
            (Macro::TransformMap, Ok(value)) => self.insert(&mut state.entries, key, value)?,
            (Macro::TransformMapEntry, Ok(Value::Map(map))) => {
                for (key, value) in map.iter() {
                    self.insert(&mut state.entries, key, value)?;
                }
            }
            _ => return Err(no_overload()),
        }
        if state.items.len() > MAX_VALUE / 16 {
            return Err(EvalError::new("result is too large"));
        }
        Ok(None)
    }
}

/// What a macro has gathered so far.
#[derive(Default)]
struct Folded<'a> {
    failed: Option<EvalError>,
    count: usize,
    items: Vec<Value<'a>>,
    entries: Vec<(Value<'a>, Value<'a>)>,
}

impl<'a> Folded<'a> {
    fn finish(self, macro_: Macro) -> Outcome<'a> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        Ok(match macro_ {
            Macro::All => Value::Bool(true),
            Macro::Exists => Value::Bool(false),
            Macro::ExistsOne => Value::Bool(self.count == 1),
            Macro::Map | Macro::Filter | Macro::TransformList => Value::List(List::Shared(Arc::new(self.items))),
            Macro::TransformMap | Macro::TransformMapEntry => Value::Map(Map::Shared(Arc::new(self.entries))),
        })
    }
}

/// What a turn of a macro costs beside its body.
pub(super) fn step_cost(macro_: Macro) -> u64 {
    match macro_ {
        Macro::All => 3,
        Macro::Exists => 4,
        Macro::ExistsOne => 2,
        Macro::Map | Macro::TransformList | Macro::Filter => 12,
        Macro::TransformMap | Macro::TransformMapEntry => 32,
    }
}

fn no_overload() -> EvalError {
    EvalError::new("no such overload")
}

fn optionally<'a>(found: Result<Value<'a>, String>, optional: bool) -> Outcome<'a> {
    match (found, optional) {
        (Ok(value), false) => Ok(value),
        (Err(message), false) => Err(EvalError::new(message)),
        (Ok(value), true) => Ok(Value::some(value)),
        (Err(_), true) => Ok(Value::Optional(None)),
    }
}

fn select<'a>(value: Value<'a>, name: &str, optional: bool) -> Outcome<'a> {
    match value {
        Value::Map(map) => optionally(map.property(name).ok_or_else(|| format!("no such key: {name}")), optional),
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => select((*inner).clone(), name, true),
        _ if optional => Ok(Value::Optional(None)),
        _ => Err(no_overload()),
    }
}

fn has(value: &Value<'_>, name: &str) -> Result<bool, EvalError> {
    match value {
        Value::Map(map) => Ok(map.property(name).is_some()),
        Value::Optional(None) => Ok(false),
        Value::Optional(Some(inner)) => has(inner, name),
        Value::Null => Ok(false),
        _ => Err(no_overload()),
    }
}

fn as_key(value: &Value<'_>) -> String {
    match super::functions::convert_text(value) {
        Ok(text) => text.as_str().unwrap_or_default().to_owned(),
        Err(_) => value.type_name().to_owned(),
    }
}
