//! Debian's docker-registry in a sandbox's namespaces, and a slow way to it.

use crate::Sandbox;
use std::process::{Child, Stdio};

/// `me` with the password `secret`, as bcrypt.
const USERS: &str = "me:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

/// Passes connections on at a fixed number of bytes a second: listening port, target port, bytes a second.
const SLOW: &str = r#"
import socket, sys, threading, time
port, target, rate = map(int, sys.argv[1:4])
def pump(source, sink, pause):
    try:
        while data := source.recv(16384):
            sink.sendall(data)
            time.sleep(len(data) / rate if pause else 0)
    except OSError:
        pass
    sink.close()
server = socket.create_server(("127.0.0.1", port))
while True:
    client, _ = server.accept()
    upstream = socket.create_connection(("127.0.0.1", target))
    threading.Thread(target=pump, args=(client, upstream, False), daemon=True).start()
    threading.Thread(target=pump, args=(upstream, client, True), daemon=True).start()
"#;

/// A server of the tests; ends with its owner.
pub struct Server(Child);

/// Who may come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Open,
    /// `me` with the password `secret`.
    Password,
}

/// An empty registry on a port of the sandbox's loopback.
pub fn start(host: &Sandbox, port: u16, door: Door) -> Server {
    let folder = host.path(&format!("registry-{port}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    let users = folder.join("users");
    std::fs::write(&users, USERS).expect("a file");
    let auth = match door {
        Door::Open => String::new(),
        Door::Password => format!("auth:\n  htpasswd:\n    realm: tests\n    path: {}\n", users.display()),
    };
    let config = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n{auth}",
        folder.join("data").display()
    );
    let file = folder.join("config.yml");
    std::fs::write(&file, config).expect("a file");
    let mut command = host.inside("docker-registry");
    serving(host, port, command.arg("serve").arg(file))
}

/// A port that leads to another one at `rate` bytes a second.
pub fn slow(host: &Sandbox, port: u16, target: u16, rate: u32) -> Server {
    let mut command = host.inside("python3");
    command.args(["-c", SLOW, &port.to_string(), &target.to_string(), &rate.to_string()]);
    serving(host, port, &mut command)
}

fn serving(host: &Sandbox, port: u16, command: &mut std::process::Command) -> Server {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Server(command.spawn().expect("start"));
    let listens = format!("ss -Hltn 'sport = :{port}' | grep -q .");
    host.until("the server listens", || host.shell(&listens).code == 0);
    server
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
