//! Names and properties of scopes.

use super::wire::Writer;
use crate::error::{Error, Result};
use crate::limits::Limits;

/// A scope by its slice and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    slice: String,
    name: String,
    description: String,
}

impl Scope {
    /// Reads `slice:prefix:name`; what is empty is chosen: `system.slice` (or `default`), and no prefix.
    pub fn parse(path: &str, default_slice: &str) -> Result<Scope> {
        let parts: Vec<&str> = path.split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            return Err(Error::InvalidScope(path.to_owned()));
        };
        Scope::new(if slice.is_empty() { default_slice } else { slice }, prefix, name)
    }

    /// The scope `prefix-name.scope` in a slice.
    pub fn new(slice: &str, prefix: &str, name: &str) -> Result<Scope> {
        let full = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}") };
        let scope =
            Scope { slice: slice.to_owned(), name: format!("{full}.scope"), description: format!("container {name}") };
        let letter = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        let well =
            !name.is_empty() && scope.name.len() < 256 && scope.name.chars().all(letter) && slice_path(slice).is_some();
        if well { Ok(scope) } else { Err(Error::InvalidScope(format!("{slice}:{prefix}:{name}"))) }
    }

    /// The unit's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its control group beneath the mounts, for the host's manager.
    pub fn cgroup_path(&self) -> String {
        format!("{}/{}", slice_path(&self.slice).unwrap_or_default(), self.name)
    }

    /// What makes it a scope of ours around a process.
    pub(super) fn properties(&self, pid: i32) -> Vec<Property> {
        let mut list = vec![
            Property::Text("Description", self.description.clone()),
            Property::Text("Slice", self.slice.clone()),
            Property::Numbers("PIDs", vec![pid.unsigned_abs()]),
        ];
        // Systemd leaves what is beneath the group, and its files, to us.
        let on = ["Delegate", "CPUAccounting", "MemoryAccounting", "IOAccounting", "TasksAccounting"];
        list.extend(on.map(|name| Property::Bool(name, true)));
        list.push(Property::Bool("DefaultDependencies", false));
        list
    }
}

