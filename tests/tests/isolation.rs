//! What a container may and may not do, proven from inside.

use e2e::Sandbox;

/// The value of a field of /proc/self/status inside.
fn status(host: &Sandbox, options: &[&str], field: &str) -> String {
    let words = ["run", "--rm"]
        .iter()
        .chain(options)
        .chain(&["box:1", "cat", "/proc/self/status"])
        .copied()
        .collect::<Vec<_>>();
    let text = host.docker(words).ok();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")).map(str::trim));
    line.unwrap_or_else(|| panic!("no {field} in {text}")).to_string()
}

#[test]
fn capabilities_are_dockers_unless_asked_otherwise() {
    let host = Sandbox::with_image();
    // chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod audit_write setfcap
    assert_eq!(status(&host, &[], "CapEff"), "00000000a80425fb");
    assert_eq!(status(&host, &[], "CapBnd"), "00000000a80425fb");
    assert_eq!(status(&host, &["--cap-drop", "ALL"], "CapEff"), "0000000000000000");
    assert_eq!(status(&host, &["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"], "CapEff"), "0000000000001000");
    assert_eq!(status(&host, &["-u", "alice"], "CapEff"), "0000000000000000");
}

#[test]
fn the_system_call_filter_is_on_and_no_new_privileges_when_asked() {
    let host = Sandbox::with_image();
    assert_eq!(status(&host, &[], "Seccomp"), "2");
    assert_eq!(status(&host, &["--security-opt", "seccomp=unconfined"], "Seccomp"), "0");
    assert_eq!(status(&host, &[], "NoNewPrivs"), "0");
    assert_eq!(status(&host, &["--security-opt", "no-new-privileges"], "NoNewPrivs"), "1");
    let said = host.docker(["run", "--rm", "box:1", "unshare", "-U", "true"]);
    assert_ne!(said.code, 0, "a new user namespace is not for an unprivileged container: {said:?}");
}

#[test]
fn kernel_paths_are_masked_or_read_only_and_devices_denied() {
    let host = Sandbox::with_image();
    assert_eq!(host.docker(["run", "--rm", "box:1", "sh", "-c", "cat /proc/keys | head -c 1 | wc -c"]).ok(), "0");
    assert_ne!(host.docker(["run", "--rm", "box:1", "sh", "-c", "echo 1 > /proc/sys/kernel/panic"]).code, 0);
    assert_ne!(host.docker(["run", "--rm", "box:1", "sh", "-c", "echo b > /proc/sysrq-trigger"]).code, 0);
    // making the node is allowed, as in docker; opening it is not
    let said = host.docker([
        "run",
        "--rm",
        "box:1",
        "sh",
        "-c",
        "mknod /disk b 254 0 && dd if=/disk of=/dev/null bs=512 count=1",
    ]);
    assert!(said.err.contains("not permitted"), "{said:?}");
    let devices = host.docker(["run", "--rm", "box:1", "ls", "/dev"]).ok();
    // the link to the kernel's memory is there where the host has that file; it is masked
    let core = if std::path::Path::new("/proc/kcore").exists() { "core " } else { "" };
    let expected = format!("{core}fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero");
    assert_eq!(devices.split_whitespace().collect::<Vec<_>>().join(" "), expected);
}

#[test]
fn a_container_has_namespaces_of_its_own() {
    let host = Sandbox::with_image();
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];
    let line = names.map(|name| format!("readlink /proc/self/ns/{name}")).join(";");
    let inside = host.docker(["run", "--rm", "box:1", "sh", "-c", &line]).ok();
    let outside = host.shell(&line).ok();
    for (inside, outside) in inside.lines().zip(outside.lines()) {
        // with cgroup v1 docker keeps the host's cgroup namespace
        let shared =
            inside.starts_with("cgroup") && !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        assert_eq!(inside == outside, shared, "{inside}");
    }
    assert_eq!(inside.lines().count(), names.len());
    assert_eq!(host.docker(["run", "--rm", "--hostname", "boat", "box:1", "hostname"]).ok(), "boat");
    assert_eq!(host.docker(["run", "--rm", "box:1", "sh", "-c", "echo $$"]).ok(), "1");
}

#[test]
fn descriptors_do_not_leak_into_containers() {
    let host = Sandbox::with_image();
    host.docker(["run", "-d", "--name", "other", "box:1", "sleep", "100"]).ok();
    let open = host.docker(["run", "--rm", "box:1", "sh", "-c", "ls /proc/1/fd | wc -l"]).ok();
    assert!(open.trim().parse::<usize>().is_ok_and(|count| count <= 4), "{open}");
    let open = host.docker(["exec", "other", "sh", "-c", "ls /proc/$$/fd | wc -l"]).ok();
    assert!(open.trim().parse::<usize>().is_ok_and(|count| count <= 4), "{open}");
}

#[test]
fn mounts_are_as_asked() {
    let host = Sandbox::with_image();
    let shared = host.path("shared");
    std::fs::create_dir(&shared).expect("a folder");
    std::fs::write(shared.join("file"), "from the host").expect("a file");
    let bind = format!("{}:/mnt", shared.display());
    assert_eq!(host.docker(["run", "--rm", "-v", &bind, "box:1", "cat", "/mnt/file"]).ok(), "from the host");
    assert_ne!(host.docker(["run", "--rm", "-v", &format!("{bind}:ro"), "box:1", "touch", "/mnt/x"]).code, 0);
    assert_ne!(host.docker(["run", "--rm", "--read-only", "box:1", "touch", "/x"]).code, 0);
    host.docker(["run", "--rm", "--read-only", "--tmpfs", "/scratch", "box:1", "touch", "/scratch/x"]).ok();
    host.docker(["volume", "create", "kept"]).ok();
    host.docker(["run", "--rm", "-v", "kept:/kept", "box:1", "sh", "-c", "echo stays > /kept/file"]).ok();
    assert_eq!(host.docker(["run", "--rm", "-v", "kept:/kept", "box:1", "cat", "/kept/file"]).ok(), "stays");
    host.docker(["volume", "rm", "kept"]).ok();
}
