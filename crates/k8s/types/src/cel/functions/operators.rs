//! The signatures of operators; the evaluator does them itself.

use super::{Cost, Function, no_overload};

macro_rules! operators {
    ($($name:literal: $($signature:literal),+;)*) => {
        &[$(Function {
            name: $name,
            signatures: &[$($signature),+],
            cost: Cost::One,
            run: |_| no_overload(),
        },)*]
    };
}

/// `_+_` to `_?_:_`.
pub(super) const FUNCTIONS: &[Function] = operators! {
    "_+_": "(int, int): int", "(uint, uint): uint", "(double, double): double", "(string, string): string",
        "(bytes, bytes): bytes", "(list<A>, list<A>): list<A>", "(duration, duration): duration",
        "(timestamp, duration): timestamp", "(duration, timestamp): timestamp";
    "_-_": "(int, int): int", "(uint, uint): uint", "(double, double): double", "(duration, duration): duration",
        "(timestamp, duration): timestamp", "(timestamp, timestamp): duration";
    "_*_": "(int, int): int", "(uint, uint): uint", "(double, double): double";
    "_/_": "(int, int): int", "(uint, uint): uint", "(double, double): double";
    "_%_": "(int, int): int", "(uint, uint): uint";
    "_==_": "(A, A): bool";
    "_!=_": "(A, A): bool";
    "_<_": "(bool, bool): bool", "(int, int): bool", "(int, uint): bool", "(int, double): bool", "(uint, int): bool",
        "(uint, uint): bool", "(uint, double): bool", "(double, int): bool", "(double, uint): bool",
        "(double, double): bool", "(string, string): bool", "(bytes, bytes): bool", "(timestamp, timestamp): bool",
        "(duration, duration): bool";
    "@in": "(A, list<A>): bool", "(A, map<A, B>): bool";
    "_[_]": "(list<A>, int): A", "(map<A, B>, A): B", "(optional<list<A>>, int): optional<A>",
        "(optional<map<A, B>>, A): optional<B>";
    "_&&_": "(bool, bool): bool";
    "_||_": "(bool, bool): bool";
    "!_": "(bool): bool";
    "-_": "(int): int", "(double): double", "(duration): duration";
    "_?_:_": "(bool, A, A): A";
};
