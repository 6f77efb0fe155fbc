//! Who the process is: keyring, limits, ids and capabilities.

use std::ffi::CString;
use std::fs;

use rustix::process::{Gid, Rlimit, Uid};

use crate::error::{AtStep, Result};
use crate::plan::process::{Caps, ProcessPlan};
use crate::plan::scheduling::Scheduling;

/// A session keyring that the container's processes share with nobody. A kernel without keyrings has none to share.
pub(crate) fn new_session_keyring(id: &str) -> Result<()> {
    let name = CString::new(format!("_ses.{id}")).at(|| "name the session keyring")?;
    match sys::keyring::join_session(&name) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOSYS.raw_os_error()) => Ok(()),
        result => result.at(|| "make a session keyring"),
    }
}

/// Adjusts the process's standing with the out-of-memory killer; one that it has already is not written.
pub(crate) fn set_oom_score(score: i32) -> Result<()> {
    const FILE: &str = "/proc/self/oom_score_adj";
    let present = fs::read_to_string(FILE).at(|| format!("read {FILE}"))?;
    if present.trim() == score.to_string() {
        return Ok(());
    }
    fs::write(FILE, score.to_string()).at(|| format!("write {score} to {FILE}"))
}

/// Takes id 0 of a new user namespace.
pub(crate) fn become_root() -> Result<()> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid).at(|| "become group 0 of the user namespace")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).at(|| "become user 0 of the user namespace")
}

/// Limits of the process and what else it hands on to its program.
pub(crate) fn set_limits(process: &ProcessPlan) -> Result<()> {
    for limit in &process.rlimits {
        let some = |value: u64| (value != u64::MAX).then_some(value);
        let new = Rlimit { current: some(limit.soft), maximum: some(limit.hard) };
        rustix::process::setrlimit(limit.resource, new)
            .at(|| format!("set {} to {}:{}", limit.name, limit.soft, limit.hard))?;
    }
    schedule(&process.scheduling)
}

fn schedule(scheduling: &Scheduling) -> Result<()> {
    if let Some(scheduler) = scheduling.scheduler {
        sys::scheduling::set_scheduler(scheduler).at(|| format!("set the scheduler ({scheduler:?})"))?;
    }
    if let Some((class, level)) = scheduling.io_priority {
        sys::process::set_io_priority(class, level).at(|| "set the io priority")?;
    }
    if let Some(policy) = &scheduling.memory {
        sys::scheduling::set_memory_policy(policy.mode, &policy.nodes).at(|| "set the memory policy")?;
    }
    if let Some(persona) = scheduling.personality {
        sys::process::set_personality(persona).at(|| "set the personality")?;
    }
    Ok(())
}

/// Becomes the user of the process, with its capabilities and no others.
pub(crate) fn become_user(process: &ProcessPlan) -> Result<()> {
    // A capability that this kernel or this process does not have cannot be given.
    let mine = sys::caps::get().at(|| "read capabilities")?;
    let caps = restrict(process.caps, mine.permitted);
    drop_bounding(caps.bounding)?;
    rustix::thread::set_keep_capabilities(true).at(|| "keep capabilities")?;
    let groups: Vec<Gid> = process.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    match rustix::thread::set_thread_groups(&groups) {
        // A plain user's namespace keeps the groups that the user has (user_namespaces(7), setgroups).
        Err(rustix::io::Errno::PERM) if groups.is_empty() => {}
        result => result.at(|| "set additional groups")?,
    }
    let (uid, gid) = (Uid::from_raw(process.uid), Gid::from_raw(process.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).at(|| format!("become group {}", process.gid))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).at(|| format!("become user {}", process.uid))?;
    rustix::thread::set_keep_capabilities(false).at(|| "keep capabilities no longer")?;
    sys::caps::set(sys::caps::Sets {
        effective: caps.effective,
        permitted: caps.permitted,
        inheritable: caps.inheritable,
    })
    .at(|| "set capabilities")?;
    sys::caps::clear_ambient().at(|| "clear ambient capabilities")?;
    for capability in numbers(caps.ambient) {
        sys::caps::raise_ambient(capability).at(|| format!("raise ambient capability {capability}"))?;
    }
    Ok(())
}

fn restrict(caps: Caps, mine: u64) -> Caps {
    let permitted = caps.permitted & mine;
    let inheritable = caps.inheritable & mine;
    Caps {
        bounding: caps.bounding,
        effective: caps.effective & permitted,
        permitted,
        inheritable,
        ambient: caps.ambient & permitted & inheritable,
    }
}

fn drop_bounding(keep: u64) -> Result<()> {
    for capability in 0..64 {
        if keep & (1 << capability) != 0 {
            continue;
        }
        match sys::caps::bounding(capability) {
            // One more than the kernel's last.
            None => break,
            Some(false) => {}
            Some(true) => sys::caps::drop_bounding(capability)
                .at(|| format!("drop capability {capability} from the bounding set"))?,
        }
    }
    Ok(())
}

fn numbers(mask: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |number| mask & (1 << number) != 0)
}
