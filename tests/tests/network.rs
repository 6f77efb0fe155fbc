//! The default bridge: addresses, published ports, and what happens when they are taken.

use e2e::Sandbox;
use e2e::leaks::Inventory;

const SERVER: &str = "mkdir -p /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www";

#[test]
fn a_published_port_serves_from_the_host_and_from_another_container() {
    let host = Sandbox::with_image();
    host.docker([
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        "127.0.0.1:8080:80",
        "-p",
        "9090:80",
        "box:1",
        "sh",
        "-c",
        SERVER,
    ])
    .ok();
    host.until("the server listens", || host.shell("curl -s http://127.0.0.1:8080/").out == "page\n");
    assert_eq!(host.shell("curl -s http://127.0.0.1:9090/").ok(), "page");
    let ports = host.docker(["port", "web", "80/tcp"]).ok();
    assert!(ports.lines().any(|line| line == "127.0.0.1:8080"), "{ports}");
    let address = host.inspect("web")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        .as_str()
        .expect("an address")
        .to_string();
    assert_eq!(host.docker(["run", "--rm", "box:1", "wget", "-qO-", &format!("http://{address}/")]).ok(), "page");
    let gateway = host.inspect("web")["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
        .as_str()
        .expect("a gateway")
        .to_string();
    assert_eq!(host.docker(["run", "--rm", "box:1", "wget", "-qO-", &format!("http://{gateway}:9090/")]).ok(), "page");
    assert_ne!(
        host.shell(&format!("curl -s --max-time 2 http://{gateway}:8080/")).code,
        0,
        "published on loopback alone"
    );
}

#[test]
fn a_taken_port_is_refused_and_nothing_is_left() {
    let host = Sandbox::with_image();
    host.docker(["run", "-d", "--name", "first", "-p", "8080:80", "box:1", "sleep", "100"]).ok();
    let before = Inventory::of(&host);
    let said = host.docker(["run", "--rm", "-p", "8080:80", "box:1", "true"]).fails(125);
    assert!(said.contains("port is already allocated"), "{said}");
    host.docker(["ps", "-aqf", "status=created"]).ok().lines().for_each(|id| drop(host.docker(["rm", id]).ok()));
    before.is_back(&host);
    host.docker(["rm", "-f", "first"]).ok();
    host.docker(["run", "--rm", "-p", "8080:80", "box:1", "true"]).ok();
}

#[test]
fn network_modes_host_and_none() {
    let host = Sandbox::with_image();
    let inside = host.docker(["run", "--rm", "--network", "none", "box:1", "ip", "-o", "link"]).ok();
    assert_eq!(inside.lines().count(), 1, "{inside}");
    let names = |text: &str| text.lines().filter(|line| line.contains("lo:")).count();
    assert_eq!(names(&host.docker(["run", "--rm", "--network", "host", "box:1", "ip", "-o", "link"]).ok()), 1);
    let mine = host.shell("readlink /proc/self/ns/net").ok();
    assert_eq!(host.docker(["run", "--rm", "--network", "host", "box:1", "readlink", "/proc/self/ns/net"]).ok(), mine);
}
