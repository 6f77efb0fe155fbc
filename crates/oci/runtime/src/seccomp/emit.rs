//! Instructions for settled rules.

use super::Instruction;
use super::arch::{Abi, X32_BIT};
use super::rules::{Alternative, Condition, KILL, Settled, Table, Test, UNKNOWN, Verdict};

// Classic BPF (linux/filter.h): class | size or operation | mode or source.
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

// struct seccomp_data { int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6]; }
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

type Code = Vec<Instruction>;

/// The whole program.
pub(super) fn program(settled: &Settled) -> Code {
    let sections = sections(settled);
    let mut code = vec![load(ARCH)];
    // Each architecture: is it this one? If not, over its section to the next question.
    for (audit, section) in sections {
        code.extend(branch(IF_EQUAL, audit, section, Vec::new()));
    }
    code.push(give(KILL));
    code
}

/// Code by what the kernel calls the architecture; x32 lives within x86-64.
fn sections(settled: &Settled) -> Vec<(u32, Code)> {
    let x32 = settled.tables.iter().find(|table| table.abi == Abi::X32);
    let mut sections = Vec::new();
    for table in &settled.tables {
        let mut code = vec![load(NUMBER)];
        match table.abi {
            Abi::X32 => continue,
            Abi::X86_64 => {
                let above = x32.map_or_else(|| vec![give(KILL)], |x32| search(x32, settled.default));
                let below = search(table, settled.default);
                code.extend(branch(IF_GREATER_OR_EQUAL, X32_BIT, above, below));
            }
            Abi::X86 | Abi::Aarch64 | Abi::Arm => code.extend(search(table, settled.default)),
        }
        sections.push((table.abi.audit(), code));
    }
    sections
}

/// Numbers from `start` to the next range's start, all with the same code.
struct Range {
    start: u32,
    code: Code,
}

/// A balanced search over all numbers of one architecture.
fn search(table: &Table, default: u32) -> Code {
    let base = if table.abi == Abi::X32 { X32_BIT } else { 0 };
    tree(&ranges(table, default, base))
}

/// All numbers from `base` upwards, neighbours with the same code joined.
fn ranges(table: &Table, default: u32, base: u32) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    let mut add = |start: u32, code: Code| {
        if ranges.last().is_none_or(|last| last.code != code) {
            ranges.push(Range { start, code });
        }
    };
    let mut next = base;
    for (&number, verdict) in &table.verdicts {
        let number = base + number;
        if number > next {
            add(next, vec![give(default)]);
        }
        add(number, verdict_code(verdict, default));
        next = number + 1;
    }
    let known = table.last_known.map(|last| base + last + 1);
    if known.is_none_or(|unknown| unknown > next) {
        add(next, vec![give(default)]);
    }
    if let Some(unknown) = known {
        add(unknown, vec![give(UNKNOWN)]);
    }
    ranges
}

fn tree(ranges: &[Range]) -> Code {
    if let [only] = ranges {
        return only.code.clone();
    }
    let (below, above) = ranges.split_at(ranges.len() / 2);
    branch(IF_GREATER_OR_EQUAL, above[0].start, tree(above), tree(below))
}

/// `if A <op> constant { yes } else { no }`; both sides end in a return, or `no` is what follows.
fn branch(op: u16, constant: u32, yes: Code, no: Code) -> Code {
    // The side that is jumped over comes first; a distance above 255 needs a jump of its own.
    let mut code = Vec::with_capacity(yes.len() + no.len() + 2);
    match u8::try_from(yes.len()) {
        Ok(over) => code.push(jump_if(op, constant, 0, over)),
        Err(_) => {
            code.push(jump_if(op, constant, 1, 0));
            code.push(jump(yes.len()));
        }
    }
    code.extend(yes);
    code.extend(no);
    code
}

fn verdict_code(verdict: &Verdict, default: u32) -> Code {
    match verdict {
        Verdict::Always(action) => vec![give(*action)],
        Verdict::ByArguments(alternatives) => {
            let mut code = Vec::new();
            let mut rest = alternatives.as_slice();
            while let Some(first) = rest.first() {
                let same = equal_values(rest);
                if same.len() > 1 {
                    code.extend(any_of(first, &same));
                    rest = &rest[same.len()..];
                } else {
                    code.extend(alternative_code(first));
                    rest = &rest[1..];
                }
            }
            code.push(give(default));
            code
        }
    }
}

/// The values of leading alternatives that only ask whether one and the same argument has a value, for the same
/// action and with the same upper half (families of sockets, say).
fn equal_values(alternatives: &[Alternative]) -> Vec<u32> {
    let key = |alternative: &Alternative| match alternative.conditions.as_slice() {
        [Condition { argument, test: Test::Equal(value), wide }] => {
            let high = if *wide { high(*value) } else { 0 };
            Some((*argument, high, *wide, alternative.action, low(*value)))
        }
        _ => None,
    };
    let Some((argument, high, wide, action, _)) = alternatives.first().and_then(key) else {
        return Vec::new();
    };
    let alike = |alternative| match key(alternative) {
        Some((a, h, w, act, value)) if (a, h, w, act) == (argument, high, wide, action) => Some(value),
        _ => None,
    };
    // More would be further than a conditional jump reaches.
    alternatives.iter().map_while(alike).take(200).collect()
}

