//! What a start prepares in the root file system and beside it; synchronous.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use network::files::{self, Hosts, Resolv};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use store::Store;

use super::networking::Network;
use crate::compose::mounts::{Planned, clean};
use crate::compose::users::{self, Who};
use crate::engine::{Inner, file_error};
use crate::error::{Error, Kind, Result};
use crate::model::mode::{NetworkMode, UtsMode};
use crate::model::mount::MountKind;
use crate::record::{Folder, Record};
use crate::root;

/// The root file system, ready.
pub struct Prepared {
    pub root: OwnedFd,
    pub who: Who,
}

/// Mounts the root, makes what the container relies on, and finds out who its process is.
pub fn prepare(store: &Store, record: &Record) -> Result<Prepared> {
    let mounted = store.mount(record.snapshot(), store::Access::ReadWrite)?;
    let root = mounted.as_fd();
    let (user, added) = (&record.config.user, &record.host.group_add);
    let (passwd, group) = (root::read(root, "/etc/passwd")?, root::read(root, "/etc/group")?);
    let who = match &record.pod {
        Some(member) => users::resolve_member(user, added, member.groups, &passwd, &group)?,
        None => users::resolve(user, added, &passwd, &group)?,
    };
    let folder = record.config.working_dir.as_str();
    if !folder.is_empty() && clean(folder) != "/" {
        root::make_directory(root, &clean(folder))?;
    }
    for mount in &record.mounts {
        match mount.point.kind {
            MountKind::Bind => ready_bind(mount)?,
            MountKind::Volume => ready_volume(store, root, mount)?,
            MountKind::Tmpfs | MountKind::Image => {}
        }
    }
    Ok(Prepared { root: mounted, who })
}

fn ready_bind(mount: &Planned) -> Result<()> {
    let source = Path::new(&mount.point.source);
    match fs::metadata(source) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound && mount.create_source => {
            fs::create_dir_all(source).map_err(|error| {
                Error::because(
                    Kind::Internal,
                    format_args!("error while creating mount source path '{}'", source.display()),
                    error,
                )
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::invalid(format!(
            "invalid mount config for type \"bind\": bind source path does not exist: {}",
            source.display()
        ))),
        Err(error) => Err(file_error("stat", source, error)),
    }
}

/// A volume that is empty takes what the image has at its place.
fn ready_volume(store: &Store, root: BorrowedFd<'_>, mount: &Planned) -> Result<()> {
    let data = Path::new(&mount.point.source);
    if !data.exists() {
        // Removed by hand since: made again, as docker does.
        let spec = store::VolumeSpec { name: mount.point.name.clone(), ..store::VolumeSpec::default() };
        store.create_volume(&spec)?;
    }
    if !mount.copy || !mount.subpath.is_empty() || !is_empty(data)? {
        return Ok(());
    }
    let Some(image) = root::directory(root, &mount.point.destination) else {
        return Ok(());
    };
    let target = rustix::fs::open(data, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| file_error("open", data, error.into()))?;
    copy_up(image.as_fd(), target.as_fd(), data)?;
    let (mode, owner, group) = root::attributes(image.as_fd())?;
    rustix::fs::fchown(&target, Some(Uid::from_raw(owner)), Some(Gid::from_raw(group)))
        .and_then(|()| rustix::fs::fchmod(&target, mode))
        .map_err(|error| file_error("chown", data, error.into()))
}

fn copy_up(from: BorrowedFd<'_>, to: BorrowedFd<'_>, data: &Path) -> Result<()> {
    let (reader, writer) = std::io::pipe().map_err(|error| file_error("copy into", data, error))?;
    std::thread::scope(|scope| {
        let exporting = scope.spawn(move || store::archive::export(from, writer));
        store::archive::copy_in(to, "/", reader, store::CopyOptions::default())?;
        match exporting.join() {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(Error::internal(format!("copying into {} ended", data.display()))),
        }
    })
}

fn is_empty(folder: &Path) -> Result<bool> {
    let mut entries = fs::read_dir(folder).map_err(|error| file_error("read", folder, error))?;
    Ok(entries.next().is_none())
}

/// Writes hosts, hostname and resolv.conf; in place, because a running container may have them mounted.
pub fn write_files(inner: &Inner, record: &Record, network: &Network, folder: &Folder) -> Result<()> {
    fs::create_dir_all(folder.path()).map_err(|error| file_error("create", folder.path(), error))?;
    write(&folder.hostname(), &files::hostname(&record.config.hostname))?;
    if record.host.network_mode == NetworkMode::Host && record.host.extra_hosts.is_empty() {
        copy_host_file("/etc/hosts", &folder.hosts())?;
    } else {
        let mut extra = Vec::new();
        for line in &record.host.extra_hosts {
            extra.push(extra_host(inner, line)?);
        }
        let hosts = Hosts {
            hostname: match record.host.uts {
                UtsMode::Private | UtsMode::Host => &record.config.hostname,
            },
            domainname: &record.config.domainname,
            addresses: network.addresses(),
            extra,
            ipv6: true,
        };
        write(&folder.hosts(), &files::hosts(&hosts))?;
    }
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if record.host.network_mode == NetworkMode::Host && record.host.dns.is_empty() {
        return write(&folder.resolv_conf(), &host);
    }
    let or = |own: &[String], daemon: &[String]| if own.is_empty() { daemon.to_vec() } else { own.to_vec() };
    let own_dns: Vec<IpAddr> = record.host.dns.iter().filter_map(|it| it.parse().ok()).collect();
    let defaults = &inner.config.network;
    let resolv = Resolv {
        host: &host,
        dns: if own_dns.is_empty() { defaults.dns.clone() } else { own_dns },
        search: or(&record.host.dns_search, &defaults.dns_search),
        options: or(&record.host.dns_options, &defaults.dns_options),
        ipv6: network.has_ipv6(),
        embedded: network.embedded_dns,
    };
    write(&folder.resolv_conf(), &files::resolv_conf(&resolv))
}

/// `name:address`, the address maybe `host-gateway` or in brackets.
fn extra_host(inner: &Inner, line: &str) -> Result<(String, IpAddr)> {
    let bad = || Error::invalid(format!("bad format for add-host: \"{line}\""));
    let (name, address) = line.split_once(':').ok_or_else(bad)?;
    if address == "host-gateway" {
        let bridge = inner.networks.find("bridge")?;
        let gateway = bridge.pool4().and_then(|(pool, _)| pool.gateway);
        return gateway
            .map(|gateway| (name.to_owned(), gateway))
            .ok_or_else(|| Error::internal("unable to derive the IP value for host-gateway"));
    }
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address =
        address.parse().map_err(|_| Error::invalid(format!("invalid IP address in add-host: \"{address}\"")))?;
    Ok((name.to_owned(), address))
}

fn copy_host_file(from: &str, to: &Path) -> Result<()> {
    write(to, &fs::read_to_string(from).unwrap_or_default())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| file_error("write", path, error))
}
