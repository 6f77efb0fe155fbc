//! Labels of security modules that the program gets by its execution.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::error::{AtStep, Error, Result};
use crate::plan::process;

/// Files of the host's /proc, opened while it can be reached and cannot be a forgery, with what is written to them right before
/// the execution.
#[derive(Debug, Default)]
pub(crate) struct Labels(Vec<(File, String, &'static str)>);

/// Refuses labels that this host does not have.
pub(crate) fn check(wanted: &process::Labels) -> Result<()> {
    let refuse = |field, problem: &str| Err(Error::Spec { field, problem: problem.to_owned() });
    if let Some(profile) = &wanted.apparmor
        && !has_apparmor()
    {
        return refuse("process.apparmorProfile", &format!("{profile:?}: AppArmor is not enabled on this host"));
    }
    if let Some(label) = &wanted.selinux
        && !has_selinux()
    {
        return refuse("process.selinuxLabel", &format!("{label:?}: SELinux is not enabled on this host"));
    }
    Ok(())
}

/// Refuses a label of file systems that this host does not have.
pub(crate) fn check_mounts(label: Option<&str>) -> Result<()> {
    match label.filter(|label| !label.is_empty() && !has_selinux()) {
        None => Ok(()),
        Some(label) => {
            let problem = format!("{label:?}: SELinux is not enabled on this host");
            Err(Error::Spec { field: "linux.mountLabel", problem })
        }
    }
}

/// Whether the kernel has AppArmor and it is on.
pub(crate) fn has_apparmor() -> bool {
    fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

/// Whether the kernel has SELinux and it is on: only then there is its file system.
pub(crate) fn has_selinux() -> bool {
    let kinds = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    kinds.lines().any(|line| line.split_whitespace().last() == Some("selinuxfs"))
}

impl Labels {
    /// Opens what will be written.
    pub fn prepare(wanted: &process::Labels) -> Result<Labels> {
        let mut labels = Labels::default();
        if let Some(profile) = &wanted.apparmor {
            let own = Path::new("/proc/self/attr/apparmor/exec");
            let path = if own.exists() { own } else { Path::new("/proc/self/attr/exec") };
            labels.0.push((open(path)?, format!("exec {profile}"), "AppArmor profile"));
        }
        if let Some(label) = &wanted.selinux {
            labels.0.push((open(Path::new("/proc/self/attr/exec"))?, label.clone(), "SELinux label"));
        }
        Ok(labels)
    }

    /// The program that is executed next gets them.
    pub fn set(self) -> Result<()> {
        for (mut file, text, what) in self.0 {
            file.write_all(text.as_bytes()).at(|| format!("set the {what} {text:?}"))?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new().write(true).open(path).at(|| format!("open {}", path.display()))
}
