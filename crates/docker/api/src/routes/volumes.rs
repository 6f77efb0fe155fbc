//! Volumes.

use docker_types::volume as wire;
use engine::VolumeSpec;
use http::StatusCode;

use crate::call::{Answer, Call, json, no_content, ok};
use crate::translate::{self, networks as view};

/// Before this version pruning took named volumes too.
const PRUNES_ANONYMOUS: u32 = 42;

/// `GET /volumes`.
pub async fn list(call: Call) -> Answer {
    let volumes = call.app.engine.volumes(translate::filters(call.query.filters()?)).await?;
    ok(&wire::ListResponse { volumes: volumes.into_iter().map(view::volume).collect(), warnings: None })
}

/// `GET /volumes/{name}`.
pub async fn inspect(call: Call) -> Answer {
    ok(&view::volume(call.app.engine.volume_inspect(call.param("name")).await?))
}

/// `POST /volumes/create`.
pub async fn create(call: Call) -> Answer {
    let app = call.app.clone();
    let request: wire::CreateRequest = call.json().await?;
    let spec = VolumeSpec {
        name: request.name,
        driver: request.driver,
        options: request.driver_opts.unwrap_or_default(),
        labels: request.labels.unwrap_or_default(),
    };
    json(StatusCode::CREATED, &view::volume(app.engine.volume_create(spec).await?))
}

/// `DELETE /volumes/{name}`.
pub async fn remove(call: Call) -> Answer {
    call.app.engine.volume_remove(call.param("name"), call.query.truth("force")).await?;
    no_content()
}

/// `POST /volumes/prune`.
pub async fn prune(call: Call) -> Answer {
    let mut filters = translate::filters(call.query.filters()?);
    if call.api < PRUNES_ANONYMOUS {
        filters.0.insert("all".to_owned(), ["true".to_owned()].into());
    }
    let pruned = call.app.engine.volumes_prune(filters).await?;
    ok(&wire::PruneReport {
        volumes_deleted: (!pruned.deleted.is_empty()).then_some(pruned.deleted),
        space_reclaimed: pruned.reclaimed,
    })
}
