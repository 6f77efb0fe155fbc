//! A place in an object while it is checked: the value with the way to it. Costs nothing until there is an error to print.

use std::ops::Deref;

use serde_json::Value;

use super::read::Read;
use crate::field::{Error, Errors, Path};

static NULL: Value = Value::Null;

/// A value and where it is. Reads like the value itself (`at["image"].text()`); a field that is absent is null.
#[derive(Clone, Copy)]
pub struct At<'a> {
    value: &'a Value,
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Fields(&'a [&'a str]),
    Index(usize),
    Key(&'a str),
}

impl Deref for At<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value
    }
}

impl<'a> At<'a> {
    /// The whole object.
    pub fn root(value: &'a Value) -> At<'a> {
        At { value, parent: None, step: Step::Root }
    }

    /// The value that is here.
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// A field of what is here.
    pub fn get<'b>(&'b self, name: &'b str) -> At<'b> {
        At { value: self.value.get(name).unwrap_or(&NULL), parent: Some(self), step: Step::Field(name) }
    }

    /// A field several steps down.
    pub fn down<'b>(&'b self, names: &'b [&'b str]) -> At<'b> {
        At { value: super::read::at(self.value, names), parent: Some(self), step: Step::Fields(names) }
    }

    /// Another value under the name of a field: where the error's path is not the value's.
    pub fn named<'b>(&'b self, name: &'b str, value: &'b Value) -> At<'b> {
        At { value, parent: Some(self), step: Step::Field(name) }
    }

    /// Another value at this very place.
    pub fn with<'b>(&'b self, value: &'b Value) -> At<'b> {
        At { value, parent: self.parent, step: self.step }
    }

    /// An item of the list that is here.
    pub fn index(&self, index: usize) -> At<'_> {
        At { value: self.value.get(index).unwrap_or(&NULL), parent: Some(self), step: Step::Index(index) }
    }

    /// The value of a key of the map that is here.
    pub fn key<'b>(&'b self, key: &'b str) -> At<'b> {
        At { value: self.value.get(key).unwrap_or(&NULL), parent: Some(self), step: Step::Key(key) }
    }

    /// The items of the list that is here.
    pub fn each(&self) -> impl Iterator<Item = At<'_>> {
        let items = self.value.items().iter().enumerate();
        items.map(|(index, value)| At { value, parent: Some(self), step: Step::Index(index) })
    }

    /// The keys and values of the map that is here.
    pub fn entries(&self) -> impl Iterator<Item = (&str, At<'_>)> {
        let entries = self.value.fields().iter();
        entries.map(|(key, value)| (key.as_str(), At { value, parent: Some(self), step: Step::Key(key) }))
    }

    /// The way here, to be printed.
    pub fn path(&self) -> Path {
        let parent = self.parent.map_or_else(Path::root, At::path);
        match self.step {
            Step::Root => parent,
            Step::Field(name) => parent.child(name.to_owned()),
            Step::Fields(names) => names.iter().fold(parent, |path, name| path.child((*name).to_owned())),
            Step::Index(index) => parent.index(index),
            Step::Key(key) => parent.key(key),
        }
    }

    /// `Required value[: detail]`
    pub fn required(&self, errors: &mut Errors, detail: &str) {
        errors.push(Error::required(&self.path(), detail));
    }

    /// `Required value` when nothing is here, not even an empty text; says whether something is.
    pub fn needed(&self, errors: &mut Errors) -> bool {
        if self.is_unset() {
            self.required(errors, "");
            return false;
        }
        true
    }

    /// `Invalid value: <what is here>: detail`
    pub fn invalid(&self, errors: &mut Errors, detail: impl Into<String>) {
        errors.push(Error::invalid(&self.path(), self.value.clone(), detail));
    }

    /// `Invalid value: <value>: detail`
    pub fn invalid_value(&self, errors: &mut Errors, value: impl Into<Value>, detail: impl Into<String>) {
        errors.push(Error::invalid(&self.path(), value, detail));
    }

    /// `Unsupported value: <what is here>: supported values: ...`
    pub fn not_supported(&self, errors: &mut Errors, supported: &[&str]) {
        errors.push(Error::not_supported(&self.path(), self.value.clone(), supported));
    }

    /// `Forbidden: detail`
    pub fn forbidden(&self, errors: &mut Errors, detail: impl Into<String>) {
        errors.push(Error::forbidden(&self.path(), detail));
    }

    /// `Duplicate value: <what is here>`
    pub fn duplicate(&self, errors: &mut Errors) {
        errors.push(Error::duplicate(&self.path(), self.value.clone()));
    }

    /// `Duplicate value: <value>`
    pub fn duplicate_value(&self, errors: &mut Errors, value: impl Into<Value>) {
        errors.push(Error::duplicate(&self.path(), value));
    }

    /// `Not found: <what is here>`
    pub fn not_found(&self, errors: &mut Errors) {
        errors.push(Error::not_found(&self.path(), self.value.clone()));
    }

    /// `Too long: may not be more than <most> bytes`
    pub fn too_long(&self, errors: &mut Errors, most: usize) {
        errors.push(Error::too_long(&self.path(), most));
    }
}
