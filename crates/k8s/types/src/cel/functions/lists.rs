//! Functions on lists and sets.

use std::cmp::Ordering;

use super::{Cost, Function, Outcome, add, no_overload};
use crate::cel::EvalError;
use crate::cel::value::{List, Value};

/// `isSorted` to `lists.range`.
pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "isSorted", signatures: &[".(list<A>): bool"], cost: Cost::Elements, run: is_sorted },
    Function { name: "sum", signatures: &[".(list<A>): A"], cost: Cost::Elements, run: sum },
    Function {
        name: "min",
        signatures: &[".(list<A>): A"],
        cost: Cost::Elements,
        run: |args| extreme(args, Ordering::Less, "min"),
    },
    Function {
        name: "max",
        signatures: &[".(list<A>): A"],
        cost: Cost::Elements,
        run: |args| extreme(args, Ordering::Greater, "max"),
    },
    Function {
        name: "indexOf",
        signatures: &[".(string, string): int", ".(string, string, int): int", ".(list<A>, A): int"],
        cost: Cost::Elements,
        run: index_of,
    },
    Function {
        name: "lastIndexOf",
        signatures: &[".(string, string): int", ".(string, string, int): int", ".(list<A>, A): int"],
        cost: Cost::Elements,
        run: last_index_of,
    },
    Function {
        name: "includes",
        signatures: &[".(dyn, dyn): bool"],
        cost: Cost::Elements,
        run: |args| {
            let found = match &args[0] {
                Value::List(list) => list.contains(&args[1]),
                value => value.equals(&args[1]),
            };
            Ok(Value::Bool(found))
        },
    },
    Function { name: "slice", signatures: &[".(list<A>, int, int): list<A>"], cost: Cost::Elements, run: slice },
    Function { name: "distinct", signatures: &[".(list<A>): list<A>"], cost: Cost::Pairs, run: distinct },
    Function { name: "sort", signatures: &[".(list<A>): list<A>"], cost: Cost::Elements, run: sort },
    Function {
        name: "reverse",
        signatures: &[".(list<A>): list<A>"],
        cost: Cost::Elements,
        run: |args| {
            let Value::List(list) = &args[0] else { return no_overload() };
            let mut items: Vec<Value<'_>> = list.iter().collect();
            items.reverse();
            Ok(Value::list(items))
        },
    },
    Function {
        name: "flatten",
        signatures: &[".(list<list<A>>): list<A>", ".(list<dyn>, int): list<dyn>"],
        cost: Cost::Elements,
        run: flatten,
    },
    Function { name: "lists.range", signatures: &["(int): list<int>"], cost: Cost::One, run: range },
    Function {
        name: "sets.contains",
        signatures: &["(list<A>, list<A>): bool"],
        cost: Cost::Pairs,
        run: |args| sets(args, |a, b| b.iter().all(|item| a.contains(&item))),
    },
    Function {
        name: "sets.equivalent",
        signatures: &["(list<A>, list<A>): bool"],
        cost: Cost::Pairs,
        run: |args| sets(args, |a, b| b.iter().all(|i| a.contains(&i)) && a.iter().all(|i| b.contains(&i))),
    },
    Function {
        name: "sets.intersects",
        signatures: &["(list<A>, list<A>): bool"],
        cost: Cost::Pairs,
        run: |args| sets(args, |a, b| b.iter().any(|item| a.contains(&item))),
    },
];

fn sets<'a>(args: &[Value<'a>], f: fn(&List<'a>, &List<'a>) -> bool) -> Outcome<'a> {
    match (&args[0], &args[1]) {
        (Value::List(a), Value::List(b)) => Ok(Value::Bool(f(a, b))),
        _ => no_overload(),
    }
}

fn is_sorted<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let Value::List(list) = &args[0] else { return no_overload() };
    let mut last: Option<Value<'a>> = None;
    for item in list.iter() {
        if let Some(last) = &last {
            match last.order(&item) {
                Some(Ordering::Greater) => return Ok(Value::Bool(false)),
                Some(_) => {}
                None => return no_overload(),
            }
        }
        last = Some(item);
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let Value::List(list) = &args[0] else { return no_overload() };
    let mut items = list.iter();
    let Some(mut total) = items.next() else { return Ok(Value::Int(0)) };
    if !matches!(total, Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)) {
        return no_overload();
    }
    for item in items {
        total = add(&total, &item)?;
    }
    Ok(total)
}

