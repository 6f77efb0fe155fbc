//! The levels of the pod security standards, and the namespace labels that choose them.

use std::fmt;

use serde_json::Value;

const PREFIX: &str = "pod-security.kubernetes.io/";
/// The minor version of the newest checks; a label that names a newer one means these.
pub const NEWEST: u32 = 37;

/// How much a pod may ask of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Anything.
    Privileged,
    /// Nothing that is known to break out.
    Baseline,
    /// Hardened.
    Restricted,
}

/// A level at the state of one minor version, written as `restricted:latest` or `baseline:v1.30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grade {
    /// What is checked.
    pub level: Level,
    /// Checks as of 1.`minor`; `None` is the newest.
    pub minor: Option<u32>,
}

/// What a namespace asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grades {
    /// Pods that break it are refused.
    pub enforce: Grade,
    /// Pods and workloads that break it are noted for the audit.
    pub audit: Grade,
    /// Pods and workloads that break it answer with a warning.
    pub warn: Grade,
}

impl Grades {
    /// No restriction of any kind.
    pub const FREE: Grades = Grades { enforce: Grade::FREE, audit: Grade::FREE, warn: Grade::FREE };
}

impl Default for Grades {
    fn default() -> Self {
        Grades::FREE
    }
}

impl Level {
    fn parse(text: &str) -> Option<Level> {
        match text {
            "privileged" => Some(Level::Privileged),
            "baseline" => Some(Level::Baseline),
            "restricted" => Some(Level::Restricted),
            _ => None,
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.minor {
            None => write!(f, "{level}:latest"),
            Some(minor) => write!(f, "{level}:v1.{minor}"),
        }
    }
}

impl Grade {
    /// No restriction.
    pub const FREE: Grade = Grade { level: Level::Privileged, minor: None };

    /// Whether checks that came with 1.`minor` belong to this grade.
    pub fn since(&self, minor: u32) -> bool {
        self.minor.unwrap_or(NEWEST) >= minor
    }
}

/// A label with a value that is none: its key, its value and what is wrong with it.
pub struct BadLabel {
    /// Full label key.
    pub key: String,
    /// The value found.
    pub value: String,
    /// What it must be.
    pub detail: String,
}

/// Reads the labels of a namespace; what they do not say is as in `defaults`. What cannot be read counts as restricted for enforcement and as
/// free otherwise, and is returned besides.
pub fn grades(namespace: &Value, defaults: Grades) -> (Grades, Vec<BadLabel>) {
    let labels = namespace.pointer("/metadata/labels");
    let (grades, mut bad) =
        read(|key| labels.and_then(|labels| labels.get(format!("{PREFIX}{key}"))).and_then(Value::as_str), defaults);
    bad.iter_mut().for_each(|label| label.key.insert_str(0, PREFIX));
    (grades, bad)
}

/// Reads `enforce`, `enforce-version` and so on.
pub fn read<'a>(text: impl Fn(&str) -> Option<&'a str>, defaults: Grades) -> (Grades, Vec<BadLabel>) {
    let mut bad = Vec::new();
    let mut one = |mode: &str, mut grade: Grade, when_bad: Level| {
        let mut note = |key: String, value: &str, detail: &str| {
            bad.push(BadLabel { key, value: value.to_owned(), detail: detail.to_owned() });
        };
        if let Some(value) = text(mode) {
            grade.level = Level::parse(value).unwrap_or_else(|| {
                note(mode.to_owned(), value, "must be one of privileged, baseline, restricted");
                when_bad
            });
        }
        let key = format!("{mode}-version");
        if let Some(value) = text(&key) {
            match parse_version(value) {
                Some(minor) => grade.minor = minor,
                None => note(key, value, r#"must be "latest" or "v1.x""#),
            }
        }
        grade
    };
    let enforce = one("enforce", defaults.enforce, Level::Restricted);
    let audit = one("audit", defaults.audit, Level::Privileged);
    let warn = one("warn", defaults.warn, Level::Privileged);
    (Grades { enforce, audit, warn }, bad)
}

fn parse_version(text: &str) -> Option<Option<u32>> {
    if text == "latest" {
        return Some(None);
    }
    let digits = text.strip_prefix("v1.")?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || (digits.len() > 1 && digits.starts_with('0'))
    {
        return None;
    }
    digits.parse().ok().map(Some)
}
