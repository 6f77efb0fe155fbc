//! What is mounted in a container: from binds, mounts, volumes and tmpfs to one list, in docker's order of precedence.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::model::config::ContainerSpec;
use crate::model::mount::{Mount, MountKind, MountPoint, TmpfsOptions};

/// One mount of a container, with what inspection does not show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub point: MountPoint,
    /// The volume takes what the image has there, when it is empty.
    #[serde(default)]
    pub copy: bool,
    /// The volume has no name of the user's and goes away with the container.
    #[serde(default)]
    pub anonymous: bool,
    /// A missing source on the host is made.
    #[serde(default)]
    pub create_source: bool,
    #[serde(default)]
    pub recursive: bool,
    /// Read-only holds for everything mounted beneath it, too.
    #[serde(default)]
    pub read_only_recursive: bool,
    #[serde(default)]
    pub subpath: String,
    #[serde(default)]
    pub tmpfs: Option<TmpfsOptions>,
    #[serde(default)]
    pub volume_labels: BTreeMap<String, String>,
    #[serde(default)]
    pub volume_options: BTreeMap<String, String>,
}

/// Everything that is asked for, by destination; volumes have no source yet. `from` gives the mounts of another
/// container.
pub fn plan(spec: &ContainerSpec, from: impl Fn(&str) -> Result<Vec<Planned>>) -> Result<Vec<Planned>> {
    let mut mounts: Vec<Planned> = Vec::new();
    for text in &spec.host.volumes_from {
        let (container, writable) = volumes_from(text)?;
        for mut mount in from(container)? {
            mount.point.rw &= writable;
            mount.copy = false;
            mount.anonymous = false;
            replace(&mut mounts, mount);
        }
    }
    let mut asked: Vec<Planned> = Vec::new();
    for text in &spec.host.binds {
        add(&mut asked, bind(text)?)?;
    }
    for mount in &spec.host.mounts {
        add(&mut asked, configured(mount)?)?;
    }
    for target in spec.host.tmpfs.keys() {
        let target = clean(target);
        if asked.iter().any(|it| it.point.destination == target) {
            return Err(duplicate(&target));
        }
    }
    for mount in asked {
        replace(&mut mounts, mount);
    }
    for target in &spec.config.volumes {
        let target = destination(target, target)?;
        let covered = mounts.iter().any(|it| it.point.destination == target)
            || spec.host.tmpfs.keys().any(|it| clean(it) == target);
        if !covered {
            mounts.push(anonymous(target));
        }
    }
    Ok(mounts)
}

/// Order in which mounts are made: parents first.
pub fn depth(path: &str) -> usize {
    Path::new(path).components().filter(|it| matches!(it, Component::Normal(_))).count()
}

/// `/a/../b/` as `/b`.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn bind(text: &str) -> Result<Planned> {
    let invalid = || Error::invalid(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    let (source, target, mode) = match parts.as_slice() {
        [""] | ["", ..] => return Err(invalid()),
        [target] => ("", *target, ""),
        [_, second] if valid_mode(second) => return Err(invalid()),
        [source, target] => (*source, *target, ""),
        [source, target, mode] => (*source, *target, *mode),
        _ => return Err(invalid()),
    };
    if !valid_mode(mode) {
        return Err(Error::invalid(format!("invalid mode: {mode}")));
    }
    let target = destination(target, text)?;
    if source.is_empty() {
        return Ok(anonymous(target));
    }
    let words = || mode.split(',');
    let kind = if source.starts_with('/') { MountKind::Bind } else { MountKind::Volume };
    let is_bind = kind == MountKind::Bind;
    if !is_bind && words().any(is_propagation) {
        return Err(invalid());
    }
    let propagation = words().find(|it| is_propagation(it)).unwrap_or("rprivate");
    Ok(Planned {
        point: MountPoint {
            kind,
            name: if is_bind { String::new() } else { source.to_owned() },
            source: if is_bind { clean(source) } else { String::new() },
            destination: target,
            driver: if is_bind { String::new() } else { "local".to_owned() },
            mode: mode.to_owned(),
            rw: !words().any(|it| it == "ro"),
            propagation: if is_bind { propagation.to_owned() } else { String::new() },
        },
        copy: !is_bind && !words().any(|it| it == "nocopy"),
        anonymous: false,
        create_source: is_bind,
        recursive: true,
        read_only_recursive: false,
        subpath: String::new(),
        tmpfs: None,
        volume_labels: BTreeMap::new(),
        volume_options: BTreeMap::new(),
    })
}

