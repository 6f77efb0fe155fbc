//! The files of the table say what they should.

use super::*;

#[test]
fn every_line_of_every_file_is_read() {
    let schema = builtin();
    assert!(schema.resources().len() > 65, "{}", schema.resources().len());
    let structs = schema.structs();
    assert!(structs.len() > 650, "{}", structs.len());
    for of in &structs {
        let names: Vec<_> = of.fields.iter().map(|field| &field.name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{of:?}: {names:?}");
        let mut numbers: Vec<_> =
            of.fields.iter().filter(|field| field.number > 0).map(|field| (field.outer, field.number)).collect();
        numbers.sort();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "{of:?}: {numbers:?}");
        for field in &of.fields {
            if let (ListKind::Map(keys), Some(item)) = (list_kind(&field.ty), list_item(&field.ty)) {
                keys.iter().for_each(|key| assert!(item.field(key).is_some(), "{of:?}.{}: {key}", field.name));
            }
            if let (Some(key), Some(item)) = (&field.patch.merge_key, list_item(&field.ty)) {
                assert!(item.field(key).is_some(), "{of:?}.{}: {key}", field.name);
            }
        }
    }
}

fn list_kind(ty: &Type) -> ListKind {
    ty.as_list().map_or(ListKind::Atomic, |list| list.kind.clone())
}

fn list_item(ty: &Type) -> Option<&Struct> {
    ty.as_list()?.item.as_struct()
}

#[test]
fn a_deployment_is_all_there() {
    let row = builtin().resource("apps", "v1", "deployments").unwrap();
    assert_eq!((&*row.kind, &*row.list_kind, &*row.singular), ("Deployment", "DeploymentList", "deployment"));
    assert_eq!(row.short_names, ["deploy"]);
    assert_eq!(row.categories, ["all"]);
    assert!(row.namespaced && row.verbs == Verbs::ALL);
    assert_eq!(row.subresource("scale").unwrap().api_version(), "autoscaling/v1");
    assert_eq!(row.subresource("status").unwrap().verbs, Verbs::STATUS);
    let spec = row.object.field("spec").unwrap().ty.as_struct().unwrap();
    assert_eq!(spec.name, "DeploymentSpec");
    assert!(spec.field("strategy").unwrap().patch.retain_keys);
    let pod = spec.field("template").unwrap().ty.as_struct().unwrap().field("spec").unwrap().ty.as_struct().unwrap();
    let containers = pod.field("containers").unwrap();
    assert_eq!(containers.patch.merge_key.as_deref(), Some("name"));
    assert_eq!(containers.ty.as_list().unwrap().kind, ListKind::Map(["name".into()].into()));
    let ports = containers.ty.as_list().unwrap().item.as_struct().unwrap().field("ports").unwrap();
    assert_eq!(ports.ty.as_list().unwrap().kind, ListKind::Map(["containerPort".into(), "protocol".into()].into()));
    let port = ports.ty.as_list().unwrap().item.as_struct().unwrap();
    assert_eq!(port.field("protocol").unwrap().default.as_deref(), Some(&serde_json::json!("TCP")));
}

#[test]
fn a_schema_contains_itself() {
    let of = builtin().struct_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1", "JSONSchemaProps");
    let of = of.unwrap();
    let Type::Struct(inner) = &of.field("not").unwrap().ty else { panic!("not a struct") };
    assert!(inner.same(&of));
}

#[test]
fn fields_that_are_inlined_know_the_message_around_them() {
    let volume = builtin().struct_named("io.k8s.api.core.v1", "Volume").unwrap();
    let field = volume.field("emptyDir").unwrap();
    assert_eq!((field.outer, field.number), ([2, 0], 2));
    assert!(!volume.atomic);
}

#[test]
fn a_field_may_overrule_its_type() {
    let spec = builtin().struct_named("io.k8s.api.core.v1", "PersistentVolumeSpec").unwrap();
    let claim = spec.field("claimRef").unwrap();
    assert!(claim.ty.is_atomic() && !claim.is_atomic());
}

#[test]
fn kinds_of_every_group_are_found_in_each() {
    let schema = builtin();
    assert!(schema.kind("apps", "v1", "DeleteOptions").is_some());
    assert!(schema.kind("", "v1", "Status").is_some());
    assert!(schema.kind("", "v1", "List").is_some());
    assert!(schema.kind("autoscaling", "v1", "Scale").is_some());
    assert_eq!(schema.kind("", "v1", "PodList").unwrap().field("items").unwrap().number, 2);
    assert!(schema.kind("apps", "v1", "Nothing").is_none());
}
