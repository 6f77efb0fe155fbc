//! Device rules: which device nodes a group may read, write and make.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(crate) mod program;

/// One rule. Rules are in order and the last that matches wins, as in the OCI specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Allow or deny.
    pub allow: bool,
    /// Which kind of device.
    pub kind: DeviceType,
    /// Major number; `None` is any.
    pub major: Option<u32>,
    /// Minor number; `None` is any.
    pub minor: Option<u32>,
    /// What is allowed or denied.
    pub access: Access,
}

/// Kind of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceType {
    /// Both kinds.
    All,
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

/// A set of read, write and mknod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access(u8);

impl Access {
    /// Make the node.
    pub const MKNOD: Access = Access(1);
    /// Read from it.
    pub const READ: Access = Access(2);
    /// Write to it.
    pub const WRITE: Access = Access(4);
    /// Everything.
    pub const ALL: Access = Access(7);
    /// Nothing.
    pub const NONE: Access = Access(0);

    /// Parses letters out of `rwm`; `None` for any other letter.
    pub fn parse(letters: &str) -> Option<Access> {
        letters.chars().try_fold(Access::NONE, |set, letter| match letter {
            'r' => Some(set | Access::READ),
            'w' => Some(set | Access::WRITE),
            'm' => Some(set | Access::MKNOD),
            _ => None,
        })
    }

    /// Whether everything in `other` is in this set too.
    pub fn contains(self, other: Access) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kernel's bits (`BPF_DEVCG_ACC_*`).
    pub fn bits(self) -> u8 {
        self.0
    }
}

impl std::ops::BitOr for Access {
    type Output = Access;
    fn bitor(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Access::READ, "r"), (Access::WRITE, "w"), (Access::MKNOD, "m")] {
            if self.contains(bit) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl DeviceRule {
    /// The rule that denies everything.
    pub const DENY_ALL: DeviceRule =
        DeviceRule { allow: false, kind: DeviceType::All, major: None, minor: None, access: Access::ALL };
    /// The rule that allows everything (a privileged container).
    pub const ALLOW_ALL: DeviceRule =
        DeviceRule { allow: true, kind: DeviceType::All, major: None, minor: None, access: Access::ALL };

    /// Whether the rule covers every device.
    pub fn is_wildcard(&self) -> bool {
        self.kind == DeviceType::All && self.major.is_none() && self.minor.is_none()
    }
}

/// The lines that make a v1 devices group follow the rules, as file and value.
///
/// v1 keeps a default and exceptions from it. Rules that punch a hole into a wider exception (`allow c 5:*`, then
/// `deny c 5:1`) cannot be told to it and are refused rather than left open.
pub(crate) fn v1_lines(rules: &[DeviceRule]) -> Result<Vec<(&'static str, String)>> {
    let rules = effective(rules);
    let mut default_allow = false;
    let mut exceptions: Vec<DeviceRule> = Vec::new();
    for rule in rules {
        if rule.is_wildcard() && rule.access == Access::ALL {
            default_allow = rule.allow;
            exceptions.clear();
            continue;
        }
        if rule.allow != default_allow {
            exceptions.push(rule.clone());
            continue;
        }
        // The rule takes back (part of) exceptions: only what lies wholly inside the rule can be taken back.
        let mut kept = Vec::new();
        for mut exception in exceptions {
            if rule.covers(&exception) {
                exception.access = Access(exception.access.0 & !rule.access.0);
            } else if rule.overlaps(&exception) {
                return Err(Error::Unsupported {
                    limit: format!("device rule {rule}"),
                    reason: "cgroup v1 cannot make an exception from an exception",
                });
            }
            if !exception.access.is_empty() {
                kept.push(exception);
            }
        }
        exceptions = kept;
    }
    let (first, other) =
        if default_allow { ("devices.allow", "devices.deny") } else { ("devices.deny", "devices.allow") };
    let mut lines = vec![(first, "a".to_owned())];
    for exception in exceptions {
        // `a` would mean every access to every device, whatever numbers follow.
        let kinds: &[DeviceType] = match exception.kind {
            DeviceType::All => &[DeviceType::Block, DeviceType::Char],
            DeviceType::Block => &[DeviceType::Block],
            DeviceType::Char => &[DeviceType::Char],
        };
        for &kind in kinds {
            lines.push((other, DeviceRule { kind, ..exception.clone() }.line()));
        }
    }
    Ok(lines)
}

/// The rules without those that a later rule for everything makes void.
pub(crate) fn effective(rules: &[DeviceRule]) -> &[DeviceRule] {
    let last = rules.iter().rposition(|rule| rule.is_wildcard() && rule.access == Access::ALL);
    &rules[last.unwrap_or(0)..]
}

impl DeviceRule {
    /// The rule as v1 writes it: `c 1:3 rwm`.
    fn line(&self) -> String {
        let kind = match self.kind {
            DeviceType::All => 'a',
            DeviceType::Block => 'b',
            DeviceType::Char => 'c',
        };
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        format!("{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }

    /// Whether every device of the other rule is one of this rule.
    fn covers(&self, other: &DeviceRule) -> bool {
        let number = |mine: Option<u32>, its: Option<u32>| mine.is_none() || mine == its;
        (self.kind == DeviceType::All || self.kind == other.kind)
            && number(self.major, other.major)
            && number(self.minor, other.minor)
    }

    /// Whether some access to some device is matched by both rules.
    fn overlaps(&self, other: &DeviceRule) -> bool {
        let number = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        let any = DeviceType::All;
        (self.kind == any || other.kind == any || self.kind == other.kind)
            && number(self.major, other.major)
            && number(self.minor, other.minor)
            && self.access.0 & other.access.0 != 0
    }
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.allow { "allow" } else { "deny" }, self.line())
    }
}

#[cfg(test)]
mod tests;
