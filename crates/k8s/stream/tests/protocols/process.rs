//! Processes over every subprotocol: output, input to its end, sizes, and how it ended.

use bytes::Bytes;
use k8s_stream::channels::Subprotocol;
use k8s_stream::spdy::connection::{Connection, Side};
use k8s_stream::websocket::frame::Opcode;
use k8s_stream::{Outcome, Process, Size, Wanted};
use serde_json::Value;

use crate::{Client, all};

const WANTED: Wanted = Wanted { stdin: true, stdout: true, stderr: true, tty: false };

/// A process that says what it is told, on both outputs, and ends with 3 at the end of its input.
async fn echo(mut process: Process) {
    let mut stdin = process.stdin.take().unwrap();
    while let Some(piece) = stdin.recv().await {
        process.stdout.as_mut().unwrap().send(piece.clone()).await.unwrap();
        if let Some(stderr) = process.stderr.as_mut() {
            stderr.send(piece).await.unwrap();
        }
    }
    process.finish(Outcome::Exited(3)).await;
}

fn serve(version: u8, text: bool, wanted: Wanted) -> (Client, Process) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    (Client::new(ours), Process::over_channels(theirs, Subprotocol { version, text }, wanted))
}

#[test]
fn the_first_known_subprotocol_is_taken() {
    let choose = |offered: &[&'static str]| Subprotocol::choose(offered).map(|(name, _)| name);
    assert_eq!(choose(&["v9.channel.k8s.io", "v5.channel.k8s.io", "channel.k8s.io"]), Some("v5.channel.k8s.io"));
    assert_eq!(choose(&["v4.base64.channel.k8s.io"]), Some("v4.base64.channel.k8s.io"));
    assert_eq!(choose(&[]), Some(""));
    assert_eq!(choose(&["chat"]), None);
}

#[tokio::test]
async fn version_5_ends_input_and_tells_a_status() {
    let (mut client, process) = serve(5, false, WANTED);
    let serving = tokio::spawn(echo(process));
    client.send(Opcode::Binary, b"\0hello").await;
    assert_eq!(client.message().await.unwrap(), b"\x01hello");
    assert_eq!(client.message().await.unwrap(), b"\x02hello");
    client.send(Opcode::Binary, &[255, 0]).await;
    let end = client.message().await.unwrap();
    assert_eq!(end[0], 3);
    let status: Value = serde_json::from_slice(&end[1..]).unwrap();
    assert_eq!(status["reason"], "NonZeroExitCode");
    assert_eq!(status["details"]["causes"][0]["message"], "3");
    assert_eq!(client.message().await, Err(Some(1000)));
    client.send(Opcode::Close, &1000u16.to_be_bytes()).await;
    drop(client);
    serving.await.unwrap();
}

#[tokio::test]
async fn text_is_base64_and_the_first_version_has_words() {
    let (mut client, mut process) = serve(1, true, WANTED);
    client.send(Opcode::Text, b"0aGVsbG8=").await;
    assert_eq!(process.stdin.as_mut().unwrap().recv().await.unwrap(), "hello");
    process.stdout.as_mut().unwrap().send(Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(client.message().await.unwrap(), b"1aGVsbG8=");
    let finishing = tokio::spawn(process.finish(Outcome::Failed("no".into())));
    assert_eq!(client.message().await.unwrap(), b"3SW50ZXJuYWwgZXJyb3Igb2NjdXJyZWQ6IG5v");
    assert_eq!(client.message().await, Err(Some(1000)));
    drop(client);
    finishing.await.unwrap();
}

#[tokio::test]
async fn sizes_are_told() {
    let wanted = Wanted { tty: true, ..WANTED };
    let (mut client, mut process) = serve(4, false, wanted);
    client.send(Opcode::Binary, b"\x04{\"Width\":80,\"He").await;
    client.send(Opcode::Binary, b"\x04ight\":24}\n{\"Width\":100,\"Height\":30}").await;
    let resize = process.resize.as_mut().unwrap();
    assert_eq!(resize.next().await, Some(Size { width: 80, height: 24 }));
    assert_eq!(resize.next().await, Some(Size { width: 100, height: 30 }));
    assert!(process.stderr.is_none(), "a terminal has one output");
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let (client, process) = serve(5, false, WANTED);
    drop(client);
    process.gone().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_back_and_nothing_more() {
    let (mut client, mut process) = serve(5, false, WANTED);
    let writing = tokio::spawn(async move {
        let mut stdout = process.stdout.take().unwrap();
        stdout.send(vec![7; 4_000_000].into()).await.unwrap();
        process.finish(Outcome::Exited(0)).await;
    });
    let mut got = 0;
    while let Ok(message) = client.message().await {
        if message[0] == 1 {
            got += message.len() - 1;
        }
    }
    drop(client);
    writing.await.unwrap();
    assert_eq!(got, 4_000_000);
}

#[tokio::test]
async fn spdy_carries_much_both_ways_and_a_status() {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let client = Connection::open(ours, Side::Client);
    let serving = tokio::spawn(async { echo(Process::over_spdy(theirs, 4, WANTED).await.unwrap()).await });
    let start = async |kind| client.start(&[("streamtype", kind)]).await.unwrap();
    let error = start("error").await;
    let mut stdin = start("stdin").await;
    let (stdout, stderr) = (start("stdout").await, start("stderr").await);
    let much: Vec<u8> = (0..5_000_000u32).map(|n| (n / 7) as u8).collect();
    let sent = much.clone();
    tokio::spawn(async move {
        stdin.output.send(sent.into()).await.unwrap();
        stdin.output.close().await;
    });
    let (stdout, stderr) = tokio::join!(all(stdout.input), all(stderr.input));
    assert!(stdout == much && stderr == much);
    let status: Value = serde_json::from_slice(&all(error.input).await).unwrap();
    assert_eq!(status["details"]["causes"][0]["message"], "3");
    drop(client);
    serving.await.unwrap();
}
