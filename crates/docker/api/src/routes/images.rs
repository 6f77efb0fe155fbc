//! Images that are here: lists, history, tags, archives, removal.

use docker_types::image as wire;
use http::StatusCode;

use crate::call::{Answer, Call, ok, respond, status};
use crate::error::ApiError;
use crate::streams::{self, progress};
use crate::translate::{self, images as view};

/// `GET /images/json`.
pub async fn list(call: Call) -> Answer {
    let query = &call.query;
    let mut filters = translate::filters(query.filters()?);
    // The way to name an image before there were filters.
    if let Some(name) = query.get("filter").filter(|name| !name.is_empty()) {
        filters.0.entry("reference".to_owned()).or_default().insert(name.to_owned());
    }
    let images = call.app.engine.images(query.truth("all"), filters, query.truth("shared-size"), false).await?;
    ok(&images.into_iter().map(|image| view::summary(image, call.api)).collect::<Vec<_>>())
}

/// `GET /images/{name}/json`.
pub async fn inspect(call: Call) -> Answer {
    ok(&view::inspect(call.app.engine.image_inspect(call.param("name")).await?, call.api))
}

/// `GET /images/{name}/history`.
pub async fn history(call: Call) -> Answer {
    let steps = call.app.engine.image_history(call.param("name")).await?;
    ok(&steps.into_iter().map(view::history).collect::<Vec<_>>())
}

/// `POST /images/{name}/tag`.
pub async fn tag(call: Call) -> Answer {
    let repository = call.query.text("repo");
    let reference = super::archive::reference(repository, call.query.text("tag"))
        .ok_or_else(|| ApiError::bad_request("repository name must have at least one component"))?;
    call.app.engine.image_tag(call.param("name"), &reference).await?;
    status(StatusCode::CREATED)
}

/// `DELETE /images/{name}`.
pub async fn remove(call: Call) -> Answer {
    let (force, prune) = (call.query.truth("force"), !call.query.truth("noprune"));
    let removed = call.app.engine.image_remove(call.param("name"), force, prune).await?;
    ok(&removed.into_iter().map(view::removed).collect::<Vec<_>>())
}

/// `POST /images/prune`.
pub async fn prune(call: Call) -> Answer {
    let pruned = call.app.engine.images_prune(translate::filters(call.query.filters()?)).await?;
    let removed: Vec<_> = pruned.removed.into_iter().map(view::removed).collect();
    ok(&wire::PruneReport {
        images_deleted: (!removed.is_empty()).then_some(removed),
        space_reclaimed: pruned.reclaimed,
    })
}

/// `POST /images/load`.
pub async fn load(call: Call) -> Answer {
    let app = call.app;
    let quiet = call.query.truth("quiet");
    let archive = streams::from_client(call.body);
    progress::answer(move |sink| async move {
        let sink = if quiet { progress::only_output(sink) } else { sink };
        app.engine.load(archive, sink).await.map(|()| None)
    })
    .await
}

/// `GET /images/get`.
pub async fn save(call: Call) -> Answer {
    save_named(&call, call.query.all("names")).await
}

/// `GET /images/{name}/get`.
pub async fn save_one(call: Call) -> Answer {
    save_named(&call, vec![call.param("name").to_owned()]).await
}

async fn save_named(call: &Call, names: Vec<String>) -> Answer {
    if names.is_empty() {
        return Err(ApiError::bad_request("no image names given"));
    }
    let tar = call.app.engine.save(names).await?;
    respond(StatusCode::OK, "application/x-tar", streams::to_client(tar))
}
