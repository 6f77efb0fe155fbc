//! An interpreter for the programs, as the kernel would run them.

use super::Instruction;

/// What the kernel shows to a filter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) arch: u32,
    pub(super) number: u32,
    pub(super) arguments: [u64; 6],
}

/// The return value and how many instructions it took. Panics on what the kernel's checker would refuse.
pub(super) fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
    let mut data = [0u8; 64];
    data[0..4].copy_from_slice(&call.number.to_ne_bytes());
    data[4..8].copy_from_slice(&call.arch.to_ne_bytes());
    for (index, argument) in call.arguments.iter().enumerate() {
        data[16 + 8 * index..24 + 8 * index].copy_from_slice(&argument.to_ne_bytes());
    }
    let (mut a, mut at, mut steps) = (0u32, 0usize, 0usize);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        steps += 1;
        let holds = match code {
            0x20 => {
                assert!(k % 4 == 0 && k < 64, "load at {k}");
                let k = k as usize;
                a = u32::from_ne_bytes(data[k..k + 4].try_into().unwrap());
                continue;
            }
            0x54 => {
                a &= k;
                continue;
            }
            0x05 => {
                at += k as usize;
                continue;
            }
            0x06 => return (k, steps),
            0x15 => a == k,
            0x25 => a > k,
            0x35 => a >= k,
            other => panic!("instruction {other:#x}"),
        };
        at += usize::from(if holds { jt } else { jf });
    }
}
