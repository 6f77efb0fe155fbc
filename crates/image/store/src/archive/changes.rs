//! Dockerfile instructions applied to an image's configuration (`--change` of commit and import).

use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};
use spec::image::{ContainerDefaults, Healthcheck};

use crate::{Error, Result};

/// Applies instructions (`CMD`, `ENV`, `EXPOSE`, ...) to a configuration, one or more lines each.
pub fn apply_changes(config: &mut ContainerDefaults, changes: &[String]) -> Result<()> {
    let mut cmd_set = false;
    let lines = changes.iter().flat_map(|change| change.lines()).map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        apply(config, &name.to_uppercase(), rest.trim(), &mut cmd_set)?;
    }
    Ok(())
}

fn apply(config: &mut ContainerDefaults, name: &str, rest: &str, cmd_set: &mut bool) -> Result<()> {
    if rest.is_empty() && name != "CMD" && name != "ENTRYPOINT" {
        return Err(bad(format!("{name} requires at least one argument")));
    }
    match name {
        "CMD" => {
            config.cmd = Some(command(config, rest));
            *cmd_set = true;
        }
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(config, rest)).filter(|words| !words.is_empty());
            // An image's arguments belong to its own entry point.
            if !*cmd_set {
                config.cmd = None;
            }
        }
        "ENV" => {
            for (name, value) in pairs(config, "ENV", rest)? {
                set_variable(&mut config.env, &name, &value);
            }
        }
        "LABEL" => config.labels.extend(pairs(config, "LABEL", rest)?),
        "EXPOSE" => {
            for word in words(config, rest)? {
                config.exposed_ports.extend(ports(&word)?.into_iter().map(|port| (port, json!({}))));
            }
        }
        "VOLUME" => {
            let paths = match json_words(rest) {
                Some(paths) => paths,
                None => words(config, rest)?,
            };
            if paths.iter().any(|path| path.trim().is_empty()) {
                return Err(bad("VOLUME specified can not be an empty string"));
            }
            config.volumes.extend(paths.into_iter().map(|path| (path, json!({}))));
        }
        "USER" => config.user = one(config, name, rest)?,
        "STOPSIGNAL" => config.stop_signal = Some(one(config, name, rest)?),
        "WORKDIR" => config.working_dir = joined(&config.working_dir, &unquoted(config, rest)?),
        "ONBUILD" => config.on_build.get_or_insert_default().push(on_build(rest)?),
        "HEALTHCHECK" => config.healthcheck = Some(health(rest)?),
        other => return Err(bad(format!("{other} is not a valid change command"))),
    }
    Ok(())
}

fn bad(message: impl Into<String>) -> Error {
    Error::Change(message.into())
}

