//! Containers: made, started, stopped, looked at, removed.

use docker_types::container as wire;
use docker_types::host::Resources;
use engine::{ChangeKind, ListQuery, RemoveOptions, StopOptions, UpdateSpec, WaitCondition};
use futures_util::stream;
use http::StatusCode;

use crate::body;
use crate::call::{Answer, Call, json, no_content, ok, respond};
use crate::error::ApiError;
use crate::streams::json_lines;
use crate::translate::{self, create as translate_create, host, inspect as view};

/// `GET /containers/json`.
pub async fn list(call: Call) -> Answer {
    let query = &call.query;
    let listed = call
        .app
        .engine
        .list(ListQuery {
            all: query.truth("all"),
            limit: query.number::<i64>("limit")?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0),
            size: query.truth("size"),
            filters: translate::filters(query.filters()?),
        })
        .await?;
    ok(&listed.into_iter().map(view::summary).collect::<Vec<_>>())
}

/// `POST /containers/create`.
pub async fn create(call: Call) -> Answer {
    let name = call.query.get("name").map(str::to_owned);
    let platform = call.query.get("platform").map(str::to_owned);
    let value = body::read_value(&call.headers, call.body).await?;
    let empty = || ApiError::bad_request("config cannot be empty in order to create a container");
    let value = value.filter(|v| !v.is_null()).ok_or_else(empty)?;
    let surroundings: wire::CreateSurroundings = body::shape(value.clone())?;
    let config: wire::Config = body::shape(value)?;
    if config == wire::Config::default() {
        return Err(empty());
    }
    let spec = translate_create::request(name.as_deref(), platform.as_deref(), config, surroundings)?;
    let created = call.app.engine.create(spec).await?;
    json(StatusCode::CREATED, &wire::CreateResponse { id: created.id, warnings: created.warnings })
}

/// `GET /containers/{id}/json`.
pub async fn inspect(call: Call) -> Answer {
    ok(&view::inspect(call.app.engine.inspect(call.param("id"), call.query.truth("size")).await?))
}

/// `GET /containers/{id}/top`.
pub async fn top(call: Call) -> Answer {
    let top = call.app.engine.top(call.param("id"), call.query.text("ps_args")).await?;
    ok(&wire::TopResponse { processes: top.processes, titles: top.titles })
}

/// `GET /containers/{id}/changes`; `null` when there are none.
pub async fn changes(call: Call) -> Answer {
    let changes = call.app.engine.changes(call.param("id")).await?;
    let kind = |kind| match kind {
        ChangeKind::Modified => 0,
        ChangeKind::Added => 1,
        ChangeKind::Deleted => 2,
    };
    let listed: Vec<_> =
        changes.into_iter().map(|c| wire::FilesystemChange { kind: kind(c.kind), path: c.path }).collect();
    ok(&(!listed.is_empty()).then_some(listed))
}

/// `POST /containers/{id}/start`.
pub async fn start(call: Call) -> Answer {
    if !call.query.text("checkpoint").is_empty() {
        return Err(ApiError::unimplemented("starting from a checkpoint"));
    }
    call.app.engine.start(call.param("id")).await?;
    no_content()
}

fn stop_options(call: &Call) -> Result<StopOptions, ApiError> {
    let signal = call.query.get("signal").filter(|s| !s.is_empty()).map(str::to_owned);
    Ok(StopOptions { signal, timeout: call.query.number("t")? })
}

/// `POST /containers/{id}/stop`.
pub async fn stop(call: Call) -> Answer {
    call.app.engine.stop(call.param("id"), stop_options(&call)?).await?;
    no_content()
}

/// `POST /containers/{id}/restart`.
pub async fn restart(call: Call) -> Answer {
    call.app.engine.restart(call.param("id"), stop_options(&call)?).await?;
    no_content()
}

/// `POST /containers/{id}/kill`.
pub async fn kill(call: Call) -> Answer {
    call.app.engine.kill(call.param("id"), call.query.text("signal")).await?;
    no_content()
}

/// `POST /containers/{id}/pause`.
pub async fn pause(call: Call) -> Answer {
    call.app.engine.pause(call.param("id")).await?;
    no_content()
}

/// `POST /containers/{id}/unpause`.
pub async fn unpause(call: Call) -> Answer {
    call.app.engine.unpause(call.param("id")).await?;
    no_content()
}

/// `POST /containers/{id}/rename`.
pub async fn rename(call: Call) -> Answer {
    let name = call.query.text("name");
    call.app.engine.rename(call.param("id"), name.strip_prefix('/').unwrap_or(name)).await?;
    no_content()
}

/// `POST /containers/{id}/update`.
pub async fn update(call: Call) -> Answer {
    let id = call.id();
    let value = body::read_value(&call.headers, call.body).await?.unwrap_or_default();
    let resources: Resources = body::shape(value.clone())?;
    let policy: wire::UpdatePolicy = body::shape(value)?;
    let restart = match policy.restart_policy.filter(|policy| !policy.name.is_empty()) {
        Some(policy) => Some(host::restart_in(&policy)?),
        None => None,
    };
    let warnings =
        call.app.engine.update(&id, UpdateSpec { resources: host::resources_in(resources), restart }).await?;
    ok(&wire::UpdateResponse { warnings: (!warnings.is_empty()).then_some(warnings) })
}

/// `POST /containers/{id}/wait`. The head of the answer goes out as soon as waiting has begun: `docker run` starts the container only then.
pub async fn wait(call: Call) -> Answer {
    let condition = match call.query.text("condition") {
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(ApiError::bad_request(format!("invalid condition: {other:?}"))),
    };
    let waiting = call.app.engine.begin_wait(call.param("id"), condition).await?;
    let answer = async move {
        let result = waiting.await;
        wire::WaitResponse {
            error: result.error.map(|message| wire::WaitError { message }),
            status_code: result.exit_code.into(),
        }
    };
    respond(StatusCode::OK, "application/json", json_lines(stream::once(answer)))
}

/// `DELETE /containers/{id}`.
pub async fn remove(call: Call) -> Answer {
    let options = RemoveOptions {
        force: call.query.truth("force"),
        volumes: call.query.truth("v"),
        link: call.query.truth("link"),
    };
    call.app.engine.remove(call.param("id"), options).await?;
    no_content()
}

/// `POST /containers/prune`.
pub async fn prune(call: Call) -> Answer {
    let pruned = call.app.engine.prune_containers(translate::filters(call.query.filters()?)).await?;
    ok(&wire::PruneReport {
        containers_deleted: (!pruned.deleted.is_empty()).then_some(pruned.deleted),
        space_reclaimed: pruned.reclaimed,
    })
}
