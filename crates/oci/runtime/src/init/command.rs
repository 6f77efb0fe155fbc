//! Finding the program as a shell would, with docker's words for what is wrong.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::plan::process::ProcessPlan;

/// Where `args[0]` is: itself if it has a slash, else the first executable file of that name along PATH.
pub(crate) fn find(process: &ProcessPlan) -> Result<CString> {
    let name = &process.args[0];
    if name.as_bytes().contains(&b'/') {
        return match check(Path::new(OsStr::from_bytes(name.as_bytes()))) {
            Ok(()) => Ok(name.clone()),
            Err(errno) => Err(refused(name, errno, "stat")),
        };
    }
    let path = process.variable("PATH").unwrap_or_default();
    for dir in path.split(|byte| *byte == b':') {
        // An empty entry is the current directory, which only an absolute path may name safely.
        if !dir.starts_with(b"/") {
            continue;
        }
        let candidate: PathBuf = Path::new(OsStr::from_bytes(dir)).join(OsStr::from_bytes(name.as_bytes()));
        if check(&candidate).is_ok()
            && let Ok(candidate) = CString::new(candidate.into_os_string().as_bytes())
        {
            return Ok(candidate);
        }
    }
    Err(Error::CommandNotFound {
        command: name.to_string_lossy().into_owned(),
        reason: "executable file not found in $PATH".to_owned(),
    })
}

fn check(path: &Path) -> Result<(), Errno> {
    let stat = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(stat.st_mode).is_dir() {
        return Err(Errno::ISDIR);
    }
    // The effective ids count: the real ones are the same by now, but so do capabilities.
    match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        // A filter that does not know the call: the execution will tell.
        Err(Errno::NOSYS | Errno::INVAL | Errno::PERM) => Ok(()),
        result => result,
    }
}

/// What the kernel's refusal means for the command.
pub(crate) fn refused(name: &CString, errno: Errno, verb: &str) -> Error {
    let command = name.to_string_lossy().into_owned();
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
    match errno {
        Errno::NOENT | Errno::NOTDIR => Error::CommandNotFound { reason: format!("{verb} {command}: {text}"), command },
        _ => Error::CommandNotExecutable { command, reason: text },
    }
}
