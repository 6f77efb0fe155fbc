//! What expressions mean, what they cost, and how they are refused.

use serde_json::json;

use super::*;

fn scope() -> Scope {
    Scope::new(&[("self", Type::any())])
}

fn eval(source: &str, object: serde_json::Value) -> Result<bool, String> {
    let program = Program::compile(source, &scope()).map_err(|error| error.to_string())?;
    let any = Type::any();
    let (result, _) = program.evaluate(&[Value::of(&object, &any)], PER_CALL_LIMIT);
    match result {
        Ok(Value::Bool(b)) => Ok(b),
        Ok(other) => Err(format!("not a bool: {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

#[track_caller]
fn holds(source: &str) {
    assert_eq!(eval(source, json!({})), Ok(true), "{source}");
}

#[track_caller]
fn fails(source: &str, message: &str) {
    let error = eval(source, json!({})).expect_err(source);
    assert!(error.contains(message), "{source}: {error}");
}

#[test]
fn literals_operators_and_macros() {
    for source in [
        "1 + 2 * 3 == 7",
        "-(1 - 2) == 1 && !false",
        "7 / 2 == 3 && 7 % 2 == 1 && -7 / 2 == -3",
        "0x10 == 16 && 1u + 2u == 3u && 1.5e3 == 1500.0",
        "'a' + \"b\" == 'ab' && r'\\d' == '\\\\d' && '''a'b''' == \"a'b\"",
        "b'abc' == b'abc' && size(b'\\xff') == 1",
        "'\\u00e9' == 'é' && size('é') == 1",
        "true ? true : 1/0 == 1",
        "false && 1/0 == 1 || true",
        "(1/0 == 1) || true",
        "[1, 2, 3].all(x, x > 0) && [1, 2].exists(x, x == 2) && [1, 2, 2].exists_one(x, x == 1)",
        "[1, 2, 3].map(x, x * 2) == [2, 4, 6] && [1, 2, 3].filter(x, x > 1) == [2, 3]",
        "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "{'a': 1, 'b': 2}.all(k, k in ['a', 'b'])",
        "{'a': 1}.all(k, v, k == 'a' && v == 1) && [5].exists(i, v, i == 0 && v == 5)",
        "[1, 2].transformList(i, v, i + v) == [1, 3] && {'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
        "2 in [1, 2] && !('x' in {'a': 1}) && {'a': 1}['a'] == 1 && [1, 2][1] == 2",
        "1 < 2u && 1.0 <= 1 && 'a' < 'b'",
        "has({'a': 1}.a) && !has({'a': 1}.b)",
        "type(1) == int && type('') == string && type([]) == list",
        "dyn(1) == 1.0",
        "{'a': {'b': 1}}.?a.?b.orValue(2) == 1 && {'a': 1}[?'x'].orValue(5) == 5",
        "optional.of(3).optMap(x, x + 1).value() == 4 && !optional.none().hasValue()",
        "[?optional.none(), 1] == [1] && {?'a': optional.of(1)} == {'a': 1}",
    ] {
        holds(source);
    }
}

#[test]
fn functions_of_text_and_lists() {
    for source in [
        "'hello'.contains('ell') && 'hello'.startsWith('he') && 'hello'.endsWith('lo') && 'h1'.matches('^h[0-9]$')",
        "'Ab'.lowerAscii() == 'ab' && ' a '.trim() == 'a' && 'abc'.charAt(1) == 'b' && 'abc'.substring(1, 2) == 'b'",
        "'a-b'.replace('-', '+') == 'a+b' && 'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'",
        "'banana'.indexOf('an') == 1 && 'banana'.lastIndexOf('an') == 3 && 'x'.indexOf('y') == -1",
        "'%s is %d, %.2f%% %x'.format(['a', 5, 1.5, 255]) == 'a is 5, 1.50% ff'",
        "strings.quote('a\"b') == '\"a\\\\\"b\"'",
        "'abc 123'.find('[0-9]+') == '123' && '1 2'.findAll('[0-9]') == ['1', '2'] && '1 2'.findAll('[0-9]', 1) == ['1']",
        "[1, 3].isSorted() && [1, 3].sum() == 4 && [1, 3].max() == 3 && [2, 2].indexOf(2) == 0 && [1, 2].lastIndexOf(2) == 1",
        "sets.contains([1, 2], [1]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1])",
        "[3, 1].sort() == [1, 3] && [1, 1].distinct() == [1] && [[1], [2]].flatten() == [1, 2] && [1, 2].reverse() == [2, 1]",
        "[1, 2, 3].includes(2) && 'a'.includes('a')",
        "string(1) == '1' && int('5') == 5 && double('1.5') == 1.5 && bool('true') && string(b'a') == 'a'",
    ] {
        holds(source);
    }
}

#[test]
fn times_addresses_quantities_versions() {
    for source in [
        "duration('1h30m') == duration('90m') && duration('1.5s').getMilliseconds() == 500",
        "timestamp('2021-01-02T03:04:05Z').getHours() == 3 && timestamp('2021-01-02T03:04:05Z').getMonth() == 0",
        "timestamp('2021-01-02T00:00:00Z') - timestamp('2021-01-01T00:00:00Z') == duration('24h')",
        "timestamp('2021-01-02T03:04:05Z').getHours('+02:00') == 5",
        "ip('127.0.0.1').family() == 4 && ip('::1').isLoopback() && isIP('1.2.3.4') && !isIP('1.2.3.256')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')",
        "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.0.0.0/8').prefixLength() == 8",
        "ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD')",
        "url('https://u:p@example.com:80/a?k=b#f').getHost() == 'example.com:80' && isURL('/a') && !isURL('../a')",
        "url('https://[::1]:80/').getHostname() == '::1' && url('https://e.com/?k=a&k=b').getQuery()['k'] == ['a', 'b']",
        "quantity('1.5G').isGreaterThan(quantity('1G')) && quantity('50k').add(20) == quantity('50020')",
        "quantity('200M').compareTo(quantity('0.2G')) == 0 && !isQuantity('200K') && quantity('50k').asInteger() == 50000",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-a') .isLessThan(semver('1.0.0')) && !isSemver('v1')",
        "semver('v1.0', true).major() == 1",
        "!format.dns1123Label().validate('abc').hasValue() && format.dns1123Label().validate('A').hasValue()",
        "format.named('uuid').hasValue() && !format.named('x').hasValue()",
    ] {
        holds(source);
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let error = |source: &str| Program::compile(source, &scope()).unwrap_err().to_string();
    assert_eq!(
        error("self.a + foo"),
        "ERROR: <input>:1:10: undeclared reference to 'foo' (in container '')\n | self.a + foo\n | .........^"
    );
    assert_eq!(
        error("1 + 'a'"),
        "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | 1 + 'a'\n | ..^"
    );
    fails("[1, 'a'] == []", "expected type 'int' but found 'string'");
    fails("1.all(x, true)", "expression of type 'int' cannot be range of a comprehension");
    fails("'a'.matches('[')", "invalid matches argument");
    fails("1 +", "Syntax error: mismatched input '<EOF>'");
    fails("nope('a')", "undeclared reference to 'nope'");
    fails("'a'.size", "type 'string' does not support field selection");
    fails("1/0 == 1", "division by zero");
    fails("[1][5] == 1", "index out of bounds: 5");
    fails("{'a': 1}['b'] == 1", "no such key: b");
    fails("9223372036854775807 + 1 > 0", "integer overflow");
}

#[test]
fn hostile_expressions_end_within_their_budget() {
    let items: Vec<u32> = (0..2000).collect();
    let object = json!({ "l": items, "s": "a".repeat(100_000) });
    let any = Type::any();
    let sources = [
        "self.l.all(a, self.l.all(b, self.l.all(c, self.l.all(d, a + b + c + d >= 0))))",
        "self.l.map(a, self.l.map(b, self.l.map(c, self.l))).size() > 0",
        "[0,0].map(x, [0,0]).map(x, self.s + self.s + self.s).all(s, (s + s + s + s).contains('b' + s))",
        "self.s.matches('(a*)*b') || self.s.replace('a', self.s).size() > 0",
        "self.l.exists(a, self.l == self.l.map(b, b + a))",
        "self.l.map(a, self.s).join(self.s).size() > 0",
    ];
    for source in sources {
        let program = Program::compile(source, &scope()).unwrap();
        let start = std::time::Instant::now();
        let (_, cost) = program.evaluate(&[Value::of(&object, &any)], PER_CALL_LIMIT);
        assert!(cost <= PER_CALL_LIMIT);
        assert!(start.elapsed().as_secs() < 5, "{source} took {:?}", start.elapsed());
    }
    for source in ["(".repeat(100_000), "-".repeat(50_000) + "1", "a.".repeat(40_000) + "b", "1+".repeat(40_000) + "1"]
    {
        assert!(Program::compile(&source, &scope()).is_err());
    }
    let mixed = format!("{}1{}", "(1+".repeat(90), ")+1".repeat(90));
    Program::compile(&mixed, &scope()).unwrap();
}

#[test]
fn typed_objects_are_checked_and_bounded() {
    let item = Type::sized(Kind::String, 10);
    let mut object = Object::default();
    object.fields.insert("tags".into(), Field { property: "tags".into(), of: Type::list(item, 100) });
    object.fields.insert("x__dash__y".into(), Field { property: "x-y".into(), of: Type::scalar(Kind::Int) });
    let of = Type::scalar(Kind::Object(object.into()));
    let scope = Scope::new(&[("self", of.clone()), ("oldSelf", of.clone())]);
    let program = Program::compile("self.tags.all(t, t.startsWith('a')) && self.x__dash__y == 1", &scope).unwrap();
    assert!(program.max_cost() > 300 && program.max_cost() < 1000, "{}", program.max_cost());
    assert!(program.uses(0) && !program.uses(1));
    let json = json!({"tags": ["ab"], "x-y": 1});
    let (result, _) = program.evaluate(&[Value::of(&json, &of), Value::Null], 1000);
    assert!(matches!(result, Ok(Value::Bool(true))));
    let error = Program::compile("self.nope == 1", &scope).unwrap_err().to_string();
    assert!(error.contains("undefined field 'nope'"), "{error}");
    let error = Program::compile("self.tags == 1", &scope).unwrap_err().to_string();
    assert!(error.contains("found no matching overload for '_==_' applied to '(list(string), int)'"), "{error}");
}
