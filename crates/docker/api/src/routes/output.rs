//! What a container writes and reads: logs, statistics, attaching, terminal size.

use docker_types::{MEDIA_MULTIPLEXED_STREAM, MEDIA_RAW_STREAM};
use engine::{AttachSpec, LogQuery};
use futures_util::stream;
use http::StatusCode;

use crate::call::{Answer, Call, respond, status};
use crate::error::ApiError;
use crate::streams::{hijack, json_lines, logs as written};
use crate::translate::{self, stats as translate_stats};

/// `GET /containers/{id}/logs`.
pub async fn logs(call: Call) -> Answer {
    let query = &call.query;
    let (stdout, stderr) = (query.truth("stdout"), query.truth("stderr"));
    if !stdout && !stderr {
        return Err(ApiError::bad_request("Bad parameters: you must choose at least one stream"));
    }
    let details = query.truth("details");
    let wanted = LogQuery {
        stdout,
        stderr,
        follow: query.truth("follow"),
        since: translate::moment(query.text("since"))?,
        until: translate::moment(query.text("until"))?,
        // Anything that is no number means all, as in docker.
        tail: query.get("tail").and_then(|tail| tail.parse().ok()),
        details,
    };
    let tty = call.app.engine.inspect(call.param("id"), false).await?.config.tty;
    let records = call.app.engine.logs(call.param("id"), wanted).await?;
    let format = written::Format { framed: !tty, timestamps: query.truth("timestamps"), details };
    let kind = if !tty && call.api >= 42 { MEDIA_MULTIPLEXED_STREAM } else { MEDIA_RAW_STREAM };
    respond(StatusCode::OK, kind, written::body(records, format))
}

/// `GET /containers/{id}/stats`.
pub async fn stats(call: Call) -> Answer {
    let streamed = call.query.truth_or("stream", true);
    let one_shot = call.query.truth("one-shot");
    if streamed && one_shot {
        return Err(ApiError::bad_request("cannot have stream=true and one-shot=true"));
    }
    let readings = call.app.engine.stats(call.param("id"), streamed, one_shot).await?;
    let readings = stream::unfold(readings, |mut readings| async move {
        let reading = readings.next().await?;
        Some((translate_stats::stats(reading), readings))
    });
    respond(StatusCode::OK, "application/json", json_lines(readings))
}

/// `POST /containers/{id}/attach`.
pub async fn attach(call: Call) -> Answer {
    let query = &call.query;
    let spec = AttachSpec {
        stdin: query.truth("stdin"),
        stdout: query.truth("stdout"),
        stderr: query.truth("stderr"),
        stream: query.truth("stream"),
        logs: query.truth("logs"),
        detach_keys: query.get("detachKeys").filter(|keys| !keys.is_empty()).map(str::to_owned),
    };
    let attachment = call.app.engine.attach(call.param("id"), spec).await?;
    hijack::take_over(call.upgrade, call.switch, call.api, attachment, std::future::ready(()))
}

/// `GET /containers/{id}/attach/ws`.
pub async fn attach_websocket(_: Call) -> Answer {
    Err(ApiError::unimplemented("attaching over a WebSocket"))
}

/// Height and width of a terminal.
pub fn size(call: &Call) -> Result<(u16, u16), ApiError> {
    let side = |name: &str| {
        call.query
            .number::<u16>(name)?
            .ok_or_else(|| ApiError::bad_request(format!("invalid resize {name}: a number is needed")))
    };
    Ok((side("h")?, side("w")?))
}

/// `POST /containers/{id}/resize`.
pub async fn resize(call: Call) -> Answer {
    let (height, width) = size(&call)?;
    call.app.engine.resize(call.param("id"), height, width).await?;
    status(StatusCode::OK)
}
