//! Files of variables (`fileKeyRef`): `NAME='value'`, a strict part of what a shell reads.
//!
//! Empty lines and lines that begin with `#` say nothing. A value is in single quotes, may have several lines, and holds whatever is between the quotes as it is.

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("invalid environment variable format at line {0}")]
    Format(usize),
    #[error("unclosed single quote starting at line {0}")]
    Unclosed(usize),
    #[error("unexpected content after closing quote at line {0}")]
    After(usize),
}

/// The value of a key; the last one of the same name wins.
///
/// # Errors
/// When any line is wrong, wherever the key is.
pub fn value(text: &str, key: &str) -> Result<Option<String>, Fault> {
    let mut found = None;
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim_start();
        if trimmed.trim_end().is_empty() || trimmed.starts_with('#') {
            rest = after;
            line += 1;
            continue;
        }
        let entry = &rest[first.len() - trimmed.len()..];
        let (name, quoted) = entry.split_once("='").ok_or(Fault::Format(line))?;
        if name.is_empty() || name.contains(['\n', '=', ' ', '\t', '\'']) {
            return Err(Fault::Format(line));
        }
        let (inside, after) = quoted.split_once('\'').ok_or(Fault::Unclosed(line))?;
        let end = line + inside.matches('\n').count();
        let (tail, next) = after.split_once('\n').unwrap_or((after, ""));
        if !tail.trim().is_empty() {
            return Err(Fault::After(end));
        }
        if name == key {
            found = Some(inside.to_owned());
        }
        rest = next;
        line = end + 1;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_is_between_the_quotes() {
        let text = "# c\n\n  A='1'\nB='two\nlines' \nC=''\nA='$(x) \"'\n";
        assert_eq!(value(text, "A"), Ok(Some("$(x) \"".into())));
        assert_eq!(value(text, "B"), Ok(Some("two\nlines".into())));
        assert_eq!(value(text, "C"), Ok(Some(String::new())));
        assert_eq!(value(text, "D"), Ok(None));
        assert_eq!(value("A=1\n", "A"), Err(Fault::Format(1)));
        assert_eq!(value("\nA = 'x'", "A"), Err(Fault::Format(2)));
        assert_eq!(value("A='1", "A"), Err(Fault::Unclosed(1)));
        assert_eq!(value("A='1\n2'x\n", "A"), Err(Fault::After(2)));
        assert_eq!(value("", "A"), Ok(None));
    }
}
