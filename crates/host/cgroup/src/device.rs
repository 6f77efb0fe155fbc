//! Device rules: which device nodes a group may read, write and make.

use std::fmt;

use serde::{Deserialize, Serialize};

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
        letters
            .chars()
            .try_fold(Access::NONE, |set, letter| match letter {
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
        for (bit, letter) in [
            (Access::READ, "r"),
            (Access::WRITE, "w"),
            (Access::MKNOD, "m"),
        ] {
            if self.contains(bit) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl DeviceRule {
    /// The rule that denies everything.
    pub const DENY_ALL: DeviceRule = DeviceRule {
        allow: false,
        kind: DeviceType::All,
        major: None,
        minor: None,
        access: Access::ALL,
    };
    /// The rule that allows everything (a privileged container).
    pub const ALLOW_ALL: DeviceRule = DeviceRule {
        allow: true,
        kind: DeviceType::All,
        major: None,
        minor: None,
        access: Access::ALL,
    };

    /// Whether the rule covers every device.
    pub fn is_wildcard(&self) -> bool {
        self.kind == DeviceType::All && self.major.is_none() && self.minor.is_none()
    }
}
