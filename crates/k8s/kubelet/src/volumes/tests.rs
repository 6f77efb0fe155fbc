//! Volumes over an API server in this process. Each test mounts in a mount namespace of its own thread.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::pin::Pin;

use k8s_apiserver::{ApiServer, Identity};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use rustix::mount::{MountPropagationFlags, mount_change};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;

/// What is waited for happens at once; a loaded machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    client: Client,
    volumes: Volumes,
    sources: Sources,
    time: watch::Sender<Timestamp>,
    folder: tempfile::TempDir,
    _server: ApiServer,
}

struct Manual(watch::Sender<Timestamp>);

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn until(&self, time: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut clock = self.0.subscribe();
        Box::pin(async move { drop(clock.wait_for(|now| *now >= time).await) })
    }
}

impl World {
    async fn new() -> World {
        // Threads that this one starts have it too.
        sys::namespace::unshare_mounts_of_thread().expect("a mount namespace: the tests run as root");
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::open(k8s_apiserver::Config::new(folder.path().join("server"))).await.unwrap();
        let client = Client::new(server.service(Identity::loopback()), "default");
        let sources = Sources::new(client.clone());
        let config = Config::new("n1", folder.path().join("kubelet"));
        let time = watch::Sender::new(Timestamp::now());
        let volumes = Volumes::with_clock(&config, client.clone(), &sources, Arc::new(Manual(time.clone())));
        let world = World { client, volumes, sources, time, folder, _server: server };
        let account: ServiceAccount = object(json!({"metadata": {"name": "default"}}));
        world.api().create(&PostParams::default(), &account).await.unwrap();
        world
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn config_map(&self, name: &str, data: Value) {
        let map: ConfigMap = object(json!({"metadata": {"name": name}, "data": data}));
        self.api().create(&PostParams::default(), &map).await.unwrap();
    }

    async fn set(&self, name: &str, data: Value) {
        let patch = Patch::Merge(json!({"data": data}));
        self.api::<ConfigMap>().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// A pod of the API with these volumes.
    async fn pod(&self, name: &str, volumes: Value, more: Value) -> Pod {
        let mut spec = json!({"containers": [{"name": "c", "image": "i"}], "volumes": volumes, "nodeName": "n1",
            "automountServiceAccountToken": false});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pod: Pod = object(json!({"metadata": {"name": name, "labels": {"a": "1"}}, "spec": spec}));
        self.api().create(&PostParams::default(), &pod).await.unwrap()
    }

    async fn mounted(&self, pod: &Pod) -> MountedVolumes {
        self.volumes.mount(pod).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn fault(&self, pod: &Pod) -> String {
        match self.volumes.mount(pod).await {
            Ok(_) => panic!("it is mounted"),
            Err(error) => error.to_string(),
        }
    }

    async fn mounts(&self, pod: &Pod, mounts: Value) -> Result<Vec<Mount>, Error> {
        let container: Container = object(json!({"name": "c", "volumeMounts": mounts}));
        self.mounted(pod).await.mounts(pod, &container, &[("NAME".into(), "x".into())]).await
    }

    fn kubelet(&self) -> PathBuf {
        fs::canonicalize(self.folder.path().join("kubelet")).unwrap()
    }
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

#[tokio::test]
async fn a_config_map_that_comes_later_is_mounted_then_and_followed() {
    let world = World::new().await;
    let volumes = json!([{"name": "v", "configMap": {"name": "m"}}]);
    let pod = world.pod("p", volumes, json!({})).await;
    let missing = "MountVolume.SetUp failed for volume \"v\" : configmap \"m\" not found";
    assert_eq!(world.fault(&pod).await, missing);
    world.config_map("m", json!({"a": "1", "b": "2"})).await;
    tokio::time::timeout(PATIENCE, world.volumes.ready(&pod)).await.unwrap();
    let wait = async {
        while world.volumes.mount(&pod).await.is_err() {
            world.volumes.ready(&pod).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
    let path = world.mounted(&pod).await.paths["v"].clone();
    assert_eq!((text(&path.join("a")), text(&path.join("b"))), ("1".into(), "2".into()));
    assert!(fs::read_link(path.join("a")).unwrap().starts_with("..data"));
    let first = fs::read_link(path.join("..data")).unwrap();
    world.set("m", json!({"a": "new", "b": null, "c": "3"})).await;
    eventually("the update is seen", || text(&path.join("a")) == "new").await;
    eventually("what is gone is gone", || !path.join(&first).exists() && fs::symlink_metadata(path.join("b")).is_err())
        .await;
    eventually("what is new is there", || text(&path.join("c")) == "3").await;
    world.api::<ConfigMap>().delete("m", &DeleteParams::default()).await.unwrap();
    world.volumes.update(&pod).await;
    assert_eq!(text(&path.join("a")), "new", "what a container has stays");
    world.volumes.unmount(pod.metadata.uid.as_deref().unwrap()).await.unwrap();
    assert!(!path.exists());
    assert!(!places::is_mounted(&world.kubelet().join("memory")));
    assert_eq!(world.sources.counts(), (0, 0));
}

#[tokio::test]
async fn keys_become_files_with_their_modes_and_the_pods_group() {
    let world = World::new().await;
    let secret: Secret = object(json!({"metadata": {"name": "s"}, "stringData": {"k": "v", "other": "w"}}));
    world.api().create(&PostParams::default(), &secret).await.unwrap();
    let items = json!([{"key": "k", "path": "deep/er/file", "mode": 0o400}]);
    let volumes = json!([
        {"name": "items", "secret": {"secretName": "s", "items": items}},
        {"name": "mode", "secret": {"secretName": "s", "defaultMode": 0o600}},
        {"name": "none", "secret": {"secretName": "no", "optional": true}},
    ]);
    let pod = world.pod("p", volumes, json!({})).await;
    let paths = world.mounted(&pod).await.paths;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(text(&paths["items"].join("deep/er/file")), "v");
    assert_eq!(mode(&paths["items"].join("deep/er/file")), 0o400);
    assert!(!paths["items"].join("other").exists());
    assert_eq!(mode(&paths["mode"].join("k")), 0o600);
    assert!(paths["none"].is_dir());
    let volumes = json!([{"name": "v", "secret": {"secretName": "s", "defaultMode": 0o400}},
        {"name": "e", "emptyDir": {}}]);
    let pod = world.pod("q", volumes, json!({"securityContext": {"fsGroup": 4321}})).await;
    let paths = world.mounted(&pod).await.paths;
    let file = fs::metadata(paths["v"].join("k")).unwrap();
    assert_eq!((file.mode() & 0o7777, file.gid()), (0o440, 4321));
    let folder = fs::metadata(&paths["e"]).unwrap();
    assert_eq!((folder.mode() & 0o7777, folder.gid()), (0o2777, 4321));
    let volumes = json!([{"name": "v", "secret": {"secretName": "s", "items": [{"key": "no", "path": "p"}]}}]);
    let pod = world.pod("r", volumes, json!({})).await;
    let fault = "MountVolume.SetUp failed for volume \"v\" : references non-existent secret key: no";
    assert_eq!(world.fault(&pod).await, fault);
}

#[tokio::test]
async fn labels_are_followed_and_immutable_objects_are_read_once() {
    let world = World::new().await;
    let map: ConfigMap = object(json!({"metadata": {"name": "m"}, "data": {"k": "v"}, "immutable": true}));
    world.api().create(&PostParams::default(), &map).await.unwrap();
    let volumes = json!([{"name": "v", "projected": {"sources": [
        {"configMap": {"name": "m"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "requests.cpu"}}]}},
    ]}}]);
    let mut pod = world.pod("p", volumes, json!({})).await;
    let path = world.mounted(&pod).await.paths["v"].clone();
    assert_eq!(text(&path.join("labels")), "a=\"1\"");
    assert_eq!((text(&path.join("k")), text(&path.join("cpu"))), ("v".into(), "0".into()));
    assert_eq!(world.sources.counts(), (0, 1), "what cannot change is not watched");
    pod.metadata.labels.get_or_insert_default().insert("b".into(), "2".into());
    world.volumes.update(&pod).await;
    assert_eq!(text(&path.join("labels")), "a=\"1\"\nb=\"2\"");
}

#[tokio::test]
async fn tokens_are_replaced_after_four_fifths_of_their_life() {
    let world = World::new().await;
    let volumes = json!([{"name": "v", "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600, "audience": "me"}}]}}]);
    let pod = world.pod("p", volumes, json!({"securityContext": {"runAsUser": 77}})).await;
    let path = world.mounted(&pod).await.paths["v"].join("token");
    let first = text(&path);
    assert_eq!(first.split('.').count(), 3, "{first}");
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o600, 77));
    let forward = |seconds: i64| world.time.send_modify(|now| *now += jiff::SignedDuration::from_secs(seconds));
    forward(300);
    world.volumes.update(&pod).await;
    assert_eq!(text(&path), first, "it holds for a while yet");
    forward(200);
    eventually("another token", || text(&path) != first).await;
    assert!(!text(&path).contains(' '));
}

#[tokio::test]
async fn nothing_is_left_of_a_pod() {
    let world = World::new().await;
    world.config_map("m", json!({"k": "v"})).await;
    let volumes = json!([{"name": "mem", "emptyDir": {"medium": "Memory", "sizeLimit": "64Ki"}},
        {"name": "disk", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "m", "configMap": {"name": "m"}}]);
    let pod = world.pod("p", volumes, json!({})).await;
    let uid = pod.metadata.uid.clone().unwrap();
    let mounts = world
        .mounts(&pod, json!([{"name": "disk", "mountPath": "/d", "subPath": "a/b"}, {"name": "m", "mountPath": "/m", "subPath": "k"}]))
        .await
        .unwrap();
    assert_eq!(text(&mounts[1].host_path), "v");
    let paths = world.mounted(&pod).await.paths;
    fs::write(paths["disk"].join("file"), vec![1; 100_000]).unwrap();
    fs::write(paths["mem"].join("file"), vec![1; 4096]).unwrap();
    assert!(fs::write(paths["mem"].join("large"), vec![1; 100_000]).is_err(), "it is bounded");
    let usage = world.volumes.usage(&uid).await;
    assert_eq!((usage[0].limit, usage[0].memory), (Some(65536), true));
    assert!(usage[1].used >= 100_000 && usage[1].limit == Some(1 << 30) && !usage[1].memory, "{usage:?}");
    // Another process that knows nothing of it does it as well.
    let config = Config::new("n1", world.folder.path().join("kubelet"));
    let other = Volumes::new(&config, world.client.clone(), &world.sources);
    other.unmount(&uid).await.unwrap();
    let left = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let kubelet = world.kubelet();
    assert!(!left.contains(kubelet.to_str().unwrap()), "{left}");
    assert!(!paths["disk"].exists() && !paths["mem"].exists() && !paths["m"].exists());
    other.unmount(&uid).await.unwrap();
    other.unmount("no-such").await.unwrap();
    other.unmount("../..").await.unwrap();
    assert!(kubelet.exists());
}

#[tokio::test]
async fn sub_paths_do_not_lead_out_even_when_they_are_exchanged() {
    let world = World::new().await;
    let pod = world.pod("p", json!([{"name": "e", "emptyDir": {}}]), json!({})).await;
    let volume = world.mounted(&pod).await.paths["e"].clone();
    let outside = world.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "host").unwrap();
    symlink(&outside, volume.join("absolute")).unwrap();
    symlink("../../../../outside", volume.join("relative")).unwrap();
    for path in ["absolute", "relative", "absolute/new", "relative/secret"] {
        let refused = world.mounts(&pod, json!([{"name": "e", "mountPath": "/m", "subPath": path}])).await;
        let refused = refused.expect_err(path).to_string();
        assert!(
            refused.starts_with("failed to prepare subPath for volumeMount \"e\" of container \"c\": "),
            "{refused}"
        );
    }
    for path in ["../x", "/etc", "a/../../x"] {
        world.mounts(&pod, json!([{"name": "e", "mountPath": "/m", "subPath": path}])).await.unwrap_err();
    }
    assert!(!outside.join("new").exists());
    // What is exchanged after it was resolved changes nothing.
    let made =
        world.mounts(&pod, json!([{"name": "e", "mountPath": "/m", "subPathExpr": "good/$(NAME)"}])).await.unwrap();
    fs::write(volume.join("good/x/file"), "mine").unwrap();
    fs::rename(volume.join("good"), volume.join("moved")).unwrap();
    symlink(&outside, volume.join("good")).unwrap();
    assert_eq!(text(&made[0].host_path.join("file")), "mine");
    let missing = world.mounts(&pod, json!([{"name": "e", "mountPath": "/m", "subPathExpr": "$(NO)"}])).await;
    assert!(missing.unwrap_err().to_string().ends_with("missing value for \"NO\""));
    // Somebody exchanges all the time: what is mounted is never what is outside.
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (racing, at, target) = (stop.clone(), volume.clone(), outside.clone());
    fs::create_dir(volume.join("dir")).unwrap();
    symlink(&target, volume.join("link")).unwrap();
    let racer = std::thread::spawn(move || {
        while !racing.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = rustix::fs::renameat_with(
                rustix::fs::CWD,
                at.join("dir"),
                rustix::fs::CWD,
                at.join("link"),
                rustix::fs::RenameFlags::EXCHANGE,
            );
        }
    });
    for _ in 0..300 {
        if let Ok(made) = world.mounts(&pod, json!([{"name": "e", "mountPath": "/m", "subPath": "dir"}])).await {
            assert!(!made[0].host_path.join("secret").exists());
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    racer.join().unwrap();
    world.volumes.unmount(pod.metadata.uid.as_deref().unwrap()).await.unwrap();
    assert_eq!(text(&outside.join("secret")), "host");
}

#[tokio::test]
async fn host_paths_are_what_their_type_says() {
    let world = World::new().await;
    let at = |name: &str| world.folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("file"), "").unwrap();
    fs::create_dir(at("dir")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    for (name, kind, what) in [
        ("file", "File", None),
        ("file", "", None),
        ("dir", "Directory", None),
        ("socket", "Socket", None),
        ("new/dir", "DirectoryOrCreate", None),
        ("new/file", "FileOrCreate", None),
        ("new/any", "", None),
        ("file", "Directory", Some("a directory")),
        ("file", "DirectoryOrCreate", Some("a directory")),
        ("dir", "File", Some("a file")),
        ("file", "Socket", Some("a socket file")),
        ("file", "CharDevice", Some("a character device")),
        ("none", "BlockDevice", Some("a block device")),
        ("none", "File", Some("a file")),
    ] {
        let fault = host_path::check(&at(name), kind).err().map(|fault| fault.to_string());
        let wanted = what.map(|what| format!("hostPath type check failed: {} is not {what}", at(name)));
        assert_eq!(fault, wanted, "{name} as {kind}");
    }
    host_path::check("/dev/null", "CharDevice").unwrap();
    assert!(Path::new(&at("new/file")).is_file() && Path::new(&at("new/any")).is_dir());
    let pod = world.pod("p", json!([{"name": "v", "nfs": {"server": "s", "path": "/p"}}]), json!({})).await;
    let fault = world.fault(&pod).await;
    assert!(fault.ends_with("no volume plugin matched: nfs volumes are not supported by this node"), "{fault}");
}

#[tokio::test]
async fn a_claim_is_waited_for_and_followed_to_its_place() {
    let world = World::new().await;
    let place = world.folder.path().join("disk");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("old"), "").unwrap();
    let claim: PersistentVolumeClaim = object(json!({"metadata": {"name": "c"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "pv", "resources": {"requests": {"storage": "1Gi"}}}}));
    let claim = world.api().create(&PostParams::default(), &claim).await.unwrap();
    let volume: PersistentVolume = object(json!({"metadata": {"name": "pv"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "storageClassName": "",
        "local": {"path": place}, "claimRef": {"namespace": "default", "name": "c", "uid": claim.metadata.uid},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchFields": [
            {"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]}}}}));
    Api::<PersistentVolume>::all(world.client.clone()).create(&PostParams::default(), &volume).await.unwrap();
    let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]);
    let pod = world.pod("p", volumes, json!({"securityContext": {"fsGroup": 99}})).await;
    let fault = world.fault(&pod).await;
    assert_eq!(fault, "MountVolume.SetUp failed for volume \"v\" : error processing PVC default/c: PVC is not bound");
    let bound = Patch::Merge(json!({"status": {"phase": "Bound"}}));
    let claims = world.api::<PersistentVolumeClaim>();
    claims.patch_status("c", &PatchParams::default(), &bound).await.unwrap();
    let wait = async {
        while world.volumes.mount(&pod).await.is_err() {
            world.volumes.ready(&pod).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
    let path = world.mounted(&pod).await.paths["v"].clone();
    assert_eq!(path, place);
    let old = fs::metadata(place.join("old")).unwrap();
    assert_eq!((old.gid(), old.mode() & 0o7777), (99, 0o664));
    world.volumes.unmount(pod.metadata.uid.as_deref().unwrap()).await.unwrap();
    assert!(place.join("old").exists(), "what is claimed stays");
}
