//! Which images a list is of.

use spec::reference::Reference;
use store::Image;

use super::view::created;
use crate::error::{Error, Result};
use crate::model::filters::Filters;

/// Filters as they were sent, checked.
pub(super) struct Filter {
    filters: Filters,
    dangling: Option<bool>,
}

/// Filters with the images that they compare with.
pub(super) struct Resolved {
    filter: Filter,
    before: Option<jiff::Timestamp>,
    since: Option<jiff::Timestamp>,
}

impl Filter {
    pub fn new(filters: &Filters) -> Result<Filter> {
        filters.accept(&["before", "dangling", "label", "label!", "reference", "since", "until"])?;
        Ok(Filter { filters: filters.clone(), dangling: filters.truth("dangling")? })
    }

    /// Finds the images of `before` and `since`.
    pub fn resolved(self, resolve: &dyn Fn(&str) -> Result<Image>) -> Result<Resolved> {
        let made = |key: &str| -> Result<Vec<jiff::Timestamp>> {
            self.filters.values(key).map(|name| Ok(created(&resolve(name)?))).collect()
        };
        let mut before = made("before")?;
        for text in self.filters.values("until") {
            before.push(moment(text)?);
        }
        let since = made("since")?;
        Ok(Resolved { before: before.into_iter().min(), since: since.into_iter().max(), filter: self })
    }
}

/// A moment: seconds since 1970, RFC 3339, or how long ago (`24h`).
pub(crate) fn moment(text: &str) -> Result<jiff::Timestamp> {
    let invalid = || Error::invalid(format!("invalid filter 'until={text}'"));
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return jiff::Timestamp::from_millisecond((seconds * 1000.0) as i64).map_err(|_| invalid());
    }
    let ago: jiff::SignedDuration = text.parse().map_err(|_| invalid())?;
    jiff::Timestamp::now().checked_sub(ago).map_err(|_| invalid())
}

impl Resolved {
    pub fn accepts(&self, image: &Image) -> bool {
        let filters = &self.filter.filters;
        let dangling = image.names.is_empty();
        let created = created(image);
        self.filter.dangling.is_none_or(|wanted| wanted == dangling)
            && filters.labels("label", &image.config.config.labels)
            && self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && filters.any("reference", |pattern| self.names(image).any(|name| fits(pattern, name)))
    }

    /// Whether a list shows a name of an image: with a pattern only those that fit it.
    pub fn shows(&self, name: &str) -> bool {
        self.filter.filters.any("reference", |pattern| fits(pattern, name))
    }

    fn names<'i>(&self, image: &'i Image) -> impl Iterator<Item = &'i str> {
        image.names.iter().chain(&image.repo_digests).map(String::as_str)
    }
}

/// Whether a name fits a pattern: as a whole, without its tag, or as the same reference spelt otherwise.
fn fits(pattern: &str, name: &str) -> bool {
    let Ok(reference) = Reference::parse(name) else { return false };
    let familiar = reference.familiar_name();
    glob(pattern.as_bytes(), name.as_bytes())
        || glob(pattern.as_bytes(), familiar.as_bytes())
        || Reference::parse(pattern).is_ok_and(|wanted| {
            let same_tag =
                (wanted.tag().is_none() && wanted.digest().is_none()) || wanted.familiar() == reference.familiar();
            wanted.familiar_name() == familiar && same_tag
        })
}

/// Go's `path.Match`: `*` and `?` do not cross slashes.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => {
            let reach = text.iter().position(|b| *b == b'/').unwrap_or(text.len());
            (0..=reach).any(|taken| glob(rest, &text[taken..]))
        }
        Some((b'?', rest)) => text.first().is_some_and(|b| *b != b'/') && glob(rest, &text[1..]),
        Some((b'[', rest)) => class(rest, text),
        Some((b'\\', rest)) if !rest.is_empty() => text.first() == Some(&rest[0]) && glob(&rest[1..], &text[1..]),
        Some((byte, rest)) => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

fn class(pattern: &[u8], text: &[u8]) -> bool {
    let Some(end) = pattern.iter().skip(1).position(|b| *b == b']').map(|at| at + 1) else { return false };
    let Some((byte, after)) = text.split_first() else { return false };
    let (negated, set) = match pattern[..end].strip_prefix(b"^") {
        Some(set) => (true, set),
        None => (false, &pattern[..end]),
    };
    let mut found = false;
    let mut at = 0;
    while at < set.len() {
        if at + 2 < set.len() && set[at + 1] == b'-' {
            found |= (set[at]..=set[at + 2]).contains(byte);
            at += 3;
        } else {
            found |= set[at] == *byte;
            at += 1;
        }
    }
    found != negated && *byte != b'/' && glob(&pattern[end + 1..], after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_names() {
        for (pattern, name, expected) in [
            ("debian", "debian:12", true),
            ("debian:12", "debian:12", true),
            ("debian:11", "debian:12", false),
            ("deb*", "debian:12", true),
            ("*", "debian:12", true),
            ("*", "me/debian:12", false),
            ("*/debian", "me/debian:12", true),
            ("debian:1?", "debian:12", true),
            ("[a-e]ebian", "debian:12", true),
            ("[^d]ebian", "debian:12", false),
            ("docker.io/library/debian", "debian:12", true),
            ("127.0.0.1:5000/debian", "127.0.0.1:5000/debian:12", true),
            ("busybox", "debian:12", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn moments_are_absolute_or_ago() {
        assert_eq!(moment("5").unwrap().as_second(), 5);
        assert_eq!(moment("2024-01-01T00:00:00Z").unwrap().to_string(), "2024-01-01T00:00:00Z");
        let ago = jiff::Timestamp::now().as_second() - moment("24h").unwrap().as_second();
        assert!((86_399..=86_401).contains(&ago));
        assert!(moment("x").is_err());
    }
}
