//! Texts of queries and `LabelSelector` objects as Kubernetes takes and refuses them.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn labels(pairs: &[(&str, &str)]) -> Map<String, Value> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

#[test]
fn queries_select_what_they_say() {
    let web = labels(&[("app", "web"), ("tier", "front"), ("n", "5"), ("empty", "")]);
    for (text, selects) in [
        ("", true),
        ("app=web", true),
        ("app==web,tier!=back", true),
        ("app in (web, api),tier notin (back)", true),
        ("app,!missing", true),
        (" app = web ", true),
        ("missing notin (a)", true),
        ("missing!=a", true),
        ("n>4,n<6", true),
        ("empty=", true),
        ("empty in ()", true),
        ("empty in (,x)", true),
        ("app in (in,notin,web)", true),
        ("app=api", false),
        ("!app", false),
        ("missing", false),
        ("app in (api)", false),
        ("n>5", false),
        ("app>5", false),
    ] {
        let selector = LabelSelector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(selector.matches(&web), selects, "{text}");
    }
}

#[test]
fn queries_print_in_canonical_form() {
    for (text, printed) in [
        ("x in (b,a,a),!y, z", "x in (a,b),!y,z"),
        ("b=1,a==2", "a==2,b=1"),
        ("x notin ()", "x notin ()"),
        ("n>1", "n>1"),
    ] {
        assert_eq!(LabelSelector::parse(text).unwrap().to_string(), printed);
    }
}

#[test]
fn what_is_no_query_is_refused_in_kubernetes_words() {
    for (text, why) in [
        ("x=a||y=b", "found '||', expected: ',' or 'end of string'"),
        ("x==a==b", "found '==', expected: ',' or 'end of string'"),
        ("!x=a", "found '=', expected: ',' or 'end of string'"),
        (
            "x<a",
            "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        ("x in a", "unable to parse requirement: found 'a' expected: '('"),
        ("a,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("x y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"),
        ("x=,,y", "found ',', expected: identifier after ','"),
    ] {
        let error = LabelSelector::parse(text).map(|selector| selector.to_string());
        if text == "x=a||y=b" {
            // `|` is no symbol: the whole is one word, and no label value
            assert!(error.unwrap_err().to_string().contains("Invalid value: \"a||y\""));
            continue;
        }
        assert_eq!(error.unwrap_err().to_string(), why, "{text}");
    }
    let long = LabelSelector::parse("a/b/c=x").unwrap_err().to_string();
    assert!(
        long.starts_with("unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key must"),
        "{long}"
    );
}

#[test]
fn objects_select_what_they_say() {
    let web = labels(&[("app", "web"), ("tier", "front")]);
    for (object, selects) in [
        (json!(null), false),
        (json!({}), true),
        (json!({"matchLabels": {"app": "web"}}), true),
        (json!({"matchLabels": {"app": "api"}}), false),
        (json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}]}), true),
        (json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), false),
    ] {
        assert_eq!(LabelSelector::from_object(&object).unwrap().matches(&web), selects, "{object}");
    }
    let odd = json!({"matchExpressions": [{"key": "a", "operator": "Like"}]});
    assert_eq!(
        LabelSelector::from_object(&odd).unwrap_err().to_string(),
        "\"Like\" is not a valid label selector operator"
    );
}

#[test]
fn objects_are_validated_in_kubernetes_words() {
    let object = json!({"matchExpressions": [
        {"key": "a", "operator": "In"}, {"key": "b", "operator": "Exists", "values": ["x"]}, {"key": "c", "operator": "Like"},
    ]});
    let errors = check_object(&object, ObjectRules::default(), &Path::new("spec").child("selector"));
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            "spec.selector.matchExpressions[2].operator: Invalid value: \"Like\": not a valid selector operator",
        ]
    );
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_printed_means_the_same(text in "[a-c!=<>(), in/.\\PC]{0,24}") {
        if let Ok(selector) = LabelSelector::parse(&text) {
            let again = LabelSelector::parse(&selector.to_string());
            prop_assert_eq!(again, Ok(selector));
        }
    }
}
