//! `events`: what happens in the daemon, as it happens.

use crate::connection::Client;
use crate::template::Template;
use crate::{Outcome, stream};
use clap::Args;
use http::Method;
use serde_json::Value;

use super::{escape, filters};

#[derive(Args)]
pub(crate) struct Events {
    /// Filter output based on conditions provided
    #[arg(short = 'f', long)]
    filter: Vec<String>,
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long)]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long)]
    until: Option<String>,
}

pub(super) async fn events(command: Events, client: Client) -> Outcome {
    let moment = |text: &Option<String>| text.as_deref().map_or(Ok(String::new()), super::logs::point_in_time);
    let path = format!(
        "/events?since={}&until={}&filters={}",
        escape(&moment(&command.since)?),
        escape(&moment(&command.until)?),
        filters(&command.filter)?
    );
    let template = command.format.as_deref().filter(|format| *format != "json").map(Template::parse).transpose()?;
    let json = command.format.as_deref() == Some("json");
    let answer = client.request(Method::GET, &path, None).await?;
    stream::json_values(answer, |event| {
        match &template {
            Some(template) => println!("{}", template.render(&event)?),
            None if json => println!("{event}"),
            None => println!("{}", line(&event)),
        }
        Ok(())
    })
    .await?;
    Ok(())
}

fn line(event: &Value) -> String {
    let nanoseconds = event["timeNano"].as_i64().unwrap_or(0);
    let at = jiff::Timestamp::from_nanosecond(nanoseconds.into()).map(|at| format!("{at:.9}")).unwrap_or_default();
    let attributes = event["Actor"]["Attributes"].as_object().into_iter().flatten();
    let attributes: Vec<String> =
        attributes.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(""))).collect();
    let text = |value: &Value| value.as_str().unwrap_or("").to_string();
    let actor = format!("{at} {} {} {}", text(&event["Type"]), text(&event["Action"]), text(&event["Actor"]["ID"]));
    if attributes.is_empty() { actor } else { format!("{actor} ({})", attributes.join(", ")) }
}
