//! The parameters of paths and queries.

use crate::schema::{Struct, Type};

/// A parameter that is not a body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parameter<'a> {
    /// What documents of version 2 call it where it is shared: its name, after a dot where several have the same.
    pub(super) owner: &'a str,
    pub(super) name: &'a str,
    pub(super) place: Place,
    /// `string`, `integer`, `boolean`
    pub(super) ty: &'static str,
    pub(super) description: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Path,
    Query,
}

impl Place {
    pub(super) fn name(self) -> &'static str {
        match self {
            Place::Path => "path",
            Place::Query => "query",
        }
    }
}

const fn query(name: &'static str, ty: &'static str, description: &'static str) -> Parameter<'static> {
    Parameter { owner: "", name, place: Place::Query, ty, description }
}

const fn path(name: &'static str, description: &'static str) -> Parameter<'static> {
    Parameter { owner: "", name, place: Place::Path, ty: "string", description }
}

pub(super) const NAMESPACE: Parameter =
    path("namespace", "The namespace of the object, which is also who may reach it.");
pub(super) const NAME: Parameter = path("name", "The name of the object.");
pub(super) const PATH: Parameter = path("path", "The path below the proxied object.");
pub(super) const PRETTY: Parameter = query("pretty", "string", "Whether the answer is indented: true or false.");

const CONTINUE: Parameter =
    query("continue", "string", "Where to go on: the token that the previous part of the list came with.");
const DRY_RUN: Parameter = query("dryRun", "string", "All: everything is done but storing the result.");
const FIELD_MANAGER: Parameter = query(
    "fieldManager",
    "string",
    "In whose name fields are set; what stands before the first slash of the user agent if it is not given.",
);
const FIELD_SELECTOR: Parameter = query("fieldSelector", "string", "Only objects whose fields have these values.");
const FIELD_VALIDATION: Parameter = query(
    "fieldValidation",
    "string",
    "What becomes of unknown and duplicate fields: Ignore drops them, Warn drops them and tells, Strict refuses the request.",
);
const FORCE: Parameter = query("force", "boolean", "Whether an apply takes over fields that belong to others.");
const GRACE_PERIOD: Parameter =
    query("gracePeriodSeconds", "integer", "How many seconds the object is given to end; 0 deletes it at once.");
const LABEL_SELECTOR: Parameter = query("labelSelector", "string", "Only objects whose labels match.");
const LIMIT: Parameter = query(
    "limit",
    "integer",
    "How many objects an answer has at most; the rest is had with the token in its metadata.",
);
const ORPHAN: Parameter =
    query("orphanDependents", "boolean", "Deprecated, see propagationPolicy: whether dependents stay.");
const PROPAGATION: Parameter =
    query("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground.");
const REVISION: Parameter =
    query("resourceVersion", "string", "The version that the answer has to have, or has to be no older than.");
const REVISION_MATCH: Parameter =
    query("resourceVersionMatch", "string", "How resourceVersion is meant: Exact or NotOlderThan.");
const INITIAL_EVENTS: Parameter =
    query("sendInitialEvents", "boolean", "Whether a watch begins with what is there, closed by a bookmark.");
const TIMEOUT: Parameter = query("timeoutSeconds", "integer", "After how many seconds a list or a watch ends.");
const BOOKMARKS: Parameter =
    query("allowWatchBookmarks", "boolean", "Whether a watch may tell how far it has come without an event.");
const WATCH: Parameter = query("watch", "boolean", "Whether changes are sent as they happen.");

pub(super) const LIST: &[Parameter] = &[
    BOOKMARKS,
    CONTINUE,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    LIMIT,
    REVISION,
    REVISION_MATCH,
    INITIAL_EVENTS,
    TIMEOUT,
    WATCH,
];
pub(super) const CREATE: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
pub(super) const PATCH: &[Parameter] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
pub(super) const DELETE: &[Parameter] = &[DRY_RUN, GRACE_PERIOD, ORPHAN, PROPAGATION];
pub(super) const DELETE_COLLECTION: &[Parameter] = &[
    CONTINUE,
    DRY_RUN,
    FIELD_SELECTOR,
    GRACE_PERIOD,
    LABEL_SELECTOR,
    LIMIT,
    ORPHAN,
    PROPAGATION,
    REVISION,
    REVISION_MATCH,
    INITIAL_EVENTS,
    TIMEOUT,
];

/// The fields of an options kind (`PodExecOptions`) as parameters of a query.
pub(super) fn options(of: &Struct) -> Vec<Parameter<'_>> {
    let fields = of.fields.iter().filter(|field| field.number > 0);
    fields
        .map(|field| Parameter {
            owner: &of.name,
            name: &field.name,
            place: Place::Query,
            ty: match field.ty {
                Type::Bool => "boolean",
                Type::Int32 | Type::Int64 => "integer",
                _ => "string",
            },
            description: &field.description,
        })
        .collect()
}
