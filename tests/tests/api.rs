//! The API as clients other than docker's command line use it: bare HTTP and docker-py.

use std::process::Command;

use e2e::Sandbox;
use serde_json::{Value, json};

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn errors_have_dockers_status_and_one_message() {
    let host = Sandbox::with_image();
    for (method, path, body, status, message) in [
        ("GET", "/nothing", None, 404, "page not found"),
        ("PUT", "/info", None, 404, "page not found"),
        ("GET", "/v1.99/info", None, 400, "client version 1.99 is too new. Maximum supported API version is 1.51"),
        ("GET", "/v1.3/info", None, 400, "client version 1.3 is too old"),
        ("GET", "/containers/nope/json", None, 404, "No such container: nope"),
        ("GET", "/images/no/such/image/json", None, 404, "No such image: no/such/image"),
        ("POST", "/containers/create", None, 400, "config cannot be empty in order to create a container"),
        ("POST", "/containers/create", Some("{\"Image\": }"), 400, "invalid JSON: expected value at line 1 column 11"),
        (
            "POST",
            "/containers/create",
            Some(r#"{"Image":"box:1","HostConfig":{"Memory":"x"}}"#),
            400,
            "field HostConfig.Memory",
        ),
        ("POST", "/containers/create", Some(r#"{"Image":"no:1"}"#), 404, "No such image: no:1"),
        ("POST", "/containers/create?name=..", Some(r#"{"Image":"box:1"}"#), 400, "Invalid container name (..)"),
        ("GET", "/containers/json?filters=%7B", None, 400, "invalid filters"),
        ("GET", "/containers/json?filters=%7B%22x%22:%5B%22y%22%5D%7D", None, 400, "invalid filter 'x'"),
        ("POST", "/containers/nope/wait?condition=x", None, 400, "invalid condition: \"x\""),
        ("GET", "/swarm", None, 503, "This node is not a swarm manager"),
        ("POST", "/build", None, 501, "building images is not implemented"),
    ] {
        let (got, text) = host.api(method, path, body);
        let said = parsed(&text)["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(got, status, "{method} {path}: {text}");
        assert!(said.contains(message), "{method} {path}: {said}");
    }
    assert_eq!(host.api("GET", "/_ping", None), (200, "OK".to_owned()));
    assert_eq!(host.api("GET", "/plugins", None), (200, "[]\n".to_owned()));
}

#[test]
fn field_names_match_without_case_and_null_is_unset() {
    let host = Sandbox::with_image();
    let body = r#"{"image":"box:1","CMD":"true","env":null,"hostconfig":{"binds":null,"MEMORY":33554432}}"#;
    let (status, text) = host.api("POST", "/v1.24/containers/create?name=ctr", Some(body));
    assert_eq!(status, 201, "{text}");
    let shown = host.inspect("ctr");
    assert_eq!(shown["Config"]["Cmd"], json!(["true"]));
    assert_eq!(shown["HostConfig"]["Memory"], 33554432);
    assert_eq!(shown["HostConfig"]["Binds"], Value::Null);
    assert_eq!(shown["State"]["StartedAt"], "0001-01-01T00:00:00Z");
    assert_eq!(shown["NetworkSettings"]["Ports"], json!({}));
}

#[test]
fn ps_filters_choose() {
    let host = Sandbox::with_image();
    let a = host.docker(["run", "-d", "--name", "aa", "--label", "k=v", "box:1", "sleep", "100"]).ok();
    host.docker(["run", "--name", "bb", "box:1", "sh", "-c", "exit 3"]).fails(3);
    host.docker(["create", "--name", "ctr", "-v", "vol:/v", "box:1", "true"]).ok();
    for (filters, expected) in [
        (&["status=running"][..], "aa"),
        (&["status=exited"], "bb"),
        (&["exited=3"], "bb"),
        (&["exited=0"], ""),
        (&["label=k"], "aa"),
        (&["label=k=v"], "aa"),
        (&["label=k=w"], ""),
        (&["name=^/?aa$"], "aa"),
        (&[&format!("id={}", &a[..12])], "aa"),
        (&["ancestor=box:1", "status=created"], "ctr"),
        (&["before=bb"], "aa"),
        (&["since=bb"], "ctr"),
        (&["volume=vol"], "ctr"),
        (&["network=bridge", "status=running"], "aa"),
        (&["health=none", "status=running"], "aa"),
    ] {
        let mut words = vec!["ps", "-a", "--format", "{{.Names}}"];
        words.extend(filters.iter().flat_map(|f| ["--filter", f]));
        assert_eq!(host.docker(&words).ok(), expected, "{filters:?}");
    }
    assert_eq!(host.docker(["ps", "-a", "-n", "1", "--format", "{{.Names}}"]).ok(), "ctr");
}

#[test]
fn an_attach_without_upgrade_gets_200_and_bare_bytes() {
    let host = Sandbox::with_image();
    host.docker(["create", "-i", "--name", "ctr", "box:1", "cat"]).ok();
    let script = r#"
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b"POST /containers/ctr/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
head = b""
while b"\r\n\r\n" not in head: head += s.recv(1)
assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
t = socket.socket(socket.AF_UNIX); t.connect(sys.argv[1])
t.sendall(b"POST /containers/ctr/start HTTP/1.0\r\n\r\n"); assert b" 204 " in t.recv(4096)
s.sendall(b"hello\n"); s.shutdown(socket.SHUT_WR)
got = b""
while True:
    piece = s.recv(4096)
    if not piece: break
    got += piece
assert got == b"\x01\0\0\0\0\0\0\x06hello\n", got
"#;
    let socket = host.path("docker.sock");
    let status = Command::new("python3").args(["-c", script]).arg(socket).status().expect("python3");
    assert!(status.success());
}

#[test]
fn docker_py_runs_the_usual_errands() {
    let host = Sandbox::with_image();
    let script = r#"
import docker, io, sys, tarfile
c = docker.DockerClient(base_url=sys.argv[1], version="auto", timeout=60)
assert c.ping()
assert c.version()["ApiVersion"] == "1.51"
assert c.info()["OSType"] == "linux"
assert c.containers.run("box:1", ["echo", "hi"], remove=True) == b"hi\n"
try:
    c.containers.run("box:1", ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
    assert False
except docker.errors.ContainerError as e:
    assert e.exit_status == 3 and b"bad" in e.stderr, e
try:
    c.containers.get("nope"); assert False
except docker.errors.NotFound as e:
    assert "No such container: nope" in e.explanation
x = c.containers.run("box:1", ["sh", "-c", "echo one; echo two >&2; sleep 100"], detach=True, name="x1",
                     mem_limit="32m", labels={"a": "b"}, ports={"80/tcp": ("127.0.0.1", None)}, volumes={"vol": {"bind": "/v", "mode": "rw"}})
x.reload()
assert x.status == "running" and x.labels == {"a": "b"} and x.attrs["HostConfig"]["Memory"] == 33554432
assert x.ports["80/tcp"][0]["HostIp"] == "127.0.0.1" and int(x.ports["80/tcp"][0]["HostPort"]) > 0, x.ports
for piece in x.logs(stream=True, follow=True):
    if b"one" in piece: break
assert x.exec_run(["sh", "-c", "echo in; exit 5"]) == (5, b"in\n")
code, (out, err) = x.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True)
assert (code, out, err) == (0, b"o\n", b"e\n"), (code, out, err)
s = x.stats(stream=False)
assert s["memory_stats"]["limit"] == 33554432 and s["cpu_stats"]["online_cpus"] > 0 and "eth0" in s["networks"], s
tar = io.BytesIO(); t = tarfile.open(fileobj=tar, mode="w"); i = tarfile.TarInfo("f"); i.size = 3; t.addfile(i, io.BytesIO(b"abc")); t.close()
assert x.put_archive("/tmp", tar.getvalue())
bits, stat = x.get_archive("/tmp/f")
assert stat["size"] == 3 and stat["name"] == "f", stat
assert tarfile.open(fileobj=io.BytesIO(b"".join(bits))).extractfile("f").read() == b"abc"
assert any(d["Path"] == "/tmp/f" and d["Kind"] == 1 for d in x.diff()), x.diff()
assert "sleep" in str(x.top())
x.pause(); x.reload(); assert x.status == "paused"; x.unpause()
i = x.commit("made", "1", changes=["CMD [\"true\"]"])
assert "made:1" in i.tags and i.attrs["Config"]["Cmd"] == ["true"]
assert c.images.get("made:1").history()[0]["Tags"] == ["made:1"]
i.tag("other", "2"); c.images.remove("other:2")
saved = b"".join(i.save(named=True)); c.images.remove("made:1"); assert c.images.load(saved)[0].tags == ["made:1"]
n = c.networks.create("net", driver="bridge"); n.connect(x); n.reload()
assert [k.name for k in n.containers] == ["x1"]
n.disconnect(x); n.remove()
assert [v.name for v in c.volumes.list()] == ["vol"]
events = c.events(decode=True, since=0, filters={"container": "x1", "event": "start"}, until=2**31)
assert next(events)["Actor"]["Attributes"]["name"] == "x1"
x.stop(timeout=1); assert x.wait()["StatusCode"] == 137
x.remove(v=True); c.volumes.get("vol").remove()
assert c.containers.list(all=True) == []
d = c.df(); assert d["Images"] and d["Containers"] == [], d
"#;
    let python = e2e::python();
    let python = if python.exists() { python } else { "python3".into() };
    let socket = format!("unix://{}", host.path("docker.sock").display());
    let output = Command::new(python).args(["-c", script, &socket]).output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn events_tell_what_happened_in_order() {
    let host = Sandbox::with_image();
    host.docker(["run", "--rm", "--name", "ctr", "box:1", "true"]).ok();
    let told = || {
        let until = Command::new("date").args(["+%s.%N"]).output().expect("date").stdout;
        let until = String::from_utf8_lossy(&until).trim().to_owned();
        let said = host.docker([
            "events",
            "--since",
            "0",
            "--until",
            &until,
            "--filter",
            "container=ctr",
            "--format",
            "{{.Type}} {{.Action}}",
        ]);
        said.ok()
    };
    host.until("its end is told", || told().contains("container destroy"));
    let told = told();
    let order = ["container create", "container attach", "container start", "container die", "container destroy"];
    let mut lines = told.lines();
    for wanted in order {
        assert!(lines.any(|line| line == wanted), "{wanted} is missing or out of order:\n{told}");
    }
}
