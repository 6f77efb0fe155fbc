//! BPF programs on control groups (bpf(2)), as far as device rules need them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction (`struct bpf_insn`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination in the low four bits, source in the high four (on little-endian machines).
    pub registers: u8,
    /// Distance of a jump or of a load.
    pub offset: i16,
    /// Constant.
    pub immediate: i32,
}

const PROG_LOAD: i32 = 5;
const PROG_ATTACH: i32 = 8;
const PROG_DETACH: i32 = 9;
const PROG_GET_FD_BY_ID: i32 = 13;
const PROG_QUERY: i32 = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_TYPE_CGROUP_DEVICE: u32 = 6;
/// Several programs on one group, all must agree.
const F_ALLOW_MULTI: u32 = 2;

/// Loads a program that decides about access to devices.
pub fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    /// The beginning of the kernel's `union bpf_attr` for loading.
    #[repr(C)]
    #[derive(Default)]
    struct Load {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
    }
    let license = c"Apache-2.0";
    let attributes = Load {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Load::default()
    };
    let fd = bpf(PROG_LOAD, attributes)?;
    // SAFETY: BPF_PROG_LOAD answers with a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts a device program on a group beside those that are there; all must allow an access.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    bpf(PROG_ATTACH, Attach::new(cgroup, program, F_ALLOW_MULTI)).map(drop)
}

/// Takes a device program off a group.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    bpf(PROG_DETACH, Attach::new(cgroup, program, 0)).map(drop)
}

/// The device programs on a group itself (not those of its parents).
pub fn device_programs(cgroup: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        target_fd: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        prog_ids: u64,
        prog_cnt: u32,
        padding: u32,
    }
    let mut ids = [0u32; 64]; // the kernel's own limit for one group
    let query = Query {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_type: ATTACH_TYPE_CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: ids.len() as u32,
        ..Query::default()
    };
    bpf(PROG_QUERY, query)?;
    // Ids are never 0; what the kernel did not fill stays 0.
    ids.into_iter().take_while(|&id| id != 0).map(program_by_id).collect()
}

fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct ById {
        prog_id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let fd = bpf(PROG_GET_FD_BY_ID, ById { prog_id: id, next_id: 0, open_flags: 0 })?;
    // SAFETY: BPF_PROG_GET_FD_BY_ID answers with a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

impl Attach {
    fn new(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, attach_flags: u32) -> Attach {
        Attach {
            target_fd: cgroup.as_fd().as_raw_fd().cast_unsigned(),
            attach_bpf_fd: program.as_raw_fd().cast_unsigned(),
            attach_type: ATTACH_TYPE_CGROUP_DEVICE,
            attach_flags,
        }
    }
}

/// Every `A` here begins as the command's part of `union bpf_attr`; the kernel takes what is missing as zero.
fn bpf<A>(command: i32, mut attributes: A) -> io::Result<i32> {
    let address = &raw mut attributes;
    // SAFETY: the kernel reads, and for BPF_PROG_QUERY also writes, at most `size_of::<A>()` bytes at the address
    // of a value owned here. Addresses inside it belong to arrays of the callers that outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, address, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
