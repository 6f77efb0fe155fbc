//! Programs against a direct reading of the profile, for random profiles and calls.

use proptest::collection::vec;
use proptest::prelude::*;
use spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompFilterFlag as Flag, LinuxSeccompOperator as Op, LinuxSyscall, LinuxSyscallBuilder,
};

use super::arch::{Abi, X32_BIT};
use super::interpret::{Call, run};
use super::*;

const ABIS: [Abi; 5] = [Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64, Abi::Arm];
const NATIVE: Abi = if cfg!(target_arch = "x86_64") { Abi::X86_64 } else { Abi::Aarch64 };
const ALLOW: u32 = 0x7fff_0000;

fn arg(index: usize, op: Op, value: u64, value_two: u64) -> LinuxSeccompArg {
    LinuxSeccompArgBuilder::default().index(index).op(op).value(value).value_two(value_two).build().unwrap()
}

fn rule(names: &[&str], action: Action, args: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    LinuxSyscallBuilder::default().names(names).action(action).args(args).build().unwrap()
}

fn profile(default: Action, arches: &[Arch], rules: Vec<LinuxSyscall>) -> LinuxSeccomp {
    LinuxSeccompBuilder::default()
        .default_action(default)
        .architectures(arches.to_vec())
        .syscalls(rules)
        .build()
        .unwrap()
}

fn call(abi: Abi, name: &str, arguments: [u64; 6]) -> Call {
    let base = if abi == Abi::X32 { X32_BIT } else { 0 };
    let number = base + syscalls::number(abi, name).expect("a call of the architecture");
    Call { arch: abi.audit(), number, arguments }
}

fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

/// The verdict read straight from the profile, rule by rule.
fn read_directly(profile: &LinuxSeccomp, abi: Abi, number: u32, arguments: &[u64; 6]) -> u32 {
    let listed: Vec<Abi> = arch::of_profile(profile);
    if !listed.contains(&abi) {
        return 0;
    }
    let default = profile.default_action().as_u32(profile.default_errno_ret());
    let rules = profile.syscalls().iter().flatten();
    let of_call = |rule: &&LinuxSyscall| {
        rule.names().iter().any(|name| syscalls::number(abi, name) == Some(number))
            && rule.action().as_u32(rule.errno_ret()) != default
    };
    let mut rules_of_call: Vec<&LinuxSyscall> = rules.clone().filter(of_call).collect();
    let no_args = |rule: &LinuxSyscall| rule.args().as_ref().is_none_or(|args| args.is_empty());
    rules_of_call.sort_by_key(|rule| !no_args(rule)); // stable: those without conditions first
    for rule in &rules_of_call {
        let args = rule.args().clone().unwrap_or_default();
        let holds = |arg: &LinuxSeccompArg| compare(arg, arguments[arg.index()], abi.is_64_bit());
        let mut indices: Vec<usize> = args.iter().map(|arg| arg.index()).collect();
        indices.sort_unstable();
        let twice = indices.windows(2).any(|pair| pair[0] == pair[1]);
        let met = if twice { args.iter().any(holds) } else { args.iter().all(holds) };
        if met {
            return rule.action().as_u32(rule.errno_ret());
        }
    }
    let all = rules.flat_map(|rule| rule.names());
    let last = all.filter_map(|name| syscalls::number(abi, name)).max();
    let lets_through = [Action::ScmpActAllow, Action::ScmpActLog, Action::ScmpActTrace];
    let fails = !lets_through.contains(&profile.default_action()) && profile.default_errno_ret() != Some(38);
    match last {
        Some(last) if fails && number > last => errno(38),
        _ => default,
    }
}

fn compare(arg: &LinuxSeccompArg, given: u64, wide: bool) -> bool {
    let cut = |value: u64| if wide { value } else { value & 0xffff_ffff };
    let (given, value) = (cut(given), cut(arg.value()));
    match arg.op() {
        Op::ScmpCmpEq => given == value,
        Op::ScmpCmpNe => given != value,
        Op::ScmpCmpLt => given < value,
        Op::ScmpCmpLe => given <= value,
        Op::ScmpCmpGt => given > value,
        Op::ScmpCmpGe => given >= value,
        Op::ScmpCmpMaskedEq => given & value == cut(arg.value_two().unwrap_or(0) & arg.value()),
    }
}

