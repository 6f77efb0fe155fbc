//! Connections: accepted, TLS, HTTP/1.1 or HTTP/2, until the server ends.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::handle::{Origin, handle};
use crate::auth::Connection;
use crate::server::ApiServer;

/// How long TLS may take to agree.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the headers of a request may take.
const HEADERS: Duration = Duration::from_secs(32);
/// How often HTTP/2 connections are asked for a sign of life.
const ALIVE: Duration = Duration::from_secs(30);
/// How many requests at once a HTTP/2 connection may have.
const STREAMS: u32 = 250;
/// How long connections get to end their requests when the server ends.
const LEAVE: Duration = Duration::from_secs(2);

/// Accepts connections until the server ends.
pub async fn listen(server: ApiServer, listener: TcpListener, tls: TlsAcceptor, mut ending: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = ended(&mut ending) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(server.clone(), stream, tls.clone(), ending.clone()));
            }
            Err(error) => {
                // too many open files, or the peer is gone already
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LEAVE, all).await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection(server: ApiServer, stream: TcpStream, tls: TlsAcceptor, mut ending: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS failed"),
        Err(_) => return tracing::debug!("TLS took too long"),
    };
    let origin = Origin::Connection(Arc::new(Connection::new(stream.get_ref().1.peer_certificates())));
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, origin) = (server.clone(), origin.clone());
        async move { Ok::<_, std::convert::Infallible>(handle(&server, &origin, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS).keep_alive_interval(ALIVE);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = ended(&mut ending) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

async fn ended(ending: &mut watch::Receiver<bool>) {
    // the lock that this gives back must not be held on to
    let _ = ending.wait_for(|ending| *ending).await.is_ok();
}
