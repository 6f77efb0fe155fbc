//! Bundles and images that want out: one test for each class of escape that container runtimes have had.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::life::receive;
use crate::{Runtime, busybox};

/// A folder of the host that no container may get at, with a file in it.
fn outside(runtime: &Runtime) -> String {
    let folder = runtime.path("outside");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("secret"), "of the host").expect("a file");
    folder.display().to_string()
}

/// Everything in the folder is as [`outside`] made it.
fn untouched(folder: &str) {
    let names: Vec<_> = fs::read_dir(folder).expect("the folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["secret"]);
    assert_eq!(fs::read_to_string(Path::new(folder).join("secret")).expect("the file"), "of the host");
}

/// A root of its own for an image that is prepared, writable.
fn image(runtime: &Runtime, config: &mut Value, prepare: impl FnOnce(&Path)) {
    let names = (0..).map(|number| runtime.path(&format!("image{number}")));
    let root = names.into_iter().find(|root| !root.exists()).expect("a name");
    busybox(&root);
    prepare(&root);
    config["root"] = json!({"path": root, "readonly": false});
}

fn mounts(config: &mut Value) -> &mut Vec<Value> {
    config["mounts"].as_array_mut().expect("mounts")
}

fn identity(path: &Path) -> (u64, u64, SystemTime) {
    let meta = fs::metadata(path).expect("the binary");
    (meta.ino(), meta.len(), meta.modified().expect("a time"))
}

/// CVE-2019-5736.
#[test]
fn the_runtimes_own_file_cannot_be_written_through_proc() {
    let runtime = Runtime::new();
    let before = identity(&e2e::binary());
    // Opens whatever processes come by, as often as it can, and writes to them once they have stopped executing.
    let attack = "while :; do for p in /proc/[0-9]*; do
                    case $(readlink $p/exe) in */busybox|'') ;; *) echo found; (usleep 1000; echo x >> /proc/self/fd/9) 9< $p/exe;; esac
                  done; done 2>/dev/null";
    let bundle = runtime.bundle("writer", attack, |config| {
        let all = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_KILL"];
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(all);
        }
    });
    assert_eq!(runtime.detached(&["run", "-d", "-b", &bundle.display().to_string(), "w1"], "out"), 0);
    for _ in 0..20 {
        // Its own command is the runtime, as an image could have it by a link or by `#!/proc/self/exe`.
        runtime.run(&["exec", "w1", "/proc/self/exe", "--version"]);
        runtime.run(&["exec", "w1", "true"]);
    }
    runtime.run(&["delete", "-f", "w1"]).ok();
    assert_eq!(identity(&e2e::binary()), before);
    let image =
        runtime.bundle("itself", "", |config| config["process"]["args"] = json!(["/proc/self/exe", "runtime", "list"]));
    runtime.run(&["run", "-b", &image.display().to_string(), "w2"]);
    assert_eq!(identity(&e2e::binary()), before);
}

/// CVE-2016-9962, CVE-2024-21626.
#[test]
fn no_descriptor_and_no_working_directory_leads_out() {
    let runtime = Runtime::new();
    let folder = outside(&runtime);
    let sleeping = runtime.bundle("sleeping", "sleep 1000", |_| {}).display().to_string();
    assert_eq!(runtime.detached(&["run", "-d", "-b", &sleeping, "s1"], "out"), 0);
    for number in 3..16 {
        for prefix in ["/proc/self/fd", "/proc/thread-self/fd", "/proc/1/fd"] {
            let cwd = format!("{prefix}/{number}");
            let bundle = runtime
                .bundle("cwd", "pwd; ls; ls ../../../../../../..", |config| config["process"]["cwd"] = json!(cwd));
            let said = runtime.run(&["run", "-b", &bundle.display().to_string(), "c1"]);
            let told = format!("{cwd}: {}{}", said.out, said.err);
            assert!(!said.out.contains("usr") && !said.out.contains("(unreachable)"), "{told}");
            let said = runtime.run(&["exec", "--cwd", &cwd, "s1", "ls", "../../../../../.."]);
            assert!(!said.out.contains("usr"), "{cwd}: {}", said.out);
        }
    }
    let open = runtime.run(&["exec", "s1", "ls", "/proc/self/fd", "/proc/1/fd"]).ok();
    let numbers = open.lines().filter_map(|line| line.parse::<u32>().ok());
    assert!(numbers.max().is_some_and(|highest| highest <= 3), "{open}");
    untouched(&folder);
}

