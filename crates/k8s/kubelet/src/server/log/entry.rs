//! One entry of a log in the CRI's form.

/// An entry, borrowed from its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// RFC 3339, as it was written.
    pub time: &'a str,
    /// `stdout` or `stderr`.
    pub stream: &'a str,
    /// Whether more of the line follows in the next entry of this stream.
    pub partial: bool,
    pub text: &'a [u8],
}

/// Reads a line, without its line feed; `None` where it is no entry.
pub fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let (time, stream, tags) = (word()?, word()?, word()?);
    let known = matches!(stream, "stdout" | "stderr") && time.contains('T');
    let partial = match tags.split(':').next() {
        Some("P") => true,
        Some("F") => false,
        _ => return None,
    };
    known.then_some(Entry { time, stream, partial, text: words.next().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_other_lines_are_none() {
        let entry = |text| Entry { time: "2016-10-06T00:17:09.6Z", stream: "stdout", partial: false, text };
        assert_eq!(parse(b"2016-10-06T00:17:09.6Z stdout F a b  c"), Some(entry(b"a b  c")));
        assert_eq!(parse(b"2016-10-06T00:17:09.6Z stdout F "), Some(entry(b"")));
        assert_eq!(parse(b"2016-10-06T00:17:09.6Z stdout F"), Some(entry(b"")));
        let partial = parse(b"2016-10-06T00:17:09.6Z stderr P:x \xff").unwrap();
        assert!(partial.partial && partial.stream == "stderr" && partial.text == b"\xff");
        for line in [&b""[..], b"a b c d", b"2016-10-06T00:17:09.6Z stdin F x", b"2016-10-06T00:17:09.6Z stdout X x"] {
            assert_eq!(parse(line), None);
        }
    }
}
