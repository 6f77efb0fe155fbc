//! The whole: information, disk usage, events.

use std::fs;

use cgroup::Controller;

use crate::Engine;
use crate::engine::blocking;
use crate::error::{Error, Result};
use crate::lifecycle::State;
use crate::list;
use crate::logs::reader::Log;
use crate::model::event::{Event, EventQuery};
use crate::model::filters::Filters;
use crate::model::stream::{EventStream, LogQuery, LogStream};
use crate::model::system::{DiskSpace, DiskUsage, DiskUsageQuery, Info};
use crate::model::view::Status;

impl Engine {
    pub async fn info(&self) -> Result<Info> {
        let engine = self.clone();
        blocking(move || engine.describe()).await
    }

    /// Room on the file system of the data root.
    pub async fn disk_space(&self) -> Result<DiskSpace> {
        let root = self.inner.config.data_root.clone();
        blocking(move || {
            let found = rustix::fs::statvfs(&root)
                .map_err(|error| crate::engine::file_error("look at the file system of", &root, error.into()))?;
            Ok(DiskSpace {
                capacity: found.f_blocks * found.f_frsize,
                available: found.f_bavail * found.f_frsize,
                inodes: found.f_files,
                inodes_free: found.f_ffree,
            })
        })
        .await
    }

    pub async fn disk_usage(&self, query: DiskUsageQuery) -> Result<DiskUsage> {
        let images = match query.images {
            true => Some(self.images(true, Filters::default(), true, true).await?),
            false => None,
        };
        let inner = self.inner.clone();
        blocking(move || {
            let mut layers: Vec<_> = inner.store.images()?.into_iter().flat_map(|it| it.layers).collect();
            layers.sort();
            layers.dedup();
            let mut layers_size = 0;
            for layer in &layers {
                layers_size += inner.store.layer_size(layer)?;
            }
            let containers = query.containers.then(|| {
                let records = inner.containers.all().into_iter().map(|it| it.record());
                records.map(|it| list::summary(&inner, &it, true)).collect()
            });
            let volumes = if query.volumes { Some(inner.volumes_used()?) } else { None };
            Ok(DiskUsage { layers_size, images, containers, volumes })
        })
        .await
    }

    /// Events, past ones first when asked for. Fails on filters that do not exist.
    pub async fn events(&self, query: EventQuery) -> Result<EventStream> {
        self.inner.events.listen(query)
    }

    /// Puts an event of a façade among the engine's (`builder`, `daemon`).
    pub fn publish(&self, event: Event) {
        self.inner.events.tell(event);
    }

