//! The program against a direct reading of the rules, by an interpreter for the instructions it is made of.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// One access to one device.
#[derive(Clone, Copy, Debug)]
struct Request {
    kind: DeviceType,
    major: u32,
    minor: u32,
    access: Access,
}

/// Runs a program as the kernel would. Panics on what its checker would refuse.
fn run(program: &[Instruction], request: Request) -> bool {
    let kind = if request.kind == DeviceType::Block { BLOCK } else { CHAR };
    let first = u32::from(request.access.bits()) << 16 | kind.cast_unsigned();
    let context = [first, request.major, request.minor];
    let mut registers = [0u64; 11];
    let mut at = 0;
    for _ in 0..=program.len() {
        let instruction = program[at];
        let (to, from) = (usize::from(instruction.registers & 15), usize::from(instruction.registers >> 4));
        let value = instruction.immediate as i64 as u64;
        at += 1;
        let jumps = match instruction.code {
            0xb4 => {
                registers[to] = u64::from(instruction.immediate.cast_unsigned());
                false
            }
            0xbc => {
                registers[to] = registers[from] & 0xffff_ffff;
                false
            }
            0x54 => {
                registers[to] = registers[to] & value & 0xffff_ffff;
                false
            }
            0x74 => {
                registers[to] = (registers[to] & 0xffff_ffff) >> instruction.immediate;
                false
            }
            0x61 => {
                assert_eq!(from, usize::from(R1));
                registers[to] = u64::from(context[instruction.offset as usize / 4]);
                false
            }
            0x55 => registers[to] != value,
            0x15 => registers[to] == value,
            0x95 => return registers[0] == 1,
            other => panic!("instruction {other:#x}"),
        };
        if jumps {
            at += usize::try_from(instruction.offset).expect("forward");
        }
    }
    panic!("no end")
}

/// For every access asked for, the last rule that says something decides; nothing said is "no".
fn read_directly(rules: &[DeviceRule], request: Request) -> bool {
    let accesses = [Access::READ, Access::WRITE, Access::MKNOD];
    accesses.into_iter().filter(|&access| request.access.contains(access)).all(|access| {
        let matches = |rule: &&DeviceRule| {
            (rule.kind == DeviceType::All || rule.kind == request.kind)
                && rule.major.is_none_or(|major| major == request.major)
                && rule.minor.is_none_or(|minor| minor == request.minor)
                && rule.access.contains(access)
        };
        rules.iter().rev().find(matches).is_some_and(|rule| rule.allow)
    })
}

fn any_access() -> impl Strategy<Value = Access> {
    prop::sample::select(vec!["r", "w", "m", "rw", "rm", "wm", "rwm"])
        .prop_map(|letters| Access::parse(letters).unwrap())
}

fn any_rule() -> impl Strategy<Value = DeviceRule> {
    let kind = prop::sample::select(vec![DeviceType::All, DeviceType::Block, DeviceType::Char]);
    let number = || prop::option::of(0..3u32);
    (any::<bool>(), kind, number(), number(), any_access()).prop_map(|(allow, kind, major, minor, access)| DeviceRule {
        allow,
        kind,
        major,
        minor,
        access,
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    let kind = prop::sample::select(vec![DeviceType::Block, DeviceType::Char]);
    (kind, 0..4u32, 0..4u32, any_access()).prop_map(|(kind, major, minor, access)| Request {
        kind,
        major,
        minor,
        access,
    })
}

proptest! {
    #[test]
    fn program_says_what_the_rules_say(
        rules in vec(any_rule(), 0..8),
        requests in vec(any_request(), 30),
    ) {
        let program = compile(&rules);
        for request in requests {
            prop_assert_eq!(run(&program, request), read_directly(&rules, request), "{:?}", request);
        }
    }
}

#[test]
fn the_last_rule_for_everything_ends_the_program() {
    let program = compile(&[DeviceRule::DENY_ALL, DeviceRule::ALLOW_ALL]);
    assert_eq!(program.len(), 8, "no instruction that cannot be reached");
}