fn any_value() -> impl Strategy<Value = u64> {
    // Few values, so that comparisons hold often, and with differing halves.
    prop_oneof![
        0..4u64,
        (0..3u64, 0..3u64).prop_map(|(high, low)| high << 32 | low),
        Just(u64::MAX),
        Just(0xffff_ffff),
        any::<u64>(),
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    let few = ["read", "write", "open", "openat", "socket", "clone", "personality", "futex"];
    let all: Vec<&str> = syscalls::names().collect();
    prop_oneof![prop::sample::select(few.to_vec()), prop::sample::select(all)].prop_map(str::to_owned)
}

fn any_action() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![
        Action::ScmpActAllow,
        Action::ScmpActErrno,
        Action::ScmpActKillProcess,
        Action::ScmpActTrap,
        Action::ScmpActLog,
        Action::ScmpActTrace,
    ])
}

fn any_arg() -> impl Strategy<Value = LinuxSeccompArg> {
    let ops = vec![
        Op::ScmpCmpEq,
        Op::ScmpCmpNe,
        Op::ScmpCmpLt,
        Op::ScmpCmpLe,
        Op::ScmpCmpGt,
        Op::ScmpCmpGe,
        Op::ScmpCmpMaskedEq,
    ];
    (0..6usize, prop::sample::select(ops), any_value(), any_value())
        .prop_map(|(index, op, value, two)| arg(index, op, value, two))
}

fn any_rule() -> impl Strategy<Value = LinuxSyscall> {
    let args = prop_oneof![Just(Vec::new()), vec(any_arg(), 1..4)];
    (vec(any_name(), 1..6), any_action(), args, prop::option::of(0..4000u32)).prop_map(
        |(names, action, args, errno)| {
            let mut rule = LinuxSyscallBuilder::default().names(names).action(action).args(args).build().unwrap();
            rule.set_errno_ret(errno);
            rule
        },
    )
}

