//! Query parameters, read the way the Docker daemon reads them.

use crate::error::ApiError;
use docker_types::Filters;

/// Decoded parameters in the order they came.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=b&c=d`; a `+` is a space.
    pub fn parse(text: &str) -> Self {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name, Plus::IsSpace), decode(value, Plus::IsSpace))
        };
        Self(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// First value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// First value of a name, or nothing as the empty text.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Every value of a name.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    }

    /// A truth value: everything but nothing, `0`, `no`, `false` and `none` is true.
    pub fn truth(&self, name: &str) -> bool {
        self.truth_or(name, false)
    }

    /// A truth value with what it is when the name is absent.
    pub fn truth_or(&self, name: &str, absent: bool) -> bool {
        self.get(name)
            .map_or(absent, |value| !matches!(value.trim().to_lowercase().as_str(), "" | "0" | "no" | "false" | "none"))
    }

    /// A number; absent and empty are `None`.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        match self.get(name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => value
                .trim()
                .parse()
                .map(Some)
                .map_err(|_| ApiError::bad_request(format!("invalid value for {name}: {value:?} is not a number"))),
        }
    }

    /// The `filters` parameter.
    pub fn filters(&self) -> Result<Filters, ApiError> {
        Filters::parse(self.text("filters")).map_err(|e| ApiError::bad_request(format!("invalid filters: {e}")))
    }
}

/// What a plus sign means: in a query a space, in a path itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    /// As in forms.
    IsSpace,
    /// As in paths.
    IsItself,
}

/// Percent-decoding; what is not a valid escape stays as it is, what is not UTF-8 is replaced.
pub fn decode(text: &str, plus: Plus) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let rest = bytes.as_slice_str(text);
        match byte {
            b'+' if plus == Plus::IsSpace => out.push(b' '),
            b'%' => match rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(decoded) => {
                    out.push(decoded);
                    bytes.nth(1);
                }
                None => out.push(byte),
            },
            other => out.push(other),
        }
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

trait RestOf {
    fn as_slice_str<'t>(&self, text: &'t str) -> &'t str;
}

impl RestOf for std::str::Bytes<'_> {
    fn as_slice_str<'t>(&self, text: &'t str) -> &'t str {
        text.get(text.len() - self.len()..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_values_are_decoded() {
        let query = Query::parse("a=b%20c+d&e&f=%2Fx%zz&a=second");
        assert_eq!(query.text("a"), "b c d");
        assert_eq!(query.get("e"), Some(""));
        assert_eq!(query.text("f"), "/x%zz");
        assert_eq!(query.all("a"), ["b c d", "second"]);
        assert_eq!(query.get("g"), None);
        assert_eq!(decode("a+b%2Fc", Plus::IsItself), "a+b/c");
        assert_eq!(decode("%é", Plus::IsItself), "%é");
    }

    #[test]
    fn truth_is_what_docker_says() {
        let truth = |text: &str| Query::parse(text).truth("x");
        for yes in ["x=1", "x=true", "x=True", "x=yes", "x=t"] {
            assert!(truth(yes), "{yes}");
        }
        for no in ["", "x=", "x", "x=0", "x=False", "x=no", "x=none"] {
            assert!(!truth(no), "{no}");
        }
    }

    #[test]
    fn numbers() {
        let number = |text: &str| Query::parse(text).number::<i64>("t").ok();
        assert_eq!(number("t=5"), Some(Some(5)));
        assert_eq!(number("t=-1"), Some(Some(-1)));
        assert_eq!(number("t="), Some(None));
        assert_eq!(number(""), Some(None));
        assert_eq!(number("t=x"), None);
    }

    proptest! {
        #[test]
        fn any_query_is_read(text in ".{0,80}") {
            Query::parse(&text);
        }
    }
}
