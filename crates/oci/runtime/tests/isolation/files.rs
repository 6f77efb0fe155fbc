//! Mounts and paths.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::bundle::Bundle;
use serde_json::json;

crate::tests![
    binds_files_and_folders_with_their_options,
    a_recursive_read_only_bind_reaches_mounts_beneath,
    links_of_the_image_do_not_lead_mounts_outside,
    a_dangling_link_is_mounted_at_its_target,
    a_tmpfs_holds_its_size_and_takes_over_the_mode,
    a_tmpfs_copies_up,
    a_detached_mount_is_a_root,
    nothing_of_the_host_is_mounted_inside,
    propagation_reaches_inside_only_when_asked,
];

fn binds_files_and_folders_with_their_options() {
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("file"), "content\n").unwrap();
    let mut bundle = Bundle::new(
        "cat /a/file /b; touch /a/x 2>/dev/null || echo read-only; touch /c/x && echo writable; \
         grep ' /c ' /proc/self/mountinfo | cut -d' ' -f6",
    );
    bundle.mount("/a", "bind", source.path(), &["rbind", "ro"]);
    bundle.mount("/b", "bind", &source.path().join("file"), &["bind", "ro"]);
    bundle.mount("/c", "none", source.path(), &["bind", "nosuid", "nodev", "noexec"]);
    let out = bundle.run().expect_ok();
    assert!(out.starts_with("content\ncontent\nread-only\nwritable\nrw,nosuid,nodev,noexec"), "{out}");
}

fn a_recursive_read_only_bind_reaches_mounts_beneath() {
    // The mount beneath is made by the container itself: a tmpfs, then bound again.
    let mut bundle = Bundle::new("touch /b/sub/x 2>/dev/null || echo read-only");
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    bundle.mount("/b", "bind", dir.path(), &["rbind", "rro"]);
    assert_eq!(bundle.run().expect_ok(), "read-only\n");
}

fn links_of_the_image_do_not_lead_mounts_outside() {
    let outside = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("mark"), "").unwrap();
    let mut bundle = Bundle::new("ls /evil/; ls /up/deep");
    symlink(outside.path(), bundle.rootfs().join("evil")).unwrap();
    symlink("../../../../../../..", bundle.rootfs().join("up")).unwrap();
    bundle.mount("/evil", "bind", source.path(), &["bind"]);
    bundle.mount("/up/deep", "bind", source.path(), &["bind"]);
    assert_eq!(bundle.run().expect_ok(), "mark\nmark\n");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(bundle.rootfs().join("deep").is_dir());
}

fn a_dangling_link_is_mounted_at_its_target() {
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("r"), "nameserver\n").unwrap();
    let mut bundle = Bundle::new("cat /etc/resolv.conf /run/stub");
    symlink("../run/stub", bundle.rootfs().join("etc/resolv.conf")).unwrap();
    bundle.mount("/etc/resolv.conf", "bind", &source.path().join("r"), &["bind"]);
    assert_eq!(bundle.run().expect_ok(), "nameserver\nnameserver\n");
}

fn a_tmpfs_holds_its_size_and_takes_over_the_mode() {
    let mut bundle =
        Bundle::new("dd if=/dev/zero of=/small/x bs=1k count=2000 2>/dev/null || echo full; stat -c %a /t /small");
    fs::create_dir(bundle.rootfs().join("t")).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(bundle.rootfs().join("t"), fs::Permissions::from_mode(0o1731)).unwrap();
    bundle.mount("/t", "tmpfs", "tmpfs".as_ref(), &[]);
    bundle.mount("/small", "tmpfs", "tmpfs".as_ref(), &["size=1m", "mode=0750"]);
    assert_eq!(bundle.run().expect_ok(), "full\n1731\n750\n");
}

fn a_tmpfs_copies_up() {
    let mut bundle = Bundle::new("cat /t/sub/file; stat -c '%a %u' /t/sub/file; readlink /t/link; touch /t/sub/new");
    let sub = bundle.rootfs().join("t/sub");
    fs::create_dir_all(&sub).unwrap();
    fs::write(sub.join("file"), "up\n").unwrap();
    std::os::unix::fs::chown(sub.join("file"), Some(7), Some(7)).unwrap();
    symlink("sub/file", bundle.rootfs().join("t/link")).unwrap();
    bundle.mount("/t", "tmpfs", "tmpfs".as_ref(), &["tmpcopyup"]);
    assert_eq!(bundle.run().expect_ok(), "up\n644 7\nsub/file\n");
    assert!(!sub.join("new").exists());
}

fn a_detached_mount_is_a_root() {
    let bundle = Bundle::new("ls / | sort | head -3; touch /made");
    assert_eq!(bundle.run_with(&["--mount-root"]).expect_ok(), "bin\ndev\netc\n");
    assert!(bundle.rootfs().join("made").exists());
}

fn nothing_of_the_host_is_mounted_inside() {
    let bundle = Bundle::new("cut -d' ' -f5 /proc/self/mountinfo | sort");
    for point in bundle.run().expect_ok().lines() {
        let known = ["/dev", "/proc", "/sys"].iter().any(|known| Path::new(point).starts_with(known));
        assert!(known || point == "/", "{point}");
    }
}

fn propagation_reaches_inside_only_when_asked() {
    let mut bundle =
        Bundle::new("grep -E ' /(a|b|) ' /proc/self/mountinfo | sed 's/ - .*//; s/.* - //' | cut -d' ' -f5,7-");
    let source = tempfile::tempdir().unwrap();
    bundle.mount("/a", "bind", source.path(), &["rbind", "rprivate"]);
    bundle.mount("/b", "bind", source.path(), &["rbind", "rshared"]);
    bundle.config["linux"]["rootfsPropagation"] = json!("rprivate");
    let out = bundle.run().expect_ok();
    let mut lines: Vec<&str> = out.lines().map(str::trim).collect();
    lines.sort_unstable();
    assert_eq!(lines[..2], ["/", "/a"]);
    assert!(lines[2].starts_with("/b shared:"), "{out}");
}
