//! Device nodes and device rules that a container has from the start.

use spec::runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType};

/// The nodes that every container has: name, major, minor.
const NODES: [(&str, i64, i64); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The device nodes that every container has. /dev/console, /dev/ptmx and /dev/pts come with the terminal.
pub fn default_devices() -> Vec<LinuxDevice> {
    let node = |(path, major, minor): (&str, i64, i64)| {
        LinuxDeviceBuilder::default()
            .path(path)
            .typ(LinuxDeviceType::C)
            .major(major)
            .minor(minor)
            .file_mode(0o666u32)
            .uid(0u32)
            .gid(0u32)
            .build()
            .expect("every field is set")
    };
    NODES.into_iter().map(node).collect()
}

/// What docker puts into a specification: nothing is allowed but the usual few.
pub fn default_device_rules() -> Vec<LinuxDeviceCgroup> {
    let char_device = |allow, major, minor| rule(allow, Some(LinuxDeviceType::C), Some(major), Some(minor), "rwm");
    vec![
        rule(false, None, None, None, "rwm"),
        char_device(true, 1, 5),
        char_device(true, 1, 3),
        char_device(true, 1, 9),
        char_device(true, 1, 8),
        char_device(true, 5, 0),
        char_device(true, 5, 1),
        char_device(false, 10, 229), // fuse
    ]
}

/// What an OCI runtime allows beyond the specification (config-linux, default devices): making nodes of any
/// device, using the default devices and the container's own terminals. To be put after the specification's rules.
pub fn base_device_rules() -> Vec<LinuxDeviceCgroup> {
    let mut rules = vec![
        rule(true, Some(LinuxDeviceType::C), None, None, "m"),
        rule(true, Some(LinuxDeviceType::B), None, None, "m"),
    ];
    for (_, major, minor) in NODES {
        rules.push(rule(true, Some(LinuxDeviceType::C), Some(major), Some(minor), "rwm"));
    }
    rules.push(rule(true, Some(LinuxDeviceType::C), Some(136), None, "rwm")); // /dev/pts/*
    rules.push(rule(true, Some(LinuxDeviceType::C), Some(5), Some(2), "rwm")); // /dev/ptmx
    rules
}

/// The rule of a privileged container.
pub fn privileged_device_rules() -> Vec<LinuxDeviceCgroup> {
    vec![rule(true, None, None, None, "rwm")]
}

/// Neither kind nor numbers mean any.
fn rule(
    allow: bool,
    kind: Option<LinuxDeviceType>,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroupBuilder::default().allow(allow).access(access);
    rule = rule.typ(kind.unwrap_or(LinuxDeviceType::A));
    if let Some(major) = major {
        rule = rule.major(major);
    }
    if let Some(minor) = minor {
        rule = rule.minor(minor);
    }
    rule.build().expect("every field is set")
}
