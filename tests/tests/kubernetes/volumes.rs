//! Volumes, variables, names and security contexts of pods, as their processes see them.

use std::path::PathBuf;

use e2e::cluster::Cluster;
use serde_json::{Value, json};

/// A cluster with a node, an image, and a folder that pods write into.
struct World(Cluster);

impl World {
    fn new() -> World {
        let world = World(Cluster::with_node());
        std::fs::create_dir(world.out()).expect("a folder");
        world
    }

    fn out(&self) -> PathBuf {
        self.0.path("out")
    }

    /// A pod of one container that runs a shell; what it writes to `/out` is seen by [`World::said`].
    #[track_caller]
    fn pod(&self, name: &str, script: &str, container: Value, spec: Value) {
        let mut all = json!({"name": "c", "image": "box:1", "command": ["sh", "-c", script],
            "volumeMounts": [{"name": "out", "mountPath": "/out"}]});
        let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
        merge(&mut all, container);
        let own = json!({"name": "out", "mountPath": "/out"});
        all["volumeMounts"] = mounts.into_iter().chain([own]).collect();
        let mut pod = json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [all]});
        let volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
        merge(&mut pod, spec);
        let out = json!({"name": "out", "hostPath": {"path": self.out(), "type": "Directory"}});
        pod["volumes"] = volumes.into_iter().chain([out]).collect();
        let metadata = json!({"name": name, "labels": {"app": name}, "annotations": {"note": "hello"}});
        let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod});
        self.0.apply(&manifest.to_string());
    }

    /// The last whole file that a pod wrote, by its name.
    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.out().join(name)).unwrap_or_default().trim_end().to_owned()
    }

    /// Waits until a pod ended well.
    #[track_caller]
    fn succeeds(&self, name: &str) {
        self.0.wait(&format!("{name} succeeds"), || self.phase(name) == "Succeeded");
    }

    fn phase(&self, name: &str) -> String {
        self.0.kubectl(["get", "pod", name, "-o", "jsonpath={.status.phase}"]).out
    }

    fn events(&self, name: &str) -> String {
        let of = format!("involvedObject.name={name}");
        let format = "jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}";
        self.0.kubectl(["get", "events", "--field-selector", &of, "-o", format]).out
    }

    /// Runs a pod to its end and returns what it wrote to `/out/<name>`.
    #[track_caller]
    fn run(&self, name: &str, script: &str, container: Value, spec: Value) -> String {
        self.pod(name, &format!("({script}) > /out/{name} 2>&1"), container, spec);
        self.succeeds(name);
        self.said(name)
    }

    /// Whether the reason that a container waits for, or its message, has a text.
    fn waits_for(&self, name: &str, text: &str) -> bool {
        let format = "jsonpath={.status.containerStatuses[0].state.waiting}";
        self.0.kubectl(["get", "pod", name, "-o", format]).out.contains(text)
    }
}

fn merge(into: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    into.as_object_mut().expect("an object").extend(more);
}

/// Writes a file as a whole, so that a reader sees it whole.
fn watching(name: &str, command: &str) -> String {
    format!("while true; do ({command}) > /out/{name}.new 2>&1; mv /out/{name}.new /out/{name}; sleep 0.1; done")
}

