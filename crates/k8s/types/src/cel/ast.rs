//! The syntax tree of an expression, with macros already recognised.

/// One node and where it begins in the source, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    pub at: usize,
    /// How many nodes lie on the longest way down, this one included.
    pub depth: usize,
    pub kind: Kind,
}

impl Expr {
    /// A node above the nodes in `kind`.
    pub fn new(at: usize, kind: Kind) -> Expr {
        Expr { at, depth: 1 + kind.depth_below(), kind }
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    Ident(String),
    Select {
        of: Box<Expr>,
        field: String,
        optional: bool,
    },
    /// The macro `has(of.field)`.
    Has {
        of: Box<Expr>,
        field: String,
    },
    Index {
        of: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    Call {
        target: Option<Box<Expr>>,
        function: String,
        args: Vec<Expr>,
    },
    /// `a && b && ...`, flat so that long chains are not deep.
    And(Vec<Expr>),
    /// `a || b || ...`.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Neg(Box<Expr>),
    Cond(Box<[Expr; 3]>),
    Binary(Op, Box<[Expr; 2]>),
    /// Items with whether they are optional (`?item`).
    List(Vec<(Expr, bool)>),
    /// Keys, values, and whether the entry is optional.
    Map(Vec<(Expr, Expr, bool)>),
    Fold(Box<Fold>),
    /// `target.optMap(var, body)` and, when `flat`, `target.optFlatMap(var, body)`.
    OptMap {
        of: Box<Expr>,
        var: String,
        body: Box<Expr>,
        flat: bool,
    },
}

impl Kind {
    fn depth_below(&self) -> usize {
        let most = |items: &mut dyn Iterator<Item = &Expr>| items.map(|e| e.depth).max().unwrap_or(0);
        match self {
            Kind::Select { of, .. } | Kind::Has { of, .. } | Kind::Not(of) | Kind::Neg(of) => of.depth,
            Kind::Index { of, index, .. } => of.depth.max(index.depth),
            Kind::Call { target, args, .. } => most(&mut args.iter().chain(target.as_deref())),
            Kind::And(items) | Kind::Or(items) => most(&mut items.iter()),
            Kind::Cond(items) => most(&mut items.iter()),
            Kind::Binary(_, sides) => most(&mut sides.iter()),
            Kind::List(items) => most(&mut items.iter().map(|(e, _)| e)),
            Kind::Map(entries) => most(&mut entries.iter().flat_map(|(k, v, _)| [k, v])),
            Kind::Fold(fold) => most(&mut [&fold.range, &fold.body].into_iter().chain(&fold.guard)),
            Kind::OptMap { of, body, .. } => of.depth.max(body.depth),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Uint(_) | Kind::Double(_) => 0,
            Kind::String(_) | Kind::Bytes(_) | Kind::Ident(_) => 0,
        }
    }
}

/// A macro that goes over a list or a map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fold {
    pub macro_: Macro,
    pub range: Expr,
    /// One or two variables.
    pub vars: Vec<String>,
    /// The filter of the three- and four-argument forms of `map` and `transform*`.
    pub guard: Option<Expr>,
    pub body: Expr,
}

/// The macros over lists and maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformList,
    TransformMap,
    TransformMapEntry,
}

/// Operators with two operands that are evaluated both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
}

impl Op {
    /// The operator's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Op::Add => "_+_",
            Op::Sub => "_-_",
            Op::Mul => "_*_",
            Op::Div => "_/_",
            Op::Rem => "_%_",
            Op::Eq => "_==_",
            Op::Ne => "_!=_",
            Op::Lt => "_<_",
            Op::Le => "_<=_",
            Op::Gt => "_>_",
            Op::Ge => "_>=_",
            Op::In => "@in",
        }
    }
}
