//! The suite on a real etcd, one server and two, plain and with TLS. Without etcd installed nothing is tested.

mod suite;

use k8s_store::{At, EtcdOptions, Expect, Options, ReadError, Store, Write, WriteError};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// An etcd of our own.
struct Etcd {
    process: Child,
    url: String,
    args: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Etcd {
    fn start(dir: tempfile::TempDir, tls: bool) -> Option<Etcd> {
        let [client, peer] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let scheme = if tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{client}");
        let peer = format!("http://127.0.0.1:{peer}");
        let mut args: Vec<String> = ["--name", "one", "--log-level", "error", "--data-dir"].map(String::from).to_vec();
        args.push(dir.path().join("data").display().to_string());
        for flag in ["--listen-client-urls", "--advertise-client-urls"] {
            args.extend([flag.to_string(), url.clone()]);
        }
        for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            args.extend([flag.to_string(), peer.clone()]);
        }
        args.extend(["--initial-cluster".to_string(), format!("one={peer}")]);
        if tls {
            let file = |name: &str| dir.path().join(name).display().to_string();
            for (flag, name) in
                [("--cert-file", "server.pem"), ("--key-file", "server.key"), ("--trusted-ca-file", "ca.pem")]
            {
                args.extend([flag.to_string(), file(name)]);
            }
            args.push("--client-cert-auth".to_string());
        }
        let process = run(&args)?;
        Some(Etcd { process, url, args, _dir: dir })
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// A store under a prefix.
    async fn store(&self, prefix: &str, more: &str) -> Store {
        let etcd: EtcdOptions = format!("{},prefix={prefix}{more}", self.url).parse().unwrap();
        for _ in 0..100 {
            match Store::connect(&etcd, Options::default()).await {
                Ok(store) => return store,
                Err(error) => println!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("etcd does not answer");
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(args: &[String]) -> Option<Child> {
    let result = Command::new("etcd").args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if result.is_err() {
        println!("no etcd here: not tested");
    }
    result.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_on_etcd() {
    let Some(etcd) = Etcd::start(tempfile::tempdir().unwrap(), false) else { return };
    let count = std::sync::atomic::AtomicUsize::new(0);
    suite::all(|| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let etcd = &etcd;
        async move { etcd.store(&format!("/suite-{number}/"), "").await }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_share_one_etcd() {
    let Some(etcd) = Etcd::start(tempfile::tempdir().unwrap(), false) else { return };
    let (one, two) = (etcd.store("/shared/", "").await, etcd.store("/shared/", "").await);
    suite::history::check(&[one.clone(), two.clone()], 8, 100).await;
    // somebody else's writes, of which the watch says nothing
    let other = etcd.store("/other/", "").await;
    for number in 0..20 {
        let written = one.write(Write::put("a", Expect::Any, number.to_string())).await.unwrap().revision;
        other.write(Write::put("x", Expect::Any, "y")).await.unwrap();
        let got = two.get("a", At::Latest).await.unwrap();
        assert_eq!(got.entry.unwrap().value, number.to_string());
        assert!(got.revision > written);
    }
    assert_eq!(suite::list(&two, "", At::Latest).await.entries.len(), one.count(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_goes_and_comes_back() {
    let Some(mut etcd) = Etcd::start(tempfile::tempdir().unwrap(), false) else { return };
    let store = etcd.store("/p/", "").await;
    let revision = store.write(Write::put("a", Expect::Any, "1")).await.unwrap().revision;
    let mut watcher = store.watch("", revision).unwrap();
    etcd.kill();
    assert!(matches!(store.get("a", At::Latest).await, Err(ReadError::Unavailable { .. })));
    assert_eq!(store.get("a", At::Any).await.unwrap().entry.unwrap().value, "1");
    let refused = store.write(Write::put("a", Expect::Any, "2")).await;
    assert!(matches!(refused, Err(WriteError::Unavailable { .. })), "{refused:?}");
    etcd.process = run(&etcd.args).unwrap();
    let other = etcd.store("/p/", "").await;
    let written = other.write(Write::put("a", Expect::Any, "3")).await.unwrap();
    assert_eq!(suite::next(&mut watcher).await.revision, written.revision);
    assert_eq!(store.get("a", At::Latest).await.unwrap().entry.unwrap().value, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_with_tls_and_client_certificates() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let more = format!(",ca={},cert={},key={}", file("ca.pem"), file("client.pem"), file("client.key"));
    let ca = file("ca.pem");
    let Some(etcd) = Etcd::start(dir, true) else { return };
    let store = etcd.store("/tls/", &more).await;
    suite::history::check(&[store], 4, 50).await;
    let anonymous: EtcdOptions = format!("{},ca={ca}", etcd.url).parse().unwrap();
    assert!(Store::connect(&anonymous, Options::default()).await.is_err());
}

fn certificates(dir: &Path) {
    let key = || rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = key();
    let ca = params.self_signed(&ca_key).unwrap();
    std::fs::write(dir.join("ca.pem"), ca.pem()).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    for name in ["server", "client"] {
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_string()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages =
            vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let own = key();
        let certificate = params.signed_by(&own, &issuer).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), own.serialize_pem()).unwrap();
    }
}
