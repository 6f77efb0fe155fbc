//! Probing the health of a running container, as docker does it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use supervisor::{ProcessKey, Streams};

use crate::Engine;
use crate::containers::Handle;
use crate::engine::Inner;
use crate::error::Result;
use crate::keeper::Command;
use crate::model::config::{Config, HealthConfig};
use crate::model::exec::ExecSpec;
use crate::model::view::{Health, HealthStatus, Probe, Status};
use crate::names;

const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
const REMEMBERED: usize = 5;
const LONGEST_OUTPUT: usize = 4096;

/// Health at the beginning of a run; `None` where nothing is probed.
pub fn initial(config: &Config) -> Option<Health> {
    command(config)?;
    Some(Health { status: HealthStatus::Starting, failing_streak: 0, log: Vec::new() })
}

/// Probes until it is aborted or the run ends.
pub async fn probe(inner: Arc<Inner>, handle: Arc<Handle>) {
    let record = handle.record();
    let (Some(check), Some(command)) = (record.config.healthcheck.clone(), command(&record.config)) else {
        return;
    };
    let Some(mut health) = initial(&record.config) else {
        return;
    };
    let begun = tokio::time::Instant::now();
    let engine = Engine { inner };
    loop {
        let starting = begun.elapsed() < check.start_period && health.status == HealthStatus::Starting;
        let wait = if starting {
            or(check.start_interval, START_INTERVAL).min(or(check.interval, INTERVAL))
        } else {
            or(check.interval, INTERVAL)
        };
        tokio::time::sleep(wait).await;
        match handle.record().state.status() {
            Status::Running => {}
            Status::Paused => continue,
            Status::Created | Status::Restarting | Status::Removing | Status::Exited | Status::Dead => return,
        }
        let start = Timestamp::now();
        let (exit_code, output) = match run(&engine, &handle, &command, or(check.timeout, TIMEOUT)).await {
            Ok(outcome) => outcome,
            Err(error) => (-1, error.message().to_owned()),
        };
        let result = Probe { start, end: Timestamp::now(), exit_code, output };
        let within = begun.elapsed() < check.start_period;
        judge(&mut health, &check, result, within);
        if handle.commands.send(Command::Health(health.clone())).is_err() {
            return;
        }
    }
}

/// The new health after a probe; failures within the start period do not count.
fn judge(health: &mut Health, check: &HealthConfig, result: Probe, within_start: bool) {
    let retries = if check.retries == 0 { RETRIES } else { check.retries };
    if result.exit_code == 0 {
        health.failing_streak = 0;
        health.status = HealthStatus::Healthy;
    } else if !(within_start && health.status == HealthStatus::Starting) {
        health.failing_streak += 1;
        if health.failing_streak >= retries {
            health.status = HealthStatus::Unhealthy;
        }
    }
    health.log.push(result);
    if health.log.len() > REMEMBERED {
        health.log.remove(0);
    }
}

async fn run(engine: &Engine, handle: &Handle, command: &[String], limit: Duration) -> Result<(i32, String)> {
    let record = handle.record();
    let id = names::random_id()?;
    let spec = ExecSpec { cmd: command.to_vec(), ..ExecSpec::default() };
    let streams = Streams { stdin: false, stdout: true, stderr: true };
    let request = engine.request(&record, &id, &spec, Some(streams), None).await?;
    let supervisor = &engine.inner.supervisor;
    engine.inner.tell(&record, format!("exec_create: {}", command.join(" ")), &[("execID", id.clone())]);
    engine.inner.tell(&record, format!("exec_start: {}", command.join(" ")), &[("execID", id.clone())]);
    let created = supervisor.exec(request).await?;
    let key = ProcessKey::exec(record.id.clone(), id.clone());
    let collecting = async {
        let mut output = Vec::new();
        if let Some(mut attachment) = created.attachment {
            while let Ok(Some((_, bytes))) = attachment.read().await {
                let room = LONGEST_OUTPUT.saturating_sub(output.len());
                output.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
        (supervisor.wait(&key).await, String::from_utf8_lossy(&output).into_owned())
    };
    let outcome = tokio::time::timeout(limit, collecting).await;
    let outcome = match outcome {
        Ok((Ok(exit), output)) => Ok((exit.status.code(), output)),
        Ok((Err(error), _)) => Err(error.into()),
        Err(_) => {
            supervisor.kill(&key, crate::signals::KILL).await?;
            let _ = tokio::time::timeout(Duration::from_secs(5), supervisor.wait(&key)).await;
            Ok((-1, format!("Health check exceeded timeout ({})", seconds(limit))))
        }
    };
    if let Err(error) = supervisor.delete(&key).await {
        tracing::debug!(%key, %error, "a probe was forgotten already");
    }
    if let Ok((code, _)) = &outcome {
        let more = [("execID", id), ("exitCode", code.to_string())];
        engine.inner.tell(&record, "exec_die", &more);
    }
    outcome
}

fn command(config: &Config) -> Option<Vec<String>> {
    let test = &config.healthcheck.as_ref()?.test;
    match test.first()?.as_str() {
        "CMD" if test.len() > 1 => Some(test[1..].to_vec()),
        "CMD-SHELL" if test.len() > 1 => {
            let shell = config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            Some(shell.into_iter().chain(test[1..].iter().cloned()).collect())
        }
        _ => None,
    }
}

fn or(value: Duration, default: Duration) -> Duration {
    if value.is_zero() { default } else { value }
}

fn seconds(limit: Duration) -> String {
    if limit.subsec_nanos() == 0 { format!("{}s", limit.as_secs()) } else { format!("{limit:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(exit_code: i32) -> Probe {
        let at = Timestamp::UNIX_EPOCH;
        Probe { start: at, end: at, exit_code, output: String::new() }
    }

    #[test]
    fn three_failures_in_a_row_make_unhealthy_and_one_success_healthy() {
        let check = HealthConfig::default();
        let mut health = Health { status: HealthStatus::Starting, failing_streak: 0, log: Vec::new() };
        judge(&mut health, &check, result(1), true);
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Starting, 0));
        for _ in 0..2 {
            judge(&mut health, &check, result(1), false);
        }
        assert_eq!(health.status, HealthStatus::Starting);
        judge(&mut health, &check, result(1), false);
        assert_eq!(health.status, HealthStatus::Unhealthy);
        judge(&mut health, &check, result(0), false);
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Healthy, 0));
        for _ in 0..9 {
            judge(&mut health, &check, result(0), false);
        }
        assert_eq!(health.log.len(), REMEMBERED);
    }
}
