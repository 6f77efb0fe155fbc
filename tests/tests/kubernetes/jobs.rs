//! Jobs and cron jobs on a node, driven by kubectl.

use e2e::cluster::Cluster;

use crate::workloads::says;

#[test]
fn every_index_of_a_job_runs_once() {
    let cluster = Cluster::with_node();
    cluster.apply(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {name: count}
spec:
  completions: 3
  parallelism: 2
  completionMode: Indexed
  template:
    metadata: {labels: {app: count}}
    spec:
      restartPolicy: Never
      containers:
      - {name: c, image: box:1, command: [sh, -c, 'echo index $JOB_COMPLETION_INDEX on $(hostname)']}
"#,
    );
    cluster.kubectl(["wait", "--for=condition=complete", "job/count", "--timeout=60s"]).ok();
    let status = &cluster.get(["job", "count"])["status"];
    assert_eq!((&status["succeeded"], &status["completedIndexes"]), (&3.into(), &"0-2".into()));
    let mut said: Vec<String> = cluster.kubectl(["logs", "-l", "app=count"]).ok().lines().map(str::to_owned).collect();
    said.sort();
    assert_eq!(said, ["index 0 on count-0", "index 1 on count-1", "index 2 on count-2"]);
    cluster.kubectl(["delete", "job", "count"]).ok();
    says(&cluster, &["get", "pods", "-l", "app=count", "-o", "name"], "");
}

#[test]
fn a_job_that_fails_is_tried_again_and_given_up() {
    let cluster = Cluster::with_node();
    cluster.apply(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {name: broken}
spec:
  backoffLimit: 1
  template:
    metadata: {labels: {app: broken}}
    spec:
      restartPolicy: Never
      containers:
      - {name: c, image: box:1, command: [sh, -c, 'exit 3']}
"#,
    );
    cluster.kubectl(["wait", "--for=condition=failed", "job/broken", "--timeout=60s"]).ok();
    let codes = "jsonpath={.items[*].status.containerStatuses[0].state.terminated.exitCode}";
    says(&cluster, &["get", "pods", "-l", "app=broken", "-o", codes], "3 3");
    says(&cluster, &["get", "job", "broken", "-o", "jsonpath={.status.failed}"], "2");
    let reason = "jsonpath={.status.conditions[?(@.type=='Failed')].reason}";
    says(&cluster, &["get", "job", "broken", "-o", reason], "BackoffLimitExceeded");
}

#[test]
fn a_job_is_made_from_a_cron_job() {
    let cluster = Cluster::with_node();
    let make = ["create", "cronjob", "tick", "--image=box:1", "--schedule=0 0 1 1 *", "--", "echo", "tock"];
    cluster.kubectl(make).ok();
    cluster.kubectl(["create", "job", "now", "--from=cronjob/tick"]).ok();
    cluster.kubectl(["wait", "--for=condition=complete", "job/now", "--timeout=60s"]).ok();
    assert_eq!(cluster.kubectl(["logs", "job/now"]).ok(), "tock");
    let by = "jsonpath={.metadata.annotations.cronjob\\.kubernetes\\.io/instantiate}";
    says(&cluster, &["get", "job", "now", "-o", by], "manual");
    cluster.until("the cron job has seen it succeed", || {
        cluster.kubectl(["get", "cronjob", "tick", "-o", "jsonpath={.status.lastSuccessfulTime}"]).out.ends_with('Z')
    });
    cluster.kubectl(["delete", "cronjob", "tick"]).ok();
    says(&cluster, &["get", "jobs", "-o", "name"], "");
}
