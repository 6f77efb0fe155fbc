//! Who does not say who they are, or says it wrongly, meets a clear refusal; and the server that was shouted at goes on.

use e2e::cluster::Cluster;

/// Status code of a request with these words for curl.
fn code(cluster: &Cluster, words: &str) -> String {
    let said = cluster.shell(&format!("curl -sk -m 20 -o /dev/null -w '%{{http_code}}' {words}"));
    said.out.trim().to_owned()
}

#[test]
fn strangers_see_health_and_version_only() {
    let cluster = Cluster::new();
    for (path, wanted) in [
        ("/healthz", "200"),
        ("/livez", "200"),
        ("/readyz", "200"),
        ("/version", "200"),
        ("/api", "403"),
        ("/api/v1/secrets", "403"),
        ("/apis/apps/v1/deployments", "403"),
        ("/openapi/v2", "403"),
        ("/metrics", "403"),
        ("/nothing", "403"),
    ] {
        assert_eq!(code(&cluster, &format!("https://127.0.0.1:6443{path}")), wanted, "{path}");
    }
    assert_eq!(
        code(&cluster, "-X POST -d '{}' -H 'content-type: application/json' https://127.0.0.1:6443/api/v1/namespaces"),
        "403"
    );
    assert_ne!(code(&cluster, "http://127.0.0.1:6443/healthz"), "200", "nothing without TLS");
}

#[test]
fn tokens_that_are_forged_or_whose_account_is_gone_are_refused() {
    let cluster = Cluster::new();
    let account = cluster.kubectl(["create", "serviceaccount", "robot"]);
    account.ok();
    let token = cluster.kubectl(["create", "token", "robot"]).ok();
    let ask =
        |token: &str| code(&cluster, &format!("-H 'authorization: Bearer {token}' https://127.0.0.1:6443/api/v1/pods"));
    assert_eq!(ask(&token), "403", "known, without rights");
    let parts: Vec<&str> = token.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let forged = [
        "nonsense".to_owned(),
        "a.b.c".to_owned(),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], parts[2].chars().rev().collect::<String>()),
        format!("{}.{}x.{}", parts[0], parts[1], parts[2]),
        "x".repeat(6000),
    ];
    for token in forged {
        assert_eq!(ask(&token), "401", "{token}");
    }
    assert_eq!(
        code(&cluster, "-u admin:admin https://127.0.0.1:6443/api/v1/pods"),
        "403",
        "no such way to say who one is"
    );
    cluster.kubectl(["delete", "serviceaccount", "robot"]).ok();
    cluster.until("its token has died with it", || ask(&token) == "401");
}

#[test]
fn a_server_that_was_shouted_at_goes_on() {
    let cluster = Cluster::new();
    let shout = "for n in 1 2 3 4 5 6 7 8; do head -c 5000000 /dev/urandom | curl -sk -m 20 -o /dev/null --data-binary @- https://127.0.0.1:6443/api/v1/namespaces/default/pods; \
        (printf 'GET / HTTP/1.1\\r\\nx: '; head -c 1000000 /dev/zero | tr '\\0' a) | timeout 5 curl -sk -m 5 telnet://127.0.0.1:6443 >/dev/null 2>&1; done; \
        curl -sk -m 20 -o /dev/null -H \"x: $(head -c 90000 /dev/zero | tr '\\0' a)\" https://127.0.0.1:6443/healthz; true";
    assert_eq!(cluster.shell(shout).code, 0);
    assert_eq!(cluster.kubectl(["get", "--raw", "/readyz"]).ok(), "ok");
    cluster.kubectl(["create", "configmap", "after"]).ok();
}
