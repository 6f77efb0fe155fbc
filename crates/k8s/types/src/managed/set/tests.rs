//! The algebra of sets and their JSON.

use super::*;
use proptest::prelude::*;
use serde_json::json;

/// Sets of a few fields, some beneath others.
pub(crate) fn set() -> impl Strategy<Value = Set> {
    prop::collection::vec(prop::collection::vec(0usize..4, 1..4), 0..8).prop_map(|paths| {
        const STEPS: [&str; 4] = ["f:a", "f:b", r#"k:{"name":"x"}"#, r#"v:"y""#];
        let mut set = Set::new();
        for path in paths {
            set.insert(path.into_iter().map(|step| STEPS[step]));
        }
        set
    })
}

#[test]
fn json_is_that_of_kubernetes() {
    let mut set = Set::of_fields(&[&["spec", "replicas"], &["metadata", "labels"], &["metadata", "labels", "app"]]);
    set.insert(["f:spec", r#"k:{"name":"a","port":80}"#, "f:image"]);
    let value = json!({
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {"f:replicas": {}, r#"k:{"name":"a","port":80}"#: {"f:image": {}}},
    });
    assert_eq!(set.to_value(), value);
    assert_eq!(Set::from_value(&value), Ok(set.clone()));
    assert_eq!(
        set.paths(),
        [".metadata.labels", ".metadata.labels.app", ".spec.replicas", r#".spec[name="a",port=80].image"#]
    );
}

#[test]
fn steps_are_read_however_they_were_written() {
    let odd =
        json!({r#"k:{ "b": 1.0, "a":"\u003cx" }"#: {}, "v: true": {}, "i:07": {}, "x:unknown": {"f:a": {}}, ".": {}});
    let set = Set::from_value(&odd).expect("reads");
    assert_eq!(set.to_value(), json!({r#"k:{"a":"<x","b":1}"#: {}, "v:true": {}, "i:7": {}}));
    for bad in
        [json!([]), json!({"f": {}}), json!({"fa": {}}), json!({"k:[]": {}}), json!({"v:": {}}), json!({"f:a": 3})]
    {
        assert!(Set::from_value(&bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn laws_of_sets_hold(a in set(), b in set(), c in set()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.intersection(&b.union(&c)), a.intersection(&b).union(&a.intersection(&c)));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert_eq!(a.difference(&b).intersection(&b), Set::new());
        prop_assert_eq!(a.difference(&a), Set::new());
        prop_assert_eq!(a.union(&a), a.clone());
        prop_assert!(a.is_subset(&a.union(&b)) && a.intersection(&b).is_subset(&b));
        prop_assert_eq!(a.is_subset(&b), a.difference(&b).is_empty());
        prop_assert!(a.recursive_difference(&b).is_subset(&a.difference(&b)));
        prop_assert_eq!(a.len(), a.paths().len());
        prop_assert_eq!(a.is_empty(), a.is_empty());
        prop_assert_eq!(Set::from_value(&a.to_value()), Ok(a));
    }

    #[test]
    fn no_json_panics(value in crate::patch::merge::tests::value(), step in "[fkvi:.{}\"a1\\PC]{0,8}") {
        let _ = Set::from_value(&value);
        if let Ok(set) = Set::from_value(&json!({step: {}})) {
            prop_assert_eq!(Set::from_value(&set.to_value()), Ok(set));
        }
    }
}
