//! Debian's docker-registry on a port of its own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `me` with the password `secret`, as bcrypt.
const USERS: &str = "me:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

/// A running docker-registry with an empty store; ends with its owner.
pub struct RealRegistry {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

/// Who may come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Open,
    Password,
    /// TLS with a certificate that only its own folder vouches for.
    Encrypted,
}

impl RealRegistry {
    pub fn start(door: Door) -> RealRegistry {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let users = folder.path().join("users");
        std::fs::write(&users, USERS).expect("a file");
        let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("registry.crt"));
        let auth = match door {
            Door::Open => String::new(),
            Door::Encrypted => {
                make_certificate(&key, &certificate);
                format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display())
            }
            Door::Password => format!("auth:\n  htpasswd:\n    realm: tests\n    path: {}\n", users.display()),
        };
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n{auth}",
            folder.path().join("data").display()
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).expect("a file");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed");
        let registry = RealRegistry { child, port, folder };
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "docker-registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of an encrypted registry, as a folder of `certs.d` has it.
    pub fn certificate(&self) -> std::path::PathBuf {
        self.folder.path().join("registry.crt")
    }

    /// A name here.
    pub fn name(&self, rest: &str) -> String {
        format!("127.0.0.1:{}/{rest}", self.port)
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn make_certificate(key: &std::path::Path, certificate: &std::path::Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout"])
        .args([key.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl is installed").success());
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
