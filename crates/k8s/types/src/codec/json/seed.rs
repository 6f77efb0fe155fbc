//! Reads one value of a type, whatever format it comes in, and notes what does not belong there.
//!
//! Values of built-in kinds have the types that their rows say, or the document is refused. Those of custom resources are kept as they are: their schema
//! is validated later, with errors of its own.

use crate::codec::{DecodeError, normalize, scalar};
use crate::schema::{Field, SchemaOr, Struct, StructRef, Type, builtin};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// What is remembered while a document is read.
#[derive(Default)]
pub(in crate::codec) struct State {
    /// Unknown and duplicate fields, in the order of the document.
    pub(in crate::codec) noticed: Vec<String>,
    /// The first value of a wrong type.
    pub(in crate::codec) mismatch: Option<DecodeError>,
    /// Where we are: `spec.containers[0].image`.
    path: String,
    /// The same as Go tells it: without indexes and keys of maps.
    fields: String,
    /// Greater than zero where unknown fields are dropped without a word.
    quiet: u32,
}

/// How many unknown and duplicate fields are told.
const NOTICED_LIMIT: usize = 100;

impl State {
    fn notice(&mut self, what: &str, name: &str) {
        if self.quiet == 0 && self.noticed.len() < NOTICED_LIMIT {
            let dot = if self.path.is_empty() { "" } else { "." };
            self.noticed.push(format!("{what} field \"{}{dot}{name}\"", self.path));
        }
    }

    fn wrong(&mut self, error: impl FnOnce(&Self) -> DecodeError) {
        if self.mismatch.is_none() {
            self.mismatch = Some(error(self));
        }
    }
}

/// Reads one value of a type.
pub(super) struct Seed<'s, 't> {
    ty: &'t Type,
    state: &'s mut State,
    /// The name of the struct around the value.
    owner: &'t str,
    /// Whether the value is of a custom resource.
    custom: bool,
}

impl<'s, 't> Seed<'s, 't> {
    pub(super) fn new(ty: &'t Type, state: &'s mut State) -> Self {
        Seed { ty, state, owner: "", custom: matches!(ty, Type::Struct(StructRef::Shared(_))) }
    }

