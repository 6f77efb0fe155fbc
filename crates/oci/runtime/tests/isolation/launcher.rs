//! A minimal runtime: launches the container of a bundle, waits for it and leaves with its exit code.

use std::os::fd::AsFd;
use std::path::Path;

use cgroup::Hierarchy;
use runtime::{Keyring, Launch, Root, StartBy, Stdio, launch};
use rustix::process::{WaitId, WaitIdOptions};
use spec::runtime::Spec;

/// `launch <bundle> <id>`
pub fn main(args: &[String]) -> i32 {
    runtime::seal::ensure().unwrap();
    let bundle = Path::new(&args[0]);
    match run(bundle, &args[1]) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            error.exit_code().into()
        }
    }
}

fn run(bundle: &Path, id: &str) -> runtime::Result<i32> {
    let spec: Spec = serde_json::from_slice(&std::fs::read(bundle.join("config.json")).unwrap()).unwrap();
    let hierarchy = Hierarchy::detect()?;
    let cgroup = format!("/sampan-test/{id}");
    let pending = launch::spawn(Launch {
        id,
        spec: &spec,
        root: Root::Path(bundle.join("rootfs")),
        bundle,
        netns: None,
        stdio: Stdio::Inherit,
        hierarchy: &hierarchy,
        cgroup: Some(&cgroup),
        preserve_fds: 0,
        start: StartBy::Creator,
        keyring: Keyring::New,
    })?;
    let mut created = pending.wait_created()?;
    let started = created.start();
    let status = match started {
        Ok(()) => rustix::process::waitid(WaitId::PidFd(created.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().map(
            |status| match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => code,
                (_, Some(signal)) => 128 + signal,
                _ => 255,
            },
        ),
        Err(_) => None,
    };
    if let Some(cgroup) = &created.cgroup {
        cgroup.kill_all()?;
        cgroup.delete()?;
        cgroup.delete_empty_parents();
    }
    started.map(|()| status.unwrap_or(255))
}
