//! `--security-opt`: what is confined and what is not.

use crate::error::{Error, Result};

/// How system calls are filtered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seccomp {
    #[default]
    Default,
    Unconfined,
    /// A profile in docker's JSON.
    Profile(String),
}

/// What the options say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    pub seccomp: Seccomp,
    pub no_new_privileges: bool,
    pub writable_cgroups: bool,
    pub apparmor: Option<String>,
}

/// Reads the options in order; later ones win.
pub fn parse(options: &[String], privileged: bool, no_new_privileges: bool) -> Result<Security> {
    let mut security = Security { no_new_privileges, ..Security::default() };
    if privileged {
        security.seccomp = Seccomp::Unconfined;
    }
    for option in options {
        apply(&mut security, option)?;
    }
    Ok(security)
}

fn apply(security: &mut Security, option: &str) -> Result<()> {
    match option {
        "no-new-privileges" => {
            security.no_new_privileges = true;
            return Ok(());
        }
        "writable-cgroups" => {
            security.writable_cgroups = true;
            return Ok(());
        }
        "disable" => return Ok(()),
        _ => {}
    }
    let invalid = || Error::invalid(format!("invalid --security-opt 2: \"{option}\""));
    let (key, value) = option
        .split_once('=')
        .or_else(|| option.split_once(':'))
        .ok_or_else(|| Error::invalid(format!("invalid --security-opt 1: \"{option}\"")))?;
    let truth = || match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(invalid()),
    };
    match key {
        "label" => {}
        "apparmor" => security.apparmor = Some(value.to_owned()),
        "seccomp" => {
            security.seccomp = match value {
                "unconfined" => Seccomp::Unconfined,
                "builtin" | "" => Seccomp::Default,
                profile => Seccomp::Profile(profile.to_owned()),
            }
        }
        "no-new-privileges" => security.no_new_privileges = truth()?,
        "writable-cgroups" => security.writable_cgroups = truth()?,
        _ => return Err(invalid()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(options: &[&str]) -> Result<Security> {
        let options: Vec<_> = options.iter().map(|it| (*it).to_owned()).collect();
        parse(&options, false, false)
    }

    #[test]
    fn both_separators_and_bare_words() {
        assert!(run(&["no-new-privileges"]).unwrap().no_new_privileges);
        assert!(!run(&["no-new-privileges=false"]).unwrap().no_new_privileges);
        assert_eq!(run(&["seccomp:unconfined"]).unwrap().seccomp, Seccomp::Unconfined);
        assert_eq!(run(&["foo=bar"]).unwrap_err().message(), "invalid --security-opt 2: \"foo=bar\"");
        assert_eq!(run(&["foo"]).unwrap_err().message(), "invalid --security-opt 1: \"foo\"");
    }
}
