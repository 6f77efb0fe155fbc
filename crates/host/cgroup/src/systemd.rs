//! Groups that systemd makes: transient scopes, asked for over D-Bus.
//!
//! A scope lives as long as something runs in it, and is made only around a process. So it is made around a process that only
//! waits, an [`Anchor`], until the container's own process has been born into the group.

mod bus;
mod unit;
mod wire;

use std::path::PathBuf;

use sys::clone::Idle;

pub use self::unit::{Property, Scope, properties};

use self::bus::Bus;
use self::wire::Writer;
use crate::error::{Error, Result};

const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Which systemd is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The host's.
    System,
    /// That of the calling user's sessions.
    User,
}

/// A connection to a systemd.
#[derive(Debug)]
pub struct Systemd {
    bus: Bus,
}

impl Systemd {
    /// Connects to the manager's own socket, or to it by its bus where that is not there.
    pub fn connect(manager: Manager) -> Result<Systemd> {
        let mut failed = None;
        for (path, kind) in sockets(manager) {
            match Bus::connect(&path, kind) {
                Ok(bus) => return Ok(Systemd { bus }),
                Err(source) => {
                    failed =
                        failed.or(Some(Error::Systemd { action: format!("connect to {}", path.display()), source }))
                }
            }
        }
        let none =
            || Error::Systemd { action: "find a socket".to_owned(), source: std::io::ErrorKind::NotFound.into() };
        Err(failed.unwrap_or_else(none))
    }

    /// Makes a scope with a process in it that waits. Fails if there is one of that name with something in it.
    pub fn start_scope(&mut self, scope: &Scope, properties: &[Property]) -> Result<Anchor> {
        let step = |source| Error::Systemd { action: format!("start {}", scope.name()), source };
        let anchor = Anchor(Idle::new(0).map_err(step)?);
        self.bus.listen_to_jobs().map_err(step)?;
        match self.ask_for(scope, anchor.0.pid(), properties) {
            Err(error) if error.to_string().contains("UnitExists") => {
                // What is left of one that has failed is forgotten on request.
                let reset = |body: &mut Writer| body.string(scope.name());
                let _ = self.bus.call(MANAGER, "ResetFailedUnit", "s", reset);
                self.ask_for(scope, anchor.0.pid(), properties)
            }
            result => result,
        }
        .map_err(step)?;
        Ok(anchor)
    }

    fn ask_for(&mut self, scope: &Scope, pid: i32, properties: &[Property]) -> std::io::Result<()> {
        let job = self.bus.call(MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", |body| {
            body.string(scope.name());
            body.string("replace");
            body.array(8, |list| {
                for property in scope.properties(pid).iter().chain(properties) {
                    property.write(list);
                }
            });
            body.array(8, |_| {});
        })?;
        self.bus.wait_for_job(&job.object_path()?)
    }

    /// Changes properties of a running scope, until it ends.
    pub fn set(&mut self, scope: &str, properties: &[Property]) -> Result<()> {
        let set = self.bus.call(MANAGER, "SetUnitProperties", "sba(sv)", |body| {
            body.string(scope);
            body.boolean(true);
            body.array(8, |list| properties.iter().for_each(|property| property.write(list)));
        });
        set.map(drop).map_err(|source| Error::Systemd { action: format!("set properties of {scope}"), source })
    }

    /// Stops a scope, whose processes are killed, and forgets it. Fine if there is none.
    pub fn stop(&mut self, scope: &str) -> Result<()> {
        let step = |source| Error::Systemd { action: format!("stop {scope}"), source };
        self.bus.listen_to_jobs().map_err(step)?;
        let stopped = self.bus.call(MANAGER, "StopUnit", "ss", |body| {
            body.string(scope);
            body.string("replace");
        });
        match stopped {
            Err(error) if error.to_string().contains("NoSuchUnit") => Ok(()),
            Err(error) => Err(step(error)),
            Ok(job) => job.object_path().and_then(|job| self.bus.wait_for_job(&job)).map_err(step),
        }
    }
}

/// Where to ask, the best first. The manager's own socket needs no bus daemon.
fn sockets(manager: Manager) -> Vec<(PathBuf, bus::Kind)> {
    match manager {
        Manager::System => vec![
            (PathBuf::from("/run/systemd/private"), bus::Kind::Private),
            (PathBuf::from("/run/dbus/system_bus_socket"), bus::Kind::Bus),
        ],
        Manager::User => match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
            Some(dir) => {
                vec![(dir.join("systemd/private"), bus::Kind::Private), (dir.join("bus"), bus::Kind::Bus)]
            }
            None => Vec::new(),
        },
    }
}

/// A process that keeps a scope alive until it is dropped.
#[derive(Debug)]
pub struct Anchor(Idle);

impl Anchor {
    /// The group that it is in: that of the scope, beneath the mounts.
    pub fn cgroup(&self) -> Result<String> {
        let path = PathBuf::from(format!("/proc/{}/cgroup", self.0.pid()));
        let text = crate::files::read(&path)?;
        let of = |kind: &str| text.lines().find_map(|line| line.split_once(kind).map(|(_, path)| path.to_owned()));
        // The v2 tree where systemd uses it, else the v1 hierarchy of its own.
        let found = of("0::").filter(|path| path != "/").or_else(|| of(":name=systemd:"));
        found.ok_or(Error::NotFound(format!("of the process {}", self.0.pid())))
    }
}