    /// Whether its records are raw terminal output is the container's `config.tty`.
    pub async fn logs(&self, container: &str, query: LogQuery) -> Result<LogStream> {
        if !query.stdout && !query.stderr {
            return Err(Error::invalid("You must choose at least one stream"));
        }
        let handle = self.inner.containers.find(container)?;
        let record = handle.record();
        if matches!(record.state.status(), Status::Removing | Status::Dead) {
            return Err(Error::conflict("can not get logs from container which is dead or marked for removal"));
        }
        if record.host.log.driver == "none" {
            return Err(Error::unimplemented("configured logging driver does not support reading"));
        }
        let path = self.inner.log_path(&record);
        let (send, receive) = tokio::sync::mpsc::channel(64);
        let (writing, live) = tokio::sync::watch::channel(query.follow && is_writing(&record.state));
        let mut changes = handle.live.clone();
        if query.follow {
            let until = query.until;
            tokio::spawn(async move {
                let ended = changes.wait_for(|it| it.removed || !is_writing(&it.record.state));
                let late = async {
                    match until.map(|it| it.duration_since(jiff::Timestamp::now())) {
                        Some(left) => tokio::time::sleep(left.try_into().unwrap_or_default()).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    _ = ended => {}
                    () = late => {}
                    () = writing.closed() => {}
                }
                writing.send_replace(false);
            });
        }
        // Open before this returns: the caller may let the container go at once.
        let to_come = *live.borrow();
        let log = blocking(move || Log::open(&path, to_come)).await?;
        tokio::task::spawn_blocking(move || log.read(&query, &live, &send));
        Ok(LogStream(receive))
    }

    fn describe(&self) -> Result<Info> {
        let inner = &self.inner;
        let facts = &inner.facts;
        let mut info = Info { id: inner.id.clone(), ..Info::default() };
        for handle in inner.containers.all() {
            info.containers += 1;
            match handle.record().state.status() {
                Status::Running | Status::Restarting => info.running += 1,
                Status::Paused => info.paused += 1,
                Status::Created | Status::Removing | Status::Exited | Status::Dead => info.stopped += 1,
            }
        }
        info.images = inner.store.images()?.len() as u64;
        info.storage_driver = inner.store.snapshotter_name().to_owned();
        info.log_driver.clone_from(&inner.config.log.driver);
        info.log_drivers = ["json-file", "local", "none"].map(str::to_owned).into();
        info.cgroup_driver = "cgroupfs".to_owned();
        info.cgroup_version = if facts.unified { "2" } else { "1" }.to_owned();
        let has = |controller| facts.hierarchy.has(controller);
        info.memory_limit = has(Controller::Memory);
        info.swap_limit = facts.swap_limit;
        info.cpu_cfs = has(Controller::Cpu);
        info.cpu_shares = has(Controller::Cpu);
        info.cpuset = has(Controller::Cpuset);
        info.pids_limit = has(Controller::Pids);
        info.oom_kill_disable = facts.v1_memory;
        info.ipv4_forwarding = read("/proc/sys/net/ipv4/ip_forward") == "1";
        info.kernel_version = read("/proc/sys/kernel/osrelease");
        let (name, version) = operating_system(&fs::read_to_string("/etc/os-release").unwrap_or_default());
        info.operating_system = name;
        info.os_version = version;
        info.architecture = std::env::consts::ARCH.to_owned();
        info.cpus = u64::from(facts.cpus);
        info.memory = facts.memory;
        info.data_root = inner.config.data_root.to_string_lossy().into_owned();
        info.name.clone_from(&facts.hostname);
        info.labels.clone_from(&inner.config.labels);
        info.security_options = security_options(self);
        info.insecure_registries.clone_from(&inner.config.insecure_registries);
        info.registry_mirrors.clone_from(&inner.config.registry_mirrors);
        info.event_listeners = inner.events.listeners() as u64;
        info.version.clone_from(&inner.config.version);
        let pools = inner.config.network.pools.iter();
        info.default_address_pools = pools.map(|it| (it.base.to_string(), it.size)).collect();
        if !info.swap_limit {
            info.warnings.push("WARNING: No swap limit support".to_owned());
        }
        if !info.ipv4_forwarding {
            info.warnings.push("WARNING: IPv4 forwarding is disabled".to_owned());
        }
        Ok(info)
    }
}

fn security_options(engine: &Engine) -> Vec<String> {
    let profile = match &engine.inner.config.seccomp_profile {
        Some(path) => path.to_string_lossy().into_owned(),
        None => "builtin".to_owned(),
    };
    let mut options = vec![format!("name=seccomp,profile={profile}")];
    if engine.inner.facts.unified {
        options.push("name=cgroupns".to_owned());
    }
    if engine.inner.config.no_new_privileges {
        options.push("name=no-new-privileges".to_owned());
    }
    options
}

fn is_writing(state: &State) -> bool {
    state.is_live() || matches!(state, State::Restarting(_))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// `PRETTY_NAME` and `VERSION_ID`.
fn operating_system(text: &str) -> (String, String) {
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.unwrap_or_default().trim_matches('"').to_owned()
    };
    (value("PRETTY_NAME"), value("VERSION_ID"))
}