/// CVE-2021-30465 and its kin: the places of mounts.
#[test]
fn links_in_an_image_do_not_lead_mounts_out() {
    let runtime = Runtime::new();
    let folder = outside(&runtime);
    let source = runtime.path("source");
    fs::create_dir(&source).expect("a folder");
    fs::write(source.join("file"), "from the source").expect("a file");
    let bundle =
        runtime.bundle("links", "cat /absolute/file /deep/new/file; ls /dev/pts > /dev/null; cat /hosts", |config| {
            image(&runtime, config, |root| {
                symlink(&folder, root.join("absolute")).expect("a link");
                symlink("../../../../../../../../..", root.join("up")).expect("a link");
                symlink(format!("up{folder}"), root.join("deep")).expect("a link");
                symlink(format!("{folder}/made"), root.join("hosts")).expect("a link");
                fs::remove_dir(root.join("dev")).expect("an empty folder");
                symlink(&folder, root.join("dev")).expect("a link");
            });
            for destination in ["/absolute", "/deep/new"] {
                mounts(config)
                    .push(json!({"destination": destination, "type": "bind", "source": source, "options": ["bind"]}));
            }
            let file = source.join("file");
            mounts(config).push(json!({"destination": "/hosts", "type": "bind", "source": file, "options": ["bind"]}));
            mounts(config).push(json!({"destination": "/up/tmp/t", "type": "tmpfs", "source": "tmpfs", "options": []}));
        });
    let said = runtime.run(&["run", "-b", &bundle.display().to_string(), "l1"]).ok();
    assert_eq!(said, "from the sourcefrom the sourcefrom the source");
    untouched(&folder);
}

/// The same while something inside swaps folders for links.
#[test]
fn a_race_for_the_places_of_mounts_is_lost_by_the_image() {
    let runtime = Runtime::new();
    let folder = outside(&runtime);
    let source = runtime.path("source");
    fs::create_dir(&source).expect("a folder");
    let bundle = runtime.bundle("race", "true", |config| {
        image(&runtime, config, |root| {
            fs::create_dir(root.join("a")).expect("a folder");
            symlink(&folder, root.join("b")).expect("a link");
        });
        for name in ["/a/one", "/a/two", "/a/three"] {
            mounts(config).push(json!({"destination": name, "type": "bind", "source": source, "options": ["bind"]}));
        }
        config["linux"]["maskedPaths"] = json!(["/a/secret", "/a/one"]);
        config["linux"]["readonlyPaths"] = json!(["/a"]);
    });
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let root = fs::File::open(runtime.path("image0")).expect("the root");
            while !stop.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(&root, "a", &root, "b", exchange).expect("exchange");
            }
        });
        for _ in 0..25 {
            // It may fail, as what it works on goes away under it. It may not get out.
            runtime.run(&["run", "-b", &bundle.display().to_string(), "r1"]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    untouched(&folder);
    let host = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!host.contains(&runtime.folder.path().display().to_string()), "{host}");
}

/// CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2025-31133.
#[test]
fn masks_and_read_only_paths_cannot_be_led_elsewhere() {
    let runtime = Runtime::new();
    let folder = outside(&runtime);
    let command = "cat /proc/keys | grep -c . ; echo 1 2>/dev/null > /proc/sys/kernel/dmesg_restrict || echo read-only; cat /masked; ls /hidden";
    let bundle = runtime.bundle("masks", command, |config| {
        image(&runtime, config, |root| {
            fs::write(root.join("dev/null"), "no device").expect("a file");
            symlink(format!("{folder}/secret"), root.join("masked")).expect("a link");
            symlink(&folder, root.join("hidden")).expect("a link");
        });
        let masked = config["linux"]["maskedPaths"].as_array_mut().expect("paths");
        masked.extend([json!("/masked"), json!("/hidden")]);
    });
    let said = runtime.run(&["run", "-b", &bundle.display().to_string(), "m1"]);
    assert!(said.out.starts_with("0\nread-only"), "{}{}", said.out, said.err);
    untouched(&folder);

    // A mount over /proc, or a link at its place, would let a later step write where the image wants.
    for (name, change) in proc_replacements(&runtime) {
        let bundle = runtime.bundle("proc", "cat /proc/self/attr/current; ls /proc", change);
        let said = runtime.run(&["run", "-b", &bundle.display().to_string(), "p1"]);
        assert_ne!(said.code, 0, "{name}: {}", said.out);
        assert!(said.err.contains("/proc"), "{name}: {}", said.err);
    }
    untouched(&folder);
}

type Change<'a> = Box<dyn FnOnce(&mut Value) + 'a>;

fn proc_replacements(runtime: &Runtime) -> Vec<(&'static str, Change<'_>)> {
    let fake = runtime.path("fake");
    fs::create_dir_all(fake.join("self/attr")).expect("a folder");
    let over = |destination: &'static str| -> Change<'_> {
        let fake = fake.clone();
        Box::new(move |config| {
            let bind = json!({"destination": destination, "type": "bind", "source": fake, "options": ["bind"]});
            mounts(config).push(bind);
        })
    };
    let tmpfs: Change<'_> = Box::new(|config| {
        mounts(config)[0] = json!({"destination": "/proc", "type": "tmpfs", "source": "tmpfs", "options": []});
    });
    let by_link: Change<'_> = Box::new(|config| {
        image(runtime, config, |root| symlink("proc", root.join("innocent")).expect("a link"));
        let bind = json!({"destination": "/innocent/self/attr", "type": "bind", "source": "/etc", "options": ["bind"]});
        mounts(config).push(bind);
    });
    vec![
        ("a bind over /proc", over("/proc")),
        ("a bind over a folder of /proc", over("/proc/self")),
        ("a tmpfs instead of /proc", tmpfs),
        ("a link to /proc", by_link),
    ]
}