#[test]
fn every_kind_of_volume_is_seen_from_inside() {
    let world = World::new();
    let host = world.0.path("host");
    std::fs::create_dir(&host).expect("a folder");
    std::fs::write(host.join("given"), "from the node").expect("a file");
    world.0.kubectl(["create", "configmap", "cm", "--from-literal=a=1", "--from-literal=b=2"]).ok();
    world.0.kubectl(["create", "secret", "generic", "sec", "--from-literal=pass=word"]).ok();
    let volumes = json!([
        {"name": "cm", "configMap": {"name": "cm", "items": [{"key": "a", "path": "sub/a", "mode": 0o440}]}},
        {"name": "sec", "secret": {"secretName": "sec", "defaultMode": 0o400}},
        {"name": "none", "configMap": {"name": "none", "optional": true}},
        {"name": "down", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "mem", "resourceFieldRef": {"containerName": "c", "resource": "limits.memory", "divisor": "1Mi"}}]}},
        {"name": "all", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
            {"configMap": {"name": "cm"}}, {"secret": {"name": "sec"}}]}},
        {"name": "disk", "emptyDir": {}},
        {"name": "mem", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "host", "hostPath": {"path": host, "type": "Directory"}},
    ]);
    let mounts = json!([
        {"name": "cm", "mountPath": "/cm"}, {"name": "sec", "mountPath": "/sec"}, {"name": "none", "mountPath": "/none"},
        {"name": "down", "mountPath": "/down"}, {"name": "all", "mountPath": "/all"}, {"name": "disk", "mountPath": "/disk"},
        {"name": "mem", "mountPath": "/mem"}, {"name": "host", "mountPath": "/host", "readOnly": true},
        {"name": "host", "mountPath": "/one", "subPath": "given"},
    ]);
    let script = "cat /cm/sub/a; stat -Lc %a /cm/sub/a; ls /cm; cat /sec/pass; stat -Lc %a /sec/pass; ls /none | wc -l; \
        cat /down/labels /down/mem; echo; ls /all; tr . '\\n' < /all/token | wc -l; cat /all/pass; \
        echo x > /disk/x && cat /disk/x; stat -c %a /disk; dd if=/dev/zero of=/mem/x bs=1k count=2000 2>/dev/null || echo full; \
        cat /host/given /one; touch /host/x || true; touch /cm/x || true; \
        test -s /var/run/secrets/kubernetes.io/serviceaccount/token && cat /var/run/secrets/kubernetes.io/serviceaccount/namespace";
    let container = json!({"volumeMounts": mounts, "resources": {"limits": {"memory": "64Mi"}}});
    let said = world.run("kinds", script, container, json!({"volumes": volumes}));
    let wanted = "1440\nsub\nword400\n0\napp=\"kinds\"64\na\nb\npass\ntoken\n2\nword\
        x\n777\nfull\nfrom the nodefrom the nodetouch: /host/x: Read-only file system\ntouch: /cm/x: Read-only file system\ndefault";
    assert_eq!(said, wanted);
    let uid = world.0.get(["pod", "kinds"])["metadata"]["uid"].as_str().expect("a uid").to_owned();
    world.0.kubectl(["delete", "pod", "kinds"]).ok();
    world.0.wait("nothing of the pod is mounted", || {
        world.0.shell(&format!("grep -q {uid} /proc/self/mountinfo")).code == 1
    });
    assert_eq!(std::fs::read_to_string(host.join("given")).expect("it stays"), "from the node");
}

#[test]
fn volumes_follow_config_maps_secrets_and_labels() {
    let world = World::new();
    world.0.kubectl(["create", "configmap", "cm", "--from-literal=k=1"]).ok();
    world.0.kubectl(["create", "secret", "generic", "sec", "--from-literal=k=1"]).ok();
    let volumes = json!([
        {"name": "cm", "configMap": {"name": "cm"}},
        {"name": "all", "projected": {"sources": [{"secret": {"name": "sec"}},
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}},
    ]);
    let mounts = json!([{"name": "cm", "mountPath": "/cm"}, {"name": "all", "mountPath": "/all"}]);
    let script = watching("live", "cat /cm/k; echo; cat /all/k; echo; cat /all/labels");
    world.pod("live", &script, json!({"volumeMounts": mounts}), json!({"volumes": volumes}));
    world.0.wait("the first state", || world.said("live") == "1\n1\napp=\"live\"");
    world.0.kubectl(["patch", "configmap", "cm", "-p", r#"{"data":{"k":"2"}}"#]).ok();
    world.0.kubectl(["patch", "secret", "sec", "-p", r#"{"stringData":{"k":"3"}}"#]).ok();
    world.0.kubectl(["label", "pod", "live", "more=yes"]).ok();
    world.0.wait("the changes", || world.said("live") == "2\n3\napp=\"live\"\nmore=\"yes\"");
}

#[test]
fn pods_wait_for_what_is_missing_and_go_on_when_it_is_there() {
    let world = World::new();
    let volumes = json!([{"name": "v", "configMap": {"name": "late"}}]);
    let mounts = json!([{"name": "v", "mountPath": "/v"}]);
    world.pod("mount", "cat /v/k > /out/mount", json!({"volumeMounts": mounts}), json!({"volumes": volumes}));
    let env = json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "late", "key": "k"}}}]);
    world.pod("env", "echo $X > /out/env", json!({"env": env}), json!({}));
    let missing = "FailedMount: MountVolume.SetUp failed for volume \"v\" : configmap \"late\" not found";
    world.0.wait("the mount is told of", || world.events("mount").contains(missing));
    world.0.wait("the variable is told of", || world.waits_for("env", "CreateContainerConfigError"));
    assert!(world.waits_for("env", "secret \\\"late\\\" not found"), "{}", world.0.get(["pod", "env"]));
    world.0.kubectl(["create", "configmap", "late", "--from-literal=k=mounted"]).ok();
    world.0.kubectl(["create", "secret", "generic", "late", "--from-literal=k=told"]).ok();
    world.succeeds("mount");
    world.succeeds("env");
    assert_eq!((world.said("mount").as_str(), world.said("env").as_str()), ("mounted", "told"));
}

