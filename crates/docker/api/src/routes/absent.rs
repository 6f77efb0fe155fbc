//! What docker has and this daemon has not: the answers of a daemon without swarm and plugins, and a clear word about the builder.

use http::StatusCode;

use crate::call::{Answer, Call, ok};
use crate::error::ApiError;

const NO_SWARM: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

/// Everything that only a swarm manager answers.
pub async fn swarm(_: Call) -> Answer {
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, NO_SWARM))
}

/// Joining or founding a swarm.
pub async fn swarm_setup(_: Call) -> Answer {
    Err(ApiError::unimplemented("swarm mode"))
}

/// Leaving a swarm.
pub async fn swarm_leave(_: Call) -> Answer {
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "This node is not part of a swarm"))
}

/// `POST /build` and what belongs to it.
pub async fn build(_: Call) -> Answer {
    Err(ApiError::unimplemented("building images"))
}

/// `POST /build/prune`: there is no cache, so nothing goes.
pub async fn build_prune(_: Call) -> Answer {
    ok(&docker_types::build::PruneReport::default())
}

/// The BuildKit session, over which newer clients build.
pub async fn session(_: Call) -> Answer {
    Err(ApiError::unimplemented("the BuildKit session"))
}

/// `GET /plugins`.
pub async fn plugins(_: Call) -> Answer {
    ok(&Vec::<()>::new())
}

/// One plugin.
pub async fn plugin(call: Call) -> Answer {
    Err(ApiError::new(StatusCode::NOT_FOUND, format!("plugin {:?} not found", call.param("name"))))
}

/// Changes of plugins.
pub async fn plugin_change(_: Call) -> Answer {
    Err(ApiError::unimplemented("managing plugins"))
}

/// Checkpoints.
pub async fn checkpoint(_: Call) -> Answer {
    Err(ApiError::unimplemented("checkpointing containers"))
}
