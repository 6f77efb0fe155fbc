//! Device rules as a BPF program for the v2 tree (`BPF_PROG_TYPE_CGROUP_DEVICE`).
//!
//! The program walks the rules from the last to the first and keeps the set of accesses that are still undecided:
//! a matching denial of any of them ends in "no", a matching permission takes its accesses out of the set, and an
//! empty set is "yes". What no rule decides is denied.

use sys::bpf::Instruction;

use super::{Access, DeviceRule, DeviceType, effective};

/// Registers. R1 is the context that the kernel passes.
const R0: u8 = 0;
const R1: u8 = 1;
const KIND: u8 = 2;
const UNDECIDED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// `BPF_DEVCG_DEV_*`
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

/// Compiles the rules.
pub(crate) fn compile(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut code = vec![
        // struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }, access_type = access << 16 | kind
        load(KIND, 0),
        mov_register(UNDECIDED, KIND),
        and(KIND, 0xffff),
        shift_right(UNDECIDED, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    let mut open = true;
    for rule in effective(rules).iter().rev() {
        let body = decide(rule);
        let test = conditions(rule, body.len());
        open = !(test.is_empty() && rule.access == Access::ALL);
        code.extend(test);
        code.extend(body);
        if !open {
            break;
        }
    }
    if open {
        code.extend([mov(R0, 0), EXIT]);
    }
    code
}

/// Jumps over the body unless the device is one of the rule's.
fn conditions(rule: &DeviceRule, body: usize) -> Vec<Instruction> {
    let kind = match rule.kind {
        DeviceType::All => None,
        DeviceType::Block => Some(BLOCK),
        DeviceType::Char => Some(CHAR),
    };
    let number = |n: Option<u32>| n.map(u32::cast_signed);
    let wanted = [(KIND, kind), (MAJOR, number(rule.major)), (MINOR, number(rule.minor))];
    let tests: Vec<(u8, i32)> = wanted.into_iter().filter_map(|(register, value)| Some((register, value?))).collect();
    let count = tests.len();
    let jump = |(index, (register, value)): (usize, (u8, i32))| {
        let over = (count - 1 - index + body) as i16; // at most 2 + 4
        jump_unless_equal(register, value, over)
    };
    tests.into_iter().enumerate().map(jump).collect()
}

fn decide(rule: &DeviceRule) -> Vec<Instruction> {
    let access = i32::from(rule.access.bits());
    let all = rule.access == Access::ALL;
    match (rule.allow, all) {
        (allow, true) => vec![mov(R0, i32::from(allow)), EXIT],
        (true, false) => vec![and(UNDECIDED, !access & 7), jump_unless_equal(UNDECIDED, 0, 2), mov(R0, 1), EXIT],
        (false, false) => {
            vec![mov_register(SCRATCH, UNDECIDED), and(SCRATCH, access), jump_if_equal(SCRATCH, 0, 2), mov(R0, 0), EXIT]
        }
    }
}

const EXIT: Instruction = Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 };

/// 32-bit arithmetic, so that the upper halves are zero.
fn mov(register: u8, value: i32) -> Instruction {
    Instruction { code: 0xb4, registers: register, offset: 0, immediate: value }
}

fn mov_register(to: u8, from: u8) -> Instruction {
    Instruction { code: 0xbc, registers: from << 4 | to, offset: 0, immediate: 0 }
}

fn and(register: u8, mask: i32) -> Instruction {
    Instruction { code: 0x54, registers: register, offset: 0, immediate: mask }
}

fn shift_right(register: u8, bits: i32) -> Instruction {
    Instruction { code: 0x74, registers: register, offset: 0, immediate: bits }
}

/// Loads 32 bits of the context.
fn load(register: u8, offset: i16) -> Instruction {
    Instruction { code: 0x61, registers: R1 << 4 | register, offset, immediate: 0 }
}

/// Compares 64 bits; a negative immediate is sign-extended, but device numbers are below 2^31.
fn jump_unless_equal(register: u8, value: i32, over: i16) -> Instruction {
    Instruction { code: 0x55, registers: register, offset: over, immediate: value }
}

fn jump_if_equal(register: u8, value: i32, over: i16) -> Instruction {
    Instruction { code: 0x15, registers: register, offset: over, immediate: value }
}

#[cfg(test)]
pub(crate) mod tests;
