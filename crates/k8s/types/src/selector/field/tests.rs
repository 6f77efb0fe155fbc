//! Texts of queries as Kubernetes takes and refuses them.

use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn queries_select_what_they_say() {
    let pod = json!({"metadata": {"name": "web"}, "spec": {"nodeName": "n1", "hostNetwork": true}, "status": {"phase": "Running"}});
    for (text, selects) in [
        ("", true),
        ("metadata.name=web", true),
        ("metadata.name==web,status.phase!=Failed", true),
        ("spec.missing=", true),
        ("spec.missing!=x", true),
        ("spec.hostNetwork=true", true),
        ("spec.nodeName=", false),
        ("status.phase!=Running", false),
    ] {
        assert_eq!(FieldSelector::parse(text).unwrap().matches_object(&pod), selects, "{text}");
    }
    assert_eq!(FieldSelector::parse("a!=b,metadata.name=web").unwrap().exact("metadata.name"), Some("web"));
}

#[test]
fn values_are_escaped() {
    let selector = FieldSelector::parse(r"a=x\,y\=z\\").unwrap();
    assert_eq!(selector.0[0].value, r"x,y=z\");
    assert_eq!(selector.to_string(), r"a=x\,y\=z\\");
}

#[test]
fn what_is_no_query_is_refused_in_kubernetes_words() {
    for (text, why) in [
        ("abc", "invalid selector: 'abc'; can't understand 'abc'"),
        (r"a=\b", r"invalid field selector: invalid escape sequence: \b"),
        (r"a=b\", r"invalid field selector: invalid escape sequence: \"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    ] {
        assert_eq!(FieldSelector::parse(text).unwrap_err().to_string(), why);
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_printed_means_the_same(text in "[a-c.!=,\\\\\\PC]{0,24}") {
        if let Ok(selector) = FieldSelector::parse(&text) {
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
        }
    }
}
