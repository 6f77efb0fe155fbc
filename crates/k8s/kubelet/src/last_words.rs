//! What a container said at its end: its termination message, or the end of its log.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

const MOST_BYTES: usize = 4096;
const MOST_LOG_BYTES: usize = 2048;
const MOST_LINES: usize = 80;

/// Reads the message file, and the log where that is empty, wanted and the container failed.
pub fn read(message: &Path, log: &Path, policy: &str, failed: bool) -> String {
    let said = head(message);
    if said.is_empty() && failed && policy == "FallbackToLogsOnError" { log_end(log) } else { said }
}

fn head(path: &Path) -> String {
    let mut bytes = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => match file.take(MOST_BYTES as u64).read_to_end(&mut bytes) {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => String::new(),
        },
        Err(_) => String::new(),
    }
}

/// The last lines of a log in the CRI format, as they were written.
fn log_end(path: &Path) -> String {
    let Ok(mut file) = std::fs::File::open(path) else { return String::new() };
    let length = file.metadata().map_or(0, |about| about.len());
    // Every line carries some forty bytes of the log's own.
    let from = length.saturating_sub((MOST_LOG_BYTES + MOST_LINES * 48) as u64);
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(from)).is_err() || file.read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let whole = if from > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
    let lines: Vec<&str> = whole.lines().collect();
    let mut said = String::new();
    for line in &lines[lines.len().saturating_sub(MOST_LINES)..] {
        let mut fields = line.splitn(4, ' ').skip(2);
        let partial = fields.next() == Some("P");
        said.push_str(fields.next().unwrap_or(""));
        if !partial {
            said.push('\n');
        }
    }
    let mut start = said.len().saturating_sub(MOST_LOG_BYTES);
    while !said.is_char_boundary(start) {
        start += 1;
    }
    said[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_speaks_only_for_a_container_that_failed_without_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let (message, log) = (folder.path().join("message"), folder.path().join("log"));
        std::fs::write(&message, "").unwrap();
        std::fs::write(&log, "2024-01-01T00:00:00Z stdout P par\n2024-01-01T00:00:00Z stdout F tial\n2024-01-01T00:00:00Z stderr F end\n").unwrap();
        assert_eq!(read(&message, &log, "FallbackToLogsOnError", true), "partial\nend\n");
        assert_eq!(read(&message, &log, "FallbackToLogsOnError", false), "");
        assert_eq!(read(&message, &log, "File", true), "");
        std::fs::write(&message, "x".repeat(5000)).unwrap();
        assert_eq!(read(&message, &log, "FallbackToLogsOnError", true).len(), MOST_BYTES);
    }
}
