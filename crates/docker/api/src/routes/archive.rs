//! Files in and out of containers, and images made from them.

use base64::Engine as _;
use docker_types::IdResponse;
use docker_types::container::{Config, PathStat};
use engine::CommitSpec;
use http::{HeaderValue, Response, StatusCode};

use crate::body::{self, Body};
use crate::call::{Answer, Call, json, respond, status};
use crate::error::ApiError;
use crate::streams;
use crate::translate::{create, time};

const TAR: &str = "application/x-tar";

/// `GET /containers/{id}/export`.
pub async fn export(call: Call) -> Answer {
    let tar = call.app.engine.export(call.param("id")).await?;
    respond(StatusCode::OK, "application/octet-stream", streams::to_client(tar))
}

fn path(call: &Call) -> Result<&str, ApiError> {
    match call.query.text("path") {
        "" => Err(ApiError::bad_request("missing \"path\" parameter")),
        path => Ok(path),
    }
}

fn with_stat(mut response: Response<Body>, stat: engine::PathStat) -> Answer {
    let stat = PathStat {
        name: stat.name,
        size: i64::try_from(stat.size).unwrap_or(i64::MAX),
        mode: stat.mode,
        mtime: time(stat.mtime),
        link_target: stat.link_target,
    };
    let text = base64::prelude::BASE64_STANDARD.encode(serde_json::to_vec(&stat).unwrap_or_default());
    let value =
        HeaderValue::from_str(&text).map_err(|e| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    response.headers_mut().insert("X-Docker-Container-Path-Stat", value);
    Ok(response)
}

/// `HEAD /containers/{id}/archive`.
pub async fn stat(call: Call) -> Answer {
    let stat = call.app.engine.archive_stat(call.param("id"), path(&call)?).await?;
    with_stat(status(StatusCode::OK)?, stat)
}

/// `GET /containers/{id}/archive`.
pub async fn get(call: Call) -> Answer {
    let (stat, tar) = call.app.engine.archive_get(call.param("id"), path(&call)?).await?;
    with_stat(respond(StatusCode::OK, TAR, streams::to_client(tar))?, stat)
}

/// `PUT /containers/{id}/archive`.
pub async fn put(call: Call) -> Answer {
    let (id, path) = (call.id(), path(&call)?.to_owned());
    let keep_kind = call.query.truth("noOverwriteDirNonDir");
    let copy_owner = call.query.truth("copyUIDGID");
    let tar = streams::from_client(call.body);
    call.app.engine.archive_put(&id, &path, keep_kind, copy_owner, tar).await?;
    status(StatusCode::OK)
}

/// `repo[:tag]`, or nothing without a repository.
pub fn reference(repository: &str, tag: &str) -> Option<String> {
    match (repository, tag) {
        ("", _) => None,
        (repository, "") => Some(repository.to_owned()),
        (repository, tag) if tag.contains(':') => Some(format!("{repository}@{tag}")),
        (repository, tag) => Some(format!("{repository}:{tag}")),
    }
}

/// `POST /commit`.
pub async fn commit(call: Call) -> Answer {
    let (app, query) = (call.app.clone(), call.query);
    let config: Option<Config> = match body::read_value(&call.headers, call.body).await? {
        Some(value) if value.as_object().is_some_and(|o| !o.is_empty()) => Some(body::shape(value)?),
        _ => None,
    };
    let container = query.text("container");
    if container.is_empty() {
        return Err(ApiError::bad_request("missing \"container\" parameter"));
    }
    let spec = CommitSpec {
        container: container.to_owned(),
        reference: reference(query.text("repo"), query.text("tag")),
        author: query.text("author").to_owned(),
        comment: query.text("comment").to_owned(),
        pause: query.truth_or("pause", true),
        changes: query.all("changes"),
        config: config.map(create::config_in).transpose()?,
    };
    let id = app.engine.commit(spec).await?;
    json(StatusCode::CREATED, &IdResponse { id })
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn references_are_put_together() {
        assert_eq!(reference("", "x"), None);
        assert_eq!(reference("a/b", "").as_deref(), Some("a/b"));
        assert_eq!(reference("h:5000/a", "1").as_deref(), Some("h:5000/a:1"));
        assert_eq!(reference("a", "sha256:00").as_deref(), Some("a@sha256:00"));
    }
}