    fn inner<'a>(&'a mut self, ty: &'a Type, owner: &'a str) -> Seed<'a, 'a> {
        Seed { ty, state: self.state, owner, custom: self.custom }
    }

    /// A scalar that is not what it should be.
    fn mismatch(self, found: String, value: Value) -> Value {
        if self.custom {
            return value;
        }
        let (owner, wanted) = (self.owner, scalar::go_type(self.ty));
        self.state.wrong(|state| DecodeError::Mismatch {
            found,
            field: if owner.is_empty() { String::new() } else { format!("{owner}.{}", state.fields) },
            wanted,
        });
        Value::Null
    }

    /// A text or number that is read by a reader of its own.
    fn scalar(self, read: Result<Value, String>) -> Value {
        read.unwrap_or_else(|error| {
            self.state.wrong(|_| DecodeError::Scalar(error));
            Value::Null
        })
    }

    fn integer(self, number: i64) -> Value {
        match self.ty {
            Type::Int32 | Type::IntOrString if i32::try_from(number).is_err() => {
                self.mismatch(format!("number {number}"), number.into())
            }
            Type::Int32 | Type::Int64 | Type::Number | Type::IntOrString => number.into(),
            Type::Quantity => number.to_string().into(),
            ty if ty.is_opaque() => number.into(),
            _ => self.mismatch("number".into(), number.into()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, is: bool) -> Result<Value, E> {
        Ok(match self.ty {
            Type::Bool | Type::SchemaOr(SchemaOr::Bool) | Type::Any | Type::FieldsV1 => is.into(),
            _ => self.mismatch("bool".into(), is.into()),
        })
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(self.integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        match i64::try_from(number) {
            Ok(number) => Ok(self.integer(number)),
            // as Go has it: what is no int64 is a double
            Err(_) => self.visit_f64(number as f64),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        let value = Number::from_f64(number).map_or(Value::Null, Value::Number);
        Ok(match self.ty {
            Type::Number | Type::Any | Type::FieldsV1 => value,
            Type::Quantity if !self.custom => self.scalar(scalar::quantity(&value.to_string())),
            Type::Int32 | Type::Int64 | Type::IntOrString => self.mismatch(format!("number {value}"), value),
            _ => self.mismatch("number".into(), value),
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        if self.custom {
            return Ok(text.into());
        }
        Ok(match self.ty {
            Type::String(_) | Type::IntOrString | Type::Any | Type::FieldsV1 => text.into(),
            Type::Quantity => self.scalar(scalar::quantity(&text)),
            Type::Bytes => self.scalar(scalar::base64(text)),
            Type::Time => self.scalar(scalar::time(&text)),
            Type::MicroTime => self.scalar(scalar::micro_time(&text)),
            Type::Duration => self.scalar(scalar::duration(&text)),
            _ => self.mismatch("string".into(), text.into()),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let schemas = Type::Struct(schema_props());
        let (item, quiet) = match self.ty {
            Type::List(list) => (&list.item, 0),
            Type::SchemaOr(SchemaOr::Schemas) => (&schemas, 1),
            Type::SchemaOr(SchemaOr::Strings) => (&Type::STRING, 1),
            ty if ty.is_opaque() || self.custom => (&Type::Any, 0),
            _ => {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(self.mismatch("array".into(), Value::Null));
            }
        };
        self.state.quiet += quiet;
        let mut out = Vec::new();
        let (here, owner) = (self.state.path.len(), self.owner);
        loop {
            use fmt::Write;
            let _ = write!(self.state.path, "[{}]", out.len());
            let read = items.next_element_seed(self.inner(item, owner))?;
            self.state.path.truncate(here);
            let Some(value) = read else { break };
            out.push(self.given(value, item));
        }
        self.state.quiet -= quiet;
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, members: A) -> Result<Value, A::Error> {
        match self.ty {
            Type::Struct(of) => {
                let outside = self.custom;
                self.custom = matches!(of, StructRef::Shared(_));
                let read = self.fields(of, members);
                self.custom = outside;
                read
            }
            Type::Map(map) => self.entries(&map.value, members),
            Type::SchemaOr(SchemaOr::Strings) => self.not_an_object(members),
            Type::SchemaOr(_) => {
                self.state.quiet += 1;
                let read = self.fields(&schema_props(), members);
                self.state.quiet -= 1;
                read
            }
            ty if ty.is_opaque() || self.custom => self.entries(&Type::Any, members),
            _ => self.not_an_object(members),
        }
    }
}

impl Seed<'_, '_> {
    fn not_an_object<'de, A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.mismatch("object".into(), Value::Null))
    }

    /// An item of a list or a value of a map: null is its zero value, except where anything is allowed.
    fn given(&self, value: Value, ty: &Type) -> Value {
        if value.is_null() && !self.custom { normalize::zero(ty).unwrap_or(Value::Null) } else { value }
    }

    fn entries<'de, A: MapAccess<'de>>(&mut self, ty: &Type, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let (here, owner) = (self.state.path.len(), self.owner);
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                self.state.notice("duplicate", &name);
            }
            self.enter(&name);
            let value = members.next_value_seed(self.inner(ty, owner))?;
            self.state.path.truncate(here);
            object.insert(name, self.given(value, ty));
        }
        Ok(Value::Object(object))
    }

    fn fields<'de, A: MapAccess<'de>>(&mut self, of: &Struct, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut nulls = false;
        while let Some(name) = members.next_key::<String>()? {
            let kept;
            let field = match of.field(&name) {
                Some(field) => field,
                None => match unlisted(of, &name) {
                    Some(field) => {
                        kept = field;
                        &kept
                    }
                    None => {
                        self.state.notice("unknown", &name);
                        members.next_value::<IgnoredAny>()?;
                        continue;
                    }
                },
            };
            if object.contains_key(&name) {
                self.state.notice("duplicate", &name);
            }
            let value = self.field(field, &name, &of.name, &mut members)?;
            nulls |= value.is_null();
            object.insert(name, value);
        }
        if nulls && !self.custom {
            object.retain(|_, value| !value.is_null());
        }
        Ok(Value::Object(object))
    }

    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        field: &Field,
        name: &str,
        owner: &str,
        members: &mut A,
    ) -> Result<Value, A::Error> {
        let (path, fields) = (self.state.path.len(), self.state.fields.len());
        self.enter(name);
        if fields > 0 {
            self.state.fields.push('.');
        }
        self.state.fields.push_str(name);
        let value = members.next_value_seed(self.inner(&field.ty, owner))?;
        self.state.path.truncate(path);
        self.state.fields.truncate(fields);
        Ok(value)
    }

    fn enter(&mut self, name: &str) {
        if !self.state.path.is_empty() {
            self.state.path.push('.');
        }
        self.state.path.push_str(name);
    }
}

/// A field that is kept though it is not listed.
fn unlisted(of: &Struct, name: &str) -> Option<Field> {
    match name {
        "metadata" if of.embedded => Some(Field::new("metadata", Type::Struct(builtin().object_meta()))),
        "apiVersion" | "kind" if of.embedded => Some(Field::new("", Type::STRING)),
        _ => of.preserve_unknown.then(|| Field::new("", Type::Any)),
    }
}

fn schema_props() -> StructRef {
    let package = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
    builtin().struct_named(package, "JSONSchemaProps").expect("the table has JSONSchemaProps")
}
