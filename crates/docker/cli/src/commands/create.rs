//! `create`: a container from an image, the image pulled when it is missing.

use crate::connection::{Client, RequestError};
use crate::create_options::CreateOptions;
use crate::{Failure, Outcome, progress};
use clap::Args;
use http::{Method, StatusCode};
use serde_json::Value;

use super::escape;

#[derive(Args)]
pub(crate) struct Create {
    #[command(flatten)]
    options: CreateOptions,
}

pub(super) async fn create(command: Create, client: Client) -> Outcome {
    let attached = command.options.attached(false)?;
    let id = create_container(&command.options, attached, &client).await?;
    println!("{id}");
    Ok(())
}

/// Creates the container and returns its id; a failure ends with docker's exit code 125.
pub(super) async fn create_container(
    options: &CreateOptions,
    attached: [bool; 3],
    client: &Client,
) -> Result<String, Failure> {
    let usage = |error: anyhow::Error| Failure::new(125, format!("sampan: {error:#}"));
    let body = options.body(attached).map_err(usage)?;
    if let Some(path) = &options.cidfile
        && path.exists()
    {
        let message = format!(
            "sampan: container ID file found, make sure the other container isn't running or delete {}",
            path.display()
        );
        return Err(Failure::new(125, message));
    }
    let mut path = format!("/containers/create?name={}", escape(options.name.as_deref().unwrap_or("")));
    if let Some(platform) = &options.platform {
        path.push_str(&format!("&platform={}", escape(platform)));
    }
    if options.pull == "always" {
        pull(options, client).await?;
    }
    let created = match client.post(&path, Some(&body)).await {
        Err(error)
            if error.status() == Some(StatusCode::NOT_FOUND) && options.pull == "missing" && image_missing(&error) =>
        {
            if !options.quiet {
                let image = options.image();
                let tagged = image.rsplit('/').next().is_some_and(|name| name.contains([':', '@']));
                eprintln!("Unable to find image '{image}{}' locally", if tagged { "" } else { ":latest" });
            }
            pull(options, client).await?;
            client.post(&path, Some(&body)).await
        }
        other => other,
    };
    let created = created.map_err(|error| Failure::new(125, format!("sampan: {error}")))?;
    for warning in created["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("WARNING: {warning}");
    }
    let id = created["Id"].as_str().unwrap_or_default().to_string();
    if let Some(path) = &options.cidfile {
        std::fs::write(path, &id).map_err(|error| {
            Failure::new(125, format!("sampan: failed to write the container ID to {}: {error}", path.display()))
        })?;
    }
    Ok(id)
}

fn image_missing(error: &RequestError) -> bool {
    matches!(error, RequestError::Refused { message, .. } if message.starts_with("No such image"))
}

async fn pull(options: &CreateOptions, client: &Client) -> Result<(), Failure> {
    let failed = |text: String| Failure::new(125, format!("sampan: {text}"));
    let (name, tag) = super::transfer::split_reference(options.image());
    let mut path = format!("/images/create?fromImage={}&tag={}", escape(name), escape(tag.unwrap_or("latest")));
    if let Some(platform) = &options.platform {
        path.push_str(&format!("&platform={}", escape(platform)));
    }
    let auth = client.config().registry_auth(options.image());
    let answer = client
        .stream(Method::POST, &path, &[("x-registry-auth", &auth)], crate::connection::empty())
        .await
        .map_err(|error| failed(error.to_string()))?;
    progress::show(answer, options.quiet).await.map_err(|error| failed(format!("{error:#}")))
}
