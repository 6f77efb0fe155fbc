//! Logs of containers are bounded: a log that has grown too long is moved aside and begun anew, and so many old ones are kept.

use std::path::{Path, PathBuf};

use pods::runtime::{Runtime, State};

use crate::config::LogLimits;

/// Moves aside what has grown too long.
pub async fn rotate(runtime: &Runtime, limits: LogLimits) {
    let Ok(containers) = runtime.containers.list().await else { return };
    for container in containers.iter().filter(|container| matches!(container.state, State::Running { .. })) {
        let long = std::fs::metadata(&container.log_path).is_ok_and(|about| about.len() > limits.bytes);
        if !long {
            continue;
        }
        let aside = PathBuf::from(format!("{}.{}", container.log_path.display(), stamp()));
        if let Err(error) = std::fs::rename(&container.log_path, &aside) {
            tracing::warn!(log = %container.log_path.display(), %error, "a log is not moved aside");
            continue;
        }
        if let Err(error) = runtime.containers.reopen_log(&container.id).await {
            tracing::warn!(container = %container.id, %error, "a log is not opened again");
            let _ = std::fs::rename(&aside, &container.log_path);
            continue;
        }
        for old in old(&container.log_path).iter().rev().skip(limits.files.saturating_sub(1)) {
            let _ = std::fs::remove_file(old);
        }
    }
}

fn stamp() -> String {
    jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S%.6f").to_string()
}

/// Those that were moved aside, the oldest first.
fn old(log: &Path) -> Vec<PathBuf> {
    let Some((folder, name)) = log.parent().zip(log.file_name()) else { return Vec::new() };
    let prefix = format!("{}.", name.to_string_lossy());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Removes a log and what was moved aside of it.
pub fn remove(log: &Path) {
    for path in old(log).iter().map(PathBuf::as_path).chain([log]) {
        if let Err(error) = std::fs::remove_file(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!(log = %path.display(), %error, "a log stays");
        }
    }
}
