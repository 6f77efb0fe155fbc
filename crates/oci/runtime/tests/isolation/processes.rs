//! Descriptors, terminals, users and further processes.

use std::fs;
use std::process::Stdio;

use crate::bundle::Bundle;
use serde_json::{Value, json};

crate::tests![
    descriptors_of_the_launcher_stay_outside,
    asked_for_descriptors_come_along,
    a_terminal_is_its_own,
    one_more_process_shares_everything,
    one_more_process_gets_its_own_terminal,
    one_more_process_that_does_not_exist_is_told,
    one_more_process_gets_no_working_directory_made,
    the_home_is_that_of_the_user,
    signals_have_their_defaults,
];

fn process(args: &[&str]) -> Value {
    json!({"args": args, "env": ["PATH=/bin"], "cwd": "/", "user": {"uid": 0, "gid": 0}})
}

fn exec(bundle: &Bundle, process: &Value, more: &[&str]) -> crate::bundle::Run {
    let file = bundle.path().join("process.json");
    fs::write(&file, process.to_string()).unwrap();
    let flag = format!("--exec={}", file.display());
    bundle.run_with(&[&[flag.as_str()], more].concat())
}

fn descriptors_of_the_launcher_stay_outside() {
    let bundle = Bundle::new("ls -1 /proc/1/fd; true");
    assert_eq!(bundle.run_with(&["--leave-fd"]).expect_ok(), "0\n1\n2\n");
    let bundle = Bundle::new("sleep 20");
    let run = exec(&bundle, &process(&["sh", "-c", "ls -1 /proc/$$/fd; true"]), &["--leave-fd"]);
    assert_eq!(run.out, "0\n1\n2\n", "{}", run.err);
}

fn asked_for_descriptors_come_along() {
    let bundle = Bundle::new("cat <&3");
    let file = bundle.path().join("note");
    fs::write(&file, "handed over\n").unwrap();
    // The shell opens descriptor 3 for the launcher.
    let launcher = bundle.command(&["--preserve=1"]);
    let line: Vec<String> = std::iter::once(launcher.get_program())
        .chain(launcher.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let script = format!("exec {} 3<{}", line.join(" "), file.display());
    let output = std::process::Command::new("sh").arg("-c").arg(script).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "handed over\n");
}

fn a_terminal_is_its_own() {
    let bundle = Bundle::new(
        "tty; stty size; ls -1 /dev/pts; test -c /dev/console && echo hi >/dev/console; stat -c %u /dev/pts/0",
    );
    let out = bundle.run_with(&["--tty=33x99"]).expect_ok();
    assert_eq!(out.replace('\r', ""), "/dev/pts/0\n33 99\n0\nptmx\nhi\n0\n");
}

fn one_more_process_shares_everything() {
    let look = "for n in pid net ipc uts mnt cgroup; do readlink /proc/1/ns/$n; readlink /proc/self/ns/$n; done; \
        cut -d: -f3 /proc/self/cgroup | sort -u; grep -E 'Seccomp:|CapEff' /proc/self/status; exit 7";
    let bundle = Bundle::new("exec sleep 20");
    let mut process = process(&["sh", "-c", look]);
    process["capabilities"] = bundle.config["process"]["capabilities"].clone();
    let run = exec(&bundle, &process, &[]);
    assert_eq!(run.code, 7, "{}", run.err);
    let lines: Vec<&str> = run.out.lines().collect();
    for pair in lines[..12].chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    assert_eq!(lines[12..], ["/", "CapEff:\t00000000a80425fb", "Seccomp:\t2"]);
}

fn one_more_process_gets_its_own_terminal() {
    let bundle = Bundle::new("exec sleep 20");
    let run = exec(&bundle, &process(&["sh", "-c", "tty; stty size"]), &["--exec-tty"]);
    assert_eq!(run.out.replace('\r', ""), "/dev/pts/0\n10 20\n", "{}", run.err);
}

fn one_more_process_that_does_not_exist_is_told() {
    let bundle = Bundle::new("exec sleep 20");
    let run = exec(&bundle, &process(&["nothing"]), &[]);
    assert_eq!((run.code, run.err.trim()), (127, "exec: \"nothing\": executable file not found in $PATH"));
}

fn one_more_process_gets_no_working_directory_made() {
    let bundle = Bundle::new("exec sleep 20");
    let mut process = process(&["true"]);
    process["cwd"] = json!("/missing");
    let run = exec(&bundle, &process, &[]);
    assert_ne!(run.code, 0);
    assert!(run.err.contains("enter working directory /missing: No such file or directory"), "{}", run.err);
    assert!(!bundle.rootfs().join("missing").exists());
}

fn the_home_is_that_of_the_user() {
    let mut bundle = Bundle::new("echo $HOME");
    fs::write(bundle.rootfs().join("etc/passwd"), "u:x:9:9::/home/u:/bin/sh\n").unwrap();
    bundle.config["process"]["user"] = json!({"uid": 9, "gid": 9});
    assert_eq!(bundle.run().expect_ok(), "/home/u\n");
    bundle.config["process"]["env"] = json!(["PATH=/bin", "HOME=/own"]);
    assert_eq!(bundle.run().expect_ok(), "/own\n");
}

fn signals_have_their_defaults() {
    let bundle = Bundle::new("grep -E 'Sig(Blk|Ign)' /proc/self/status | cut -f2 | sort -u");
    assert_eq!(bundle.run().expect_ok(), "0000000000000000\n");
}
