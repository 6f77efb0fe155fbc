//! The file with the daemon's process id, which also keeps a second daemon out.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A written pid file; dropping it removes the file.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file unless it names a process that is alive and a daemon too.
    pub fn write(path: &Path) -> Result<Self> {
        let doing = || format!("cannot write the pid file {}", path.display());
        if let Ok(text) = fs::read_to_string(path)
            && let Ok(pid) = text.trim().parse::<u32>()
            && pid != std::process::id()
            && is_same_program(pid)
        {
            bail!("process with PID {pid} is still running: {} exists", path.display());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(doing)?;
        }
        fs::write(path, std::process::id().to_string()).with_context(doing)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let ours = fs::read_to_string(&self.0).is_ok_and(|text| text.trim() == std::process::id().to_string());
        if ours {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// A process id may have been given to another program since the file was written.
fn is_same_program(pid: u32) -> bool {
    let of = |pid: String| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let ours = of("self".to_owned());
    ours.is_some() && of(pid.to_string()) == ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_is_replaced_and_ours_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/pid");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "1\n").unwrap();
        let held = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        drop(held);
        assert!(!path.exists());
    }
}
