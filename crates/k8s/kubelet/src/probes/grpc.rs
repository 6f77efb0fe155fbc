//! The health question of gRPC (`grpc.health.v1.Health/Check`), without more of gRPC than it needs.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::Answer;
use super::ask::plain;

const SERVING: u64 = 1;

/// Asks for the health of a service; the empty name is the server as a whole.
pub async fn check(at: SocketAddr, service: &str) -> Answer {
    match call(at, service).await {
        Ok(SERVING) => Answer::Well,
        Ok(status) => {
            let name =
                ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"].get(status as usize).unwrap_or(&"UNKNOWN");
            Answer::Ill(format!("service unhealthy (responded with \"{name}\")"))
        }
        Err(said) => Answer::Ill(said),
    }
}

async fn call(at: SocketAddr, service: &str) -> Result<u64, String> {
    let stream = TcpStream::connect(at)
        .await
        .map_err(|error| format!("error: this server does not answer: dial tcp {at}: connect: {}", plain(&error)))?;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let request = Request::post(format!("http://{at}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "kube-probe/1.37")
        .body(Full::new(request(service)))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let headers = response.headers().clone();
    let body = Limited::new(response.into_body(), 4096).collect().await.map_err(|error| error.to_string())?;
    connection.abort();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let said = |name: &str| {
        trailers.get(name).or_else(|| headers.get(name)).and_then(|value| value.to_str().ok().map(str::to_owned))
    };
    match said("grpc-status").as_deref() {
        Some("0") => status(&body.to_bytes()).ok_or_else(|| "the answer is no health".to_owned()),
        Some("12") => {
            Err("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".into())
        }
        code => Err(format!(
            "rpc error: code = {} desc = {}",
            code.unwrap_or("Unknown"),
            said("grpc-message").unwrap_or_default()
        )),
    }
}

/// One message: a flag (not compressed), its length, field 1 with the name.
fn request(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.extend_from_slice(&[0]);
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    framed.extend_from_slice(&message);
    framed.freeze()
}

fn varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Field 1 of the answer; absent means zero.
fn status(framed: &[u8]) -> Option<u64> {
    let length = u32::from_be_bytes(framed.get(1..5)?.try_into().ok()?) as usize;
    match framed.get(5..5 + length)? {
        [] => Some(0),
        [0x08, value, ..] => Some(u64::from(*value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_are_those_of_the_protocol() {
        assert_eq!(&request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(status(&[0, 0, 0, 0, 2, 8, 1]), Some(SERVING));
        assert_eq!(status(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(status(&[0, 0]), None);
    }
}
