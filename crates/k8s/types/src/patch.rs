//! The four kinds of patch. Three are here; a server-side apply is [`crate::managed::Request::apply`].

pub mod json;
pub mod merge;
pub mod strategic;

use crate::status::{ApiError, Details, Reason};

/// What the media type of a PATCH request says its body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own: lists are merged by keys.
    Strategic,
    /// Server-side apply; YAML or JSON.
    Apply,
}

impl PatchKind {
    /// All of them, in the order in which a refusal lists them.
    pub const ALL: [Self; 4] = [Self::Json, Self::Merge, Self::Strategic, Self::Apply];

    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }

    /// The kind of a `Content-Type` header; parameters are ignored.
    pub fn of(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or_default();
        Self::ALL.into_iter().find(|kind| kind.media_type() == media_type)
    }
}

/// Kubernetes' answer to a patch that is well-formed but does not fit the object: 422 in general words.
pub(crate) fn does_not_fit() -> ApiError {
    ApiError::new(422, Reason::Invalid, "the server rejected our request due to an error in our request")
        .with_details(Details::default())
}
