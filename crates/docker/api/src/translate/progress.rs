//! Progress of pulls, pushes and loads as lines of JSON.

use docker_types::stream::{JsonMessage, ProgressDetail};
use engine::{LayerStep, Progress, Transfer};
use serde_json::json;

/// The line, or two, that tell it.
pub fn lines(progress: Progress) -> Vec<JsonMessage> {
    match progress {
        Progress::Transfer(event) => transfer(event),
        Progress::Output(text) => {
            let stream = if text.ends_with('\n') { text } else { text + "\n" };
            vec![JsonMessage { stream, ..JsonMessage::default() }]
        }
    }
}

fn transfer(event: Transfer) -> Vec<JsonMessage> {
    match event {
        Transfer::PullingFrom { tag, repository } => {
            vec![JsonMessage { id: tag, ..status(format!("Pulling from {repository}")) }]
        }
        Transfer::PushTo { repository } => vec![status(format!("The push refers to repository [{repository}]"))],
        Transfer::Layer { id, step } => vec![layer(id, &step)],
        Transfer::Digest(digest) => vec![status(format!("Digest: {digest}"))],
        Transfer::Pushed { tag, digest, size } => {
            let aux = json!({"Tag": tag, "Digest": digest, "Size": size});
            vec![
                status(format!("{tag}: digest: {digest} size: {size}")),
                JsonMessage {
                    progress_detail: Some(ProgressDetail::default()),
                    aux: Some(aux),
                    ..JsonMessage::default()
                },
            ]
        }
        Transfer::Status(text) => vec![status(text)],
    }
}

/// A line that is only a text.
pub fn status(text: String) -> JsonMessage {
    JsonMessage { status: text, ..JsonMessage::default() }
}

fn layer(id: String, step: &LayerStep) -> JsonMessage {
    let detail = match *step {
        LayerStep::Downloading { current, total } | LayerStep::Pushing { current, total } => {
            ProgressDetail { current, total, ..ProgressDetail::default() }
        }
        LayerStep::PullingFsLayer
        | LayerStep::Waiting
        | LayerStep::DownloadComplete
        | LayerStep::PullComplete
        | LayerStep::AlreadyExists
        | LayerStep::Retrying { .. }
        | LayerStep::Preparing
        | LayerStep::Pushed
        | LayerStep::LayerAlreadyExists
        | LayerStep::MountedFrom { .. } => ProgressDetail::default(),
    };
    JsonMessage { id, progress: bar(&detail), progress_detail: Some(detail), ..status(step.status()) }
}

/// The bar that clients which do not draw their own print: 50 wide.
fn bar(detail: &ProgressDetail) -> String {
    if detail.current == 0 && detail.total == 0 {
        return String::new();
    }
    if detail.total == 0 {
        return human(detail.current);
    }
    let filled = usize::try_from(detail.current.min(detail.total) * 50 / detail.total).unwrap_or(50);
    let head = if filled < 50 { ">" } else { "" };
    let bar = format!("[{}{head}{}] ", "=".repeat(filled), " ".repeat(50 - filled - head.len()));
    format!("{bar}{:>8}/{}", human(detail.current), human(detail.total))
}

/// A size in decimal units with four digits, as docker prints it.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = match value {
        v if v >= 1000.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 10.0 => 2,
        _ => 3,
    };
    let number = format!("{value:.decimals$}");
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(progress: Progress) -> Vec<String> {
        lines(progress).iter().map(|line| serde_json::to_string(line).unwrap()).collect()
    }

    #[test]
    fn lines_are_dockers() {
        let layer = |step| shown(Progress::Transfer(Transfer::Layer { id: "abc".into(), step }));
        assert_eq!(
            shown(Progress::Transfer(Transfer::PullingFrom { tag: "12".into(), repository: "library/debian".into() })),
            [r#"{"status":"Pulling from library/debian","id":"12"}"#]
        );
        assert_eq!(
            layer(LayerStep::PullingFsLayer),
            [r#"{"status":"Pulling fs layer","progressDetail":{},"id":"abc"}"#]
        );
        assert_eq!(
            layer(LayerStep::Downloading { current: 50, total: 100 }),
            [format!(
                r#"{{"status":"Downloading","progressDetail":{{"current":50,"total":100}},"progress":"[{}>{}]      50B/100B","id":"abc"}}"#,
                "=".repeat(25),
                " ".repeat(24)
            )]
        );
        assert_eq!(shown(Progress::Output("Loaded image: a".into())), [r#"{"stream":"Loaded image: a\n"}"#]);
        assert_eq!(
            shown(Progress::Transfer(Transfer::Pushed { tag: "t".into(), digest: "sha256:1".into(), size: 5 })),
            [
                r#"{"status":"t: digest: sha256:1 size: 5"}"#,
                r#"{"progressDetail":{},"aux":{"Digest":"sha256:1","Size":5,"Tag":"t"}}"#
            ]
        );
    }

    #[test]
    fn sizes_have_four_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234567, "1.235MB"),
            (12_345_678, "12.35MB"),
            (123_456_789, "123.5MB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
