//! `$(NAME)` in values, commands, arguments and paths; `$$` is a dollar sign.

use k8s_openapi::api::core::v1::Container;

/// A path names a variable that the container has not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("missing value for \"{0}\"")]
pub struct MissingVariable(pub String);

/// Replaces what a lookup knows; an unknown or unfinished reference stays as it is written.
pub fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// The same where every name must be known: paths beneath volumes.
///
/// # Errors
/// The first name that is not known.
pub fn expand_all(text: &str, env: &[(String, String)]) -> Result<String, MissingVariable> {
    let missing = std::cell::RefCell::new(None);
    let out = expand(text, |name| {
        let value = find(env, name);
        if value.is_none() {
            missing.borrow_mut().get_or_insert_with(|| name.to_owned());
        }
        value
    });
    match missing.into_inner() {
        Some(name) => Err(MissingVariable(name)),
        None => Ok(out),
    }
}

/// The command and arguments of a container with its variables put in.
pub fn command(container: &Container, env: &[(String, String)]) -> (Vec<String>, Vec<String>) {
    let all =
        |words: &Option<Vec<String>>| words.iter().flatten().map(|word| expand(word, |name| find(env, name))).collect();
    (all(&container.command), all(&container.args))
}

fn find<'a>(env: &'a [(String, String)], name: &str) -> Option<&'a str> {
    env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_and_dollars_escaped() {
        let env = [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())];
        for (text, wanted) in [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(C)", "$(C)"),
            ("$(A", "$(A"),
            ("$A", "$A"),
            ("$", "$"),
            ("a$$", "a$"),
            ("$()", "$()"),
            ("$é$(A)", "$é1"),
            ("", ""),
        ] {
            assert_eq!(expand(text, |name| find(&env, name)), wanted, "{text}");
        }
        assert_eq!(expand_all("a/$(A)", &env).as_deref(), Ok("a/1"));
        assert_eq!(expand_all("$(X)/$(Y)", &env), Err(MissingVariable("X".into())));
    }
}
