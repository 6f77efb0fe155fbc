//! The types of expressions, each with how large its values may become.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A size that nothing bounds.
pub const UNBOUNDED: u64 = u64::MAX;

/// The type of a value.
#[derive(Debug, Clone)]
pub struct Type {
    /// What it is.
    pub kind: Kind,
    /// The most characters, bytes, items or entries its values have; [`UNBOUNDED`] if unknown.
    pub max: u64,
}

/// What a type is, apart from sizes.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Anything; checked when evaluated.
    Dyn,
    /// Null alone.
    Null,
    /// true and false.
    Bool,
    /// 64 bits, signed.
    Int,
    /// 64 bits, unsigned.
    Uint,
    /// Floating point.
    Double,
    /// Text.
    String,
    /// Bytes; base64 in JSON.
    Bytes,
    /// A span of time; `1h30m` in JSON.
    Duration,
    /// A point in time; RFC 3339 in JSON.
    Timestamp,
    /// The type of a type.
    Type,
    /// A list.
    List(Arc<Type>, Keyed),
    /// A map from keys to values.
    Map(Arc<Type>, Arc<Type>),
    /// A value that may be absent.
    Optional(Arc<Type>),
    /// An object with known fields.
    Object(Arc<Object>),
    /// A type of the function libraries, by name.
    Opaque(&'static str),
    /// A type variable of a function's signature.
    Param(u8),
}

/// How the items of a list are told apart; it decides what `==` and `+` mean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Keyed {
    /// By position.
    #[default]
    Position,
    /// Each item is its own key.
    Set,
    /// By these fields.
    Fields(Arc<[String]>),
}

/// The fields of an object.
#[derive(Debug, Default)]
pub struct Object {
    /// By the name used in expressions, which is the escaped name of the property.
    pub fields: BTreeMap<String, Field>,
}

/// One field of an object.
#[derive(Debug)]
pub struct Field {
    /// The name in JSON.
    pub property: Arc<str>,
    /// The type of its values.
    pub of: Type,
}

impl Type {
    /// A type whose values have no size to speak of.
    pub const fn scalar(kind: Kind) -> Type {
        Type { kind, max: 1 }
    }

    /// A type with at most `max` elements.
    pub const fn sized(kind: Kind, max: u64) -> Type {
        Type { kind, max }
    }

    /// Anything.
    pub const fn any() -> Type {
        Type { kind: Kind::Dyn, max: UNBOUNDED }
    }

    /// A list of `item`, at most `max` of them.
    pub fn list(item: Type, max: u64) -> Type {
        Type { kind: Kind::List(Arc::new(item), Keyed::Position), max }
    }

    /// A map from strings to `value`, at most `max` of them.
    pub fn map(value: Type, max: u64) -> Type {
        Type { kind: Kind::Map(Arc::new(Type::sized(Kind::String, UNBOUNDED)), Arc::new(value)), max }
    }

    /// `of` or nothing.
    pub fn optional(of: Type) -> Type {
        let max = of.max;
        Type { kind: Kind::Optional(Arc::new(of)), max }
    }

    /// Whether expressions of this type are checked only when they are evaluated.
    pub fn is_dyn(&self) -> bool {
        matches!(self.kind, Kind::Dyn)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Dyn => f.write_str("dyn"),
            Kind::Null => f.write_str("null"),
            Kind::Bool => f.write_str("bool"),
            Kind::Int => f.write_str("int"),
            Kind::Uint => f.write_str("uint"),
            Kind::Double => f.write_str("double"),
            Kind::String => f.write_str("string"),
            Kind::Bytes => f.write_str("bytes"),
            Kind::Duration => f.write_str("google.protobuf.Duration"),
            Kind::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Kind::Type => f.write_str("type"),
            Kind::List(item, _) => write!(f, "list({item})"),
            Kind::Map(key, value) => write!(f, "map({key}, {value})"),
            Kind::Optional(of) => write!(f, "optional_type({of})"),
            Kind::Object(_) => f.write_str("object"),
            Kind::Opaque(name) => f.write_str(name),
            Kind::Param(n) => write!(f, "{}", char::from(b'A' + n)),
        }
    }
}

/// What type variables stand for while a signature is matched.
pub(super) type Bindings = [Option<Type>; 3];

/// Whether a value of type `given` is taken where `wanted` stands; binds the variables of `wanted`.
pub(super) fn assignable(wanted: &Type, given: &Type, bound: &mut Bindings) -> bool {
    match (&wanted.kind, &given.kind) {
        (Kind::Param(n), _) => match bound[usize::from(*n)].clone() {
            None => {
                bound[usize::from(*n)] = Some(given.clone());
                true
            }
            Some(old) if old.is_dyn() => true,
            Some(old) => {
                let fits = assignable(&old, given, bound) || assignable(given, &old, bound);
                if fits && (given.is_dyn() || given.max > old.max) {
                    bound[usize::from(*n)] = Some(given.clone());
                }
                fits
            }
        },
        (Kind::Dyn, _) | (_, Kind::Dyn) => true,
        (Kind::List(a, _), Kind::List(b, _)) | (Kind::Optional(a), Kind::Optional(b)) => assignable(a, b, bound),
        (Kind::Map(k1, v1), Kind::Map(k2, v2)) => assignable(k1, k2, bound) && assignable(v1, v2, bound),
        (Kind::Object(a), Kind::Object(b)) => Arc::ptr_eq(a, b),
        (Kind::Opaque(a), Kind::Opaque(b)) => a == b,
        (Kind::Object(_) | Kind::Opaque(_) | Kind::Duration | Kind::Timestamp | Kind::Optional(_), Kind::Null) => true,
        (Kind::Null, Kind::Object(_) | Kind::Opaque(_) | Kind::Duration | Kind::Timestamp) => true,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

/// `of` with its type variables replaced; unbound ones become anything.
pub(super) fn substitute(of: &Type, bound: &Bindings) -> Type {
    let kind = match &of.kind {
        Kind::Param(n) => return bound[usize::from(*n)].clone().unwrap_or_else(Type::any),
        Kind::List(item, keyed) => Kind::List(Arc::new(substitute(item, bound)), keyed.clone()),
        Kind::Map(key, value) => Kind::Map(Arc::new(substitute(key, bound)), Arc::new(substitute(value, bound))),
        Kind::Optional(inner) => Kind::Optional(Arc::new(substitute(inner, bound))),
        other => other.clone(),
    };
    Type { kind, max: of.max }
}

/// One type that takes the values of both, anything if there is none.
pub(super) fn join(a: &Type, b: &Type) -> Option<Type> {
    let mut bound = Bindings::default();
    if a.is_dyn() || b.is_dyn() {
        return Some(Type::sized(Kind::Dyn, a.max.max(b.max)));
    }
    let wider = if assignable(a, b, &mut bound) { a } else { return None };
    let kind = match (&a.kind, &b.kind) {
        (Kind::Null, other) => other.clone(),
        (Kind::List(x, keyed), Kind::List(y, _)) => Kind::List(Arc::new(join(x, y)?), keyed.clone()),
        (Kind::Map(k1, v1), Kind::Map(k2, v2)) => Kind::Map(Arc::new(join(k1, k2)?), Arc::new(join(v1, v2)?)),
        (Kind::Optional(x), Kind::Optional(y)) => Kind::Optional(Arc::new(join(x, y)?)),
        _ => wider.kind.clone(),
    };
    Some(Type { kind, max: a.max.max(b.max) })
}
