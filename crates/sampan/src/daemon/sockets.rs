//! The addresses of `-H`: parsed, bound, cleaned up.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use docker_api::listen::Family;

/// An address to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket file.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
    /// Whatever the service manager passed.
    Passed,
}

/// A bound socket.
pub struct Bound {
    /// The socket.
    pub fd: OwnedFd,
    /// Its family.
    pub family: Family,
    /// The file to remove at the end.
    pub path: Option<PathBuf>,
}

impl Address {
    /// Reads `unix://path`, `tcp://host:port`, `fd://...` or a bare `host:port`, with docker's defaults for what is left out.
    pub fn parse(text: &str, tls: bool) -> Result<Self> {
        let default_port = if tls { 2376 } else { 2375 };
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::Unix("/var/run/docker.sock".into())),
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => Ok(Self::Unix(std::env::current_dir()?.join(rest))),
            "fd" => Ok(Self::Passed),
            "tcp" => {
                let rest = rest.trim_end_matches('/');
                let (host, port) = match rest.rsplit_once(':') {
                    Some((host, port)) if !port.contains(']') => (host, port),
                    _ => (rest, ""),
                };
                let host = if host.is_empty() { "localhost" } else { host };
                let port = if port.is_empty() {
                    default_port
                } else {
                    port.parse().with_context(|| format!("invalid bind address ({text}): port {port:?}"))?
                };
                Ok(Self::Tcp(format!("{host}:{port}")))
            }
            _ => bail!("invalid bind address ({text}): unsupported protocol {scheme:?}"),
        }
    }

    /// Opens the socket or sockets.
    pub fn bind(&self, group: Option<&str>) -> Result<Vec<Bound>> {
        match self {
            Self::Unix(path) => Ok(vec![bind_unix(path, group)?]),
            Self::Tcp(address) => {
                let host = address.rsplit_once(':').map_or("", |(host, _)| host);
                let target =
                    if host == "localhost" { address.replacen("localhost", "127.0.0.1", 1) } else { address.clone() };
                let socket = TcpListener::bind(&target).with_context(|| format!("cannot listen at tcp://{address}"))?;
                Ok(vec![Bound { fd: socket.into(), family: Family::Inet, path: None }])
            }
            Self::Passed => passed(),
        }
    }
}

fn bind_unix(path: &Path, group: Option<&str>) -> Result<Bound> {
    let doing = || format!("cannot listen at unix://{}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(doing)?;
    }
    if path.exists() && UnixStream::connect(path).is_ok() {
        bail!("{}: another process listens there", doing());
    }
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).with_context(doing),
        _ => {}
    }
    // Nobody but root from the first moment on; the group gets its right below.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let socket = UnixListener::bind(path);
    rustix::process::umask(before);
    let socket = socket.with_context(doing)?;
    let gid = group_of_socket(group)?;
    std::os::unix::fs::chown(path, Some(0), Some(gid)).with_context(doing)?;
    fs::set_permissions(path, Permissions::from_mode(0o660)).with_context(doing)?;
    Ok(Bound { fd: socket.into(), family: Family::Unix, path: Some(path.to_owned()) })
}

/// The group asked for must exist; the default one need not.
fn group_of_socket(group: Option<&str>) -> Result<u32> {
    let name = group.unwrap_or("docker");
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    let table = fs::read_to_string("/etc/group").unwrap_or_default();
    match (find_group(&table, name), group) {
        (Some(gid), _) => Ok(gid),
        (None, None) => Ok(0),
        (None, Some(name)) => bail!("group {name} not found"),
    }
}

fn find_group(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

fn passed() -> Result<Vec<Bound>> {
    let sockets: Vec<OwnedFd> = sys::activation::listen_fds();
    if sockets.is_empty() {
        bail!("no sockets found via socket activation: make sure the service was started by systemd");
    }
    sockets
        .into_iter()
        .map(|fd| {
            let name = rustix::net::getsockname(&fd).context("a passed descriptor is not a socket")?;
            let family =
                if name.address_family() == rustix::net::AddressFamily::UNIX { Family::Unix } else { Family::Inet };
            Ok(Bound { fd, family, path: None })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parse = |text| Address::parse(text, false).unwrap();
        assert_eq!(parse("unix://"), Address::Unix("/var/run/docker.sock".into()));
        assert_eq!(parse("unix:///a/b"), Address::Unix("/a/b".into()));
        assert_eq!(parse("fd://"), Address::Passed);
        assert_eq!(parse("tcp://"), Address::Tcp("localhost:2375".into()));
        assert_eq!(parse("tcp://0.0.0.0:1"), Address::Tcp("0.0.0.0:1".into()));
        assert_eq!(parse("tcp://[::1]:1"), Address::Tcp("[::1]:1".into()));
        assert_eq!(parse("tcp://[::1]"), Address::Tcp("[::1]:2375".into()));
        assert_eq!(parse("127.0.0.1:9"), Address::Tcp("127.0.0.1:9".into()));
        assert_eq!(Address::parse("tcp://", true).unwrap(), Address::Tcp("localhost:2376".into()));
        assert!(Address::parse("http://x", false).is_err());
        assert!(Address::parse("tcp://x:y", false).is_err());
    }

    #[test]
    fn groups_are_found_by_name() {
        let table = "root:x:0:\ndocker:x:998:me,you\n";
        assert_eq!(find_group(table, "docker"), Some(998));
        assert_eq!(find_group(table, "dock"), None);
    }
}
