//! The text format of the table (`docs/kubernetes-kinds.md`). The files are part of the program, so a mistake in them is a defect and panics; a test reads
//! every line.

use super::types::LazyStruct;
use super::{
    Field, List, ListKind, Map, PatchStrategy, Presence, Resource, Schema, SchemaOr, StringType, Struct, StructRef,
    Subresource, Text, Type, Union, Verb, Verbs, builtin,
};
use std::collections::HashMap;
use std::sync::Arc;

/// A file, read only as far as is needed to find its rows.
pub(super) struct File {
    /// The name by which other files refer to it: `apps/v1`.
    pub(super) short: &'static str,
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) package: &'static str,
    /// A `resource` line and the indented lines below it.
    pub(super) resources: Vec<(&'static str, &'static str)>,
    pub(super) structs: Vec<(&'static str, &'static LazyStruct)>,
}

/// What is known of a type before its body is parsed.
pub(super) enum Source {
    /// A `type` or `kind` line and the indented lines below it.
    Text { short: &'static str, package: &'static str, head: &'static str, body: &'static str },
    /// The list of a resource.
    ListOf { name: &'static str, package: &'static str, item: &'static str },
}

/// Finds the rows of a file.
pub(super) fn file(text: &'static str) -> File {
    let mut blocks = blocks(text);
    let (head, _) = blocks.next().expect("a file of kinds has a head");
    let words: Vec<&str> = head.split(' ').collect();
    let ["group", group, version, short, package] = words[..] else {
        panic!("not the head of a file of kinds: {head}")
    };
    let group = if group == "-" { "" } else { group };
    let mut file = File { short, group, version, package, resources: Vec::new(), structs: Vec::new() };
    for (head, body) in blocks {
        let name = head.split(' ').nth(1).unwrap_or_default();
        if head.starts_with("resource ") {
            if let Some(list) = listed(head) {
                file.structs.push((list.0, leak(Source::ListOf { name: list.0, package, item: list.1 })));
            }
            file.resources.push((head, body));
        } else {
            assert!(head.starts_with("type ") || head.starts_with("kind "), "not a row of the table: {head}");
            file.structs.push((name, leak(Source::Text { short, package, head, body })));
        }
    }
    file
}

/// The names of a listed resource's list and kind.
fn listed(head: &'static str) -> Option<(&'static str, &'static str)> {
    let kind = head.split(' ').nth(2)?;
    let verbs = verbs(head.split(' ').nth(4)?);
    // one allocation for each resource, in the life of the program
    verbs.contains(Verb::List).then(|| (&*Box::leak(format!("{kind}List").into_boxed_str()), kind))
}

fn leak(source: Source) -> &'static LazyStruct {
    Box::leak(Box::new(LazyStruct::new(source)))
}

/// Unindented lines, each with the indented ones below it. Lines that begin with `#` are comments.
fn blocks(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            rest = after;
            if !line.is_empty() && !line.starts_with('#') {
                let end = body_end(rest);
                let body = &rest[..end];
                rest = &rest[end..];
                return Some((line, body));
            }
            if rest.is_empty() {
                return None;
            }
        }
    })
}

fn body_end(text: &str) -> usize {
    text.split_inclusive('\n').take_while(|line| line.starts_with(' ')).map(str::len).sum()
}

