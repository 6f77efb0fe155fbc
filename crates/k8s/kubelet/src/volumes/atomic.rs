//! Files of a volume, replaced all at once.
//!
//! ```text
//! volume/..2026_11_24_20_31_07.000000001/a/file     what is there now
//! volume/..data -> ..2026_11_24_20_31_07.000000001  renamed over, which is the moment of the change
//! volume/a -> ..data/a                              what a reader sees
//! ```
//! A reader that has opened `a/file` goes on with the old content, one that opens it sees either all of the old or all of the new. This is the layout that programs
//! which watch such volumes know.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::{fs, io};

use jiff::Timestamp;

use super::error::Files;
use super::payload::{File, Payload};

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";
/// Folders can be listed by everyone who may see the volume.
const FOLDER_MODE: u32 = 0o755;
/// What the group of the volumes may do: read files, list folders, whose group new files take over.
const GROUP_FILE: u32 = 0o440;
const GROUP_FOLDER: u32 = 0o2550;

/// Makes a folder hold these files and no others; says whether anything changed. `group` owns everything where it is given.
///
/// # Errors
/// The first step that failed; the volume shows what it showed before.
pub fn write(volume: &Path, files: &Payload, group: Option<u32>) -> Result<bool, Files> {
    fs::create_dir_all(volume).map_err(Files::at("make", volume))?;
    set_folder(volume, group)?;
    let current = fs::read_link(volume.join(DATA)).ok();
    if let Some(current) = &current
        && same(&volume.join(current), files, group)
    {
        return show(volume, files).map(|()| false);
    }
    let name = fresh(volume)?;
    let folder = volume.join(&name);
    let filled = fill(&folder, files, group).and_then(|()| swap(volume, &name));
    if filled.is_err() {
        let _ = fs::remove_dir_all(&folder);
        return filled.map(|()| true);
    }
    show(volume, files)?;
    clear(volume, &name)?;
    Ok(true)
}

/// A new folder that is named after the time.
fn fresh(volume: &Path) -> Result<OsString, Files> {
    loop {
        let now = Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S.%9f");
        let name = format!("..{now}");
        match fs::DirBuilder::new().mode(0o700).create(volume.join(&name)) {
            Ok(()) => return Ok(name.into()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Files::at("make", volume.join(&name))(error)),
        }
    }
}

fn fill(folder: &Path, files: &Payload, group: Option<u32>) -> Result<(), Files> {
    for (path, file) in files {
        let mut at = folder.to_owned();
        let mut parts: Vec<&str> = path.split('/').collect();
        let name = parts.pop().unwrap_or_default();
        for part in parts {
            at.push(part);
            match fs::create_dir(&at) {
                Ok(()) => set_folder(&at, group)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Files::at("make", at)(error)),
            }
        }
        at.push(name);
        put(&at, file, group).map_err(Files::at("write", &at))?;
    }
    set_folder(folder, group)
}

fn put(path: &Path, file: &File, group: Option<u32>) -> io::Result<()> {
    use std::io::Write;
    let mut opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    opened.write_all(&file.data)?;
    if file.owner.is_some() || group.is_some() {
        chown(path, file.owner, group)?;
    }
    opened.set_permissions(fs::Permissions::from_mode(mode(file, group)))
}

fn mode(file: &File, group: Option<u32>) -> u32 {
    file.mode | if group.is_some() { GROUP_FILE } else { 0 }
}

fn set_folder(path: &Path, group: Option<u32>) -> Result<(), Files> {
    let set = || -> io::Result<()> {
        let wanted = FOLDER_MODE | if group.is_some() { GROUP_FOLDER } else { 0 };
        let there = fs::metadata(path)?;
        if let Some(group) = group
            && there.gid() != group
        {
            chown(path, None, Some(group))?;
        }
        if there.mode() & 0o7777 != wanted {
            fs::set_permissions(path, fs::Permissions::from_mode(wanted))?;
        }
        Ok(())
    };
    set().map_err(Files::at("set the owner and mode of", path))
}

/// The moment of the change.
fn swap(volume: &Path, name: &OsString) -> Result<(), Files> {
    let (new, data) = (volume.join(NEW_DATA), volume.join(DATA));
    // Left by a process that ended in between.
    let _ = fs::remove_file(&new);
    symlink(name, &new).map_err(Files::at("link", &new))?;
    fs::rename(&new, &data).map_err(Files::at("replace", &data))
}

/// Links for what there is, and no others.
fn show(volume: &Path, files: &Payload) -> Result<(), Files> {
    let wanted: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for name in &wanted {
        let (link, target) = (volume.join(name), Path::new(DATA).join(name));
        if fs::read_link(&link).is_ok_and(|there| there == target) {
            continue;
        }
        let _ = fs::remove_file(&link);
        symlink(&target, &link).map_err(Files::at("link", &link))?;
        if let Ok(folder) = fs::metadata(volume) {
            let _ = lchown(&link, None, Some(folder.gid()));
        }
    }
    for entry in entries(volume)? {
        let ours = entry.to_str().is_none_or(|name| name.starts_with("..") || wanted.contains(name));
        if !ours {
            let path = volume.join(&entry);
            fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).map_err(Files::at("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes every folder but the one that is shown: those that were, and those that a process left half done.
fn clear(volume: &Path, shown: &OsString) -> Result<(), Files> {
    for entry in entries(volume)? {
        let old = entry.to_str().is_some_and(|name| name.starts_with("..2")) && entry != *shown;
        if old {
            let path = volume.join(&entry);
            fs::remove_dir_all(&path).map_err(Files::at("remove", &path))?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<OsString>, Files> {
    let list = fs::read_dir(folder).map_err(Files::at("list", folder))?;
    Ok(list.flatten().map(|entry| entry.file_name()).collect())
}

/// Whether a folder holds exactly these files.
fn same(folder: &Path, files: &Payload, group: Option<u32>) -> bool {
    let mut there = BTreeSet::new();
    if list(folder, "", &mut there).is_err() || there.len() != files.len() {
        return false;
    }
    files.iter().all(|(path, file)| {
        let at = folder.join(path);
        let Ok(meta) = fs::metadata(&at) else { return false };
        there.contains(path)
            && meta.mode() & 0o7777 == mode(file, group)
            && file.owner.is_none_or(|owner| owner == meta.uid())
            && group.is_none_or(|group| group == meta.gid())
            && fs::read(&at).is_ok_and(|data| data == file.data)
    })
}

fn list(folder: &Path, prefix: &str, into: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), into)?;
        } else {
            into.insert(name);
        }
    }
    Ok(())
}