/// CVE-2025-52565.
#[test]
fn a_terminal_is_made_of_the_containers_own_devices() {
    let runtime = Runtime::new();
    let folder = outside(&runtime);
    let bundle = runtime.bundle("console", "echo hello; ls -l /dev/console > /dev/null", |config| {
        image(&runtime, config, |root| {
            symlink(format!("{folder}/secret"), root.join("dev/console")).expect("a link");
            symlink(format!("{folder}/secret"), root.join("dev/ptmx")).expect("a link");
            symlink(&folder, root.join("dev/pts")).expect("a link");
        });
        // the image's own /dev: nothing is laid over its links
        mounts(config).retain(|mount| mount["destination"] != "/dev");
        config["process"]["terminal"] = json!(true);
    });
    let socket = runtime.path("socket");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let words =
        ["create", "-b", &bundle.display().to_string(), "--console-socket", &socket.display().to_string(), "t1"];
    if runtime.detached(&words, "out") == 0 {
        let master = receive(listener);
        runtime.run(&["start", "t1"]).ok();
        let mut bytes = [0; 64];
        let length = rustix::io::read(&master, &mut bytes).unwrap_or(0);
        assert!(String::from_utf8_lossy(&bytes[..length]).contains("hello"));
    }
    untouched(&folder);
}

#[test]
fn devices_that_are_not_allowed_cannot_be_used_however_they_are_made() {
    let runtime = Runtime::new();
    let device = fs::metadata("/").expect("the root").dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let command = format!(
        "cd /tmp; mknod disk b {major} {minor}; mknod mem c 1 1; mknod zero c 1 5
         for name in disk mem zero; do dd if=$name of=/dev/null bs=1 count=1 2>/dev/null && echo $name; done; true"
    );
    let bundle = runtime.bundle("devices", &command, |config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYS_RAWIO"]);
        }
        mounts(config).push(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": []}));
        // the last that fits decides: what the first allows the second takes away
        config["linux"]["resources"]["devices"] = json!([
            {"allow": true, "type": "b", "access": "rwm"},
            {"allow": false, "access": "rwm"}
        ]);
    });
    assert_eq!(runtime.run(&["run", "-b", &bundle.display().to_string(), "d1"]).ok(), "zero");
}

/// CVE-2022-29162 and its kin.
#[test]
fn one_more_process_has_no_more_rights_than_the_first() {
    let runtime = Runtime::new();
    let bundle = runtime.bundle("rights", "sleep 1000", |config| {
        config["process"]["user"] = json!({"uid": 5, "gid": 5});
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]
        });
    });
    assert_eq!(runtime.detached(&["run", "-d", "-b", &bundle.display().to_string(), "r1"], "out"), 0);
    let fields = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp:"];
    let shown = |text: &str| -> Vec<String> {
        text.lines().filter(|line| fields.iter().any(|field| line.starts_with(field))).map(str::to_owned).collect()
    };
    let inside = shown(&runtime.run(&["exec", "r1", "cat", "/proc/self/status"]).ok());
    let first = shown(&runtime.run(&["exec", "r1", "cat", "/proc/1/status"]).ok());
    assert_eq!(inside, first);
    assert!(inside.iter().any(|line| line == "CapInh:\t0000000000000000"), "{inside:?}");
    assert!(inside.iter().any(|line| line == "Seccomp:\t2"), "{inside:?}");
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "uts", "user"] {
        let said = runtime
            .run(&["exec", "r1", "sh", "-c", &format!("readlink /proc/self/ns/{kind}; readlink /proc/1/ns/{kind}")])
            .ok();
        let mut lines = said.lines();
        assert_eq!(lines.next(), lines.next(), "{said}");
    }
}

#[test]
fn a_stopped_or_dead_container_takes_no_process() {
    let runtime = Runtime::new();
    let bundle = runtime.bundle("stopped", "sleep 1000", |_| {}).display().to_string();
    assert_eq!(runtime.detached(&["run", "-d", "-b", &bundle, "s1"], "out"), 0);
    runtime.run(&["kill", "s1", "KILL"]).ok();
    runtime.until("its end", || runtime.state("s1")["status"] == "stopped");
    assert!(runtime.run(&["exec", "s1", "true"]).fails(255).contains("stopped"));
    runtime.run(&["delete", "s1"]).ok();
    assert!(runtime.run(&["exec", "s1", "true"]).fails(255).contains("does not exist"));
    // what a container has made of its own root cannot mislead who comes in later
    let command = "mount -t tmpfs none /proc; echo ready; sleep 1000";
    let bundle = runtime.bundle("blind", command, |config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
        }
    });
    assert_eq!(runtime.detached(&["run", "-d", "-b", &bundle.display().to_string(), "b1"], "out"), 0);
    runtime.until("it is ready", || runtime.output("out").contains("ready"));
    let said = runtime.run(&["exec", "b1", "sh", "-c", "ls /proc; id"]).ok();
    assert!(said.starts_with("uid=0"), "{said}");
}
