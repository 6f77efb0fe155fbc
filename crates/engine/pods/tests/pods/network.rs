//! The network of pods: whose address arrives where, through services and host ports, in and out of the cluster.

use std::io::Result;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use pods::runtime::HostPort;

use crate::world::{PATIENCE, World, on_a_host, run};

const SERVICE: &str = "10.43.0.5:80";

/// Who is seen by a listener inside one container when another one connects to an address.
async fn seen(world: &World, listener: &str, port: u16, client: &str, to: &str) -> Result<IpAddr> {
    let socket = world.inside(listener, move || TcpListener::bind(("0.0.0.0", port))).await.unwrap();
    let to: SocketAddr = to.parse().unwrap();
    let accepting = tokio::task::spawn_blocking(move || accept(&socket));
    let stream = world.inside(client, move || TcpStream::connect_timeout(&to, Duration::from_secs(10))).await;
    match stream {
        Ok(_stream) => accepting.await.unwrap(),
        Err(error) => {
            accepting.abort();
            Err(error)
        }
    }
}

fn accept(socket: &TcpListener) -> Result<IpAddr> {
    socket.set_nonblocking(true)?;
    let start = std::time::Instant::now();
    loop {
        match socket.accept() {
            Ok((_, peer)) => return Ok(peer.ip()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
}

/// A service as its rules look: the packets of its address go to a pod.
fn serve(pod: IpAddr) {
    let rules = format!(
        "add table ip svc\nadd chain ip svc pre {{ type nat hook prerouting priority -100; }}\nadd rule ip svc pre ip daddr 10.43.0.5 tcp dport 80 dnat to {pod}:8080"
    );
    run("nft", &[&rules]);
}

#[test]
fn pods_reach_each_other_and_services_with_their_own_address() {
    reach_each_other("1");
}

#[test]
fn and_so_they_do_where_a_bridge_shows_its_frames_to_nobody() {
    reach_each_other("0");
}

/// With the rules for packets seeing the frames of bridges (br_netfilter), or not.
fn reach_each_other(frames_as_packets: &'static str) {
    on_a_host(move |world| async move {
        let setting = std::path::Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables");
        if setting.exists() {
            std::fs::write(setting, frames_as_packets).unwrap();
        }
        let (a, b) = (world.sandbox("a").await, world.sandbox("b").await);
        let client = world.start(&a.id, "c", "sleep 1000").await;
        let server = world.start(&b.id, "s", "sleep 1000").await;
        let direct = format!("{}:8080", b.addresses[0]);
        assert_eq!(seen(&world, &server, 8080, &client, &direct).await.unwrap(), a.addresses[0]);
        serve(b.addresses[0]);
        // The answer of a neighbour on the same bridge comes back through the host.
        assert_eq!(seen(&world, &server, 8080, &client, SERVICE).await.unwrap(), a.addresses[0]);
        // A pod that reaches itself sees the host.
        let itself = seen(&world, &server, 8080, &server, SERVICE).await.unwrap();
        assert_eq!(itself, "10.42.0.1".parse::<IpAddr>().unwrap());
        // The node reaches pods, and pods the node.
        let (_, said) = world.exec(&client, "ping -c 1 -W 10 10.42.0.1 | grep -c '1 packets received'").await;
        assert_eq!(said, "1");
        let address = b.addresses[0];
        let socket = world.inside(&server, || TcpListener::bind("0.0.0.0:8081")).await.unwrap();
        let accepting = tokio::task::spawn_blocking(move || accept(&socket));
        TcpStream::connect_timeout(&(address, 8081).into(), Duration::from_secs(10)).unwrap();
        assert_eq!(accepting.await.unwrap().unwrap(), "10.42.0.1".parse::<IpAddr>().unwrap());
        world.end().await;
    });
}

#[test]
fn the_world_sees_the_node_and_other_nodes_see_the_pod() {
    on_a_host(|world| async move {
        // A machine outside, in the namespace of a pod that is taken off the network of pods.
        let outside = world.sandbox("outside").await;
        let machine = world.start(&outside.id, "m", "sleep 1000").await;
        let pid = world.container(&machine).await.unwrap().pid.to_string();
        run("ip", &["link", "add", "wire", "type", "veth", "peer", "name", "far", "netns", &pid]);
        run("ip", &["addr", "add", "192.0.2.1/24", "dev", "wire"]);
        run("ip", &["link", "set", "wire", "up"]);
        run("ip", &["route", "add", "10.42.7.0/24", "via", "192.0.2.2"]);
        world
            .inside(&machine, || {
                run("ip", &["link", "del", "eth0"]);
                run("ip", &["addr", "add", "192.0.2.2/24", "dev", "far"]);
                run("ip", &["addr", "add", "10.42.7.1/32", "dev", "far"]);
                run("ip", &["link", "set", "far", "up"]);
                run("ip", &["route", "add", "default", "via", "192.0.2.1"]);
                Ok(())
            })
            .await
            .unwrap();
        let mut spec = world.pod("web");
        spec.host_ports =
            vec![HostPort { protocol: "TCP".to_owned(), container_port: 8080, host_port: 18080, host_ip: None }];
        let pod = world.pods.sandboxes.run(spec).await.unwrap();
        let web = world.start(&pod.id, "w", "sleep 1000").await;
        let node: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(seen(&world, &machine, 9000, &web, "192.0.2.2:9000").await.unwrap(), node);
        assert_eq!(seen(&world, &machine, 9001, &web, "10.42.7.1:9001").await.unwrap(), pod.addresses[0]);
        // A host port, from outside, and the pod at its own address from another node.
        let far: IpAddr = "192.0.2.2".parse().unwrap();
        assert_eq!(seen(&world, &web, 8080, &machine, "192.0.2.1:18080").await.unwrap(), far);
        let own = format!("{}:8080", pod.addresses[0]);
        assert_eq!(seen(&world, &web, 8080, &machine, &own).await.unwrap(), far);
        world.pods.sandboxes.stop(&pod.id).await.unwrap();
        let refused = world.inside(&machine, || {
            TcpStream::connect_timeout(&"192.0.2.1:18080".parse().unwrap(), Duration::from_secs(10))
        });
        assert!(refused.await.is_err());
        world.end().await;
    });
}

#[test]
fn the_nodes_part_of_the_addresses_can_change_until_a_pod_has_one() {
    on_a_host(|world| async move {
        world.pods.sandboxes.configure("10.42.3.0/24").await.unwrap();
        world.pods.sandboxes.configure("10.42.4.0/24").await.unwrap();
        let sandbox = world.sandbox("a").await;
        assert_eq!(sandbox.addresses, ["10.42.4.2".parse::<IpAddr>().unwrap()]);
        world.pods.sandboxes.configure("10.42.4.0/24").await.unwrap();
        assert!(world.pods.sandboxes.configure("10.42.5.0/24").await.is_err());
        assert!(world.pods.sandboxes.configure("everything").await.is_err());
        world.end().await;
    });
}
