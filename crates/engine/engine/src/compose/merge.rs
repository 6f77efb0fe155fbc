//! The image's configuration merged into what was sent, as docker does it.

use std::time::Duration;

use spec::image::{ContainerDefaults, Healthcheck};

use crate::error::{Error, Result};
use crate::model::config::{Config, HealthConfig};

/// Fills in what `sent` leaves open.
pub fn merge(mut sent: Config, image: &ContainerDefaults) -> Result<Config> {
    if sent.user.is_empty() {
        sent.user.clone_from(&image.user);
    }
    for port in image.exposed_ports.keys() {
        sent.exposed_ports.insert(port.parse().map_err(|error| Error::because(crate::Kind::Invalid, "image", error))?);
    }
    for variable in &image.env {
        let name = name_of(variable);
        if !sent.env.iter().any(|it| name_of(it) == name) {
            sent.env.push(variable.clone());
        }
    }
    for (name, value) in &image.labels {
        sent.labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    merge_command(&mut sent, image);
    if let Some(check) = &image.healthcheck {
        merge_health(&mut sent.healthcheck, check);
    }
    if sent.working_dir.is_empty() {
        sent.working_dir.clone_from(&image.working_dir);
    }
    sent.volumes.extend(image.volumes.keys().cloned());
    if sent.stop_signal.is_empty() {
        sent.stop_signal = image.stop_signal.clone().unwrap_or_default();
    }
    if sent.shell.is_none() {
        sent.shell.clone_from(&image.shell);
    }
    Ok(sent)
}

/// The program and its arguments, or docker's error.
pub fn command(config: &Config) -> Result<Vec<String>> {
    let parts = [&config.entrypoint, &config.cmd];
    let args: Vec<String> = parts.into_iter().flatten().flatten().cloned().collect();
    if args.is_empty() {
        return Err(Error::invalid("no command specified"));
    }
    Ok(args)
}

fn merge_command(sent: &mut Config, image: &ContainerDefaults) {
    if sent.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if sent.cmd.as_ref().is_none_or(Vec::is_empty) {
            sent.cmd.clone_from(&image.cmd);
        }
        if sent.entrypoint.is_none() {
            sent.entrypoint.clone_from(&image.entrypoint);
        }
    }
    // A single empty word takes the image's entry point away.
    if sent.entrypoint.as_deref() == Some(&[String::new()]) {
        sent.entrypoint = None;
    }
}

fn merge_health(sent: &mut Option<HealthConfig>, image: &Healthcheck) {
    let nanos = |value: i64| Duration::from_nanos(u64::try_from(value).unwrap_or(0));
    let own = sent.get_or_insert_default();
    if own.test.is_empty() {
        own.test.clone_from(&image.test);
    }
    for (own, image) in [
        (&mut own.interval, image.interval),
        (&mut own.timeout, image.timeout),
        (&mut own.start_period, image.start_period),
        (&mut own.start_interval, image.start_interval),
    ] {
        if own.is_zero() {
            *own = nanos(image);
        }
    }
    if own.retries == 0 {
        own.retries = u32::try_from(image.retries).unwrap_or(0);
    }
}

fn name_of(variable: &str) -> &str {
    variable.split('=').next().unwrap_or(variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn image() -> ContainerDefaults {
        ContainerDefaults {
            env: vec!["PATH=/bin".into(), "A=1".into()],
            entrypoint: words(&["/entry"]),
            cmd: words(&["serve"]),
            ..ContainerDefaults::default()
        }
    }

    #[test]
    fn a_command_keeps_the_entry_point_and_an_entry_point_drops_the_command() {
        let run = |entrypoint, cmd| {
            let sent = Config { entrypoint, cmd, ..Config::default() };
            command(&merge(sent, &image()).unwrap()).map(|args| args.join(" "))
        };
        assert_eq!(run(None, None).unwrap(), "/entry serve");
        assert_eq!(run(None, words(&["x"])).unwrap(), "/entry x");
        assert_eq!(run(words(&["/other"]), None).unwrap(), "/other");
        assert_eq!(run(words(&[""]), words(&["x"])).unwrap(), "x");
        assert_eq!(run(words(&[""]), None).unwrap_err().message(), "no command specified");
    }

    #[test]
    fn variables_of_the_image_follow_those_sent() {
        let sent = Config { env: vec!["A=2".into(), "B=3".into()], ..Config::default() };
        let merged = merge(sent, &image()).unwrap();
        assert_eq!(merged.env, ["A=2", "B=3", "PATH=/bin"]);
    }
}
