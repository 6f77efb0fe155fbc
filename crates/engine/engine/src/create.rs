//! Creating a container: checks, then volumes, writable layer, folder and record; undone in reverse when one fails.

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;
use spec::platform::Platform;
use store::{Image, PrepareOptions};

use crate::compose::merge;
use crate::compose::mounts::{self, Planned};
use crate::engine::{Inner, blocking, file_error};
use crate::error::{Error, Kind, Result};
use crate::keeper;
use crate::lifecycle::{Ended, State};
use crate::model::config::{ContainerSpec, Created};
use crate::model::event::EventKind;
use crate::model::host::HostConfig;
use crate::model::mode::{IpcMode, NetworkMode, PidMode, UtsMode};
use crate::model::mount::MountKind;
use crate::model::network::EndpointView;
use crate::model::pod::Member;
use crate::record::Record;
use crate::{Engine, names, validate};

impl Engine {
    /// Fails with `No such image: NAME:TAG` of kind not found when there is no image.
    pub async fn create(&self, spec: ContainerSpec) -> Result<Created> {
        let inner = self.inner.clone();
        let (record, mut warnings) = {
            let inner = inner.clone();
            blocking(move || plan(&inner, spec)).await?
        };
        let id = record.id.clone();
        if record.pod.is_some() {
            self.note_use(&record.image);
        }
        let outcome = finish(&inner, record).await;
        if outcome.is_err() {
            let inner = inner.clone();
            let id = id.clone();
            // Goes on after errors; what is left is collected at the next start.
            let _ = blocking(move || {
                let _ = inner.store.remove_snapshot(&id);
                let _ = fs::remove_dir_all(inner.folder(&id).path());
                Ok(())
            })
            .await;
        }
        warnings.append(&mut outcome?);
        Ok(Created { id, warnings })
    }
}

/// Everything that can be refused, without leaving anything but the reserved name and, in the end, volumes.
fn plan(inner: &Inner, mut spec: ContainerSpec) -> Result<(Record, Vec<String>)> {
    if let Some(name) = &spec.name {
        names::check(name)?;
    }
    let wanted = match &spec.pod {
        Some(member) if !member.image.is_empty() => &member.image,
        _ => &spec.config.image,
    };
    let image = inner.store.resolve(wanted).map_err(|error| missing_image(error, wanted))?;
    let platform = check_platform(&image, spec.platform.as_deref())?;
    spec.config = merge::merge(spec.config, &image.config.config)?;
    let args = merge::command(&spec.config)?;
    if spec.host.log.driver.is_empty() {
        spec.host.log.driver.clone_from(&inner.config.log.driver);
        if spec.host.log.options.is_empty() {
            spec.host.log.options.clone_from(&inner.config.log.options);
        }
    }
    let mut warnings = validate::container(&spec.config, &mut spec.host, &inner.facts, purpose(&spec.pod))?;
    warnings.extend(platform);
    if spec.host.shm_size == 0 {
        spec.host.shm_size = inner.config.default_shm_size;
    }
    resolve_containers(inner, &mut spec)?;
    let size = storage_size(&spec.host)?;
    let planned = mounts::plan(&spec, |from| Ok(inner.containers.find(from)?.record().mounts.clone()))?;
    let networks = networks(inner, &spec)?;
    let id = names::random_id()?;
    let name = reserve_name(inner, spec.name.take(), &id)?;
    let built = (|| {
        let mounts = make_volumes(inner, planned, &id)?;
        let layers = image.layers.clone();
        if let Err(error) = inner.store.prepare(&id, &layers, PrepareOptions { size }) {
            return Err(error.into());
        }
        Ok(mounts)
    })();
    let mounts = match built {
        Ok(mounts) => mounts,
        Err(error) => {
            inner.containers.release(&name, &id);
            return Err(error);
        }
    };
    set_hostname(inner, &mut spec, &id);
    let record = Record {
        id,
        name,
        created: Timestamp::now(),
        config: spec.config,
        host: spec.host,
        image: image.id.to_string(),
        image_layers: image.layers.iter().map(ToString::to_string).collect(),
        args,
        mounts,
        networks,
        sandbox: String::new(),
        pod: spec.pod,
        state: State::Created(Ended::default()),
        restarts: 0,
        waited: std::time::Duration::ZERO,
        stopped: false,
        ran: false,
        health: None,
    };
    Ok((record, warnings))
}

