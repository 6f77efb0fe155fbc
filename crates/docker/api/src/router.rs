//! Which handler answers a method and a path.
//!
//! Image names hold slashes and stand in the middle of a path (`/images/a/b/c/json`), which common routers cannot match. Patterns here are
//! split at slashes; `{x}` takes one segment and `{x...}` one or more, as many as the rest of the pattern leaves over.

use http::Method;

/// One row of the routing table.
pub struct Route<H> {
    method: Method,
    pattern: Vec<Piece>,
    handler: H,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Word(&'static str),
    One(&'static str),
    Many(&'static str),
}

/// Values that a path gave to the names of its pattern.
pub type Params = Vec<(&'static str, String)>;

impl<H> Route<H> {
    /// A row; `pattern` starts with a slash.
    pub fn new(method: Method, pattern: &'static str, handler: H) -> Self {
        let piece = |part: &'static str| match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            Some(name) => name.strip_suffix("...").map_or(Piece::One(name), Piece::Many),
            None => Piece::Word(part),
        };
        Self { method, pattern: pattern.trim_start_matches('/').split('/').map(piece).collect(), handler }
    }
}

/// Finds the first row that matches; `path` is already percent-decoded and has no version prefix. HEAD is answered by HEAD rows, then GET rows.
pub fn find<'r, H>(table: &'r [Route<H>], method: &Method, path: &str) -> Option<(&'r H, Params)> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    table.iter().filter(|route| route.method == *method).find_map(|route| {
        let mut params = Params::new();
        matches(&route.pattern, &segments, &mut params).then_some((&route.handler, params))
    })
}

fn matches(pattern: &[Piece], segments: &[&str], params: &mut Params) -> bool {
    let Some((piece, rest)) = pattern.split_first() else {
        return segments.is_empty();
    };
    match piece {
        Piece::Word(word) => segments.first() == Some(word) && matches(rest, &segments[1..], params),
        Piece::One(name) => match segments.first() {
            Some(value) if !value.is_empty() => {
                params.push((name, (*value).to_owned()));
                matches(rest, &segments[1..], params)
            }
            _ => false,
        },
        Piece::Many(name) => (1..=segments.len()).rev().any(|taken| {
            let before = params.len();
            params.push((name, segments[..taken].join("/")));
            let fits = !segments[0].is_empty() && matches(rest, &segments[taken..], params);
            if !fits {
                params.truncate(before);
            }
            fits
        }),
    }
}

/// Takes a version prefix such as `/v1.41` off a path.
pub fn split_version(path: &str) -> (Option<&str>, &str) {
    let Some(rest) = path.strip_prefix("/v") else {
        return (None, path);
    };
    let Some(end) = rest.find('/') else {
        return (None, path);
    };
    let version = &rest[..end];
    let looks_like_one = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if looks_like_one { (Some(version), &rest[end..]) } else { (None, path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<Route<&'static str>> {
        vec![
            Route::new(Method::GET, "/images/json", "list"),
            Route::new(Method::GET, "/images/get", "save"),
            Route::new(Method::GET, "/images/{name...}/get", "save one"),
            Route::new(Method::GET, "/images/{name...}/json", "inspect"),
            Route::new(Method::DELETE, "/images/{name...}", "remove"),
            Route::new(Method::GET, "/containers/{id}/json", "container"),
        ]
    }

    fn find_in(method: Method, path: &str) -> Option<(&'static str, Vec<String>)> {
        find(&table(), &method, path).map(|(h, p)| (*h, p.into_iter().map(|(_, v)| v).collect()))
    }

    #[test]
    fn image_names_may_hold_slashes_in_the_middle() {
        let cases: &[(&str, &str, &str)] = &[
            ("/images/json/json", "inspect", "json"),
            ("/images/a/b/c/json", "inspect", "a/b/c"),
            ("/images/127.0.0.1:5000/debian:12/json", "inspect", "127.0.0.1:5000/debian:12"),
            ("/images/a/json/json", "inspect", "a/json"),
            ("/images/a/get", "save one", "a"),
        ];
        for (path, handler, name) in cases {
            assert_eq!(find_in(Method::GET, path), Some((*handler, vec![(*name).to_owned()])), "{path}");
        }
        assert_eq!(find_in(Method::GET, "/images/json"), Some(("list", vec![])));
        assert_eq!(find_in(Method::DELETE, "/images/a/b"), Some(("remove", vec!["a/b".to_owned()])));
    }

    #[test]
    fn what_is_not_in_the_table_is_not_found() {
        for (method, path) in [
            (Method::POST, "/images/json"),
            (Method::GET, "/nothing"),
            (Method::GET, "/containers/a/b/json"),
            (Method::GET, "/containers//json"),
            (Method::GET, "images/json"),
            (Method::GET, "/images//json"),
            (Method::GET, ""),
        ] {
            assert_eq!(find_in(method.clone(), path), None, "{method} {path}");
        }
    }

    #[test]
    fn versions_are_taken_off() {
        assert_eq!(split_version("/v1.41/info"), (Some("1.41"), "/info"));
        assert_eq!(split_version("/info"), (None, "/info"));
        assert_eq!(split_version("/volumes/x"), (None, "/volumes/x"));
        assert_eq!(split_version("/v1.41"), (None, "/v1.41"));
        assert_eq!(split_version("/vx/info"), (None, "/vx/info"));
    }
}
