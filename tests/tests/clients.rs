//! The same daemon through our own client, docker-py, and the bare API.

use e2e::Sandbox;
use serde_json::Value;

#[test]
fn our_client_speaks_dockers_verbs() {
    let host = Sandbox::with_image();
    assert_eq!(host.sampan(["run", "--rm", "box:1", "echo", "hello"]).ok(), "hello");
    assert_eq!(host.sampan(["run", "--rm", "box:1", "sh", "-c", "exit 7"]).code, 7);
    assert!(host.sampan(["run", "--rm", "box:1", "nope"]).fails(127).contains("executable file not found"));
    let id = host.sampan(["run", "-d", "--name", "ctr", "box:1", "sleep", "100"]).ok();
    for words in [
        vec!["ps", "-a"],
        vec!["ps", "--format", "{{.ID}} {{.Names}} {{.State}} {{.Image}}"],
        vec!["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"],
        vec!["inspect", "-f", "{{.State.Status}} {{.Config.Image}}", "ctr"],
        vec!["history", "-q", "box:1"],
        vec!["network", "ls", "--format", "{{.Name}} {{.Driver}}"],
        vec!["exec", "ctr", "echo", "inside"],
    ] {
        let (ours, theirs) = (host.sampan(&words).ok(), host.docker(&words).ok());
        // the clocks of the two calls may be seconds apart
        let ages = ["Less", "than", "a", "About", "second", "seconds", "minute", "minutes"];
        let timeless = |word: &&str| word.parse::<u32>().is_err() && !ages.contains(word);
        let still = |text: &str| text.split_whitespace().filter(timeless).collect::<Vec<_>>().join(" ");
        assert_eq!(still(&ours), still(&theirs), "{words:?}");
    }
    host.sampan(["commit", "ctr", "box:2"]).ok();
    let archive = host.path("saved.tar");
    host.sampan(["save", "-o", archive.to_str().expect("a path"), "box:2"]).ok();
    host.sampan(["rmi", "box:2"]).ok();
    assert_eq!(host.sampan(["load", "-i", archive.to_str().expect("a path")]).ok(), "Loaded image: box:2");
    host.sampan(["cp", "/etc/hostname", "ctr:/tmp/name"]).ok();
    host.sampan(["cp", "ctr:/tmp/name", host.path("name").to_str().expect("a path")]).ok();
    assert_eq!(std::fs::read(host.path("name")).expect("a file"), std::fs::read("/etc/hostname").expect("a file"));
    assert_eq!(host.sampan(["rm", "-f", "ctr"]).ok(), "ctr");
    assert!(host.sampan(["inspect", &id]).fails(1).contains("No such object"));
    assert!(host.sampan(["build", "."]).fails(1).contains("unimplemented"));
}

#[test]
fn docker_py_runs_execs_and_streams() {
    let host = Sandbox::with_image();
    let program = r#"
import docker, os, time
c = docker.DockerClient(base_url=os.environ["DOCKER_HOST"])
assert c.ping()
assert c.containers.run("box:1", ["echo", "hi"], remove=True) == b"hi\n"
box = c.containers.run("box:1", ["sh", "-c", "echo one; echo two >&2; exec sleep 100"], detach=True, name="py", labels={"a": "b"})
code, out = box.exec_run(["sh", "-c", "echo in; exit 3"])
assert (code, out) == (3, b"in\n"), (code, out)
while box.logs(stdout=True, stderr=True).count(b"\n") < 2: time.sleep(0.02)
assert box.logs(stdout=True, stderr=False) == b"one\n"
assert [x.name for x in c.containers.list(filters={"label": "a=b"})] == ["py"]
assert box.stats(stream=False)["memory_stats"]["usage"] > 0
box.pause(); box.reload(); assert box.status == "paused"; box.unpause()
bits, stat = box.get_archive("/etc/passwd"); assert stat["name"] == "passwd" and len(b"".join(bits)) > 512
img = box.commit("py", "2"); assert img.tags == ["py:2"], img.tags
box.stop(timeout=0); assert box.wait()["StatusCode"] == 137
box.remove()
try:
    c.containers.run("nothing:1"); raise SystemExit("an unknown image ran")
except (docker.errors.ImageNotFound, docker.errors.APIError):
    pass
assert c.info()["Images"] >= 2 and c.version()["ApiVersion"]
print("done")
"#;
    let mut command = std::process::Command::new(e2e::python());
    command.args(["-c", program]).env("DOCKER_HOST", format!("unix://{}", host.path("docker.sock").display()));
    let output = command.output().expect("python");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    let host = Sandbox::with_image();
    let message = |body: &str| {
        serde_json::from_str::<Value>(body).unwrap_or_else(|_| panic!("no JSON: {body}"))["message"]
            .as_str()
            .expect("a message")
            .to_string()
    };
    for (method, path, body, status, part) in [
        ("POST", "/containers/create", Some("{\"Image\": "), 400, ""),
        ("POST", "/containers/create", Some("{\"Image\": 5}"), 400, "Image"),
        ("POST", "/containers/create", Some("{\"Image\": \"nothing\"}"), 404, "No such image: nothing:latest"),
        ("POST", "/containers/create?name=a/b", Some("{\"Image\": \"box:1\"}"), 400, "Invalid container name (a/b)"),
        ("GET", "/containers/nothing/json", None, 404, "No such container: nothing"),
        ("GET", "/images/nothing/json", None, 404, "No such image: nothing"),
        ("POST", "/images/create?fromImage=Bad", None, 400, "must be lowercase"),
        ("GET", "/no/such/route", None, 404, "page not found"),
        ("GET", "/v9.99/info", None, 400, "too new"),
        ("POST", "/build", None, 501, "building images is not implemented"),
    ] {
        let (code, answer) = host.api(method, path, body);
        assert_eq!(code, status, "{method} {path}: {answer}");
        assert!(message(&answer).contains(part), "{method} {path}: {answer}");
    }
}
