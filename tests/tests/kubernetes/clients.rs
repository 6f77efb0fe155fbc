//! The client libraries.

use e2e::cluster::Cluster;

const PYTHON: &str = r#"
import threading
from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
config.load_kube_config()
core, apps = client.CoreV1Api(), client.AppsV1Api()
seen = []
since = core.list_namespaced_config_map("default").metadata.resource_version
def observe():
    stream = watch.Watch()
    for event in stream.stream(core.list_namespaced_config_map, "default", resource_version=since, timeout_seconds=120):
        if event["object"].metadata.name == "conf":
            seen.append((event["type"], event["object"].data))
        if event["type"] == "DELETED":
            return
observer = threading.Thread(target=observe)
observer.start()
made = core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=client.V1ObjectMeta(name="conf"), data={"a": "1"}))
assert made.metadata.uid and made.metadata.resource_version
core.patch_namespaced_config_map("conf", "default", {"data": {"a": "2"}})
read = core.read_namespaced_config_map("conf", "default")
read.data["b"] = "3"
core.replace_namespaced_config_map("conf", "default", read)
stale = read
try:
    stale.metadata.resource_version = made.metadata.resource_version
    core.replace_namespaced_config_map("conf", "default", stale)
    raise SystemExit("a stale write was taken")
except ApiException as error:
    assert error.status == 409 and "Conflict" in error.body, error
container = client.V1Container(name="main", image="box:1")
template = client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels={"a": "b"}), spec=client.V1PodSpec(containers=[container]))
spec = client.V1DeploymentSpec(replicas=2, selector=client.V1LabelSelector(match_labels={"a": "b"}), template=template)
apps.create_namespaced_deployment("default", client.V1Deployment(metadata=client.V1ObjectMeta(name="dd"), spec=spec))
while True:
    scale = apps.read_namespaced_deployment_scale("dd", "default")
    scale.spec.replicas = 4
    try:
        assert apps.replace_namespaced_deployment_scale("dd", "default", scale).spec.replicas == 4
        break
    except ApiException as error:
        # its controller was faster
        assert error.status == 409, error
first = core.list_namespace(limit=2)
rest = core.list_namespace(limit=50, _continue=first.metadata._continue)
assert len(first.items) == 2 and len(rest.items) >= 2, (first, rest)
version = client.VersionApi().get_code()
core.delete_namespaced_config_map("conf", "default")
observer.join()
print(version.minor, [kind for kind, _ in seen], seen[-1][1])
"#;

const JAVASCRIPT: &str = r#"
import * as k8s from '@kubernetes/client-node';
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const seen = [];
const informer = k8s.makeInformer(config, '/api/v1/namespaces/default/configmaps',
    () => core.listNamespacedConfigMap({ namespace: 'default', labelSelector: 'js' }), 'js');
for (const kind of ['add', 'update', 'delete']) informer.on(kind, (object) => seen.push(`${kind} ${object.data?.a}`));
await informer.start();
const until = async (count) => { for (let i = 0; i < 2000 && seen.length < count; i++) await new Promise((r) => setTimeout(r, 50)); };
await core.createNamespacedConfigMap({ namespace: 'default', body: { metadata: { name: 'conf', labels: { js: '1' } }, data: { a: '1' } } });
await until(1);
const read = await core.readNamespacedConfigMap({ name: 'conf', namespace: 'default' });
read.data.a = '2';
await core.replaceNamespacedConfigMap({ name: 'conf', namespace: 'default', body: read });
await until(2);
await core.deleteNamespacedConfigMap({ name: 'conf', namespace: 'default' });
await until(3);
await informer.stop();
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
await objects.create({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'default' }, stringData: { k: 'v' } });
const secret = await core.readNamespacedSecret({ name: 's', namespace: 'default' });
console.log(seen.join(', '), Buffer.from(secret.data.k, 'base64').toString());
process.exit(0);
"#;

#[test]
fn python_reads_writes_and_watches() {
    let cluster = Cluster::new();
    assert_eq!(cluster.python(PYTHON), "37 ['ADDED', 'MODIFIED', 'MODIFIED', 'DELETED'] {'a': '2', 'b': '3'}");
}

#[test]
fn javascript_reads_writes_and_informs() {
    let cluster = Cluster::new();
    assert_eq!(cluster.javascript(JAVASCRIPT), "add 1, update 2, delete 2 v");
}
