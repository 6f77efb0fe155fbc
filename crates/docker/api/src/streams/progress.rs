//! Long work told line by line: pull, push, load.

use std::time::Duration;

use docker_types::stream::JsonMessage;
use engine::{Progress, ProgressSink};
use futures_util::stream;
use http::StatusCode;
use tokio::sync::mpsc;

use super::json_lines;
use crate::call::{Answer, respond};
use crate::error::ApiError;
use crate::translate::progress;

/// How long lines may still arrive after the work is done.
const LINGER: Duration = Duration::from_secs(1);

enum Line {
    Progress(Progress),
    Failed(ApiError),
    /// A last line of success.
    Last(JsonMessage),
}

/// Runs `work` and answers its progress as JSON lines. When it fails before it had anything to tell, the answer is the error itself; later,
/// the error is the last line. The work stops when the client goes away.
pub async fn answer<F>(work: impl FnOnce(ProgressSink) -> F) -> Answer
where
    F: Future<Output = Result<Option<JsonMessage>, engine::Error>> + Send + 'static,
{
    let (sink, mut told) = ProgressSink::channel();
    let (send, mut lines) = mpsc::channel::<Line>(32);
    let work = work(sink);
    tokio::spawn(async move {
        let mut work = Box::pin(work);
        let mut ended = None;
        let mut all_told = false;
        while ended.is_none() || !all_told {
            tokio::select! {
                biased;
                line = told.recv(), if !all_told => match line {
                    Some(line) => {
                        if send.send(Line::Progress(line)).await.is_err() {
                            return;
                        }
                    }
                    None => all_told = true,
                },
                result = &mut work, if ended.is_none() => ended = Some(result),
                // Someone may hold on to the sink without a word.
                () = tokio::time::sleep(LINGER), if ended.is_some() => all_told = true,
                () = send.closed() => return,
            }
        }
        let last = match ended {
            Some(Ok(Some(line))) => Line::Last(line),
            Some(Err(error)) => Line::Failed(error.into()),
            _ => return,
        };
        let _ = send.send(last).await;
    });
    let first = match lines.recv().await {
        Some(Line::Failed(error)) => return Err(error),
        first => first,
    };
    let written = stream::unfold((first, lines), |(first, mut lines)| async move {
        let line = match first {
            Some(line) => line,
            None => lines.recv().await?,
        };
        let messages = match line {
            Line::Progress(progress) => progress::lines(progress),
            Line::Last(line) => vec![line],
            Line::Failed(error) => vec![JsonMessage::failure(error.message)],
        };
        Some((stream::iter(messages), (None, lines)))
    });
    respond(StatusCode::OK, "application/json", json_lines(futures_util::StreamExt::flatten(written)))
}

/// A sink that passes on lines of output alone, for clients that asked for quiet.
pub fn only_output(to: ProgressSink) -> ProgressSink {
    let (sink, mut told) = ProgressSink::channel();
    tokio::spawn(async move {
        while let Some(line) = told.recv().await {
            if matches!(line, Progress::Output(_)) {
                to.send(line);
            }
        }
    });
    sink
}