/// `a-b.slice` is `/a.slice/a-b.slice`; the root slice `-.slice` is nothing.
fn slice_path(slice: &str) -> Option<String> {
    let stem = slice.strip_suffix(".slice")?;
    if stem == "-" {
        return Some(String::new());
    }
    let mut path = String::new();
    let mut name = String::new();
    for part in stem.split('-') {
        if part.is_empty() || part.contains('/') {
            return None;
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(part);
        path.push_str(&format!("/{name}.slice"));
    }
    Some(path)
}

/// A property of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say their types
pub enum Property {
    Bool(&'static str, bool),
    Number(&'static str, u64),
    Text(&'static str, String),
    Numbers(&'static str, Vec<u32>),
    Bytes(&'static str, Vec<u8>),
}

impl Property {
    pub(super) fn write(&self, list: &mut Writer) {
        list.align(8);
        match self {
            Property::Bool(name, value) => {
                list.string(name);
                list.signature("b");
                list.boolean(*value);
            }
            Property::Number(name, value) => {
                list.string(name);
                list.signature("t");
                list.u64(*value);
            }
            Property::Text(name, value) => {
                list.string(name);
                list.signature("s");
                list.string(value);
            }
            Property::Numbers(name, values) => {
                list.string(name);
                list.signature("au");
                list.array(4, |list| values.iter().for_each(|value| list.u32(*value)));
            }
            Property::Bytes(name, values) => {
                list.string(name);
                list.signature("ay");
                list.array(1, |list| values.iter().for_each(|value| list.byte(*value)));
            }
        }
    }
}

/// Limits as systemd names them, as far as it does: without them it would take back, when it is reloaded, what was written to
/// the group's files.
pub fn properties(limits: &Limits, v2: bool) -> Vec<Property> {
    let mut list = Vec::new();
    let bytes = |value: i64| if value < 0 { u64::MAX } else { value.unsigned_abs() };
    let memory = &limits.memory;
    if let Some(limit) = memory.limit.filter(|limit| *limit != 0) {
        list.push(Property::Number(if v2 { "MemoryMax" } else { "MemoryLimit" }, bytes(limit)));
        if let Some(swap) = memory.swap.filter(|_| v2) {
            let alone = if swap < 0 { u64::MAX } else { bytes(swap).saturating_sub(bytes(limit)) };
            list.push(Property::Number("MemorySwapMax", alone));
        }
    }
    if let Some(low) = memory.reservation.filter(|low| v2 && *low != 0) {
        list.push(Property::Number("MemoryLow", bytes(low)));
    }
    if let Some(pids) = limits.pids {
        list.push(Property::Number("TasksMax", if pids > 0 { pids.unsigned_abs() } else { u64::MAX }));
    }
    cpu(limits, v2, &mut list);
    list
}

fn cpu(limits: &Limits, v2: bool, list: &mut Vec<Property>) {
    let cpu = &limits.cpu;
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        list.push(match v2 {
            true => Property::Number("CPUWeight", crate::plan::weight_of_shares(shares)),
            false => Property::Number("CPUShares", shares),
        });
    }
    if let Some(period) = cpu.period.filter(|period| *period != 0) {
        list.push(Property::Number("CPUQuotaPeriodUSec", period));
    }
    if let Some(quota) = cpu.quota.filter(|quota| *quota != 0) {
        let period = cpu.period.filter(|period| *period != 0).unwrap_or(100_000);
        // A second's share; systemd wants whole hundredths of a processor.
        let second = |quota: u64| (quota.saturating_mul(1_000_000) / period).next_multiple_of(10_000);
        let value = if quota < 0 { u64::MAX } else { second(quota.unsigned_abs()) };
        list.push(Property::Number("CPUQuotaPerSecUSec", value));
    }
    for (name, set) in [("AllowedCPUs", &cpu.cpus), ("AllowedMemoryNodes", &cpu.mems)] {
        if let Some(mask) = set.as_deref().filter(|_| v2).and_then(mask) {
            list.push(Property::Bytes(name, mask));
        }
    }
}

/// `0-2,9` as a bit mask, the lowest first.
fn mask(list: &str) -> Option<Vec<u8>> {
    let mut mask: Vec<u8> = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= 8192 {
            return None;
        }
        for number in first..=last {
            if mask.len() <= number / 8 {
                mask.resize(number / 8 + 1, 0);
            }
            mask[number / 8] |= 1 << (number % 8);
        }
    }
    (!mask.is_empty()).then_some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_where_systemd_puts_them() {
        let scope = |path| Scope::parse(path, "system.slice").unwrap();
        assert_eq!(scope("user-1000.slice:web:x1").cgroup_path(), "/user.slice/user-1000.slice/web-x1.scope");
        assert_eq!(scope("::x1").cgroup_path(), "/system.slice/x1.scope");
        assert_eq!(scope("-.slice:a:b").cgroup_path(), "/a-b.scope");
        for path in ["", "a:b", "a:b:c:d", "no:a:b", "x--y.slice:a:b", "x.slice:a:", "x.slice:a:b/c", "../x.slice:a:b"]
        {
            assert!(Scope::parse(path, "system.slice").is_err(), "{path:?}");
        }
    }

    #[test]
    fn limits_have_systemds_names_and_units() {
        let mut limits = Limits { pids: Some(-1), ..Limits::default() };
        limits.memory.limit = Some(1 << 20);
        limits.memory.swap = Some(3 << 20);
        limits.cpu.quota = Some(50_000);
        limits.cpu.cpus = Some("0-1,9".to_owned());
        let expected = [
            Property::Number("MemoryMax", 1 << 20),
            Property::Number("MemorySwapMax", 2 << 20),
            Property::Number("TasksMax", u64::MAX),
            Property::Number("CPUQuotaPerSecUSec", 500_000),
            Property::Bytes("AllowedCPUs", vec![3, 2]),
        ];
        assert_eq!(properties(&limits, true), expected);
    }
}
