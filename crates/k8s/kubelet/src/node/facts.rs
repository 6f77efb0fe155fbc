//! Facts about the machine, read where the kernel tells them.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::NodeSystemInfo;
use k8s_types::quantity::{Format, Quantity};

/// The version of Kubernetes whose node this is.
const VERSION: &str = "v1.37.0";

fn line(path: &str) -> String {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// `amd64`, `arm64`: as Go names architectures.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// What the node is.
pub fn system(runtime: &str) -> NodeSystemInfo {
    let machine = line("/etc/machine-id");
    let uuid = Some(line("/sys/class/dmi/id/product_uuid").to_lowercase()).filter(|uuid| !uuid.is_empty());
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    NodeSystemInfo {
        architecture: architecture().into(),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: runtime.into(),
        kernel_version: rustix::system::uname().release().to_string_lossy().into_owned(),
        kube_proxy_version: String::new(),
        kubelet_version: VERSION.into(),
        system_uuid: uuid.unwrap_or_else(|| machine.clone()),
        machine_id: machine,
        operating_system: "linux".into(),
        os_image: pretty.map_or_else(|| "Linux".into(), |name| name.trim_matches('"').to_owned()),
        ..NodeSystemInfo::default()
    }
}

/// Bytes by name, from `/proc/meminfo`.
pub fn memory() -> Memory {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    Memory { total: of("MemTotal"), available: of("MemAvailable") }
}

/// Bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    pub available: u64,
}

/// The file system that a folder is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileSystem {
    pub capacity: u64,
    pub available: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

pub fn file_system(folder: &Path) -> FileSystem {
    let Ok(found) = rustix::fs::statvfs(folder) else { return FileSystem::default() };
    FileSystem {
        capacity: found.f_blocks * found.f_frsize,
        available: found.f_bavail * found.f_frsize,
        inodes: found.f_files,
        inodes_free: found.f_favail,
    }
}

/// Process ids: how many there may be and how many there are.
pub fn processes() -> (u64, u64) {
    let most = line("/proc/sys/kernel/pid_max").parse().unwrap_or(0);
    // `0.00 0.01 0.05 2/1234 5678`: running and existing ones.
    let load = line("/proc/loadavg");
    let there = load.split(' ').nth(3).and_then(|pair| pair.split('/').nth(1)?.parse().ok()).unwrap_or(0);
    (most, there)
}

fn huge_pages() -> BTreeMap<String, Quantity> {
    let folder = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    folder
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let kilobytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let count: u64 = line(entry.path().join("nr_hugepages").to_str()?).parse().ok()?;
            let size =
                if kilobytes >= 1 << 20 { format!("{}Gi", kilobytes >> 20) } else { format!("{}Mi", kilobytes >> 10) };
            Some((format!("hugepages-{size}"), bytes(count * kilobytes * 1024)))
        })
        .collect()
}

fn bytes(count: u64) -> Quantity {
    // Kibibytes are how memory is usually told.
    Quantity::parse(&format!("{}Ki", count / 1024)).unwrap_or(Quantity::ZERO)
}

fn count(number: u64) -> Quantity {
    Quantity::new(number.try_into().unwrap_or(i64::MAX), Format::DecimalSi)
}

/// What the machine has, by resource.
pub fn capacity(data: &Path, max_pods: u32) -> BTreeMap<String, Quantity> {
    let mut capacity = huge_pages();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    capacity.insert("cpu".into(), count(cpus as u64));
    capacity.insert("memory".into(), bytes(memory().total));
    capacity.insert("ephemeral-storage".into(), bytes(file_system(data).capacity));
    capacity.insert("pods".into(), count(max_pods.into()));
    capacity
}

/// What is left for pods.
pub fn allocatable(
    capacity: &BTreeMap<String, Quantity>,
    reserved: &BTreeMap<String, String>,
) -> BTreeMap<String, Quantity> {
    let huge: i64 =
        capacity.iter().filter(|(name, _)| name.starts_with("hugepages-")).map(|(_, amount)| amount.value()).sum();
    let left = |(name, amount): (&String, &Quantity)| {
        let taken = reserved.get(name).and_then(|text| Quantity::parse(text).ok()).unwrap_or(Quantity::ZERO);
        let left = match name.as_str() {
            "cpu" => Quantity::from_milli((amount.milli_value() - taken.milli_value()).max(0), Format::DecimalSi),
            // Huge pages are set aside already.
            "memory" => bytes((amount.value() - taken.value() - huge).max(0).unsigned_abs()),
            "ephemeral-storage" => bytes((amount.value() - taken.value()).max(0).unsigned_abs()),
            _ => amount.clone(),
        };
        (name.clone(), left)
    };
    capacity.iter().map(left).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_not_for_pods() {
        let parse = |text| Quantity::parse(text).unwrap();
        let capacity = BTreeMap::from([
            ("cpu".into(), parse("4")),
            ("memory".into(), parse("8Gi")),
            ("pods".into(), parse("110")),
        ]);
        let reserved = BTreeMap::from([("cpu".to_owned(), "500m".to_owned()), ("memory".to_owned(), "1Gi".to_owned())]);
        let left = allocatable(&capacity, &reserved);
        assert_eq!((left["cpu"].milli_value(), left["memory"].value(), left["pods"].value()), (3500, 7 << 30, 110));
    }

    #[test]
    fn the_machine_says_something() {
        let capacity = capacity(Path::new("/"), 110);
        assert!(capacity["cpu"].value() > 0 && capacity["memory"].value() > 0);
        assert!(processes().0 > processes().1);
    }
}
