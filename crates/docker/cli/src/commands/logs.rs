//! `logs`: what a container has written.

use crate::connection::Client;
use crate::{Outcome, stream};
use clap::Args;
use http::Method;

use super::{escape, now};

#[derive(Args)]
pub(crate) struct Logs {
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow log output
    #[arg(short = 'f', long)]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long)]
    since: Option<String>,
    /// Number of lines to show from the end of the logs
    #[arg(short = 'n', long, default_value = "all")]
    tail: String,
    /// Show timestamps
    #[arg(short = 't', long)]
    timestamps: bool,
    /// Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long)]
    until: Option<String>,
    container: String,
}

pub(super) async fn logs(command: Logs, client: Client) -> Outcome {
    let name = escape(&command.container);
    let info = client.get(&format!("/containers/{name}/json")).await?;
    let moment = |text: &Option<String>| text.as_deref().map_or(Ok(String::new()), point_in_time);
    let path = format!(
        "/containers/{name}/logs?stdout=1&stderr=1&follow={}&details={}&timestamps={}&tail={}&since={}&until={}",
        u8::from(command.follow),
        u8::from(command.details),
        u8::from(command.timestamps),
        escape(&command.tail),
        escape(&moment(&command.since)?),
        escape(&moment(&command.until)?),
    );
    let reader = stream::reader(client.request(Method::GET, &path, None).await?);
    if info["Config"]["Tty"] == true {
        stream::copy_raw(reader).await?;
    } else {
        stream::demultiplex(reader).await?;
    }
    Ok(())
}

/// A moment as seconds since the epoch with a fraction: seconds, RFC 3339, or a duration back from now.
pub(super) fn point_in_time(text: &str) -> anyhow::Result<String> {
    if text.parse::<f64>().is_ok() {
        return Ok(text.into());
    }
    if let Ok(back) = spec::duration::parse(text) {
        return Ok((now() - back / 1_000_000_000).to_string());
    }
    let moment: jiff::Timestamp = text
        .parse()
        .or_else(|_| format!("{text}Z").parse())
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| anyhow::anyhow!("invalid value for time: {text:?}"))?;
    Ok(format!("{}.{:09}", moment.as_second(), moment.subsec_nanosecond()))
}