/// A JSON list of strings; anything else is the shell form.
fn json_words(text: &str) -> Option<Vec<String>> {
    let Value::Array(list) = serde_json::from_str(text).ok()? else { return None };
    list.into_iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

/// The exec form, or the shell with the whole line.
fn command(config: &ContainerDefaults, text: &str) -> Vec<String> {
    if let Some(words) = json_words(text) {
        return words;
    }
    if text.is_empty() {
        return Vec::new();
    }
    let shell = config.shell.clone().filter(|shell| !shell.is_empty());
    let mut words = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
    words.push(text.to_owned());
    words
}

fn set_variable(env: &mut Vec<String>, name: &str, value: &str) {
    let line = format!("{name}={value}");
    let is_it = |it: &&mut String| it.split('=').next() == Some(name);
    match env.iter_mut().find(is_it) {
        Some(it) => *it = line,
        None => env.push(line),
    }
}

/// `name=value ...`, or the old `name value`, whose value is the rest of the line.
fn pairs(config: &ContainerDefaults, what: &str, text: &str) -> Result<Vec<(String, String)>> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (name, value) =
            text.split_once(char::is_whitespace).ok_or_else(|| bad(format!("{what} must have two arguments")))?;
        return Ok(vec![(name.to_owned(), unquoted(config, value.trim())?)]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some(("", _)) => Err(bad(format!("{what} names can not be blank"))),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(bad(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value"))),
    };
    words(config, text)?.into_iter().map(pair).collect()
}

fn one(config: &ContainerDefaults, what: &str, text: &str) -> Result<String> {
    let mut words = words(config, text)?;
    match (words.pop(), words.is_empty()) {
        (Some(word), true) => Ok(word),
        _ => Err(bad(format!("{what} requires exactly one argument"))),
    }
}

/// `80`, `80/udp`, `8000-8002/tcp`.
fn ports(text: &str) -> Result<Vec<String>> {
    let invalid = || bad(format!("invalid containerPort: {text}"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(bad(format!("invalid proto: {protocol}")));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().map_err(|_| invalid());
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(invalid());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// A relative directory is below the one before.
fn joined(before: &str, text: &str) -> String {
    let whole = Path::new("/").join(before).join(text);
    let mut path = PathBuf::from("/");
    for part in whole.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                path.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    path.to_string_lossy().into_owned()
}

fn on_build(text: &str) -> Result<String> {
    let name = text.split_whitespace().next().unwrap_or_default().to_uppercase();
    match name.as_str() {
        "ONBUILD" => Err(bad("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        "FROM" | "MAINTAINER" => Err(bad(format!("{name} isn't allowed as an ONBUILD trigger"))),
        _ => Ok(text.to_owned()),
    }
}

fn health(text: &str) -> Result<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        rest = after.trim_start();
        let (name, value) = option.split_once('=').ok_or_else(|| bad(format!("Missing a value on flag: {option}")))?;
        match name {
            "interval" => check.interval = duration(value)?,
            "timeout" => check.timeout = duration(value)?,
            "start-period" => check.start_period = duration(value)?,
            "start-interval" => check.start_interval = duration(value)?,
            "retries" => {
                check.retries = value.parse().map_err(|_| bad(format!("invalid retries {value:?} of HEALTHCHECK")))?;
            }
            _ => return Err(bad(format!("Unknown flag: {name}"))),
        }
    }
    let (kind, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let arguments = arguments.trim();
    check.test = match kind.to_uppercase().as_str() {
        "NONE" if arguments.is_empty() => vec!["NONE".to_owned()],
        "NONE" => return Err(bad("HEALTHCHECK NONE takes no arguments")),
        "CMD" if arguments.is_empty() => return Err(bad("Missing command after HEALTHCHECK CMD")),
        "CMD" => match json_words(arguments) {
            Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            None => vec!["CMD-SHELL".to_owned(), arguments.to_owned()],
        },
        other => return Err(bad(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)"))),
    };
    Ok(check)
}

fn duration(text: &str) -> Result<i64> {
    let nanoseconds = spec::duration::parse(text).map_err(bad)?;
    if nanoseconds < 0 {
        return Err(bad(format!("time: invalid duration {text:?}")));
    }
    Ok(nanoseconds)
}

/// Splits at blanks as a shell does, with quotes, backslashes and variables of the image's environment.
fn words(config: &ContainerDefaults, text: &str) -> Result<Vec<String>> {
    Unquoting::new(config, text, true).run()
}

/// The same without splitting.
fn unquoted(config: &ContainerDefaults, text: &str) -> Result<String> {
    Ok(Unquoting::new(config, text, false).run()?.pop().unwrap_or_default())
}

struct Unquoting<'a> {
    env: &'a [String],
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    split: bool,
    words: Vec<String>,
    word: Option<String>,
}

impl<'a> Unquoting<'a> {
    fn new(config: &'a ContainerDefaults, text: &'a str, split: bool) -> Self {
        Unquoting { env: &config.env, rest: text.chars().peekable(), split, words: Vec::new(), word: None }
    }

    fn run(mut self) -> Result<Vec<String>> {
        while let Some(c) = self.rest.next() {
            match c {
                '\'' => self.quoted('\'')?,
                '"' => self.quoted('"')?,
                '\\' => {
                    let escaped = self.rest.next().unwrap_or('\\');
                    self.push(escaped);
                }
                '$' => self.variable()?,
                c if c.is_whitespace() && self.split => self.words.extend(self.word.take()),
                c => self.push(c),
            }
        }
        self.words.extend(self.word.take());
        Ok(self.words)
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn quoted(&mut self, quote: char) -> Result<()> {
        self.word.get_or_insert_default();
        loop {
            match self.rest.next() {
                None => return Err(bad("unexpected end of statement while looking for matching quote")),
                Some(c) if c == quote => return Ok(()),
                Some('\\') if quote == '"' => match self.rest.peek() {
                    Some('"' | '\\' | '$') => {
                        let escaped = self.rest.next().unwrap_or('\\');
                        self.push(escaped);
                    }
                    _ => self.push('\\'),
                },
                Some('$') if quote == '"' => self.variable()?,
                Some(c) => self.push(c),
            }
        }
    }

    /// `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+alternative}`.
    fn variable(&mut self) -> Result<()> {
        let braces = self.rest.next_if_eq(&'{').is_some();
        let mut name = String::new();
        while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
        }
        let value = self.env.iter().find_map(|line| line.split_once('=').filter(|(n, _)| *n == name)).map(|(_, v)| v);
        if !braces {
            let text = if name.is_empty() { "$" } else { value.unwrap_or_default() };
            self.word.get_or_insert_default().push_str(text);
            return Ok(());
        }
        let mut modifier = String::new();
        loop {
            match self.rest.next() {
                Some('}') => break,
                Some(c) => modifier.push(c),
                None => return Err(bad("syntax error: missing '}'")),
            }
        }
        let value = value.filter(|v| !v.is_empty());
        let text = match (modifier.get(..2), modifier.as_str()) {
            (_, "") => value.unwrap_or_default(),
            (Some(":-"), _) => value.unwrap_or(&modifier[2..]),
            (Some(":+"), _) => value.map_or("", |_| &modifier[2..]),
            _ => return Err(bad(format!("unsupported modifier ({modifier}) in substitution"))),
        };
        self.word.get_or_insert_default().push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> Result<ContainerDefaults, String> {
        let mut config = ContainerDefaults {
            env: vec!["PATH=/bin".into(), "DIR=/d".into()],
            cmd: Some(vec!["old".into()]),
            working_dir: "/a".into(),
            ..Default::default()
        };
        let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
        apply_changes(&mut config, &changes).map_err(|e| e.to_string())?;
        Ok(config)
    }

    #[test]
    fn commands_have_an_exec_and_a_shell_form() {
        assert_eq!(changed(&["CMD [\"a\", \"b c\"]"]).unwrap().cmd.unwrap(), ["a", "b c"]);
        assert_eq!(changed(&["cmd a b"]).unwrap().cmd.unwrap(), ["/bin/sh", "-c", "a b"]);
        let config = changed(&["ENTRYPOINT [\"e\"]"]).unwrap();
        assert_eq!((config.entrypoint.unwrap(), config.cmd), (vec!["e".to_owned()], None));
        let config = changed(&["CMD [\"c\"]", "ENTRYPOINT [\"e\"]"]).unwrap();
        assert_eq!(config.cmd.unwrap(), ["c"]);
    }

    #[test]
    fn variables_and_labels_are_unquoted_and_substituted() {
        let config =
            changed(&["ENV A=\"b c\" PATH=$PATH:/x", "ENV OLD one two", "LABEL k='$A' d=${DIR}/${NO:-n}"]).unwrap();
        assert_eq!(config.env, ["PATH=/bin:/x", "DIR=/d", "A=b c", "OLD=one two"]);
        assert_eq!(config.labels["k"], "$A");
        assert_eq!(config.labels["d"], "/d/n");
    }

    #[test]
    fn the_rest() {
        let config = changed(&[
            "EXPOSE 80 53/udp 90-91",
            "VOLUME [\"/v\"]",
            "VOLUME /w /x",
            "USER nobody",
            "WORKDIR ../b",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN x",
            "HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f x",
        ])
        .unwrap();
        assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp", "90/tcp", "91/tcp"]);
        assert_eq!(config.volumes.keys().collect::<Vec<_>>(), ["/v", "/w", "/x"]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("nobody", "/b"));
        let health = config.healthcheck.unwrap();
        assert_eq!(
            (health.test, health.interval),
            (vec!["CMD-SHELL".to_owned(), "curl -f x".to_owned()], 90_000_000_000)
        );
        assert_eq!(config.on_build.unwrap(), ["RUN x"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for (change, message) in [
            ("FROM x", "FROM is not a valid change command"),
            ("ENV", "ENV requires at least one argument"),
            ("ENV A", "ENV must have two arguments"),
            ("LABEL a='b", "unexpected end of statement while looking for matching quote"),
            ("EXPOSE x", "invalid containerPort: x"),
            ("ONBUILD FROM y", "FROM isn't allowed as an ONBUILD trigger"),
            ("HEALTHCHECK --interval=x CMD y", "time: invalid duration \"x\""),
        ] {
            assert_eq!(changed(&[change]).unwrap_err(), message);
        }
    }
}
