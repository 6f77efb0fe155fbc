//! The architectures that programs can be compiled for.

use spec::runtime::{Arch, LinuxSeccomp};

/// Bit that tells x32's system calls from those of x86-64 in a number.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// One kind of system call numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Abi {
    X86_64,
    X86,
    X32,
    Aarch64,
    Arm,
}

impl Abi {
    /// Column in the table of numbers.
    pub(super) fn column(self) -> usize {
        match self {
            Abi::X86_64 => 0,
            Abi::X86 => 1,
            Abi::X32 => 2,
            Abi::Aarch64 => 3,
            Abi::Arm => 4,
        }
    }

    /// What the kernel calls it (`AUDIT_ARCH_*`); x32 shares the one of x86-64.
    pub(super) fn audit(self) -> u32 {
        match self {
            Abi::X86_64 | Abi::X32 => 0xc000_003e,
            Abi::X86 => 0x4000_0003,
            Abi::Aarch64 => 0xc000_00b7,
            Abi::Arm => 0x4000_0028,
        }
    }

    /// Whether arguments have 64 bits.
    pub(super) fn is_64_bit(self) -> bool {
        match self {
            // x32 has 64-bit registers; the kernel shows them whole.
            Abi::X86_64 | Abi::X32 | Abi::Aarch64 => true,
            Abi::X86 | Abi::Arm => false,
        }
    }

    fn from_oci(arch: Arch) -> Option<Abi> {
        match arch {
            Arch::ScmpArchNative => Some(NATIVE),
            Arch::ScmpArchX86_64 => Some(Abi::X86_64),
            Arch::ScmpArchX86 => Some(Abi::X86),
            Arch::ScmpArchX32 => Some(Abi::X32),
            Arch::ScmpArchAarch64 => Some(Abi::Aarch64),
            Arch::ScmpArchArm => Some(Abi::Arm),
            _ => None,
        }
    }
}

#[cfg(target_arch = "x86_64")]
const NATIVE: Abi = Abi::X86_64;
#[cfg(target_arch = "aarch64")]
const NATIVE: Abi = Abi::Aarch64;

/// The architecture of this build as the OCI specification names it, with those that its kernel runs too.
pub fn native() -> (Arch, &'static [Arch]) {
    match NATIVE {
        Abi::Aarch64 | Abi::Arm => (Arch::ScmpArchAarch64, &[Arch::ScmpArchArm]),
        Abi::X86_64 | Abi::X86 | Abi::X32 => (Arch::ScmpArchX86_64, &[Arch::ScmpArchX86, Arch::ScmpArchX32]),
    }
}

/// The architectures of a profile, the native one first: it is in every profile.
pub(super) fn of_profile(profile: &LinuxSeccomp) -> Vec<Abi> {
    let mut abis = vec![NATIVE];
    for arch in profile.architectures().iter().flatten() {
        if let Some(abi) = Abi::from_oci(*arch)
            && !abis.contains(&abi)
        {
            abis.push(abi);
        }
    }
    abis
}