async fn finish(inner: &std::sync::Arc<Inner>, record: Record) -> Result<Vec<String>> {
    let folder = inner.folder(&record.id);
    let made = fs::create_dir_all(folder.path()).map_err(|error| file_error("create", folder.path(), error));
    let stored = match made {
        Ok(()) => inner.journal.put(&record).await,
        Err(error) => Err(error),
    };
    if let Err(error) = stored {
        inner.containers.release(&record.name, &record.id);
        return Err(error);
    }
    let handle = keeper::spawn(inner, record);
    inner.tell(&handle.record(), "create", &[]);
    Ok(Vec::new())
}

/// `No such image: debian:12`, with the tag that was meant.
fn missing_image(error: store::Error, asked: &str) -> Error {
    match (&error, spec::reference::Reference::parse(asked)) {
        (store::Error::NoSuchImage(_), Ok(reference)) => {
            Error::not_found(format!("No such image: {}", reference.or_latest().familiar()))
        }
        _ => error.into(),
    }
}

fn check_platform(image: &Image, asked: Option<&str>) -> Result<Option<String>> {
    let offered = Platform {
        os: image.config.os.clone(),
        architecture: image.config.architecture.clone(),
        variant: image.config.variant.clone(),
        os_version: None,
    };
    let host = Platform::host();
    match asked {
        Some(asked) if !asked.is_empty() => {
            let wanted = Platform::parse(asked).map_err(|error| Error::because(Kind::Invalid, asked, error))?;
            if !wanted.accepts(&offered) {
                return Err(Error::not_found(format!(
                    "image with reference {} was found but does not provide the specified platform ({asked})",
                    image.names.first().map_or("", String::as_str)
                )));
            }
            Ok(None)
        }
        _ if !offered.architecture.is_empty() && !host.accepts(&offered) => Ok(Some(format!(
            "The requested image's platform ({offered}) does not match the detected host platform ({host}) and no specific platform was requested"
        ))),
        _ => Ok(None),
    }
}

fn purpose(member: &Option<Member>) -> validate::Purpose {
    match member {
        Some(_) => validate::Purpose::Pod,
        None => validate::Purpose::Create,
    }
}

/// Names of other containers become ids, so that they survive a rename.
fn resolve_containers(inner: &Inner, spec: &mut ContainerSpec) -> Result<()> {
    let host = &mut spec.host;
    // Not "not found": a client would take that for the image and pull it.
    let id = |namespace: &str, name: &str| match inner.containers.find(name) {
        Ok(found) => Ok(found.id.clone()),
        Err(error) => Err(Error::invalid(format!("joining {namespace} namespace of container: {}", error.message()))),
    };
    if let Some(member) = &spec.pod {
        inner.sandboxes.find(&member.sandbox)?;
    } else if let NetworkMode::Container(name) = &host.network_mode {
        host.network_mode = NetworkMode::Container(id("network", name)?);
    }
    if let IpcMode::Container(name) = &host.ipc
        && spec.pod.is_none()
    {
        host.ipc = IpcMode::Container(id("IPC", name)?);
    }
    if let PidMode::Container(name) = &host.pid
        && spec.pod.as_ref().is_none_or(|member| member.sandbox != *name)
    {
        host.pid = PidMode::Container(id("PID", name)?);
    }
    Ok(())
}

fn storage_size(host: &HostConfig) -> Result<Option<u64>> {
    let mut size = None;
    for (name, value) in &host.storage_opt {
        if name != "size" {
            return Err(Error::invalid(format!("unknown option in storage-opt: {name}")));
        }
        let bytes = crate::logs::options::bytes(value).filter(|it| *it > 0);
        size = Some(bytes.ok_or_else(|| Error::invalid(format!("invalid size: '{value}'")))?);
    }
    Ok(size)
}