fn extreme<'a>(args: &[Value<'a>], wanted: Ordering, name: &str) -> Outcome<'a> {
    let Value::List(list) = &args[0] else { return no_overload() };
    let mut items = list.iter();
    let Some(mut best) = items.next() else { return Err(EvalError::new(format!("{name} called on empty list"))) };
    for item in items {
        match item.order(&best) {
            Some(order) if order == wanted => best = item,
            Some(_) => {}
            None => return no_overload(),
        }
    }
    Ok(best)
}

fn start(args: &[Value<'_>], length: usize) -> Result<Option<usize>, EvalError> {
    match args.get(2) {
        None => Ok(None),
        Some(Value::Int(n)) if usize::try_from(*n).is_ok_and(|n| n <= length) => Ok(Some(*n as usize)),
        Some(Value::Int(n)) => Err(EvalError::new(format!("index out of range: {n}"))),
        Some(_) => Err(EvalError::new("no such overload")),
    }
}

fn position(at: Option<usize>) -> Value<'static> {
    Value::Int(at.map_or(-1, |at| at as i64))
}

fn index_of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    if let Value::List(list) = &args[0] {
        return Ok(position(list.iter().position(|item| item.equals(&args[1]))));
    }
    let (Some(text), Some(part)) = (args[0].as_str(), args[1].as_str()) else { return no_overload() };
    let chars: Vec<char> = text.chars().collect();
    let part: Vec<char> = part.chars().collect();
    let from = start(args, chars.len())?.unwrap_or(0);
    let last = chars.len().checked_sub(part.len());
    Ok(position(last.and_then(|last| (from..=last).find(|at| chars[*at..].starts_with(&part)))))
}

fn last_index_of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    if let Value::List(list) = &args[0] {
        let at = (0..list.len()).rev().find(|at| list.get(*at).is_some_and(|item| item.equals(&args[1])));
        return Ok(position(at));
    }
    let (Some(text), Some(part)) = (args[0].as_str(), args[1].as_str()) else { return no_overload() };
    let chars: Vec<char> = text.chars().collect();
    let part: Vec<char> = part.chars().collect();
    let Some(last) = chars.len().checked_sub(part.len()) else { return Ok(Value::Int(-1)) };
    let last = start(args, chars.len())?.unwrap_or(last).min(last);
    Ok(position((0..=last).rev().find(|at| chars[*at..].starts_with(&part))))
}

fn slice<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (Value::List(list), Value::Int(from), Value::Int(to)) = (&args[0], &args[1], &args[2]) else {
        return no_overload();
    };
    if *from < 0 || *to < 0 {
        return Err(EvalError::new(format!("cannot slice({from}, {to}), negative indexes not supported")));
    }
    if from > to {
        return Err(EvalError::new(format!(
            "cannot slice({from}, {to}), start index must be less than or equal to end index"
        )));
    }
    if *to as usize > list.len() {
        return Err(EvalError::new(format!("cannot slice({from}, {to}), list is length {}", list.len())));
    }
    Ok(Value::list(list.iter().skip(*from as usize).take((to - from) as usize).collect()))
}

fn distinct<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let Value::List(list) = &args[0] else { return no_overload() };
    let mut items: Vec<Value<'a>> = Vec::new();
    for item in list.iter() {
        if !items.iter().any(|old| old.equals(&item)) {
            items.push(item);
        }
    }
    Ok(Value::list(items))
}

fn sort<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let Value::List(list) = &args[0] else { return no_overload() };
    let mut items: Vec<Value<'a>> = list.iter().collect();
    if items.windows(2).any(|pair| pair[0].order(&pair[1]).is_none()) {
        return Err(EvalError::new("list elements must have the same type"));
    }
    items.sort_by(|a, b| a.order(b).unwrap_or(Ordering::Equal));
    Ok(Value::list(items))
}

fn flatten<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let Value::List(list) = &args[0] else { return no_overload() };
    let depth = match args.get(1) {
        None => 1,
        Some(Value::Int(n)) if *n >= 0 => *n,
        Some(Value::Int(_)) => return Err(EvalError::new("level must be non-negative")),
        Some(_) => return no_overload(),
    };
    let mut items = Vec::new();
    flatten_into(list, depth, &mut items);
    Ok(Value::list(items))
}

fn flatten_into<'a>(list: &List<'a>, depth: i64, items: &mut Vec<Value<'a>>) {
    for item in list.iter() {
        match item {
            Value::List(inner) if depth > 0 => flatten_into(&inner, depth - 1, items),
            item => items.push(item),
        }
    }
}

fn range<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match &args[0] {
        Value::Int(n) if *n > 1_000_000 => Err(EvalError::new("result is too large")),
        Value::Int(n) => Ok(Value::list((0..*n).map(Value::Int).collect())),
        _ => no_overload(),
    }
}
