//! What a URL path names: an object, a collection, a document of discovery, or none of them.

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Objects.
    Resource(ResourcePath),
    /// `/`
    Index,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/{group}`
    Group(String),
    /// `/api/v1` and `/apis/{group}/{version}`; core's group is empty.
    GroupVersion(String, String),
    /// Anything else, with the path.
    Other,
}

/// A path below a group version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourcePath {
    /// Group, empty for core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Namespace, empty for the cluster or all namespaces.
    pub namespace: String,
    /// Plural name.
    pub resource: String,
    /// Name, empty for the collection.
    pub name: String,
    /// Subresource, empty for the object itself.
    pub subresource: String,
    /// What follows the subresource (`proxy/a/b`).
    pub rest: String,
    /// The old form `/watch/` in front of the resource.
    pub watch: bool,
}

/// Reads a path.
pub fn parse(path: &str) -> Route {
    let Some(segments) = path.strip_prefix('/') else { return Route::Other };
    let mut segments: Vec<String> = match segments.split('/').map(decode).collect::<Option<Vec<_>>>() {
        Some(segments) => segments,
        None => return Route::Other,
    };
    while segments.last().is_some_and(String::is_empty) {
        segments.pop();
    }
    if segments.iter().any(String::is_empty) {
        return Route::Other;
    }
    let mut segments = segments.into_iter();
    let group = match segments.next().as_deref() {
        None => return Route::Index,
        Some("api") => match segments.len() {
            0 => return Route::CoreVersions,
            _ => String::new(),
        },
        Some("apis") => match segments.next() {
            None => return Route::Groups,
            Some(group) => group,
        },
        Some(_) => return Route::Other,
    };
    let Some(version) = segments.next() else { return Route::Group(group) };
    if segments.len() == 0 {
        return Route::GroupVersion(group, version);
    }
    resource(group, version, segments)
}

fn resource(group: String, version: String, segments: std::vec::IntoIter<String>) -> Route {
    let mut segments = segments.peekable();
    let mut path = ResourcePath { group, version, ..ResourcePath::default() };
    if segments.peek().map(String::as_str) == Some("watch") {
        segments.next();
        path.watch = true;
    }
    let Some(first) = segments.next() else { return Route::Other };
    path.resource = first;
    if path.resource == "namespaces"
        && let Some(namespace) = segments.next()
    {
        match segments.peek().map(String::as_str) {
            None | Some("status" | "finalize") if path.group.is_empty() => path.name = namespace.clone(),
            None => path.name = namespace.clone(),
            Some(_) => path.resource = segments.next().unwrap_or_default(),
        }
        path.namespace = namespace;
    }
    if path.name.is_empty() {
        path.name = segments.next().unwrap_or_default();
    }
    path.subresource = segments.next().unwrap_or_default();
    path.rest = segments.collect::<Vec<_>>().join("/");
    Route::Resource(path)
}

/// Undoes percent encoding; `None` where it is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits = text.get(at + 1..at + 3)?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// The parameters of a query, in their order; what cannot be decoded is left out.
pub fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str) -> String {
        match parse(path) {
            Route::Resource(p) => {
                let watch = if p.watch { "watch " } else { "" };
                format!(
                    "{watch}{}/{} ns={} {} name={} sub={} rest={}",
                    p.group, p.version, p.namespace, p.resource, p.name, p.subresource, p.rest
                )
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn paths_name_objects() {
        for (path, want) in [
            ("/api/v1/pods", "/v1 ns= pods name= sub= rest="),
            ("/api/v1/namespaces", "/v1 ns= namespaces name= sub= rest="),
            ("/api/v1/namespaces/a", "/v1 ns=a namespaces name=a sub= rest="),
            ("/api/v1/namespaces/a/finalize", "/v1 ns=a namespaces name=a sub=finalize rest="),
            ("/api/v1/namespaces/a/pods/b", "/v1 ns=a pods name=b sub= rest="),
            ("/api/v1/namespaces/a/pods/b/proxy/c/d", "/v1 ns=a pods name=b sub=proxy rest=c/d"),
            ("/apis/apps/v1/namespaces/a/deployments/b/scale", "apps/v1 ns=a deployments name=b sub=scale rest="),
            ("/apis/x/v1/clusterroles/system%3Aa", "x/v1 ns= clusterroles name=system:a sub= rest="),
            ("/api/v1/watch/namespaces/a/pods", "watch /v1 ns=a pods name= sub= rest="),
            ("/", "Index"),
            ("/api/", "CoreVersions"),
            ("/api/v1", "GroupVersion(\"\", \"v1\")"),
            ("/apis", "Groups"),
            ("/apis/apps", "Group(\"apps\")"),
            ("/apis/apps/v1", "GroupVersion(\"apps\", \"v1\")"),
            ("/foo", "Other"),
            ("/api/v1//pods", "Other"),
        ] {
            assert_eq!(named(path), want, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let want = vec![("a".to_owned(), "b c=d".to_owned()), ("e".to_owned(), String::new())];
        assert_eq!(query("a=b+c%3Dd&e&"), want);
    }
}
