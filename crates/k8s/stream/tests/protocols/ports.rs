//! Forwarded ports over SPDY, SPDY in WebSocket, and channels.

use k8s_stream::channels::Subprotocol;
use k8s_stream::spdy::connection::{Connection, Side, Stream};
use k8s_stream::websocket::frame::{self, Event, Mask, Opcode};
use k8s_stream::{Ports, tunnel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::{Client, all};

/// Serves connections: to port 80 what comes in goes out again after its end, anything else is refused.
async fn serve(mut ports: Ports) {
    let mut all = JoinSet::new();
    while let Some(forward) = ports.next().await {
        if forward.port != 80 {
            all.spawn(forward.refuse("nothing listens".to_owned()));
            continue;
        }
        let (ours, mut pod) = tokio::io::duplex(4096);
        all.spawn(forward.carry(ours));
        all.spawn(async move {
            let mut said = Vec::new();
            pod.read_to_end(&mut said).await.unwrap();
            pod.write_all(&said).await.unwrap();
        });
    }
    while all.join_next().await.is_some() {}
    ports.finish().await;
}

async fn start(client: &Connection, request: &str, port: &str) -> (Stream, Stream) {
    let pairs = |kind| [("streamtype", kind), ("port", port), ("requestid", request)];
    let error = client.start(&pairs("error")).await.unwrap();
    (client.start(&pairs("data")).await.unwrap(), error)
}

#[tokio::test]
async fn many_connections_at_once() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let client = Connection::open(ours, Side::Client);
    let serving = tokio::spawn(serve(Ports::over_spdy(theirs)));
    let mut running = JoinSet::new();
    for number in 0..50u8 {
        let (mut data, error) = start(&client, &number.to_string(), "80").await;
        running.spawn(async move {
            let sent = vec![number; 30_000];
            data.output.send(sent.clone().into()).await.unwrap();
            data.output.close().await;
            assert!(all(data.input).await == sent);
            assert_eq!(all(error.input).await, b"");
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    let (data, error) = start(&client, "50", "81").await;
    assert_eq!(all(error.input).await, b"nothing listens");
    assert_eq!(all(data.input).await, b"");
    client.close().await;
    serving.await.unwrap();
}

#[tokio::test]
async fn spdy_goes_through_websocket() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let serving = tokio::spawn(serve(Ports::over_spdy(tunnel::open(theirs))));
    // the other end of a tunnel, as kubectl has it
    let Client { mut reader, mut writer } = Client::new(ours);
    let (inside, outside) = tokio::io::duplex(64 * 1024);
    let (mut from, mut to) = tokio::io::split(outside);
    tokio::spawn(async move {
        while let Ok(Some(event)) = reader.next().await {
            if let Event::Data { payload, .. } = event {
                let _ = to.write_all(&payload).await;
            }
        }
    });
    let carrying = tokio::spawn(async move {
        let mut piece = vec![0; 10_000];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let message = frame::encode(Opcode::Binary, &[&piece[..length]], Mask::Key([9; 4]));
            writer.write_all(&message).await.unwrap();
        }
        let _ = writer.write_all(&frame::encode_close(1000, "", Mask::Key([9; 4]))).await;
    });
    let connection = Connection::open(inside, Side::Client);
    let (mut data, error) = start(&connection, "0", "80").await;
    data.output.send(b"hello".to_vec().into()).await.unwrap();
    data.output.close().await;
    assert_eq!(all(data.input).await, b"hello");
    assert_eq!(all(error.input).await, b"");
    drop(connection);
    carrying.await.unwrap();
    serving.await.unwrap();
}

#[tokio::test]
async fn channels_begin_with_their_port() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let mut client = Client::new(ours);
    let mut ports = Ports::over_channels(theirs, Subprotocol { version: 4, text: false }, &[80]).await;
    assert_eq!(client.message().await.unwrap(), [0, 80, 0]);
    assert_eq!(client.message().await.unwrap(), [1, 80, 0]);
    let forward = ports.next().await.unwrap();
    assert!(ports.next().await.is_none());
    let (connection, mut pod) = tokio::io::duplex(4096);
    let carrying = tokio::spawn(forward.carry(connection));
    client.send(Opcode::Binary, b"\0hello").await;
    let mut said = [0; 5];
    pod.read_exact(&mut said).await.unwrap();
    pod.write_all(b"world").await.unwrap();
    assert_eq!(client.message().await.unwrap(), b"\0world");
    drop(pod);
    carrying.await.unwrap();
    let finishing = tokio::spawn(ports.finish());
    assert_eq!(client.message().await, Err(Some(1000)));
    drop(client);
    finishing.await.unwrap();
}
