//! The daemon may die at any moment: what was acknowledged is there afterwards.

use e2e::cluster::Cluster;

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let mut cluster = Cluster::new();
    let mut last = 0;
    for round in 0..3 {
        let script = format!(
            "i=0; while :; do i=$((i+1)); printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {{name: c{round}-%s}}\\n' $i | \
             \"$0\" create -f - >/dev/null 2>&1 && echo $i || exit 0; done"
        );
        let kubectl = cluster.client("kubectl", [""; 0]);
        let mut shell = cluster.inside("sh");
        shell
            .args(["-c", &script])
            .arg(kubectl.get_args().last().expect("the program"))
            .env("KUBECONFIG", cluster.kubeconfig());
        let path = cluster.path(&format!("acknowledged-{round}"));
        let file = std::fs::File::create(&path).expect("a file");
        let mut child = shell.env("HOME", cluster.path("home")).stdout(file).spawn().expect("sh");
        let acknowledged = || std::fs::read_to_string(&path).expect("text");
        cluster.until("some writes", || acknowledged().lines().count() >= 3 + 3 * round);
        cluster.kill_daemon();
        child.wait().expect("wait");
        let acknowledged = acknowledged();
        cluster.start_daemon();
        cluster.ready();
        let names = cluster.kubectl(["get", "configmaps", "-o", "name"]).ok();
        for number in acknowledged.lines() {
            assert!(names.lines().any(|name| name == format!("configmap/c{round}-{number}")), "{number} is lost");
        }
        let list = cluster.get(["configmaps"]);
        let revision: u64 = list["metadata"]["resourceVersion"].as_str().and_then(|it| it.parse().ok()).unwrap_or(0);
        cluster.kubectl(["create", "configmap", &format!("after-{round}")]).ok();
        let made = cluster.get(["configmap", &format!("after-{round}")]);
        let made: u64 =
            made["metadata"]["resourceVersion"].as_str().and_then(|it| it.parse().ok()).expect("a revision");
        assert!(made > last && made >= revision, "revisions go back: {last}, {revision}, {made}");
        last = made;
    }
}

#[test]
fn without_the_flag_nothing_of_kubernetes_is_there() {
    let host = e2e::Sandbox::new();
    assert!(!host.path("data/kubernetes").exists());
    assert_eq!(host.shell("ss -Hltn | wc -l").ok(), "0");
}