fn configured(mount: &Mount) -> Result<Planned> {
    let kind = mount.kind.as_str();
    let invalid = |why: &str| Err(Error::invalid(format!("invalid mount config for type \"{kind}\": {why}")));
    if mount.target.is_empty() {
        return invalid("field Target must not be empty");
    }
    if !mount.target.starts_with('/') {
        return invalid(&format!("invalid mount path: '{}' mount path must be absolute", mount.target));
    }
    if clean(&mount.target) == "/" {
        return invalid("invalid specification: destination can't be '/'");
    }
    let mut planned = anonymous(clean(&mount.target));
    planned.anonymous = false;
    planned.copy = false;
    planned.point.kind = mount.kind;
    planned.point.rw = !mount.read_only;
    planned.point.driver = String::new();
    match mount.kind {
        MountKind::Bind => {
            if mount.source.is_empty() {
                return invalid("field Source must not be empty");
            }
            if !mount.source.starts_with('/') {
                return invalid(&format!("invalid mount path: '{}' mount path must be absolute", mount.source));
            }
            let options = mount.bind.clone().unwrap_or_default();
            let propagation = options.propagation.as_str();
            if !propagation.is_empty() && !is_propagation(propagation) {
                return invalid(&format!("invalid propagation mode: {propagation}"));
            }
            if !options.create_mountpoint && std::fs::metadata(&mount.source).is_err() {
                return invalid(&format!("bind source path does not exist: {}", mount.source));
            }
            planned.point.source = clean(&mount.source);
            planned.point.propagation = if propagation.is_empty() { "rprivate" } else { propagation }.to_owned();
            planned.create_source = options.create_mountpoint;
            planned.recursive = !options.non_recursive;
            planned.read_only_recursive = options.read_only_force_recursive;
        }
        MountKind::Volume => {
            let options = mount.volume.clone().unwrap_or_default();
            if mount.source.is_empty() && !options.subpath.is_empty() {
                return invalid("must not set Subpath when using anonymous volumes");
            }
            if !is_local(&options.subpath) {
                return invalid("subpath must be a relative path within the volume");
            }
            planned.anonymous = mount.source.is_empty();
            planned.point.name.clone_from(&mount.source);
            planned.point.mode = "z".to_owned();
            planned.copy = !options.no_copy;
            planned.subpath = options.subpath;
            planned.volume_labels = options.labels;
            let driver = options.driver.unwrap_or_default();
            planned.point.driver = if driver.name.is_empty() { "local".to_owned() } else { driver.name };
            planned.volume_options = driver.options;
        }
        MountKind::Tmpfs => {
            if !mount.source.is_empty() {
                return invalid("field Source must not be specified");
            }
            planned.tmpfs = Some(mount.tmpfs.clone().unwrap_or_default());
        }
        MountKind::Image => {
            return Err(Error::new(Kind::Unimplemented, "mounts of type \"image\" are not implemented"));
        }
    }
    Ok(planned)
}

fn anonymous(destination: String) -> Planned {
    Planned {
        point: MountPoint {
            kind: MountKind::Volume,
            name: String::new(),
            source: String::new(),
            destination,
            driver: "local".to_owned(),
            mode: String::new(),
            rw: true,
            propagation: String::new(),
        },
        copy: true,
        anonymous: true,
        create_source: false,
        recursive: true,
        read_only_recursive: false,
        subpath: String::new(),
        tmpfs: None,
        volume_labels: BTreeMap::new(),
        volume_options: BTreeMap::new(),
    }
}

