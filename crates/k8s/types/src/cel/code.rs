//! A checked expression, ready to be evaluated: names are slots, functions are found, patterns are compiled.

use std::sync::Arc;

use super::ast::{Macro, Op};
use super::functions::Function;
use super::value::Value;

/// What to do.
#[derive(Debug)]
pub(super) enum Code {
    Const(Value<'static>),
    /// The variable in that slot.
    Slot(usize),
    /// A field of an object or a key of a map.
    Select {
        of: Box<Code>,
        name: Arc<str>,
        optional: bool,
    },
    Has {
        of: Box<Code>,
        name: Arc<str>,
    },
    Index {
        of: Box<Code>,
        index: Box<Code>,
        optional: bool,
    },
    And(Vec<Code>),
    Or(Vec<Code>),
    Not(Box<Code>),
    Neg(Box<Code>),
    Cond(Box<[Code; 3]>),
    Binary(Op, Box<[Code; 2]>),
    Call(Callee, Vec<Code>),
    /// `text.matches(pattern)` with a pattern that does not change.
    Matches {
        of: Box<Code>,
        regex: regex::Regex,
        length: u64,
    },
    List(Vec<(Code, bool)>),
    Map(Vec<(Code, Code, bool)>),
    Fold(Box<FoldCode>),
    OptMap {
        of: Box<Code>,
        slot: usize,
        body: Box<Code>,
        flat: bool,
    },
}

/// A function to call.
#[derive(Clone, Copy)]
pub(super) struct Callee(pub &'static Function);

impl std::fmt::Debug for Callee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

/// A macro over a list or a map.
#[derive(Debug)]
pub(super) struct FoldCode {
    pub macro_: Macro,
    pub range: Code,
    /// The slots of the variables: one or two.
    pub first: usize,
    pub second: Option<usize>,
    pub guard: Option<Code>,
    pub body: Code,
}
