//! What kubectl 1.28 sent, recorded: `exec -i p -- cat` with a line, and a line to a forwarded port.

use bytes::Bytes;
use k8s_stream::{Ports, Process, Wanted};
use tokio::io::AsyncWriteExt;

use crate::all;

const EXEC: &str = "80030001000000290000000100000000000078f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff8003000100000017000000\
     03000000000000c22e555c92929907000000ffff800300010000001900000005000000000000c22ac5565c92925f5a02000000ffff80030001000000\
     1500000007000000000000c229975a5404000000ffff000000030000000668656c6c6f0a0000000301000000";
const PORT: &str = "800300010000003d0000000100000000000078f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45a024cc6461c0c0c0c0590489c44c50\
     e2663400000000ffff0000000101000000800300010000001c00000003000000000000826ac51445350c542e25a29a05000000ffff00000003000000\
     0368690a0000000301000000800300060000000400000001";

fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|two| (two[0] * 16 + two[1]) as u8).collect()
}

#[tokio::test]
async fn an_exec_of_an_old_kubectl_is_understood() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    client.write_all(&bytes(EXEC)).await.unwrap();
    let wanted = Wanted { stdin: true, stdout: true, stderr: true, tty: false };
    let mut process = Process::over_spdy(server, 4, wanted).await.unwrap();
    assert_eq!(all(process.stdin.take().unwrap()).await, b"hello\n");
}

#[tokio::test]
async fn a_forwarded_port_of_an_old_kubectl_is_understood() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    client.write_all(&bytes(PORT)).await.unwrap();
    let mut ports = Ports::over_spdy(server);
    let mut forward = ports.next().await.unwrap();
    assert_eq!(forward.port, 80);
    assert_eq!(forward.input.recv().await.unwrap(), Bytes::from_static(b"hi\n"));
}