fn volumes_from(text: &str) -> Result<(&str, bool)> {
    let (container, mode) = text.split_once(':').unwrap_or((text, ""));
    if container.is_empty() {
        return Err(Error::invalid("malformed volumes-from specification: \"\""));
    }
    if !valid_mode(mode) {
        return Err(Error::invalid(format!("invalid mode: {mode}")));
    }
    Ok((container, !mode.split(',').any(|it| it == "ro")))
}

fn destination(target: &str, whole: &str) -> Result<String> {
    let specification = format!("invalid volume specification: '{whole}'");
    if !target.starts_with('/') {
        return Err(Error::invalid(format!(
            "{specification}: invalid mount config for type \"volume\": invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    match clean(target).as_str() {
        "/" => Err(Error::invalid(format!(
            "{specification}: invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
        ))),
        target => Ok(target.to_owned()),
    }
}

fn add(mounts: &mut Vec<Planned>, mount: Planned) -> Result<()> {
    let target = &mount.point.destination;
    if mounts.iter().any(|it| it.point.destination == *target) {
        return Err(duplicate(target));
    }
    mounts.push(mount);
    Ok(())
}

fn replace(mounts: &mut Vec<Planned>, mount: Planned) {
    mounts.retain(|it| it.point.destination != mount.point.destination);
    mounts.push(mount);
}

fn duplicate(target: &str) -> Error {
    Error::invalid(format!("Duplicate mount point: {target}"))
}

fn is_propagation(word: &str) -> bool {
    matches!(word, "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared")
}

fn is_local(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    parts.all(|it| matches!(it, Component::Normal(_) | Component::CurDir))
}

fn valid_mode(mode: &str) -> bool {
    if mode.is_empty() {
        return true;
    }
    let mut counts = [0; 5];
    for word in mode.split(',') {
        let class = match word {
            "ro" | "rw" => 0,
            "z" | "Z" => 1,
            "nocopy" => 2,
            "consistent" | "cached" | "delegated" => 3,
            word if is_propagation(word) => 4,
            _ => return false,
        };
        counts[class] += 1;
    }
    counts.iter().all(|count| *count <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(binds: &[&str]) -> Result<Vec<Planned>> {
        let mut spec = ContainerSpec::default();
        spec.host.binds = binds.iter().map(|it| (*it).to_owned()).collect();
        spec.config.volumes.insert("/data".into());
        plan(&spec, |_| Ok(Vec::new()))
    }

    fn message(binds: &[&str]) -> String {
        run(binds).unwrap_err().message().to_owned()
    }

    #[test]
    fn binds_are_paths_or_names_and_volumes_of_the_image_yield() {
        let mounts = run(&["/src:/a:ro", "name:/data:nocopy"]).unwrap();
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].point.kind, MountKind::Bind);
        assert!(!mounts[0].point.rw && mounts[0].create_source);
        assert_eq!(mounts[1].point.name, "name");
        assert!(!mounts[1].copy);
        let mounts = run(&[]).unwrap();
        assert!(mounts[0].anonymous && mounts[0].copy);
    }

    #[test]
    fn wrong_binds_are_named() {
        assert_eq!(message(&["/a:/b", "/c:/b/"]), "Duplicate mount point: /b");
        assert_eq!(message(&["/a:/b:xx"]), "invalid mode: xx");
        assert_eq!(message(&["/a:ro"]), "invalid volume specification: '/a:ro'");
        assert!(message(&["/a:/"]).contains("destination can't be '/'"));
        assert!(message(&["/a:b"]).contains("mount path must be absolute"));
    }

    #[test]
    fn paths_are_cleaned_and_sorted_by_depth() {
        assert_eq!(clean("/a/./b/../c//"), "/a/c");
        assert_eq!(clean("/.."), "/");
        assert_eq!((depth("/"), depth("/a/b")), (0, 2));
    }
}
