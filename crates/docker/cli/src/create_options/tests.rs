//! Flags to create bodies.

use super::*;
use clap::Parser;

#[derive(Parser)]
#[command(disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    options: CreateOptions,
}

fn body(line: &str) -> anyhow::Result<Value> {
    let words = std::iter::once("run").chain(line.split_whitespace());
    let options = Line::try_parse_from(words)?.options;
    options.body(options.attached(false)?)
}

#[test]
fn everything_after_the_image_belongs_to_the_command() {
    let body = body("-i --memory 64m debian:12 ls -d --rm /").unwrap();
    assert_eq!(body["Image"], "debian:12");
    assert_eq!(body["Cmd"], json!(["ls", "-d", "--rm", "/"]));
    assert_eq!(body["HostConfig"]["AutoRemove"], false);
    assert_eq!(body["HostConfig"]["Memory"], 64 << 20);
    assert_eq!(
        (&body["OpenStdin"], &body["StdinOnce"], &body["AttachStdin"]),
        (&json!(true), &json!(true), &json!(true))
    );
}

#[test]
fn limits_and_restart() {
    let body = body("--cpus 0.5 --pids-limit 50 --restart on-failure:3 --ulimit nofile=10:20 x").unwrap();
    let host = &body["HostConfig"];
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["PidsLimit"], 50);
    assert_eq!(host["RestartPolicy"], json!({"Name": "on-failure", "MaximumRetryCount": 3}));
    assert_eq!(host["Ulimits"], json!([{"Name": "nofile", "Soft": 10, "Hard": 20}]));
}

#[test]
fn volumes_mounts_and_devices() {
    let body =
        body("-v /a:/b:ro -v name:/c -v /anonymous --mount type=bind,src=/x,dst=/y,readonly --device /dev/fuse:rw x")
            .unwrap();
    assert_eq!(body["HostConfig"]["Binds"], json!(["/a:/b:ro", "name:/c"]));
    assert_eq!(body["Volumes"], json!({"/anonymous": {}}));
    assert_eq!(
        body["HostConfig"]["Mounts"],
        json!([{"Type": "bind", "Source": "/x", "Target": "/y", "ReadOnly": true}])
    );
    assert_eq!(
        body["HostConfig"]["Devices"],
        json!([{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rw"}])
    );
}

#[test]
fn wrong_flags_are_named() {
    assert_eq!(body("--mount type=bind,nope=1 x").unwrap_err().to_string(), "unexpected key 'nope' in 'nope=1'");
    assert_eq!(body("--memory 1q x").unwrap_err().to_string(), "invalid size: '1q'");
    assert_eq!(body("--ulimit nofile x").unwrap_err().to_string(), "invalid ulimit argument: nofile");
}