/// A resource's row.
pub(super) fn resource(
    (head, body): &(&'static str, &'static str),
    file: &File,
    schema: &Schema,
    homes: &HashMap<&'static str, (&'static str, &'static str)>,
) -> Resource {
    let words: Vec<&'static str> = head.split(' ').collect();
    let ["resource", plural, kind, scope, verbs_text, options @ ..] = &words[..] else {
        panic!("not a resource: {head}")
    };
    let option = |name: &str| options.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let texts =
        |text: Option<&'static str>| text.into_iter().flat_map(|text| text.split(',')).map(Text::from).collect();
    let stored = option("stored").map_or((file.group, file.version), |short| homes[short]);
    let verbs = verbs(verbs_text);
    let mut row = Resource {
        group: file.group.into(),
        version: file.version.into(),
        kind: (*kind).into(),
        list_kind: if verbs.contains(Verb::List) { format!("{kind}List").into() } else { Text::default() },
        plural: (*plural).into(),
        singular: option("singular").map_or_else(|| kind.to_lowercase().into(), Text::from),
        short_names: texts(option("short")),
        categories: texts(option("categories")),
        namespaced: *scope == "namespaced",
        verbs,
        subresources: Vec::new(),
        selectable: Vec::new(),
        storage_group: stored.0.into(),
        storage_version: stored.1.into(),
        object: reference(kind, file.short, schema),
    };
    for line in body.lines() {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match &words[..] {
            ["select", paths @ ..] => row.selectable = paths.iter().map(|path| Text::from(*path)).collect(),
            ["sub", name, of, verbs_text] => {
                let (short, kind) = of.rsplit_once('.').unwrap_or((file.short, of));
                row.subresources.push(Subresource {
                    name: (*name).into(),
                    group: homes[short].0.into(),
                    version: homes[short].1.into(),
                    kind: kind.into(),
                    verbs: self::verbs(verbs_text),
                    object: reference(of, file.short, schema),
                });
            }
            _ => panic!("not a line of a resource: {line}"),
        }
    }
    row
}

fn verbs(text: &str) -> Verbs {
    if text == "*" {
        return Verbs::ALL;
    }
    let verb = |name: &str| Verb::ALL.into_iter().find(|verb| verb.name() == name).expect("a verb");
    text.split(',').map(verb).collect()
}

/// The struct that a file calls by a name: of its own package, or `core/v1.PodSpec`.
fn reference(name: &str, short: &str, schema: &Schema) -> StructRef {
    let (short, name) = name.rsplit_once('.').unwrap_or((short, name));
    let found = schema.package(short).and_then(|package| schema.struct_named(package, name));
    found.unwrap_or_else(|| panic!("no type {name} in {short}"))
}

/// The body of a type.
pub(super) fn body(source: &Source) -> Struct {
    match *source {
        Source::Text { short, package, head, body } => text_body(short, package, head, body),
        Source::ListOf { name, package, item } => list_of(name, package, item),
    }
}

/// A list of objects: its metadata and its items.
fn list_of(name: &'static str, package: &'static str, item: &'static str) -> Struct {
    let schema = builtin();
    let item = schema.struct_named(package, item).unwrap_or_else(|| panic!("no type {item} in {package}"));
    let list = List { item: Type::Struct(item), kind: ListKind::Atomic, nullable: false, wrapped: false };
    let mut of = Struct { name: name.into(), package: package.into(), kind: true, ..Struct::default() };
    of.description = format!("A list of {} objects.", name.trim_end_matches("List")).into();
    of.fields = type_meta();
    of.fields.push(Field {
        number: 2,
        presence: Presence::Always,
        required: true,
        description: "The objects.".into(),
        ..Field::new("items", Type::List(Arc::new(list)))
    });
    of.fields.push(Field {
        number: 1,
        presence: Presence::Always,
        ..Field::new("metadata", Type::Struct(schema.list_meta()))
    });
    of.sort();
    of
}

/// `apiVersion` and `kind`, which have no number: in protobuf they are in the envelope.
fn type_meta() -> Vec<Field> {
    let field = |name: &'static str, description: &'static str| Field {
        presence: Presence::Omitted,
        description: description.into(),
        ..Field::new(name, Type::STRING)
    };
    vec![
        field("apiVersion", "The group and the version in which the object is written."),
        field("kind", "What the object is."),
    ]
}

fn text_body(short: &'static str, package: &'static str, head: &'static str, body: &'static str) -> Struct {
    let (head, description) = head.split_once(" -- ").unwrap_or((head, ""));
    let words: Vec<&'static str> = head.split(' ').collect();
    let [sort, name, options @ ..] = &words[..] else { panic!("not a type: {head}") };
    let mut of = Struct { name: (*name).into(), package: package.into(), ..Struct::default() };
    of.description = description.into();
    of.kind = *sort == "kind";
    of.atomic = options.contains(&"atomic");
    if of.kind {
        of.fields = type_meta();
    }
    for line in body.lines() {
        match line.trim_start().strip_prefix("union ") {
            Some(rest) => of.unions.push(union(rest)),
            None => of.fields.push(field(line.trim_start(), short)),
        }
    }
    of.sort();
    of
}