fn any_profile() -> impl Strategy<Value = LinuxSeccomp> {
    let arches = prop::sample::subsequence(
        vec![
            Arch::ScmpArchX86_64,
            Arch::ScmpArchX86,
            Arch::ScmpArchX32,
            Arch::ScmpArchAarch64,
            Arch::ScmpArchArm,
            Arch::ScmpArchMips,
        ],
        0..6,
    );
    (any_action(), arches, vec(any_rule(), 0..12), prop::option::of(prop_oneof![Just(38), Just(5)])).prop_map(
        |(default, arches, rules, errno)| {
            let mut profile = profile(default, &arches, rules);
            profile.set_default_errno_ret(errno);
            profile
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn program_says_what_the_profile_says(
        profile in any_profile(),
        calls in vec((0..5usize, any_name(), 0..500u32, any::<bool>(), vec(any_value(), 6)), 40),
    ) {
        let program = compile(&profile).unwrap();
        for (abi, name, number, by_name, arguments) in calls {
            let abi = ABIS[abi];
            if arch::of_profile(&profile).contains(&Abi::X32) && NATIVE != Abi::X86_64 && abi == Abi::X32 {
                continue; // x32 exists only beside x86-64
            }
            let number = match syscalls::number(abi, &name) {
                Some(named) if by_name => named,
                _ => number,
            };
            let arguments: [u64; 6] = arguments.try_into().unwrap();
            let base = if abi == Abi::X32 { X32_BIT } else { 0 };
            let call = Call { arch: abi.audit(), number: base + number, arguments };
            let wanted = read_directly(&profile, abi, number, &arguments);
            prop_assert_eq!(run(&program.instructions, &call).0, wanted, "{:?}", call);
        }
    }
}

#[test]
fn docker_default_says_what_it_should() {
    let profile = crate::profile::default_seccomp(&crate::profile::default_capabilities());
    let program = compile(&profile).unwrap();
    let verdict = |abi, name, arguments| run(&program.instructions, &call(abi, name, arguments)).0;
    let none = [0; 6];
    assert_eq!(verdict(NATIVE, "read", none), ALLOW);
    assert_eq!(verdict(NATIVE, "ptrace", none), ALLOW);
    assert_eq!(verdict(NATIVE, "chroot", none), ALLOW, "has the capability");
    assert_eq!(verdict(NATIVE, "mount", none), errno(1));
    assert_eq!(verdict(NATIVE, "keyctl", none), errno(1));
    assert_eq!(verdict(NATIVE, "io_uring_setup", none), errno(1));
    assert_eq!(verdict(NATIVE, "unshare", none), errno(1));
    assert_eq!(verdict(NATIVE, "clone3", none), errno(38));
    let with_flags = |flags: u64| [flags, 0, 0, 0, 0, 0];
    assert_eq!(verdict(NATIVE, "clone", with_flags(0x11)), ALLOW);
    assert_eq!(verdict(NATIVE, "clone", with_flags(0x1000_0011)), errno(1), "new user namespace");
    for (family, wanted) in [(1, ALLOW), (16, ALLOW), (40, errno(1)), (38, errno(1)), (45, ALLOW)] {
        assert_eq!(verdict(NATIVE, "socket", with_flags(family)), wanted, "family {family}");
    }
    assert_eq!(verdict(NATIVE, "socket", with_flags(1 << 32 | 1)), errno(1), "upper half counts");
    assert_eq!(verdict(NATIVE, "personality", with_flags(0xffff_ffff)), ALLOW);
    assert_eq!(verdict(NATIVE, "personality", with_flags(0x40000)), errno(1));
    if NATIVE == Abi::X86_64 {
        assert_eq!(verdict(Abi::X32, "read", none), ALLOW);
        assert_eq!(verdict(Abi::X86, "socketcall", none), ALLOW);
        assert_eq!(verdict(Abi::X86_64, "arch_prctl", none), ALLOW);
        let foreign = Call { arch: Abi::Aarch64.audit(), number: 63, arguments: none };
        assert_eq!(run(&program.instructions, &foreign).0, 0, "killed");
    }
    let newer = Call { arch: NATIVE.audit(), number: 1000, arguments: none };
    assert_eq!(run(&program.instructions, &newer).0, errno(38), "newer than the profile");
}

#[test]
fn docker_default_with_capabilities_opens_what_they_are_for() {
    let profile = crate::profile::default_seccomp(&[Capability::SysAdmin]);
    let program = compile(&profile).unwrap();
    let verdict = |name| run(&program.instructions, &call(NATIVE, name, [u64::MAX; 6])).0;
    for name in ["mount", "clone", "clone3", "unshare", "setns", "bpf"] {
        assert_eq!(verdict(name), ALLOW, "{name}");
    }
    for name in ["chroot", "reboot", "init_module", "settimeofday", "kexec_load"] {
        assert_eq!(verdict(name), errno(1), "{name}");
    }
}

#[test]
fn docker_default_is_small_and_quick() {
    let profile = crate::profile::default_seccomp(&crate::profile::default_capabilities());
    let program = compile(&profile).unwrap();
    let steps: Vec<usize> = ["read", "write", "openat", "futex", "mmap", "statx", "clone"]
        .into_iter()
        .map(|name| run(&program.instructions, &call(NATIVE, name, [0; 6])).1)
        .collect();
    eprintln!("{} instructions, steps {steps:?}", program.instructions.len());
    assert!(program.instructions.len() < 800, "{}", program.instructions.len());
    assert!(steps.iter().all(|&steps| steps < 20), "{steps:?}");
}

#[test]
fn a_rule_without_conditions_beats_those_with() {
    let rules = vec![
        rule(&["read"], Action::ScmpActTrap, vec![arg(0, Op::ScmpCmpEq, 3, 0)]),
        rule(&["read"], Action::ScmpActAllow, vec![]),
    ];
    let program = compile(&profile(Action::ScmpActErrno, &[], rules)).unwrap();
    assert_eq!(run(&program.instructions, &call(NATIVE, "read", [3; 6])).0, ALLOW);
}

#[test]
fn the_same_argument_twice_means_either() {
    let twice = vec![arg(0, Op::ScmpCmpEq, 3, 0), arg(0, Op::ScmpCmpEq, 5, 0)];
    let rules = vec![rule(&["read"], Action::ScmpActAllow, twice)];
    let program = compile(&profile(Action::ScmpActErrno, &[], rules)).unwrap();
    let verdict = |value| run(&program.instructions, &call(NATIVE, "read", [value; 6])).0;
    assert_eq!([3, 4, 5].map(verdict), [ALLOW, errno(1), ALLOW]);
}

#[test]
fn flags_are_those_of_runc() {
    let mut given = profile(Action::ScmpActAllow, &[], vec![]);
    assert_eq!(compile(&given).unwrap().flags, FLAG_SPEC_ALLOW);
    given.set_flags(Some(vec![Flag::SeccompFilterFlagLog, Flag::SeccompFilterFlagTsync]));
    assert_eq!(compile(&given).unwrap().flags, FLAG_LOG | FLAG_TSYNC);
    given.set_syscalls(Some(vec![rule(&["mkdir"], Action::ScmpActNotify, vec![])]));
    let program = compile(&given).unwrap();
    assert!(program.notifies);
    assert_eq!(program.flags, FLAG_LOG | FLAG_TSYNC | FLAG_NEW_LISTENER | FLAG_TSYNC_ESRCH);
}

#[test]
fn nonsense_is_refused() {
    let refused = |rules| compile(&profile(Action::ScmpActErrno, &[], rules)).unwrap_err();
    let index = rule(&["read"], Action::ScmpActAllow, vec![arg(6, Op::ScmpCmpEq, 0, 0)]);
    assert_eq!(
        refused(vec![index]).to_string(),
        "seccomp rule for read: no argument 6, a system call has six (0 to 5)"
    );
    let mut wild = rule(&["read"], Action::ScmpActErrno, vec![]);
    wild.set_errno_ret(Some(70_000));
    assert_eq!(refused(vec![wild]), Error::Errno(70_000));
    assert_eq!(refused(vec![rule(&[], Action::ScmpActAllow, vec![])]), Error::NoName(0));
    let notify = rule(&["write"], Action::ScmpActNotify, vec![]);
    assert_eq!(refused(vec![notify]), Error::NotifyWrite);
    let default = profile(Action::ScmpActNotify, &[], vec![]);
    assert_eq!(compile(&default).unwrap_err(), Error::NotifyByDefault);
}

#[test]
fn too_long_a_program_is_refused() {
    let many = |n: u64| {
        let one = |value| vec![arg(0, Op::ScmpCmpGt, value, 0), arg(1, Op::ScmpCmpGt, value, 0)];
        (0..n).map(|value| rule(&["read"], Action::ScmpActAllow, one(value))).collect()
    };
    assert!(compile(&profile(Action::ScmpActErrno, &[], many(100))).is_ok());
    let error = compile(&profile(Action::ScmpActErrno, &[], many(2000))).unwrap_err();
    assert!(matches!(error, Error::TooLong(length) if length > 4096));
}

/// The kernel's own checker takes the program, and it acts: on a thread of its own, which keeps the filter to itself.
#[test]
fn the_kernel_takes_dockers_default() {
    let profile = crate::profile::default_seccomp(&crate::profile::default_capabilities());
    let program = compile(&profile).unwrap();
    let thread = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        sys::seccomp::install(&program.instructions, program.flags).unwrap();
        let socket = |family| {
            let kind = rustix::net::SocketType::STREAM;
            rustix::net::socket(rustix::net::AddressFamily::from_raw(family), kind, None)
        };
        (socket(1).is_ok(), socket(40).unwrap_err())
    });
    assert_eq!(thread.join().unwrap(), (true, rustix::io::Errno::PERM));
}