/// `if argument is one of the values { return }`, with one load of each half.
fn any_of(first: &Alternative, values: &[u32]) -> Code {
    let condition = first.conditions[0];
    let Test::Equal(value) = condition.test else {
        return alternative_code(first);
    };
    let count = values.len();
    let mut code = Vec::new();
    if condition.wide {
        code.push(load(high_half(condition.argument)));
        code.push(jump_if(IF_EQUAL, high(value), 0, distance(1 + count + 1)));
    }
    code.push(load(low_half(condition.argument)));
    for (index, value) in values.iter().enumerate() {
        let left = count - 1 - index;
        let no = if left == 0 { 1 } else { 0 };
        code.push(jump_if(IF_EQUAL, *value, distance(left), no));
    }
    code.push(give(first.action));
    code
}

/// `if all conditions hold { return }`.
fn alternative_code(alternative: &Alternative) -> Code {
    let mut tail = vec![give(alternative.action)];
    for condition in alternative.conditions.iter().rev() {
        let mut code = condition_code(condition, tail.len());
        code.extend(tail);
        tail = code;
    }
    tail
}

/// Where a comparison goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// The next instruction.
    Next,
    /// After the condition: it holds.
    Pass,
    /// After everything that depends on the condition: it does not hold.
    Fail,
}

/// One instruction of a condition, its targets still by name.
enum Step {
    Plain(Instruction),
    If(u16, u32, To, To),
}

/// The comparison, followed by `tail` instructions that are skipped when it does not hold.
fn condition_code(condition: &Condition, tail: usize) -> Code {
    let (test, negate) = match condition.test {
        Test::NotEqual(value) => (Test::Equal(value), true),
        Test::Less(value) => (Test::GreaterOrEqual(value), true),
        Test::LessOrEqual(value) => (Test::Greater(value), true),
        test => (test, false),
    };
    let steps = steps(condition, test);
    let length = steps.len();
    let resolve = |(index, step): (usize, Step)| match step {
        Step::Plain(instruction) => instruction,
        Step::If(op, constant, yes, no) => {
            let rest = length - 1 - index;
            let target = |to: To| match (to, negate) {
                (To::Next, _) => 0,
                (To::Pass, false) | (To::Fail, true) => distance(rest),
                (To::Fail, false) | (To::Pass, true) => distance(rest + tail),
            };
            jump_if(op, constant, target(yes), target(no))
        }
    };
    steps.into_iter().enumerate().map(resolve).collect()
}

/// The positive comparisons. The last step never says `Next`.
fn steps(condition: &Condition, test: Test) -> Vec<Step> {
    use To::{Fail, Next, Pass};
    let mut steps = Vec::new();
    let load_high = Step::Plain(load(high_half(condition.argument)));
    let load_low = Step::Plain(load(low_half(condition.argument)));
    match test {
        Test::Equal(value) | Test::NotEqual(value) => {
            if condition.wide {
                steps.extend([load_high, Step::If(IF_EQUAL, high(value), Next, Fail)]);
            }
            steps.extend([load_low, Step::If(IF_EQUAL, low(value), Pass, Fail)]);
        }
        Test::Masked { mask, value } => {
            if condition.wide && high(mask) != 0 {
                steps.extend([load_high, Step::Plain(and(high(mask))), Step::If(IF_EQUAL, high(value), Next, Fail)]);
            }
            steps.extend([load_low, Step::Plain(and(low(mask))), Step::If(IF_EQUAL, low(value), Pass, Fail)]);
        }
        Test::Greater(value) | Test::GreaterOrEqual(value) | Test::Less(value) | Test::LessOrEqual(value) => {
            if condition.wide {
                steps.extend([
                    load_high,
                    Step::If(IF_GREATER, high(value), Pass, Next),
                    Step::If(IF_EQUAL, high(value), Next, Fail),
                ]);
            }
            let strict = matches!(test, Test::Greater(_) | Test::LessOrEqual(_));
            let op = if strict { IF_GREATER } else { IF_GREATER_OR_EQUAL };
            steps.extend([load_low, Step::If(op, low(value), Pass, Fail)]);
        }
    }
    steps
}

/// At most six conditions of seven instructions each, or 200 values: always within reach.
fn distance(instructions: usize) -> u8 {
    u8::try_from(instructions).expect("conditions are bounded")
}

fn low_half(argument: u8) -> u32 {
    let offset = ARGUMENTS + 8 * u32::from(argument);
    if cfg!(target_endian = "little") { offset } else { offset + 4 }
}

fn high_half(argument: u8) -> u32 {
    let offset = ARGUMENTS + 8 * u32::from(argument);
    if cfg!(target_endian = "little") { offset + 4 } else { offset }
}

fn low(value: u64) -> u32 {
    value as u32
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, jt: 0, jf: 0, k: offset }
}

fn and(mask: u32) -> Instruction {
    Instruction { code: AND, jt: 0, jf: 0, k: mask }
}

fn jump(over: usize) -> Instruction {
    Instruction { code: JUMP, jt: 0, jf: 0, k: over as u32 }
}

fn jump_if(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn give(action: u32) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k: action }
}
