//! Paths such as `.spec['a-b'].c` that must lead through a schema.

use super::node::{Additional, Node};

/// Where a path leads.
pub(super) struct Found<'n> {
    /// The path as it is printed, without a leading dot.
    pub path: String,
    /// Its first field.
    pub first: String,
    /// The schema at its end.
    pub node: &'n Node,
}

/// Follows `path` from `node`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse<'n>(path: &str, node: &'n Node) -> Result<Found<'n>, String> {
    follow(path, node, true)
}

/// As [`parse`], but without brackets.
pub(super) fn parse_dotted<'n>(path: &str, node: &'n Node) -> Result<Found<'n>, String> {
    follow(path, node, false)
}

fn follow<'n>(path: &str, node: &'n Node, brackets: bool) -> Result<Found<'n>, String> {
    let mut found = Found { path: String::new(), first: String::new(), node };
    let mut rest = path;
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() {
                return Err("unexpected end of JSON path".into());
            }
            let end = after.find(['.', '[', ']']).unwrap_or(after.len());
            name = after[..end].to_owned();
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix('[') {
            if !brackets {
                return Err("array notation is not allowed".into());
            }
            (name, rest) = quoted(after)?;
        } else {
            let end = rest.find(['.', '[', ']']).unwrap_or(rest.len()).max(1);
            return Err(format!("expected [ or . but got: {}", rest.get(..end).unwrap_or(rest)));
        }
        step(&mut found, &name)?;
    }
    Ok(found)
}

fn step(found: &mut Found<'_>, name: &str) -> Result<(), String> {
    let node = found.node;
    if !node.properties.is_empty() {
        found.node = node.properties.get(name).ok_or("does not refer to a valid field")?;
        if !found.path.is_empty() {
            found.path.push('.');
        }
        found.path.push_str(name);
    } else if let Additional::Schema(of) = &node.additional {
        found.node = of;
        found.path.push_str(&format!("[{name}]"));
    } else {
        return Err("does not refer to a valid field".into());
    }
    if found.first.is_empty() {
        found.first = name.to_owned();
    }
    Ok(())
}

/// Reads `'name']`; returns the name and what follows.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let got = || format!("expected single quoted string but got {}", text.split(']').next().unwrap_or(""));
    let inner = text.strip_prefix('\'').ok_or_else(got)?;
    let mut name = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => {
                let after = &inner[at + 1..];
                let rest = after.strip_prefix(']').ok_or("unexpected end of JSON path")?;
                return Ok((name, rest));
            }
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('a') => name.push('\u{7}'),
                Some('b') => name.push('\u{8}'),
                Some('f') => name.push('\u{c}'),
                Some('n') => name.push('\n'),
                Some('r') => name.push('\r'),
                Some('t') => name.push('\t'),
                Some('v') => name.push('\u{b}'),
                Some(c @ ('\'' | '\\')) => name.push(c),
                _ => return Err("invalid string literal: invalid escape char".into()),
            },
            c => name.push(c),
        }
    }
    Err(got())
}