/// `discriminator field=Value ...`
fn union(text: &'static str) -> Union {
    let mut words = text.split(' ');
    let discriminator = words.next().filter(|word| *word != "-").unwrap_or_default().into();
    let members = words.filter_map(|word| word.split_once('=')).map(|(field, value)| (field.into(), value.into()));
    Union { discriminator, members: members.collect() }
}

/// `name? 3 type required merge:key ="default" -- description`
fn field(line: &'static str, short: &str) -> Field {
    let (row, description) = line.split_once(" -- ").unwrap_or((line, ""));
    let mut words = row.split(' ');
    let (Some(name), Some(number), Some(of)) = (words.next(), words.next(), words.next()) else {
        panic!("not a field: {line}")
    };
    let (name, presence) = match name.as_bytes().last() {
        Some(b'?') => (&name[..name.len() - 1], Presence::Pointer),
        Some(b'!') => (&name[..name.len() - 1], Presence::Always),
        _ => (name, Presence::Omitted),
    };
    let mut field = Field { presence, description: description.into(), ..Field::new(name, ty(of, short)) };
    let numbers: Vec<u32> = number.split('.').map(|number| number.parse().expect("a number")).collect();
    field.number = numbers[numbers.len() - 1];
    for (outer, number) in field.outer.iter_mut().zip(&numbers[..numbers.len() - 1]) {
        *outer = u8::try_from(*number).expect("a small number");
    }
    words.for_each(|word| flag(&mut field, word));
    field
}

fn flag(field: &mut Field, word: &'static str) {
    match word {
        "required" => field.required = true,
        "merge" => field.patch.strategy = PatchStrategy::Merge,
        "replace" => field.patch.strategy = PatchStrategy::Replace,
        "retainKeys" => field.patch.retain_keys = true,
        "atomic" => field.atomic = Some(true),
        "granular" => field.atomic = Some(false),
        _ => {
            if let Some(key) = word.strip_prefix("merge:") {
                field.patch.strategy = PatchStrategy::Merge;
                field.patch.merge_key = Some(key.into());
            } else if let Some(json) = word.strip_prefix('=') {
                field.default = Some(Arc::new(serde_json::from_str(json).expect("a default in JSON")));
            } else {
                panic!("not a property of a field: {word}");
            }
        }
    }
}

/// One of the values of `string(...)`, where `~` stands for a space.
fn allowed(value: &'static str) -> Text {
    if value.contains('~') { value.replace('~', " ").into() } else { value.into() }
}

/// `int32`, `string(A|B)`, `[]T`, `[set]T`, `[name,port]T`, `msg[]T`, `{}T`, `{atomic}T`, `PodSpec`, `core/v1.PodSpec`
fn ty(text: &'static str, short: &str) -> Type {
    if let Some(values) = text.strip_prefix("string(") {
        let values = values.strip_suffix(')').expect("a closing parenthesis").split('|').map(allowed).collect();
        return Type::String(StringType { allowed: Some(values), format: Text::default() });
    }
    let (wrapped, bare) =
        text.strip_prefix("msg").filter(|rest| rest.starts_with('[')).map_or((false, text), |rest| (true, rest));
    if let Some((keys, item)) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let kind = match keys {
            "" => ListKind::Atomic,
            "set" => ListKind::Set,
            keys => ListKind::Map(keys.split(',').map(Text::from).collect()),
        };
        return Type::List(Arc::new(List { item: ty(item, short), kind, nullable: false, wrapped }));
    }
    if let Some((kind, value)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return Type::Map(Arc::new(Map { value: ty(value, short), atomic: kind == "atomic", nullable: false }));
    }
    match text {
        "bool" => Type::Bool,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "number" => Type::Number,
        "string" => Type::STRING,
        "bytes" => Type::Bytes,
        "intstr" => Type::IntOrString,
        "quantity" => Type::Quantity,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "duration" => Type::Duration,
        "fieldsv1" => Type::FieldsV1,
        "any" => Type::Any,
        "schemaOrBool" => Type::SchemaOr(SchemaOr::Bool),
        "schemas" => Type::SchemaOr(SchemaOr::Schemas),
        "schemaOrStrings" => Type::SchemaOr(SchemaOr::Strings),
        name => Type::Struct(reference(name, short, builtin())),
    }
}