#[test]
fn variables_come_from_everywhere() {
    let world = World::new();
    world.0.kubectl(["create", "configmap", "cm", "--from-literal=A=1", "--from-literal=B=2"]).ok();
    world.0.kubectl(["create", "secret", "generic", "sec", "--from-literal=S=3"]).ok();
    world.0.kubectl(["create", "service", "clusterip", "web", "--tcp=80:8080"]).ok();
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let env = json!([
        {"name": "NAME", "valueFrom": field("metadata.name")},
        {"name": "NODE", "valueFrom": field("spec.nodeName")},
        {"name": "LABEL", "valueFrom": field("metadata.labels['app']")},
        {"name": "NOTE", "valueFrom": field("metadata.annotations['note']")},
        {"name": "IP", "valueFrom": field("status.podIP")},
        {"name": "ACCOUNT", "valueFrom": field("spec.serviceAccountName")},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
        {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "A"}}},
        {"name": "SKEY", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "S"}}},
        {"name": "NO", "valueFrom": {"secretKeyRef": {"name": "none", "key": "S", "optional": true}}},
        {"name": "B", "value": "own"},
        {"name": "EXPANDED", "value": "$(NAME)-$(P_A)-$(WEB_SERVICE_PORT)-$(UNKNOWN)-$$(NAME)"},
    ]);
    let from = json!([{"configMapRef": {"name": "cm"}}, {"prefix": "P_", "configMapRef": {"name": "cm"}}, {"secretRef": {"name": "sec"}}]);
    let script = "echo $NAME $LABEL $NOTE $ACCOUNT $CPU $KEY $SKEY ${NO-unset} $A $B $S $P_B; echo \"$EXPANDED\"; echo \"$0\"; \
        test \"$(hostname -i)\" = \"$IP\" && echo address; test -n \"$NODE\" && echo node; \
        test \"$WEB_PORT_80_TCP_ADDR\" = \"$WEB_SERVICE_HOST\" && echo $WEB_SERVICE_PORT $KUBERNETES_SERVICE_PORT";
    let container = json!({"env": env, "envFrom": from, "args": ["$(NAME)/$(KEY)/$$(KEY)"],
        "resources": {"requests": {"cpu": "250m"}}});
    let said = world.run("vars", script, container, json!({}));
    let wanted = "vars vars hello default 250 1 3 unset 1 own 3 2\nvars-1-80-$(UNKNOWN)-$(NAME)\nvars/1/$(KEY)\naddress\nnode\n80 443";
    assert_eq!(said, wanted);
}

