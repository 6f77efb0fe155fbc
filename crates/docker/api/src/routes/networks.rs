//! Networks.

use docker_types::network as wire;
use http::StatusCode;

use crate::call::{Answer, Call, json, no_content, ok, status};
use crate::error::ApiError;
use crate::translate::{self, create as endpoints, networks as view};

/// `GET /networks`.
pub async fn list(call: Call) -> Answer {
    let networks = call.app.engine.networks(translate::filters(call.query.filters()?)).await?;
    ok(&networks.into_iter().map(|network| view::network(network, Vec::new())).collect::<Vec<_>>())
}

/// `GET /networks/{id}`.
pub async fn inspect(call: Call) -> Answer {
    let found = call.app.engine.network_inspect(call.param("id")).await?;
    ok(&view::network(found.network, found.endpoints))
}

/// `POST /networks/create`.
pub async fn create(call: Call) -> Answer {
    let app = call.app.clone();
    let request: wire::CreateRequest = call.json().await?;
    if request.name.is_empty() {
        return Err(ApiError::bad_request("network name cannot be empty"));
    }
    let made = app.engine.network_create(view::spec_in(request)?).await?;
    json(StatusCode::CREATED, &wire::CreateResponse { id: made.id.to_string(), warning: String::new() })
}

/// `DELETE /networks/{id}`.
pub async fn remove(call: Call) -> Answer {
    call.app.engine.network_remove(call.param("id")).await?;
    no_content()
}

/// `POST /networks/{id}/connect`.
pub async fn connect(call: Call) -> Answer {
    let (app, id) = (call.app.clone(), call.id());
    let request: wire::ConnectRequest = call.json().await?;
    let wanted = endpoints::endpoint_in(request.endpoint_config.unwrap_or_default());
    app.engine.network_connect(&id, &request.container, wanted).await?;
    status(StatusCode::OK)
}

/// `POST /networks/{id}/disconnect`.
pub async fn disconnect(call: Call) -> Answer {
    let (app, id) = (call.app.clone(), call.id());
    let request: wire::DisconnectRequest = call.json().await?;
    app.engine.network_disconnect(&id, &request.container, request.force).await?;
    status(StatusCode::OK)
}

/// `POST /networks/prune`.
pub async fn prune(call: Call) -> Answer {
    let pruned = call.app.engine.networks_prune(translate::filters(call.query.filters()?)).await?;
    ok(&wire::PruneReport { networks_deleted: (!pruned.deleted.is_empty()).then_some(pruned.deleted) })
}
