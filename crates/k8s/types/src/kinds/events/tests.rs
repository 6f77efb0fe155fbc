//! The two forms of events.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy;

fn faults(kind: &str, mut object: Value) -> String {
    let policy = policy::of("events.k8s.io", kind);
    (policy.defaults)(&mut object);
    let mut errors = Errors::new();
    (policy.validate)(&object, &mut errors);
    errors.to_string()
}

#[test]
fn an_event_goes_to_core_and_back() {
    let event =
        json!({"apiVersion": "events.k8s.io/v1", "note": "n", "regarding": {"kind": "Pod"}, "deprecatedCount": 2});
    let mut core = event.clone();
    super::to_core(&mut core);
    assert_eq!(core, json!({"apiVersion": "v1", "message": "n", "involvedObject": {"kind": "Pod"}, "count": 2}));
    super::from_core(&mut core);
    assert_eq!(core, event);
}

#[test]
fn new_events_say_who_and_what() {
    let all = faults("Event", json!({"type": "Normal"}));
    for field in ["eventTime", "reportingController", "reportingInstance", "action", "reason"] {
        assert!(all.contains(&format!("{field}: Required value")), "{all}");
    }
}
