//! Devices of the host given to a container.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};
use spec::runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType};

use crate::error::{Error, Kind, Result};
use crate::model::host::DeviceMapping;

/// Nodes and rules of one mapping; a folder gives every device in it.
pub fn mapped(mapping: &DeviceMapping) -> Result<(Vec<LinuxDevice>, Vec<LinuxDeviceCgroup>)> {
    let host = Path::new(&mapping.host_path);
    let inside = match mapping.container_path.as_str() {
        "" => host,
        path => Path::new(path),
    };
    let access = match mapping.permissions.as_str() {
        "" => "rwm",
        access => access,
    };
    let gathering = |error| {
        Error::because(
            Kind::Invalid,
            format_args!("error gathering device information while adding custom device \"{}\"", mapping.host_path),
            error,
        )
    };
    let host = std::fs::canonicalize(host).map_err(gathering)?;
    let mut found = Vec::new();
    if host.is_dir() {
        walk(&host, inside, &mut found).map_err(gathering)?;
    } else {
        found.push((host.clone(), inside.to_owned()));
    }
    let mut devices = Vec::new();
    let mut rules = Vec::new();
    for (host, inside) in found {
        let Some(device) = device(&host, inside).map_err(gathering)? else {
            continue;
        };
        rules.push(allow(&device, access)?);
        devices.push(device);
    }
    if devices.is_empty() {
        return Err(Error::invalid(format!(
            "error gathering device information while adding custom device \"{}\": not a device node",
            mapping.host_path
        )));
    }
    Ok((devices, rules))
}

/// Every device of the host, as a privileged container has them.
pub fn every() -> Result<Vec<LinuxDevice>> {
    let mut found = Vec::new();
    let dev = Path::new("/dev");
    walk(dev, dev, &mut found).map_err(|error| Error::because(Kind::Internal, "list devices of the host", error))?;
    let mut devices = Vec::new();
    for (host, inside) in found {
        // Devices come and go; one that vanished meanwhile is none.
        if let Ok(Some(device)) = device(&host, inside) {
            devices.push(device);
        }
    }
    Ok(devices)
}

/// A rule as docker's clients write it: `c 1:3 rwm`.
pub fn rule(text: &str) -> Result<LinuxDeviceCgroup> {
    let invalid = || Error::invalid(format!("invalid device cgroup rule format: '{text}'"));
    let mut words = text.split(' ');
    let (Some(kind), Some(numbers), Some(access), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid());
    };
    let kind = match kind {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return Err(invalid()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        _ => text.parse::<i64>().map(Some).map_err(|_| invalid()),
    };
    if access.is_empty() || access.len() > 3 || !access.bytes().all(|it| b"rwm".contains(&it)) {
        return Err(invalid());
    }
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true)
        .set_typ(Some(kind))
        .set_major(number(major)?)
        .set_minor(number(minor)?)
        .set_access(Some(access.to_owned()));
    Ok(rule)
}

fn walk(folder: &Path, inside: &Path, found: &mut Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            // Docker leaves these to the container's own mounts.
            let skip = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];
            if !skip.iter().any(|it| name == *it) {
                walk(&entry.path(), &inside.join(&name), found)?;
            }
        } else if (kind.is_char_device() || kind.is_block_device()) && name != "console" {
            found.push((entry.path(), inside.join(&name)));
        }
    }
    Ok(())
}

fn device(host: &Path, inside: PathBuf) -> io::Result<Option<LinuxDevice>> {
    let stat = std::fs::metadata(host)?;
    let kind = if stat.file_type().is_char_device() {
        LinuxDeviceType::C
    } else if stat.file_type().is_block_device() {
        LinuxDeviceType::B
    } else {
        return Ok(None);
    };
    LinuxDeviceBuilder::default()
        .path(inside)
        .typ(kind)
        .major(i64::from(major(stat.rdev())))
        .minor(i64::from(minor(stat.rdev())))
        .file_mode(stat.mode() & 0o7777)
        .uid(stat.uid())
        .gid(stat.gid())
        .build()
        .map(Some)
        .map_err(io::Error::other)
}

fn allow(device: &LinuxDevice, access: &str) -> Result<LinuxDeviceCgroup> {
    LinuxDeviceCgroupBuilder::default()
        .allow(true)
        .typ(device.typ())
        .major(device.major())
        .minor(device.minor())
        .access(access)
        .build()
        .map_err(|error| Error::because(Kind::Internal, "device rule", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_written() {
        let read = rule("c 1:* rw").unwrap();
        assert_eq!((read.major(), read.minor()), (Some(1), None));
        assert_eq!(rule("x 1:3 rwm").unwrap_err().message(), "invalid device cgroup rule format: 'x 1:3 rwm'");
    }

    #[test]
    fn a_mapped_device_has_its_node_and_its_rule() {
        let mapping = DeviceMapping {
            host_path: "/dev/null".into(),
            container_path: "/dev/mine".into(),
            permissions: "r".into(),
        };
        let (devices, rules) = mapped(&mapping).unwrap();
        assert_eq!(devices[0].path(), Path::new("/dev/mine"));
        assert_eq!((devices[0].major(), devices[0].minor()), (1, 3));
        assert_eq!(rules[0].access().as_deref(), Some("r"));
        let missing = DeviceMapping { host_path: "/dev/none".into(), ..DeviceMapping::default() };
        assert!(
            mapped(&missing)
                .unwrap_err()
                .message()
                .starts_with("error gathering device information while adding custom device \"/dev/none\"")
        );
    }
}
