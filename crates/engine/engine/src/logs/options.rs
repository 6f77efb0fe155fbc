//! Options of the log drivers: `max-size`, `max-file`, `labels`, `env`, `tag`, ...

use std::collections::BTreeMap;
use std::path::PathBuf;

use supervisor::JsonFile;

use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::host::LogConfig;

const KNOWN: &[&str] = &[
    "max-file",
    "max-size",
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
    "mode",
    "max-buffer-size",
];

/// Checks names and values.
pub fn check(log: &LogConfig) -> Result<()> {
    for name in log.options.keys() {
        if !KNOWN.contains(&name.as_str()) {
            let driver = if log.driver.is_empty() { "json-file" } else { &log.driver };
            return Err(Error::invalid(format!("unknown log opt '{name}' for {driver} log driver")));
        }
    }
    max_size(log)?;
    max_file(log)?;
    Ok(())
}

/// The log's configuration for the supervisor.
pub fn for_supervisor(log: &LogConfig, path: PathBuf, config: &Config, tag: &str) -> Result<supervisor::LogConfig> {
    if log.driver == "none" {
        return Ok(supervisor::LogConfig::None);
    }
    let mut file = JsonFile::bounded(path);
    if let Some(size) = max_size(log)? {
        file.max_size = size;
    }
    if let Some(count) = max_file(log)? {
        file.max_file = count;
    }
    file.attrs = attributes(log, config, tag);
    Ok(supervisor::LogConfig::JsonFile(file))
}

fn attributes(log: &LogConfig, config: &Config, tag: &str) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    for label in words(log, "labels") {
        if let Some(value) = config.labels.get(label) {
            attributes.insert(label.to_owned(), value.clone());
        }
    }
    for name in words(log, "env") {
        let value = config.env.iter().find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value.to_owned());
        }
    }
    if log.options.contains_key("tag") {
        attributes.insert("tag".to_owned(), tag.to_owned());
    }
    attributes
}

fn words<'a>(log: &'a LogConfig, option: &str) -> impl Iterator<Item = &'a str> {
    let text = log.options.get(option).map_or("", String::as_str);
    text.split(',').map(str::trim).filter(|it| !it.is_empty())
}

/// Outer `None`: nothing was said; inner `None`: without bound.
fn max_size(log: &LogConfig) -> Result<Option<Option<u64>>> {
    let Some(text) = log.options.get("max-size") else {
        return Ok(None);
    };
    if text == "-1" || text == "0" {
        return Ok(Some(None));
    }
    let size = bytes(text).filter(|it| *it > 0);
    size.map(|it| Some(Some(it))).ok_or_else(|| Error::invalid(format!("invalid size: '{text}'")))
}

fn max_file(log: &LogConfig) -> Result<Option<u32>> {
    let Some(text) = log.options.get("max-file") else {
        return Ok(None);
    };
    match text.parse::<u32>() {
        Ok(0) => Err(Error::invalid("max-file cannot be less than 1")),
        Ok(count) => Ok(Some(count)),
        Err(_) => Err(Error::invalid(format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))),
    }
}

/// `10m` and the like, in powers of 1024.
pub fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let factor: u64 = match lower[digits.len()..].trim_end_matches('b').trim_end_matches('i') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    };
    let number: f64 = digits.trim().parse().ok()?;
    (number >= 0.0).then_some((number * factor as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts() {
        assert_eq!(bytes("10m"), Some(10 << 20));
        assert_eq!(bytes("1.5KB"), Some(1536));
        assert_eq!(bytes("x"), None);
        let log = |name: &str, value: &str| LogConfig {
            driver: String::new(),
            options: [(name.to_owned(), value.to_owned())].into(),
        };
        assert!(check(&log("max-size", "10m")).is_ok());
        assert_eq!(check(&log("foo", "1")).unwrap_err().message(), "unknown log opt 'foo' for json-file log driver");
        assert!(check(&log("max-file", "0")).is_err());
    }
}
