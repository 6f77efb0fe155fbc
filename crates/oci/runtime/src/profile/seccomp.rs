//! Docker's default seccomp profile, composed from the table for given capabilities.

use spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

use super::table::{self, Row, When};
use crate::seccomp::native_architecture;

const EPERM: u32 = 1;

/// What conditions of a profile are decided by.
pub(super) struct Facts<'a> {
    pub(super) capabilities: &'a [Capability],
    pub(super) architecture: &'static str,
    pub(super) kernel: (u32, u32),
}

impl<'a> Facts<'a> {
    /// Of this build and the kernel it runs on.
    pub(super) fn here(capabilities: &'a [Capability]) -> Facts<'a> {
        Facts { capabilities, architecture: go_architecture(), kernel: kernel_version() }
    }
}

/// The default profile for a process with the given capabilities in its bounding set, on this architecture and kernel.
pub fn default_seccomp(capabilities: &[Capability]) -> LinuxSeccomp {
    compose(&Facts::here(capabilities))
}

pub(super) fn compose(facts: &Facts<'_>) -> LinuxSeccomp {
    let (native, others) = native_architecture();
    let mut architectures: Vec<Arch> = vec![native];
    architectures.extend(others);
    let rows = table::ROWS.iter().filter(|row| applies(row.when, facts));
    let mut syscalls: Vec<LinuxSyscall> = rows.map(syscall).collect();
    syscalls.extend(table::SOCKET_FAMILIES.iter().flat_map(|families| {
        families.clone().map(|family| only_if("socket", LinuxSeccompOperator::ScmpCmpEq, family))
    }));
    syscalls.extend(
        table::PERSONALITIES.iter().map(|&persona| only_if("personality", LinuxSeccompOperator::ScmpCmpEq, persona)),
    );
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(EPERM)
        .architectures(architectures)
        .syscalls(syscalls)
        .build()
        .expect("every field is set")
}

fn applies(when: When, facts: &Facts<'_>) -> bool {
    match when {
        When::Always => true,
        When::With(capability) => facts.capabilities.contains(&capability),
        When::Without(capability) => !facts.capabilities.contains(&capability),
        When::On(architectures) => architectures.contains(&facts.architecture),
        When::Since(version) => facts.kernel >= version,
    }
}

fn syscall(row: &Row) -> LinuxSyscall {
    let names: Vec<String> = row.names.split_whitespace().map(str::to_owned).collect();
    let rule = LinuxSyscallBuilder::default().names(names);
    let rule = match row.answer {
        table::Answer::Allow => rule.action(LinuxSeccompAction::ScmpActAllow),
        table::Answer::Errno(errno) => rule.action(LinuxSeccompAction::ScmpActErrno).errno_ret(errno),
        table::Answer::AllowWithoutFlags(flags) => {
            rule.action(LinuxSeccompAction::ScmpActAllow).args(vec![arg(LinuxSeccompOperator::ScmpCmpMaskedEq, flags)])
        }
    };
    rule.build().expect("every field is set")
}

/// Allows a call if its first argument compares.
fn only_if(name: &str, op: LinuxSeccompOperator, value: u64) -> LinuxSyscall {
    LinuxSyscallBuilder::default()
        .names(vec![name.to_owned()])
        .action(LinuxSeccompAction::ScmpActAllow)
        .args(vec![arg(op, value)])
        .build()
        .expect("every field is set")
}

fn arg(op: LinuxSeccompOperator, value: u64) -> LinuxSeccompArg {
    LinuxSeccompArgBuilder::default().index(0usize).value(value).op(op).build().expect("every field is set")
}

/// The name that docker's profiles use for the architecture of this build.
pub(super) fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn kernel_version() -> (u32, u32) {
    let name = rustix::system::uname();
    parse_kernel(&name.release().to_string_lossy()).unwrap_or((0, 0))
}

/// `6.1.0-18-cloud-amd64` is 6.1.
pub(super) fn parse_kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
