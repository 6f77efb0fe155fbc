//! A deployment is rolled while clients ask it through its Service: none is refused, cut off or kept waiting.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use e2e::cluster::Cluster;

use crate::workloads::says;

const CLIENTS: usize = 4;
const ROLLS: usize = 2;

const WEB: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 20
      containers:
      - name: c
        image: box:1
        env: [{name: ROLL, value: "0"}]
        command: [sh, -c, 'mkdir /www && echo "roll $ROLL" > /www/index.html && exec httpd -f -p 8080 -h /www']
        readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 5}}}
"#;

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    answers: AtomicUsize,
    failures: std::sync::Mutex<Vec<String>>,
    end: AtomicBool,
}

impl Seen {
    /// Asks over and over, each time on a connection of its own.
    fn ask(&self, address: SocketAddr) {
        while !self.end.load(Ordering::Relaxed) {
            match request(address) {
                Ok(()) => {
                    self.answers.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => self.failures.lock().expect("no panic").push(error),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn request(address: SocketAddr) -> Result<(), String> {
    // A lost packet is sent again after a second; a refusal or an end comes at once.
    let limit = Duration::from_secs(20);
    let mut stream = TcpStream::connect_timeout(&address, limit).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(limit)).map_err(|error| error.to_string())?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").map_err(|error| format!("send: {error}"))?;
    let mut said = String::new();
    stream.read_to_string(&mut said).map_err(|error| format!("receive: {error}"))?;
    match said.contains(" 200 OK") && said.contains("roll ") {
        true => Ok(()),
        false => Err(format!("answer: {said:?}")),
    }
}

#[test]
fn no_request_fails_while_a_deployment_rolls() {
    let cluster = Cluster::with_node();
    cluster.apply(WEB);
    let status = ["rollout", "status", "deployment/web", "--timeout=120s"];
    cluster.kubectl(status).ok();
    let service = cluster.kubectl(["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"]).ok();
    let address: SocketAddr = format!("{service}:80").parse().expect("an address");
    cluster.until("the service answers", || cluster.shell(&format!("wget -q -O - -T 1 http://{service}/")).code == 0);
    let seen = Seen::default();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                cluster.enter_network();
                seen.ask(address);
            });
        }
        for roll in 1..=ROLLS {
            let before = seen.answers.load(Ordering::Relaxed);
            cluster.until("clients are served", || seen.answers.load(Ordering::Relaxed) > before + 20);
            cluster.kubectl(["set", "env", "deployment/web", &format!("ROLL={roll}")]).ok();
            let rolled = cluster.kubectl(status);
            if rolled.code != 0 {
                seen.end.store(true, Ordering::Relaxed);
            }
            rolled.ok();
        }
        let rolls = ["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[0].env[0].value}"];
        says(&cluster, &rolls, &[ROLLS.to_string(), ROLLS.to_string(), ROLLS.to_string()].join(" "));
        seen.end.store(true, Ordering::Relaxed);
    });
    let failures = seen.failures.lock().expect("no panic");
    let answers = seen.answers.load(Ordering::Relaxed);
    println!("{answers} requests through {ROLLS} rollouts, {} failed", failures.len());
    assert!(
        failures.is_empty(),
        "{} of {} failed: {:?}",
        failures.len(),
        answers + failures.len(),
        &failures[..failures.len().min(10)]
    );
    assert!(answers > 100, "only {answers} requests were made");
}
