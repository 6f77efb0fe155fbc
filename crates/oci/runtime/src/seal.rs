//! The program's own protection: whatever enters a container runs from a file that nothing inside can ever write,
//! not even through /proc/<pid>/exe.
//!
//! The program executes itself once more from a read-only file system that exists only for this: an overlay with no
//! layer to write to, or, where that cannot be mounted, a sealed copy in memory. A plain user whose program belongs to
//! root needs neither: nobody in its containers is more to the host than one of its own ids.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::error::{AtStep, Error, Result};

const EXE: &str = "/proc/self/exe";

/// Tells a protected program which file it is.
const ORIGINAL: &str = "SAMPAN_PROGRAM_FILE";

/// Whether this process has been seen to be protected: that does not change.
static ENSURED: AtomicBool = AtomicBool::new(false);

/// Device, inode and time of change (in seconds) of the file that this program was started from, before it was protected.
pub fn original() -> io::Result<(u64, u64, i64)> {
    let exe = File::open(EXE)?;
    if is_sealed(&exe)?
        && let Ok(text) = std::env::var(ORIGINAL)
        && let [device, inode, time] = text.split(' ').collect::<Vec<_>>()[..]
        && let (Ok(device), Ok(inode), Ok(time)) = (device.parse(), inode.parse(), time.parse())
    {
        return Ok((device, inode, time));
    }
    identity(&exe)
}

fn identity(exe: &File) -> io::Result<(u64, u64, i64)> {
    let stat = rustix::fs::fstat(exe)?;
    Ok((stat.st_dev, stat.st_ino, stat.st_mtime))
}

/// Returns if the program is protected already; otherwise it is executed once more, protected, with the same
/// arguments. Call it first thing in a role that starts containers.
pub fn ensure() -> Result<()> {
    if ENSURED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let exe = File::open(EXE).at(|| format!("open {EXE}"))?;
    if is_sealed(&exe).at(|| format!("look at {EXE}"))? {
        // A program executed by descriptor is named after its number; the name is for people only.
        let _ = rustix::thread::set_name(c"sampan");
        ENSURED.store(true, Ordering::Relaxed);
        return Ok(());
    }
    if is_out_of_reach(&exe).at(|| format!("look at {EXE}"))? {
        ENSURED.store(true, Ordering::Relaxed);
        return Ok(());
    }
    let (device, inode, time) = identity(&exe).at(|| format!("look at {EXE}"))?;
    let protected = match overlay() {
        Ok(file) => file,
        Err(_) => copy(exe).at(|| "copy the program into memory")?,
    };
    let args = strings(std::env::args_os().map(|arg| arg.as_bytes().to_vec()))?;
    let kept = std::env::vars_os().filter(|(key, _)| key != ORIGINAL);
    let kept = kept.map(|(key, value)| [key.as_bytes(), b"=", value.as_bytes()].concat());
    let original = format!("{ORIGINAL}={device} {inode} {time}").into_bytes();
    let env = strings(kept.chain([original]))?;
    let error = sys::exec::execve_fd(protected.as_fd(), &args, &env);
    Err(Error::step("execute the protected program", error))
}

fn is_sealed(exe: &File) -> io::Result<bool> {
    const OVERLAY: u64 = 0x794c_7630;
    if let Ok(seals) = rustix::fs::fcntl_get_seals(exe) {
        return Ok(seals.contains(SealFlags::WRITE));
    }
    let kind = rustix::fs::fstatfs(exe)?;
    let flags = rustix::fs::fstatvfs(exe)?.f_flag;
    Ok(kind.f_type as u64 == OVERLAY && flags.contains(StatVfsMountFlags::RDONLY))
}

/// Whether only root may write the file, and this is not root and so cannot map root into a namespace either.
fn is_out_of_reach(exe: &File) -> io::Result<bool> {
    let stat = rustix::fs::fstat(exe)?;
    let others_write = stat.st_mode & 0o022 != 0;
    Ok(!rustix::process::geteuid().is_root() && (stat.st_uid, stat.st_gid) == (0, 0) && !others_write)
}

/// The program's file in a detached overlay of its folder.
fn overlay() -> io::Result<OwnedFd> {
    let path = fs::read_link(EXE)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    // One layer alone is refused; the second has nothing of that name.
    let layers = [folder, Path::new("/sys/fs")];
    let mount = mount(&layers, one_by_one).or_else(|_| mount(&layers, all_at_once))?;
    open_in(&mount, name)
}

fn mount(layers: &[&Path], set: fn(&OwnedFd, &[&Path]) -> io::Result<()>) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    set(&context, layers)?;
    rustix::mount::fsconfig_create(&context)?;
    let attrs = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attrs)?)
}

fn one_by_one(context: &OwnedFd, layers: &[&Path]) -> io::Result<()> {
    for layer in layers {
        rustix::mount::fsconfig_set_string(context, "lowerdir+", *layer)?;
    }
    Ok(())
}

/// As kernels before 6.7 want it, where no colon may be in a path.
fn all_at_once(context: &OwnedFd, layers: &[&Path]) -> io::Result<()> {
    let paths: Vec<&[u8]> = layers.iter().map(|layer| layer.as_os_str().as_bytes()).collect();
    if paths.iter().any(|path| path.iter().any(|byte| b":\\,".contains(byte))) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(rustix::mount::fsconfig_set_string(context, "lowerdir", paths.join(&b':'))?)
}

fn open_in(mount: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(mount, name, flags, Mode::empty())?)
}

fn copy(mut exe: File) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut memory = File::from(rustix::fs::memfd_create("sampan", flags)?);
    io::copy(&mut exe, &mut memory)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    Ok(memory.into())
}

fn strings(list: impl Iterator<Item = Vec<u8>>) -> Result<Vec<CString>> {
    let strings: std::result::Result<Vec<CString>, _> = list.map(CString::new).collect();
    strings.at(|| "repeat the arguments")
}
