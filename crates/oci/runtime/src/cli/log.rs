//! Where the command line says what went wrong: standard error and the file of `--log`, in logrus' two formats,
//! which callers of runc parse.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;

/// Format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// `time="..." level=error msg="..."`
    Text,
    /// `{"level":"error","msg":"...","time":"..."}`
    Json,
}

pub(super) struct Log {
    file: Option<PathBuf>,
    format: Format,
}

impl Log {
    pub(super) fn new(file: Option<&Path>, format: Format) -> Log {
        let file = file.filter(|path| !path.as_os_str().is_empty() && *path != Path::new("/dev/null"));
        Log { file: file.map(Path::to_owned), format }
    }

    /// The reason of a failure: to standard error as well.
    pub(super) fn error(&self, text: &str) {
        eprintln!("sampan runtime: {text}");
        self.append("error", text);
    }

    /// Something that was not done as asked.
    pub(super) fn warning(&self, text: &str) {
        eprintln!("sampan runtime: warning: {text}");
        self.append("warning", text);
    }

    fn append(&self, level: &str, text: &str) {
        let Some(path) = &self.file else { return };
        let time = timestamp(SystemTime::now());
        let line = match self.format {
            Format::Json => serde_json::json!({"level": level, "msg": text, "time": time}).to_string(),
            Format::Text => format!("time={time:?} level={level} msg={text:?}"),
        };
        let file = OpenOptions::new().create(true).append(true).open(path);
        // A log that cannot be written must not change what the command does; the text is on standard error.
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
}

/// RFC 3339 in UTC with nanoseconds, as runc writes `created`.
pub(super) fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}

/// Date of a day since 1970 in the Gregorian calendar, counted in years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timestamps_are_rfc_3339() {
        let at = |seconds| timestamp(UNIX_EPOCH + Duration::new(seconds, 5));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000005Z");
        assert_eq!(at(951_826_154), "2000-02-29T12:09:14.000000005Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.000000005Z");
    }
}
