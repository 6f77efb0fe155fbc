//! Whose namespaces a container uses, and when it is started again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A mode that is none; the text is docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what}: {text}")]
pub struct BadMode {
    what: &'static str,
    text: String,
}

/// Network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// Nothing was said, or `default`: the network `bridge`.
    #[default]
    Default,
    None,
    Host,
    /// The namespace of another container.
    Container(String),
    /// A network by name or id, `bridge` included.
    Network(String),
}

/// IPC namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IpcMode {
    /// Nothing was said: private.
    #[default]
    Default,
    /// Private without /dev/shm.
    None,
    Private,
    /// Private, and others may join.
    Shareable,
    Host,
    Container(String),
}

/// PID namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PidMode {
    #[default]
    Private,
    Host,
    Container(String),
}

/// UTS namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UtsMode {
    #[default]
    Private,
    Host,
}

/// Cgroup namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupnsMode {
    /// Private on v2, the host's otherwise.
    #[default]
    Default,
    Private,
    Host,
}

/// User namespace: only the daemon's own is supported besides `host`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UsernsMode {
    #[default]
    Default,
    Host,
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkMode::Default => f.write_str("default"),
            NetworkMode::None => f.write_str("none"),
            NetworkMode::Host => f.write_str("host"),
            NetworkMode::Container(id) => write!(f, "container:{id}"),
            NetworkMode::Network(name) => f.write_str(name),
        }
    }
}

impl FromStr for NetworkMode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<NetworkMode, BadMode> {
        Ok(match text {
            "" | "default" => NetworkMode::Default,
            "none" => NetworkMode::None,
            "host" => NetworkMode::Host,
            _ => match text.strip_prefix("container:") {
                Some("") => return Err(bad("container format container:<name|id>", text)),
                Some(id) => NetworkMode::Container(id.to_owned()),
                None => NetworkMode::Network(text.to_owned()),
            },
        })
    }
}

impl fmt::Display for IpcMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IpcMode::Default => Ok(()),
            IpcMode::None => f.write_str("none"),
            IpcMode::Private => f.write_str("private"),
            IpcMode::Shareable => f.write_str("shareable"),
            IpcMode::Host => f.write_str("host"),
            IpcMode::Container(id) => write!(f, "container:{id}"),
        }
    }
}

impl FromStr for IpcMode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<IpcMode, BadMode> {
        Ok(match text {
            "" => IpcMode::Default,
            "none" => IpcMode::None,
            "private" => IpcMode::Private,
            "shareable" => IpcMode::Shareable,
            "host" => IpcMode::Host,
            _ => IpcMode::Container(container(text).ok_or_else(|| bad("IPC mode", text))?),
        })
    }
}

impl fmt::Display for PidMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PidMode::Private => Ok(()),
            PidMode::Host => f.write_str("host"),
            PidMode::Container(id) => write!(f, "container:{id}"),
        }
    }
}

impl FromStr for PidMode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<PidMode, BadMode> {
        Ok(match text {
            "" | "private" => PidMode::Private,
            "host" => PidMode::Host,
            _ => PidMode::Container(container(text).ok_or_else(|| bad("PID mode", text))?),
        })
    }
}

impl fmt::Display for UtsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UtsMode::Private => Ok(()),
            UtsMode::Host => f.write_str("host"),
        }
    }
}

impl FromStr for UtsMode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<UtsMode, BadMode> {
        match text {
            "" | "private" => Ok(UtsMode::Private),
            "host" => Ok(UtsMode::Host),
            _ => Err(bad("UTS mode", text)),
        }
    }
}

impl fmt::Display for CgroupnsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CgroupnsMode::Default => "",
            CgroupnsMode::Private => "private",
            CgroupnsMode::Host => "host",
        })
    }
}

impl FromStr for CgroupnsMode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<CgroupnsMode, BadMode> {
        match text {
            "" => Ok(CgroupnsMode::Default),
            "private" => Ok(CgroupnsMode::Private),
            "host" => Ok(CgroupnsMode::Host),
            _ => Err(bad("cgroup namespace mode", text)),
        }
    }
}

impl fmt::Display for UsernsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UsernsMode::Default => "",
            UsernsMode::Host => "host",
        })
    }
}

impl FromStr for UsernsMode {
    type Err = BadMode;

    fn from_str(text: &str) -> Result<UsernsMode, BadMode> {
        match text {
            "" => Ok(UsernsMode::Default),
            "host" => Ok(UsernsMode::Host),
            _ => Err(bad("user namespace mode", text)),
        }
    }
}

fn container(text: &str) -> Option<String> {
    let id = text.strip_prefix("container:")?;
    (!id.is_empty()).then(|| id.to_owned())
}

fn bad(what: &'static str, text: &str) -> BadMode {
    BadMode { what, text: text.to_owned() }
}

macro_rules! as_text {
    ($($kind:ident),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(NetworkMode, IpcMode, PidMode, UtsMode, CgroupnsMode, UsernsMode);

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    #[default]
    No,
    Always,
    UnlessStopped,
    /// Zero tries mean any number.
    OnFailure {
        max_retries: u32,
    },
}

impl RestartPolicy {
    /// From docker's name and retry count.
    pub fn parse(name: &str, max_retries: i64) -> Result<RestartPolicy, crate::Error> {
        let invalid = |text: &str| Err(crate::Error::invalid(text));
        match name {
            "always" | "unless-stopped" | "no" | "" if max_retries > 0 => {
                invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'")
            }
            "always" | "unless-stopped" | "no" | "" if max_retries < 0 => invalid(
                "invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative",
            ),
            "on-failure" if max_retries < 0 => {
                invalid("invalid restart policy: maximum retry count cannot be negative")
            }
            "" | "no" => Ok(RestartPolicy::No),
            "always" => Ok(RestartPolicy::Always),
            "unless-stopped" => Ok(RestartPolicy::UnlessStopped),
            "on-failure" => {
                Ok(RestartPolicy::OnFailure { max_retries: u32::try_from(max_retries).unwrap_or(u32::MAX) })
            }
            _ => Err(crate::Error::invalid(format!(
                "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            ))),
        }
    }

    /// Docker's name.
    pub fn name(self) -> &'static str {
        match self {
            RestartPolicy::No => "no",
            RestartPolicy::Always => "always",
            RestartPolicy::UnlessStopped => "unless-stopped",
            RestartPolicy::OnFailure { .. } => "on-failure",
        }
    }

    pub fn max_retries(self) -> u32 {
        match self {
            RestartPolicy::OnFailure { max_retries } => max_retries,
            RestartPolicy::No | RestartPolicy::Always | RestartPolicy::UnlessStopped => 0,
        }
    }
}