#[test]
fn names_hosts_and_resolvers() {
    let world = World::new();
    let spec = json!({"hostname": "h", "subdomain": "sub", "setHostnameAsFQDN": true,
        "hostAliases": [{"ip": "192.0.2.9", "hostnames": ["one", "two"]}],
        "dnsConfig": {"nameservers": ["192.0.2.53"], "searches": ["corp.example"], "options": [{"name": "ndots", "value": "2"}]}});
    let said = world.run("names", "hostname; cat /etc/hosts; cat /etc/resolv.conf", json!({}), spec);
    let fqdn = "h.sub.default.svc.cluster.local";
    assert!(said.starts_with(&format!("{fqdn}\n# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")), "{said}");
    for line in [
        &format!("\t{fqdn}\th\n"),
        "# Entries added by HostAliases.\n192.0.2.9\tone\ttwo\n",
        "nameserver 192.0.2.53",
        "ndots:2",
    ] {
        assert!(said.contains(line), "{line:?} in {said}");
    }
    assert!(said.contains("search default.svc.cluster.local svc.cluster.local cluster.local"), "{said}");
    let none = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.54"], "searches": ["only.example"]}});
    let said = world.run("none", "cat /etc/resolv.conf", json!({}), none);
    let mut lines: Vec<&str> =
        said.lines().filter(|line| line.starts_with("nameserver") || line.starts_with("search")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["nameserver 192.0.2.54", "search only.example"]);
}

#[test]
fn sub_paths_and_groups_of_volumes() {
    let world = World::new();
    let volumes = json!([{"name": "e", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory"}}]);
    let env = json!([{"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    let mounts = json!([{"name": "e", "mountPath": "/all"}, {"name": "e", "mountPath": "/part", "subPathExpr": "a/$(WHO)"},
        {"name": "m", "mountPath": "/m"}]);
    let script = "id -u; id -g; id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' '; echo; echo x > /part/f; cat /all/a/groups/f; \
        stat -c '%a %g' /all /m; touch /all/new /m/new; stat -c %g /all/new /m/new";
    let context = json!({"runAsUser": 1000, "runAsGroup": 2000, "fsGroup": 3000, "supplementalGroups": [4000]});
    let container = json!({"volumeMounts": mounts, "env": env});
    std::fs::set_permissions(world.out(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("a mode");
    // The image says that this user is in the group 10, too.
    let said = world.run("groups", script, container, json!({"volumes": volumes, "securityContext": context}));
    assert_eq!(said, "1000\n2000\n10 2000 3000 4000 \nx\n2777 3000\n2777 3000\n3000\n3000");
}

#[test]
fn contexts_hold_and_root_is_refused_where_it_must_not_be() {
    let world = World::new();
    world.pod("root", "true", json!({}), json!({"securityContext": {"runAsNonRoot": true}}));
    world
        .0
        .wait("root is refused", || world.waits_for("root", "container has runAsNonRoot and image will run as root"));
    assert!(world.waits_for("root", "CreateContainerConfigError"));
    let status = "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\n\\t' '; '";
    let context = json!({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true});
    let script = format!("{status}; touch /x 2>&1 | sed 's/.*: //'");
    let said = world.run("tight", &script, json!({"securityContext": context}), json!({}));
    assert_eq!(said, "CapEff: 0000000000000400;NoNewPrivs: 1;Seccomp: 2;Read-only file system");
    let said = world.run(
        "open",
        &format!("{status}; ls /dev/kmsg"),
        json!({"securityContext": {"privileged": true}}),
        json!({}),
    );
    assert!(said.contains("NoNewPrivs: 0;Seccomp: 0;") && said.ends_with("/dev/kmsg"), "{said}");
    let open = json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}, "sysctls": [
        {"name": "net.ipv4.ip_unprivileged_port_start", "value": "1"}]}});
    let script = format!("{status}; cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
    let said = world.run("unconfined", &script, json!({}), open);
    assert!(said.contains("Seccomp: 0;") && said.ends_with('1'), "{said}");
}

#[test]
fn the_nodes_own_namespaces() {
    let world = World::new();
    let inode = |kind: &str| world.0.shell(&format!("stat -Lc %i /proc/self/ns/{kind}")).ok();
    let script = "for n in net ipc pid uts; do stat -Lc %i /proc/self/ns/$n; done";
    let all = json!({"hostNetwork": true, "hostPID": true, "hostIPC": true});
    let said = world.run("host", script, json!({}), all);
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said[..3], [inode("net"), inode("ipc"), inode("pid")]);
    let own = world.run("own", script, json!({}), json!({}));
    let own: Vec<&str> = own.lines().collect();
    for (place, kind) in ["net", "ipc", "pid", "uts"].iter().enumerate() {
        assert_ne!(own[place], inode(kind), "{kind}");
    }
}
