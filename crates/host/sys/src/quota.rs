//! Project quotas: a directory tree with an upper bound of bytes (ext4, xfs).

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use linux_raw_sys::{
    general::fsxattr,
    ioctl::{FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR},
};

/// New files below the directory belong to its project (`FS_XFLAG_PROJINHERIT`).
const PROJECT_INHERIT: u32 = 0x200;
const PROJECT_QUOTA: i32 = 2;
/// The block limits of `struct dqblk` are valid (`QIF_BLIMITS`).
const BLOCK_LIMITS: u32 = 1;
/// Limits are counted in blocks of this many bytes.
const LIMIT_BLOCK: u64 = 1024;

/// Makes an empty directory the root of a project.
pub fn set_project(directory: BorrowedFd<'_>, project: u32) -> io::Result<()> {
    let mut attributes =
        fsxattr { fsx_xflags: 0, fsx_extsize: 0, fsx_nextents: 0, fsx_projid: 0, fsx_cowextsize: 0, fsx_pad: [0; 8] };
    // SAFETY: the request reads into the structure it is defined for, which outlives the call.
    let got = unsafe { libc::ioctl(directory.as_raw_fd(), FS_IOC_FSGETXATTR as _, &raw mut attributes) };
    check(got.into())?;
    attributes.fsx_projid = project;
    attributes.fsx_xflags |= PROJECT_INHERIT;
    // SAFETY: the request only reads the structure it is defined for, which outlives the call.
    let set = unsafe { libc::ioctl(directory.as_raw_fd(), FS_IOC_FSSETXATTR as _, &raw const attributes) };
    check(set.into())
}

/// Bounds the bytes of a project on the file system that holds `directory`; 0 takes the bound away (kernel 5.14).
pub fn limit_project(directory: BorrowedFd<'_>, project: u32, bytes: u64) -> io::Result<()> {
    // SAFETY: `dqblk` is plain numbers, for which zero is a valid value.
    let mut limits: libc::dqblk = unsafe { std::mem::zeroed() };
    let blocks = bytes.div_ceil(LIMIT_BLOCK);
    (limits.dqb_bhardlimit, limits.dqb_bsoftlimit, limits.dqb_valid) = (blocks, blocks, BLOCK_LIMITS);
    let command = (libc::Q_SETQUOTA << 8) | PROJECT_QUOTA;
    // SAFETY: Q_SETQUOTA reads one dqblk, which outlives the call; the descriptor is open.
    let result =
        unsafe { libc::syscall(libc::SYS_quotactl_fd, directory.as_raw_fd(), command, project, &raw const limits) };
    check(result)
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
