//! How the process is scheduled, and which processors and memory it gets: checked, and in the kernel's terms.

use spec::runtime::{
    ExecCPUAffinity, IOPriorityClass, Linux, LinuxMemoryPolicy, LinuxPersonality, LinuxPersonalityDomain,
    LinuxSchedulerFlag, LinuxSchedulerPolicy, MemoryPolicyFlagType, MemoryPolicyModeType, Process,
};
use sys::scheduling::Scheduler;

use super::lists;
use crate::error::{Error, Result};

/// What is left as it is where nothing is said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scheduling {
    pub scheduler: Option<Scheduler>,
    /// Class and level.
    pub io_priority: Option<(u8, u16)>,
    pub memory: Option<MemoryPolicy>,
    pub personality: Option<u64>,
}

/// Where memory comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MemoryPolicy {
    /// `MPOL_*` with its flags.
    pub mode: i32,
    /// Bit mask, the lowest nodes first.
    pub nodes: Vec<u64>,
}

/// Processors that a process in a running container may use, by their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Affinity {
    /// Until it is in the container's control group.
    pub first: Vec<usize>,
    /// From then on.
    pub last: Vec<usize>,
}

impl Scheduling {
    pub fn of(process: &Process, linux: Option<&Linux>) -> Result<Scheduling> {
        let memory = linux.and_then(|linux| linux.memory_policy().as_ref());
        let personality = linux.and_then(|linux| linux.personality().as_ref());
        Ok(Scheduling {
            scheduler: process.scheduler().as_ref().map(scheduler).transpose()?,
            io_priority: io_priority(process)?,
            memory: memory.map(memory_policy).transpose()?,
            personality: personality.map(persona).transpose()?,
        })
    }
}

impl Affinity {
    pub fn of(affinity: Option<&ExecCPUAffinity>) -> Result<Affinity> {
        let list = |text: &Option<String>| match text.as_deref() {
            None | Some("") => Ok(Vec::new()),
            Some(text) => lists::numbers(text, 1024)
                .map_err(|problem| invalid("process.execCPUAffinity", format!("{text:?} {problem}"))),
        };
        match affinity {
            None => Ok(Affinity::default()),
            Some(affinity) => {
                Ok(Affinity { first: list(affinity.initial())?, last: list(affinity.cpu_affinity_final())? })
            }
        }
    }
}

fn scheduler(wanted: &spec::runtime::Scheduler) -> Result<Scheduler> {
    let policy = match wanted.policy() {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    };
    let refuse = |problem: String| Err(invalid("process.scheduler", problem));
    let nice = wanted.nice().unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        return refuse(format!("nice {nice} is not between -20 and 19"));
    }
    let priority = wanted.priority().unwrap_or(0);
    let real_time = matches!(wanted.policy(), LinuxSchedulerPolicy::SchedFifo | LinuxSchedulerPolicy::SchedRr);
    if priority != 0 && !real_time {
        return refuse(format!("{} has no priority, only SCHED_FIFO and SCHED_RR have one", wanted.policy()));
    }
    if real_time && !(1..=99).contains(&priority) {
        return refuse(format!("priority {priority} is not between 1 and 99"));
    }
    let times = [*wanted.runtime(), *wanted.deadline(), *wanted.period()].map(Option::unwrap_or_default);
    if times != [0; 3] && *wanted.policy() != LinuxSchedulerPolicy::SchedDeadline {
        return refuse(format!("{} has no runtime, deadline and period, only SCHED_DEADLINE has", wanted.policy()));
    }
    let flags = wanted.flags().iter().flatten().fold(0, |all, flag| all | scheduler_flag(*flag));
    let [runtime, deadline, period] = times;
    Ok(Scheduler { policy, flags, nice, priority: priority.unsigned_abs(), runtime, deadline, period })
}

fn scheduler_flag(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

fn io_priority(process: &Process) -> Result<Option<(u8, u16)>> {
    let Some(priority) = process.io_priority() else {
        return Ok(None);
    };
    let class = match priority.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    match u16::try_from(priority.priority()) {
        Ok(level) if level < 8 => Ok(Some((class, level))),
        _ => Err(invalid("process.ioPriority", format!("level {} is not between 0 and 7", priority.priority()))),
    }
}

fn persona(personality: &LinuxPersonality) -> Result<u64> {
    if let Some(flag) = personality.flags().iter().flatten().next() {
        // The specification defines none so far.
        return Err(invalid("linux.personality.flags", format!("{flag:?} is unknown")));
    }
    Ok(match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    })
}

fn memory_policy(policy: &LinuxMemoryPolicy) -> Result<MemoryPolicy> {
    use MemoryPolicyModeType as Mode;
    let refuse = |problem: String| invalid("linux.memoryPolicy", problem);
    let mode = match policy.mode() {
        Mode::MpolDefault => 0,
        Mode::MpolPreferred => 1,
        Mode::MpolBind => 2,
        Mode::MpolInterleave => 3,
        Mode::MpolLocal => 4,
        Mode::MpolPreferredMany => 5,
        Mode::MpolWeightedInterleave => 6,
    };
    let flags = policy.flags().iter().flatten().fold(0, |all, flag| {
        all | match flag {
            MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
            MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
            MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
        }
    });
    let list = policy.nodes().as_deref().unwrap_or_default();
    let numbers = match list {
        "" => Vec::new(),
        list => lists::numbers(list, 1024).map_err(|problem| refuse(format!("nodes {list:?} {problem}")))?,
    };
    let mut nodes = vec![0; numbers.iter().max().map_or(0, |highest| highest / 64 + 1)];
    for number in numbers {
        nodes[number / 64] |= 1 << (number % 64);
    }
    let takes_none = matches!(policy.mode(), Mode::MpolDefault | Mode::MpolLocal);
    if takes_none && !nodes.is_empty() {
        return Err(refuse(format!("{} takes no nodes", policy.mode())));
    }
    let needs_some = !takes_none && policy.mode() != Mode::MpolPreferred;
    if needs_some && nodes.is_empty() {
        return Err(refuse(format!("{} needs nodes", policy.mode())));
    }
    Ok(MemoryPolicy { mode: mode | flags, nodes })
}

fn invalid(field: &'static str, problem: String) -> Error {
    Error::Spec { field, problem }
}
