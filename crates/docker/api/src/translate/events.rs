//! Events.

use docker_types::events::{Actor, Message};
use engine::{Event, EventKind};

/// One event; containers and images have the old fields too.
pub fn event(event: Event) -> Message {
    let old = matches!(event.kind, EventKind::Container | EventKind::Image);
    let from = match event.kind {
        EventKind::Container => event.attributes.get("image").cloned().unwrap_or_default(),
        _ => String::new(),
    };
    Message {
        status: if old { event.action.clone() } else { String::new() },
        id: if old { event.actor.clone() } else { String::new() },
        from,
        kind: event.kind.as_str().to_owned(),
        action: event.action,
        actor: Actor { id: event.actor, attributes: event.attributes },
        scope: "local".to_owned(),
        time: event.time.as_second(),
        time_nano: i64::try_from(event.time.as_nanosecond()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_fields_are_for_containers_and_images_only() {
        let make = |kind| Event {
            kind,
            action: "create".into(),
            actor: "id".into(),
            attributes: [("image".to_owned(), "debian:12".to_owned())].into(),
            time: jiff::Timestamp::new(5, 6).unwrap(),
        };
        let shown = |kind| serde_json::to_string(&event(make(kind))).unwrap();
        assert_eq!(
            shown(EventKind::Container),
            r#"{"status":"create","id":"id","from":"debian:12","Type":"container","Action":"create","Actor":{"ID":"id","Attributes":{"image":"debian:12"}},"scope":"local","time":5,"timeNano":5000000006}"#
        );
        assert!(shown(EventKind::Network).starts_with(r#"{"Type":"network","Action":"create""#));
    }
}
