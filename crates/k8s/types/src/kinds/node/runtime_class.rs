//! RuntimeClass: how containers of a pod are run, what that costs, and where it can be done.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{immutable, named, one_of};
use crate::names;
use crate::policy::read::{Read, age_cell, name_cell};
use crate::policy::{Column, Policy};
use crate::quantity::Quantity;

pub static RUNTIME_CLASS: Policy = Policy {
    validate,
    validate_update: |new, old, errors| immutable(errors, &Path::new("handler"), &new["handler"], &old["handler"]),
    columns: &[Column::NAME, Column::text("Handler", "Name of the runtime's configuration."), Column::AGE],
    cells: |class, now| vec![name_cell(class), class["handler"].text().into(), age_cell(class, now)],
    create_on_update: true,
    ..Policy::NEUTRAL
};

fn validate(class: &Value, errors: &mut Errors) {
    if class["handler"].is_unset() {
        errors.push(Error::required(&Path::new("handler"), ""));
    } else {
        named(errors, &Path::new("handler"), &class["handler"], names::dns1123_label);
    }
    let path = Path::new("overhead").child("podFixed");
    for (name, amount) in class["overhead"]["podFixed"].fields() {
        let path = path.key(name);
        named(errors, &path, &Value::from(name.as_str()), names::qualified_name);
        match Quantity::parse(amount.text()) {
            Ok(quantity) if quantity.sign() < 0 => {
                errors.push(Error::invalid(&path, amount.clone(), "must be greater than or equal to 0"));
            }
            _ => {}
        }
    }
    let path = Path::new("scheduling");
    for (key, value) in class["scheduling"]["nodeSelector"].fields() {
        let path = path.child("nodeSelector");
        named(errors, &path, &Value::from(key.as_str()), names::qualified_name);
        named(errors, &path.key(key), value, names::label_value);
    }
    for (i, toleration) in class["scheduling"]["tolerations"].items().iter().enumerate() {
        check_toleration(toleration, &path.child("tolerations").index(i), errors);
    }
}

fn check_toleration(toleration: &Value, path: &Path, errors: &mut Errors) {
    if !toleration["key"].is_unset() {
        named(errors, &path.child("key"), &toleration["key"], names::qualified_name);
    }
    let operator = toleration["operator"].text();
    if toleration["key"].is_unset() && operator != "Exists" {
        let wrong = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(Error::invalid(&path.child("operator"), operator, wrong));
    }
    match operator {
        "" | "Equal" => named(errors, &path.child("operator"), &toleration["value"], names::label_value),
        "Exists" if !toleration["value"].is_unset() => {
            let wrong = "value must be empty when `operator` is 'Exists'";
            errors.push(Error::invalid(&path.child("operator"), toleration.clone(), wrong));
        }
        _ => one_of(errors, &path.child("operator"), &toleration["operator"], &["Equal", "Exists"]),
    }
    if toleration["tolerationSeconds"].is_set() && toleration["effect"].text() != "NoExecute" {
        let wrong = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(Error::invalid(&path.child("effect"), toleration["effect"].clone(), wrong));
    }
    one_of(errors, &path.child("effect"), &toleration["effect"], &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
}
