//! What the table says about every kind: values that must be given, and closed sets of values. Kinds check more, and say more; this is what none of them forgets.

use serde_json::Value;

use super::At;
use super::read::Read;
use crate::field::Errors;
use crate::schema::{Field, Presence, Struct, StructRef, Type};

static NULL: Value = Value::Null;

/// Texts that clients must send although an empty one means something, by struct and field.
const MAY_BE_EMPTY: &[(&str, &str)] = &[("HTTPHeader", "value"), ("Sysctl", "value"), ("TokenRequest", "audience")];

/// Structs that are not looked into: metadata has its own checks, a schema inside an object is checked as one.
const OTHERS: &[&str] = &["JSONSchemaProps", "ObjectMeta", "ListMeta"];

/// The package of what all groups share; who uses it says what it must be.
const SHARED: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Adds what is missing and what is none of the allowed values, for every place that has no error yet. The status is the server's own.
pub fn check(object: &Value, of: &Struct, errors: &mut Errors) {
    let mut found = Errors::new();
    let root = At::root(object);
    for field in of.fields.iter().filter(|field| field.name != "status" && field.name != "metadata") {
        one(&root.get(field.name.as_str()), field, of, &mut found);
    }
    let known: Vec<String> = errors.iter().map(|error| error.field.clone()).collect();
    // "ports[0]" is about "ports[0].port" too, and the other way round
    let told = |path: &str| known.iter().any(|known| within(path, known) || within(known, path));
    errors.extend(found.into_iter().filter(|error| !told(&error.field)));
}

/// As [`check`] for a change: what was wrong already may stay.
pub fn check_change(new: &Value, old: &Value, of: &Struct, errors: &mut Errors) {
    let (mut found, mut before) = (errors.clone(), Errors::new());
    check(new, of, &mut found);
    if found.len() == errors.len() {
        return;
    }
    check(old, of, &mut before);
    let added = found.into_iter().skip(errors.len()).filter(|error| !before.iter().any(|known| known == error));
    let added: Vec<_> = added.collect();
    errors.extend(added);
}

fn within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn one(at: &At, field: &Field, of: &Struct, errors: &mut Errors) {
    if field.required && is_missing(at, field, of) {
        return at.required(errors, "");
    }
    if at.is_set() {
        value(at, &field.ty, errors);
    } else if let Type::Struct(of) = &field.ty
        && field.required
        && looked_into(of)
    {
        // what is a struct and no pointer is there, and empty
        members(&at.with(&NULL), of, errors);
    }
}

/// Numbers, lists and maps are not asked for here: zero and none are values, and a kind that wants more says so itself.
fn is_missing(at: &At, field: &Field, of: &Struct) -> bool {
    match &field.ty {
        Type::String(_) => {
            let may_be_empty =
                MAY_BE_EMPTY.iter().any(|(name, field_name)| of.name == *name && field.name == *field_name);
            !may_be_empty && at.text().is_empty()
        }
        Type::List(_) | Type::Map(_) | Type::Any | Type::Bytes => false,
        _ => field.presence == Presence::Pointer && at.is_null(),
    }
}

fn value(at: &At, ty: &Type, errors: &mut Errors) {
    match ty {
        Type::String(string) => {
            let Some(allowed) = &string.allowed else { return };
            if !at.text().is_empty() && !allowed.iter().any(|known| known == at.text()) {
                let known: Vec<&str> =
                    allowed.iter().map(|text| text.as_str()).filter(|text| !text.is_empty()).collect();
                at.not_supported(errors, &known);
            }
        }
        Type::List(list) if has_members(&list.item) => at.each().for_each(|item| value(&item, &list.item, errors)),
        Type::Map(map) if has_members(&map.value) => {
            at.entries().for_each(|(_, item)| value(&item, &map.value, errors))
        }
        Type::Struct(of) if looked_into(of) => members(at, of, errors),
        _ => {}
    }
}

fn members(at: &At, of: &StructRef, errors: &mut Errors) {
    for field in &of.fields {
        if field.required || at.value().get(field.name.as_str()).is_some() {
            one(&at.get(field.name.as_str()), field, of, errors);
        }
    }
}

fn has_members(ty: &Type) -> bool {
    match ty {
        Type::Struct(_) | Type::List(_) | Type::Map(_) => true,
        Type::String(string) => string.allowed.is_some(),
        _ => false,
    }
}

fn looked_into(of: &StructRef) -> bool {
    of.package != SHARED && !OTHERS.iter().any(|name| of.name == *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::builtin;
    use serde_json::json;

    fn faults(group: &str, version: &str, kind: &str, object: Value) -> String {
        let of = builtin().kind(group, version, kind).unwrap();
        let mut errors = Errors::new();
        check(&object, &of, &mut errors);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_must_be_given_is_asked_for() {
        let pod = json!({"spec": {"containers": [{"image": "i", "env": [{"value": "v"}]}], "volumes": [{"name": "v", "flexVolume": {}}],
            "securityContext": {"sysctls": [{"name": "a"}]}}, "status": {"conditions": [{}]}});
        let wanted = "spec.containers[0].env[0].name: Required value\nspec.containers[0].name: Required value\nspec.volumes[0].flexVolume.driver: Required value";
        assert_eq!(faults("", "v1", "Pod", pod), wanted);
        let autoscaler = json!({"spec": {"maxReplicas": 1}});
        let wanted = "spec.scaleTargetRef.kind: Required value\nspec.scaleTargetRef.name: Required value";
        assert_eq!(faults("autoscaling", "v2", "HorizontalPodAutoscaler", autoscaler), wanted);
        assert_eq!(
            faults("networking.k8s.io", "v1", "IPAddress", json!({"spec": {}})),
            "spec.parentRef: Required value"
        );
    }

    #[test]
    fn only_values_of_a_closed_set_are_taken() {
        let pod = json!({"spec": {"restartPolicy": "Sometimes", "containers": [{"name": "c", "imagePullPolicy": ""}],
            "tolerations": [{"effect": "NoRun"}]}});
        let wanted = "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"Never\", \"OnFailure\"\n\
            spec.tolerations[0].effect: Unsupported value: \"NoRun\": supported values: \"NoExecute\", \"NoSchedule\", \"PreferNoSchedule\"";
        assert_eq!(faults("", "v1", "Pod", pod), wanted);
    }

    #[test]
    fn what_a_kind_has_told_is_not_told_again() {
        let of = builtin().kind("", "v1", "Pod").unwrap();
        let object = json!({"spec": {"containers": [{"image": "i"}]}});
        let mut errors = Errors::new();
        At::root(&object).get("spec").get("containers").index(0).invalid(&mut errors, "is bad as a whole");
        check(&object, &of, &mut errors);
        assert_eq!(errors.len(), 1);
    }

    #[test]
    fn what_was_wrong_before_may_stay() {
        let of = builtin().kind("", "v1", "Pod").unwrap();
        let old = json!({"spec": {"restartPolicy": "Once", "containers": [{"name": "c"}]}});
        let mut new = old.clone();
        new["spec"]["dnsPolicy"] = "Mine".into();
        let mut errors = Errors::new();
        check_change(&new, &old, &of, &mut errors);
        assert_eq!(errors.len(), 1, "{errors}");
        assert_eq!(errors.0[0].field, "spec.dnsPolicy");
    }
}