/// The networks of a container by name, with what was asked of each; they must exist.
fn networks(inner: &Inner, spec: &ContainerSpec) -> Result<BTreeMap<String, EndpointView>> {
    let mut networks = BTreeMap::new();
    let main = match &spec.host.network_mode {
        _ if spec.config.network_disabled || spec.pod.is_some() => return Ok(networks),
        NetworkMode::Container(_) => {
            if !spec.networks.is_empty() {
                return Err(Error::invalid(
                    "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
                ));
            }
            return Ok(networks);
        }
        NetworkMode::Default => "bridge".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::Network(name) => name.clone(),
    };
    let mut asked = spec.networks.clone();
    asked.entry(main.clone()).or_default();
    for (name, mut spec) in asked {
        let name = if name == "default" { "bridge".to_owned() } else { name };
        let found = inner.networks.find(&name)?;
        if spec.ipv4.is_empty() && spec.ipv6.is_empty() {
            spec.aliases.dedup();
        } else if found.is_predefined() {
            return Err(network::Error::AddressNotOnDefault.into());
        }
        networks.insert(
            found.name.clone(),
            EndpointView { spec, network_id: String::new(), endpoint: None, dns_names: Vec::new() },
        );
    }
    Ok(networks)
}

fn reserve_name(inner: &Inner, name: Option<String>, id: &str) -> Result<String> {
    if let Some(name) = name {
        inner.containers.reserve(&name, id)?;
        return Ok(name);
    }
    for attempt in 0..8 {
        let name = names::random_name(attempt)?;
        if inner.containers.reserve(&name, id).is_ok() {
            return Ok(name);
        }
    }
    let name = id[..12].to_owned();
    inner.containers.reserve(&name, id)?;
    Ok(name)
}

/// Volumes come to be; what was made for nothing is removed when one fails.
fn make_volumes(inner: &Inner, planned: Vec<Planned>, id: &str) -> Result<Vec<Planned>> {
    let mut made: Vec<String> = Vec::new();
    let mut mounts = Vec::new();
    for mut mount in planned {
        if mount.point.kind == MountKind::Volume {
            let existed = !mount.point.name.is_empty() && inner.store.volume(&mount.point.name).is_ok();
            let spec = store::VolumeSpec {
                name: mount.point.name.clone(),
                driver: mount.point.driver.clone(),
                labels: mount.volume_labels.clone(),
                options: mount.volume_options.clone(),
            };
            let volume = match inner.store.create_volume(&spec) {
                Ok(volume) => volume,
                Err(error) => {
                    for name in &made {
                        if let Err(error) = inner.store.remove_volume(name, &[]) {
                            tracing::warn!(volume = name, %error, "a volume made for nothing stays");
                        }
                    }
                    return Err(error.into());
                }
            };
            if !existed {
                made.push(volume.name.clone());
                inner.tell_of(EventKind::Volume, "create", &volume.name, &[("driver", "local"), ("container", id)]);
            }
            mount.point.source = volume.mountpoint.to_string_lossy().into_owned();
            mount.point.name = volume.name;
        }
        mounts.push(mount);
    }
    Ok(mounts)
}

fn set_hostname(inner: &Inner, spec: &mut ContainerSpec, id: &str) {
    if !spec.config.hostname.is_empty() {
        return;
    }
    let hosts = spec.host.uts == UtsMode::Host || spec.host.network_mode == NetworkMode::Host;
    spec.config.hostname = match &spec.host.network_mode {
        _ if hosts => inner.facts.hostname.clone(),
        NetworkMode::Container(other) => {
            let other = inner.containers.find(other).map(|it| it.record().config.hostname.clone());
            other.unwrap_or_else(|_| id[..12].to_owned())
        }
        _ => id[..12].to_owned(),
    };
}
