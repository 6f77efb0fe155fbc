//! A server on the loopback, with another one behind it.

use std::net::Ipv4Addr;

use dns::{Kind, UDP_LIMIT};
use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::*;
use crate::config::Config;

/// Serves a zone with one service and one external name; everything else is asked of `upstream`.
async fn server(upstream: SocketAddr) -> SocketAddr {
    let config = Config::new("a", "test");
    let mut zone = Zone::new(&config);
    let web: Service = serde_json::from_value(json!({"spec": {"clusterIP": "10.43.0.5", "ports": []}})).unwrap();
    zone.set(&("default".into(), "web".into()), Some(&web), &[]);
    let far = json!({"spec": {"type": "ExternalName", "externalName": "far.example"}});
    zone.set(&("default".into(), "far".into()), Some(&serde_json::from_value(far).unwrap()), &[]);
    let upstream = Upstream::at(&config, vec![upstream]);
    let answers = Arc::new(Answers { zone: Arc::new(RwLock::new(zone)), upstream });
    let (udp, tcp) = loop {
        // both on one port; another test may have it for the other protocol
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    tokio::spawn(over_udp(answers.clone(), Arc::new(udp)));
    tokio::spawn(over_tcp(answers, tcp));
    address
}

/// Answers everything with so many addresses, and counts.
async fn other(count: u8) -> (SocketAddr, Arc<std::sync::atomic::AtomicUsize>) {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let reply = move |message: &[u8], limit: usize| {
        let query = Query::read(message).unwrap();
        let record = |n| Record::new(60, Data::Address([192, 0, 2, n].into()));
        query.respond(message, &Reply::with((0..count).map(record).collect()), limit)
    };
    let counted = asked.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            udp.send_to(&reply(&buffer[..length], 1232), client).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut message = vec![0; usize::from(length)];
            stream.read_exact(&mut message).await.unwrap();
            let reply = reply(&message, TCP_LIMIT);
            stream.write_all(&[&(reply.len() as u16).to_be_bytes()[..], &reply].concat()).await.unwrap();
        }
    });
    (address, asked)
}

async fn ask_udp(server: SocketAddr, message: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.send_to(message, server).await.unwrap();
    let mut buffer = vec![0; 4096];
    let (length, _) = timeout(Duration::from_secs(60), socket.recv_from(&mut buffer)).await.unwrap().unwrap();
    buffer.truncate(length);
    buffer
}

async fn ask_tcp(server: SocketAddr, message: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], message].concat()).await.unwrap();
    let length = stream.read_u16().await.unwrap();
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

/// A question of a client that knows no extensions.
fn plain(name: &str) -> Vec<u8> {
    let mut message = dns::ask(7, name, Kind::A);
    message.truncate(message.len() - 11);
    message[11] = 0;
    message
}

#[tokio::test]
async fn names_of_the_cluster_are_answered_over_both() {
    let server = server("127.0.0.1:9".parse().unwrap()).await;
    let message = plain("web.default.svc.cluster.local");
    let answer = ask_udp(server, &message).await;
    assert_eq!((&answer[..4], answer[7]), (&[0, 7, 0x85, 0x80][..], 1));
    assert_eq!(answer[answer.len() - 4..], [10, 43, 0, 5]);
    assert_eq!(ask_tcp(server, &message).await, answer);
    let nowhere = ask_udp(server, &plain("web.default.svc.cluster.local.default.svc.cluster.local")).await;
    assert_eq!(nowhere[3] & 15, 3);
}

#[tokio::test]
async fn other_names_are_asked_once_and_kept() {
    let (upstream, asked) = other(2).await;
    let server = server(upstream).await;
    for _ in 0..3 {
        let answer = ask_udp(server, &plain("Example.org")).await;
        assert_eq!((&answer[..4], answer[7]), (&[0, 7, 0x81, 0x80][..], 2));
    }
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
    let alias = ask_udp(server, &plain("far.default.svc.cluster.local")).await;
    assert_eq!(alias[7], 3, "the alias and its addresses");
    assert_eq!(alias[alias.len() - 4..], [192, 0, 2, 1]);
}

#[tokio::test]
async fn long_answers_are_cut_over_udp_and_whole_over_tcp() {
    let (upstream, _) = other(200).await;
    let server = server(upstream).await;
    let cut = ask_udp(server, &plain("long.example")).await;
    assert!(cut.len() <= UDP_LIMIT && cut[2] & 2 != 0);
    let whole = ask_tcp(server, &plain("long.example")).await;
    assert_eq!((whole[2] & 2, whole[7]), (0, 200));
}

#[tokio::test]
async fn hostile_messages_do_not_end_the_server() {
    let server = server("127.0.0.1:9".parse().unwrap()).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let good = plain("web.default.svc.cluster.local");
    for cut in 0..good.len() {
        socket.send_to(&good[..cut], server).await.unwrap();
    }
    for at in 0..good.len() {
        let mut message = good.clone();
        message[at] ^= 0xff;
        socket.send_to(&message, server).await.unwrap();
    }
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(&[0xff, 0xff, 1, 2, 3]).await.unwrap();
    drop(stream);
    assert_eq!(ask_udp(server, &good).await[7], 1);
    let nobody = ask_udp(server, &plain("example.org")).await;
    assert_eq!(nobody[3] & 15, 2, "nobody to ask");
}
