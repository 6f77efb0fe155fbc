//! What the tests' images are made of.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A tar with a static busybox, its usual applets, and a passwd file.
pub fn busybox_layer() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for folder in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"] {
        entry(
            &mut tar,
            &format!("{folder}/"),
            tar::EntryType::Directory,
            if folder == "tmp" { 0o1777 } else { 0o755 },
            b"",
        );
    }
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    entry(&mut tar, "bin/busybox", tar::EntryType::Regular, 0o755, &busybox);
    let applets = Command::new("/bin/busybox").arg("--list").output().expect("busybox").stdout;
    for applet in String::from_utf8_lossy(&applets).lines().filter(|applet| *applet != "busybox") {
        link(&mut tar, &format!("bin/{applet}"), "busybox");
    }
    entry(
        &mut tar,
        "etc/passwd",
        tar::EntryType::Regular,
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/tmp:/bin/sh\n",
    );
    entry(&mut tar, "etc/group", tar::EntryType::Regular, 0o644, b"root:x:0:\nalice:x:1000:\nwheel:x:10:alice\n");
    tar.into_inner().expect("a tar in memory")
}

/// A real Debian 12 with python3, made once by mmdebstrap and kept under target/.
pub fn debian() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let path = target.join("debian-12.tar");
    if !path.exists() {
        let part = target.join(format!("debian-12.{}.tar", std::process::id()));
        let status = Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase", "--include=python3-minimal,procps", "bookworm"])
            .arg(&part)
            .status()
            .expect("mmdebstrap is installed");
        assert!(status.success(), "mmdebstrap: {status}");
        std::fs::rename(part, &path).expect("rename");
    }
    path
}

/// Appends one entry.
pub fn entry(tar: &mut tar::Builder<Vec<u8>>, path: &str, kind: tar::EntryType, mode: u32, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(1_700_000_000);
    header.set_size(content.len() as u64);
    // the name is written as it is: hostile archives need names that the library refuses
    let name = path.as_bytes();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_cksum();
    tar.append(&header, content).expect("a tar in memory");
}

/// Appends a symbolic link.
pub fn link(tar: &mut tar::Builder<Vec<u8>>, path: &str, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_size(0);
    header.set_link_name(target).expect("a target");
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    tar.append(&header, std::io::empty()).expect("a tar in memory");
}
