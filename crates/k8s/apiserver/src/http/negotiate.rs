//! Which form an answer gets, of those a client accepts, and in which form a body comes.

use k8s_types::codec::Format;
use k8s_types::status::ApiError;

/// Media types of objects, in the order they are told to clients.
pub const OBJECTS: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// What the objects of an answer are turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// They stay what they are.
    Object,
    /// A `Table` of this version of meta.k8s.io.
    Table(MetaVersion),
    /// `PartialObjectMetadata` or a list of them.
    Metadata(MetaVersion),
}

/// Version of meta.k8s.io.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetaVersion {
    /// `meta.k8s.io/v1`
    V1,
    /// `meta.k8s.io/v1beta1`
    V1Beta1,
}

impl MetaVersion {
    /// As in `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self {
            MetaVersion::V1 => "meta.k8s.io/v1",
            MetaVersion::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// What a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// How it is written.
    pub format: Format,
    /// What it is turned into.
    pub shape: Shape,
}

impl Accepted {
    /// Plain JSON.
    pub const JSON: Accepted = Accepted { format: Format::Json, shape: Shape::Object };

    /// Media type of the answer.
    pub fn content_type(self, watch: bool) -> &'static str {
        match (self.format, watch) {
            (Format::Json, _) => "application/json",
            (Format::Yaml, _) => "application/yaml",
            (Format::Protobuf, false) => "application/vnd.kubernetes.protobuf",
            (Format::Protobuf, true) => "application/vnd.kubernetes.protobuf;stream=watch",
        }
    }
}

/// A media type with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause<'a> {
    /// `application/json`, in lower case.
    pub media: String,
    /// Parameters such as `as=Table`, names in lower case.
    pub parameters: Vec<(String, &'a str)>,
    quality: f32,
}

impl Clause<'_> {
    /// The value of a parameter, empty without it.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// Reads an Accept header: clauses by descending quality, then in their order. Nothing at all accepts everything.
pub fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut all: Vec<Clause<'_>> = header
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(clause)
        .filter(|c| c.quality > 0.0)
        .collect();
    if header.trim().is_empty() {
        all.push(clause("*/*"));
    }
    all.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    all
}

/// Reads one media type.
pub fn clause(text: &str) -> Clause<'_> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let mut quality = 1.0;
    let mut parameters = Vec::new();
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        let name = name.trim().to_ascii_lowercase();
        let value = value.trim().trim_matches('"');
        if name == "q" {
            quality = value.parse().unwrap_or(1.0);
        } else {
            parameters.push((name, value));
        }
    }
    Clause { media, parameters, quality }
}

/// The format that a media type of a clause stands for.
pub fn format_of(media: &str) -> Option<Format> {
    match media {
        "*/*" | "application/*" | "application/json" => Some(Format::Json),
        "application/yaml" => Some(Format::Yaml),
        "application/vnd.kubernetes.protobuf" => Some(Format::Protobuf),
        _ => None,
    }
}

/// Which of a client's clauses objects are answered in; `list` tells which of the metadata kinds fits.
pub fn objects(accept: &str, list: bool) -> Result<Accepted, ApiError> {
    for clause in clauses(accept) {
        let Some(format) = format_of(&clause.media) else { continue };
        if let Some(shape) = shape(&clause, list) {
            return Ok(Accepted { format, shape });
        }
    }
    Err(ApiError::not_acceptable(OBJECTS))
}

/// As [`objects`] for a stream of watch events, which is never YAML.
pub fn events(accept: &str) -> Result<Accepted, ApiError> {
    for clause in clauses(accept) {
        let Some(format) = format_of(&clause.media).filter(|f| *f != Format::Yaml) else { continue };
        if let Some(shape) = shape(&clause, false).or_else(|| shape(&clause, true)) {
            return Ok(Accepted { format, shape });
        }
    }
    Err(ApiError::not_acceptable(&[
        "application/json;stream=watch",
        "application/vnd.kubernetes.protobuf;stream=watch",
    ]))
}

fn shape(clause: &Clause<'_>, list: bool) -> Option<Shape> {
    let version = match (clause.parameter("g"), clause.parameter("v")) {
        ("meta.k8s.io", "v1") => Some(MetaVersion::V1),
        ("meta.k8s.io", "v1beta1") => Some(MetaVersion::V1Beta1),
        _ => None,
    };
    match clause.parameter("as") {
        "" => Some(Shape::Object),
        "Table" => version.map(Shape::Table),
        "PartialObjectMetadata" if !list => version.map(Shape::Metadata),
        "PartialObjectMetadataList" if list => version.map(Shape::Metadata),
        _ => None,
    }
}

/// In which format a body comes.
pub fn body(content_type: &str) -> Result<Format, ApiError> {
    let media = clause(content_type).media;
    match media.as_str() {
        "" => Ok(Format::Json),
        "*/*" | "application/*" => Err(ApiError::unsupported_media_type(OBJECTS)),
        media => format_of(media).ok_or_else(|| ApiError::unsupported_media_type(OBJECTS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let json = |shape| Ok(Accepted { format: Format::Json, shape });
        for (header, list, want) in [
            ("", false, json(Shape::Object)),
            ("*/*", false, json(Shape::Object)),
            (table, true, json(Shape::Table(MetaVersion::V1))),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                true,
                json(Shape::Metadata(MetaVersion::V1)),
            ),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, */*", false, json(Shape::Object)),
            (
                "application/json;q=0.5, application/yaml",
                false,
                Ok(Accepted { format: Format::Yaml, shape: Shape::Object }),
            ),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                false,
                Ok(Accepted { format: Format::Protobuf, shape: Shape::Object }),
            ),
        ] {
            assert_eq!(objects(header, list), want, "{header}");
        }
        assert_eq!(objects("text/html", false).unwrap_err().code, 406);
        assert_eq!(events("application/yaml").unwrap_err().code, 406);
        assert_eq!(body("text/plain").unwrap_err().code, 415);
        assert_eq!(body("application/json; charset=utf-8").unwrap(), Format::Json);
    }
}
