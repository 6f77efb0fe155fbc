//! Forwarded ports: a client's connections to ports of a pod.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use k8s_stream::{Forward, Ports};
use tokio::task::JoinSet;

use super::State;
use super::answer::{self, Body};
use super::route::{self, Query};

/// Answers a request to forward ports.
pub fn serve(
    state: &Arc<State>,
    request: Request<Incoming>,
    query: &Query,
    namespace: &str,
    pod: &str,
) -> Response<Body> {
    let seen = match route::pod(state, namespace, pod) {
        Ok(seen) => seen,
        Err(response) => return *response,
    };
    let Some(sandbox) = seen.sandbox() else {
        let text = format!("pod not found (\"{pod}_{namespace}\")");
        return answer::text(StatusCode::INTERNAL_SERVER_ERROR, text);
    };
    let numbers: Result<Vec<u16>, _> =
        query.all("port").chain(query.all("ports")).flat_map(|ports| ports.split(',')).map(str::parse).collect();
    let Ok(numbers) = numbers else { return answer::text(StatusCode::BAD_REQUEST, "invalid port") };
    let accepted = match Ports::accept(request, &numbers) {
        Ok(accepted) => accepted,
        Err(why) => return answer::refused(why),
    };
    let (state, sandbox) = (state.clone(), sandbox.id.clone());
    tokio::spawn(async move {
        match accepted.opened.await {
            Ok(ports) => run(state, ports, sandbox).await,
            Err(error) => tracing::debug!(%error, "a client for ports was lost"),
        }
    });
    answer::switching(accepted.response)
}

async fn run(state: Arc<State>, mut ports: Ports, sandbox: String) {
    let (gone, ended) = (ports.gone(), state.ended());
    let mut connections = JoinSet::new();
    let serving = async {
        loop {
            tokio::select! {
                next = ports.next() => match next {
                    Some(forward) => { connections.spawn(carry(state.clone(), forward, sandbox.clone())); }
                    None => break,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        while connections.join_next().await.is_some() {}
    };
    tokio::select! {
        () = serving => {}
        () = gone => return,
        () = ended => return,
    }
    ports.finish().await;
}

async fn carry(state: Arc<State>, forward: Forward, sandbox: String) {
    let port = forward.port;
    match state.lookup.runtime().sandboxes.connect(&sandbox, port).await {
        Ok(connection) => forward.carry(connection).await,
        Err(error) => {
            let why = format!("error forwarding port {port} to pod {sandbox}, uid : {error}");
            forward.refuse(why).await;
        }
    }
}
