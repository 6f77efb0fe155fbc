//! What a profile says about each system call of each architecture.
//!
//! The rules are settled as runc with libseccomp settles them:
//! - a rule whose action is the default action is left out;
//! - a rule without conditions beats every rule with conditions for the same call;
//! - among rules with conditions the first that holds decides, among those without the first listed;
//! - a rule that compares the same argument twice is as many rules as it has comparisons;
//! - calls newer than every call that the profile names answer ENOSYS instead of the default, so that programs
//!   fall back to older calls, unless the default lets calls through.

use std::collections::BTreeMap;

use spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

use super::Error;
use super::arch::{self, Abi};
use super::syscalls;

/// `SECCOMP_RET_KILL_THREAD`: what meets an architecture that the profile does not have.
pub(super) const KILL: u32 = 0;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// A profile settled for all its architectures.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// What a call gets that no rule is for.
    pub(super) default: u32,
    /// By architecture, the native one first.
    pub(super) tables: Vec<Table>,
}

/// A profile settled for one architecture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) abi: Abi,
    /// By number, without the x32 bit.
    pub(super) verdicts: BTreeMap<u32, Verdict>,
    /// Numbers above this are unknown calls and get ENOSYS.
    pub(super) last_known: Option<u32>,
}

/// What happens to one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Always this action (`SECCOMP_RET_*` with its data).
    Always(u32),
    /// The first alternative whose conditions all hold, else the default.
    ByArguments(Vec<Alternative>),
}

/// Conditions that must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alternative {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: u32,
}

/// A comparison of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) argument: u8,
    pub(super) test: Test,
    /// 32-bit architectures compare the low half only.
    pub(super) wide: bool,
}

/// Unsigned comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Equal(u64),
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    Greater(u64),
    GreaterOrEqual(u64),
    Masked { mask: u64, value: u64 },
}

/// Settles a profile.
pub(super) fn settle(profile: &LinuxSeccomp) -> Result<Settled, Error> {
    if profile.default_action() == LinuxSeccompAction::ScmpActNotify {
        return Err(Error::NotifyByDefault);
    }
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let mut rules = Vec::new();
    for (index, rule) in profile.syscalls().iter().flatten().enumerate() {
        rules.extend(alternatives(index, rule, default)?);
    }
    let unknown_fails = unknown_fails(profile);
    let named = || profile.syscalls().iter().flatten().flat_map(|rule| rule.names());
    let table = |abi| Table {
        abi,
        verdicts: verdicts(abi, &rules),
        last_known: unknown_fails.then(|| named().filter_map(|name| syscalls::number(abi, name)).max()).flatten(),
    };
    let tables = arch::of_profile(profile).into_iter().map(table).collect();
    Ok(Settled { default, tables })
}

/// Whether unknown calls get ENOSYS: not where the default lets them through or says ENOSYS itself.
fn unknown_fails(profile: &LinuxSeccomp) -> bool {
    use LinuxSeccompAction::{ScmpActAllow, ScmpActLog, ScmpActTrace};
    let lets_through = [ScmpActAllow, ScmpActLog, ScmpActTrace];
    !lets_through.contains(&profile.default_action()) && profile.default_errno_ret() != Some(ENOSYS)
}

/// The names of a rule and what it means for each of them.
struct Rule<'a> {
    names: &'a [String],
    alternatives: Vec<Alternative>,
}

fn alternatives(index: usize, rule: &LinuxSyscall, default: u32) -> Result<Option<Rule<'_>>, Error> {
    let names = rule.names().as_slice();
    let Some(first) = names.first() else {
        return Err(Error::NoName(index));
    };
    let notify = rule.action() == LinuxSeccompAction::ScmpActNotify;
    if notify && names.iter().any(|name| name == "write") {
        return Err(Error::NotifyWrite);
    }
    let action = action(rule.action(), rule.errno_ret())?;
    let args = rule.args().as_deref().unwrap_or_default();
    let mut conditions = Vec::new();
    for arg in args {
        conditions.push(condition(first, arg)?);
    }
    if action == default {
        return Ok(None);
    }
    let twice = |i: usize| conditions[..i].iter().any(|c| c.argument == conditions[i].argument);
    let split = (0..conditions.len()).any(twice);
    let alternatives = if split {
        let one = |condition| Alternative { conditions: vec![condition], action };
        conditions.into_iter().map(one).collect()
    } else {
        vec![Alternative { conditions, action }]
    };
    Ok(Some(Rule { names, alternatives }))
}

fn verdicts(abi: Abi, rules: &[Rule<'_>]) -> BTreeMap<u32, Verdict> {
    let mut verdicts: BTreeMap<u32, Verdict> = BTreeMap::new();
    for rule in rules {
        for name in rule.names {
            let Some(number) = syscalls::number(abi, name) else {
                continue;
            };
            let verdict = verdicts.entry(number).or_insert_with(|| Verdict::ByArguments(Vec::new()));
            for alternative in &rule.alternatives {
                add(verdict, abi, alternative);
            }
        }
    }
    verdicts
}

fn add(verdict: &mut Verdict, abi: Abi, alternative: &Alternative) {
    let Verdict::ByArguments(list) = verdict else {
        return;
    }; // decided by a rule without conditions
    if alternative.conditions.is_empty() {
        *verdict = Verdict::Always(alternative.action);
        return;
    }
    let mut alternative = alternative.clone();
    for condition in &mut alternative.conditions {
        condition.wide = abi.is_64_bit();
    }
    if !list.contains(&alternative) {
        list.push(alternative);
    }
}

fn condition(syscall: &str, arg: &LinuxSeccompArg) -> Result<Condition, Error> {
    let index = arg.index();
    let argument = u8::try_from(index).ok().filter(|&index| index < 6);
    let argument = argument.ok_or_else(|| Error::ArgumentIndex { syscall: syscall.to_owned(), index })?;
    let value = arg.value();
    let test = match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq => Test::Equal(value),
        LinuxSeccompOperator::ScmpCmpNe => Test::NotEqual(value),
        LinuxSeccompOperator::ScmpCmpLt => Test::Less(value),
        LinuxSeccompOperator::ScmpCmpLe => Test::LessOrEqual(value),
        LinuxSeccompOperator::ScmpCmpGt => Test::Greater(value),
        LinuxSeccompOperator::ScmpCmpGe => Test::GreaterOrEqual(value),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let wanted = arg.value_two().unwrap_or(0);
            Test::Masked { mask: value, value: wanted & value }
        }
    };
    Ok(Condition { argument, test, wide: true })
}

/// The kernel's return value for an action.
fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<u32, Error> {
    let data = errno.unwrap_or(EPERM);
    let number = || {
        if data <= 4095 { Ok(data) } else { Err(Error::Errno(data)) }
    };
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => KILL,
        LinuxSeccompAction::ScmpActKillProcess => 0x8000_0000,
        LinuxSeccompAction::ScmpActTrap => 0x0003_0000,
        LinuxSeccompAction::ScmpActErrno => RET_ERRNO | number()?,
        LinuxSeccompAction::ScmpActTrace => RET_TRACE | number()?,
        LinuxSeccompAction::ScmpActNotify => 0x7fc0_0000,
        LinuxSeccompAction::ScmpActLog => 0x7ffc_0000,
        LinuxSeccompAction::ScmpActAllow => 0x7fff_0000,
    })
}

/// The return value for a call that is newer than the profile.
pub(super) const UNKNOWN: u32 = RET_ERRNO | ENOSYS;
