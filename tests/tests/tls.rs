//! The daemon over TCP: who has no certificate of the right authority is not let in.

use std::path::{Path, PathBuf};

use e2e::{Said, Sandbox};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

/// An authority, and certificates of it in the files that docker's clients and daemons look for.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// `ca.pem`, `cert.pem` and `key.pem` in a new folder.
    fn issue(&self, folder: PathBuf, purpose: ExtendedKeyUsagePurpose) -> PathBuf {
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("written");
        write("ca.pem", self.0.pem());
        write("cert.pem", certificate.pem());
        write("key.pem", key.serialize_pem());
        folder
    }
}

fn docker(host: &Sandbox, flags: &[&str], certificates: &Path) -> Said {
    let mut command = host.inside("docker");
    command.args(["-H", "tcp://127.0.0.1:2376"]).args(flags).args(["version", "--format", "{{.Server.Os}}"]);
    command.env("DOCKER_CERT_PATH", certificates).env("DOCKER_CONFIG", host.path("docker-config"));
    Said::of(command.output().expect("docker"))
}

#[test]
fn only_certificates_of_the_authority_come_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (Authority::new(), Authority::new());
    let at = |name: &str| folder.path().join(name);
    let server = ours.issue(at("server"), ExtendedKeyUsagePurpose::ServerAuth);
    let client = ours.issue(at("client"), ExtendedKeyUsagePurpose::ClientAuth);
    let stranger = theirs.issue(at("stranger"), ExtendedKeyUsagePurpose::ClientAuth);
    std::fs::copy(server.join("ca.pem"), stranger.join("ca.pem")).expect("copied");
    let file = |name: &str| server.join(name).display().to_string();
    let host = Sandbox::with_options(&[
        "-H",
        "tcp://127.0.0.1:2376",
        "--tlsverify",
        "--tlscacert",
        &file("ca.pem"),
        "--tlscert",
        &file("cert.pem"),
        "--tlskey",
        &file("key.pem"),
    ]);
    assert_eq!(docker(&host, &["--tlsverify"], &client).ok(), "linux");
    let said = docker(&host, &["--tlsverify"], &stranger).fails(1);
    assert!(said.contains("tls: ") || said.contains("certificate"), "{said}");
    // Without a certificate, and without TLS at all.
    let bare = at("bare");
    std::fs::create_dir(&bare).expect("a folder");
    docker(&host, &["--tls"], &bare).fails(1);
    docker(&host, &[], &bare).fails(1);
    // The client, too, finds out whom it talks to.
    std::fs::copy(at("stranger").join("ca.pem"), at("ca-kept.pem")).expect("copied");
    std::fs::write(client.join("ca.pem"), theirs.0.pem()).expect("written");
    let said = docker(&host, &["--tlsverify"], &client).fails(1);
    assert!(said.contains("x509"), "{said}");
}
