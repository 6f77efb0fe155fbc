//! Paths of the node itself.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::{Fault, Files};

const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Checks a path of the node, or makes it, as its type says.
///
/// # Errors
/// When it is something else.
pub fn check(path: &str, kind: &str) -> Result<PathBuf, Fault> {
    let place = Path::new(path);
    if !place.is_absolute() || place.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(Fault::Path(path.to_owned()));
    }
    let meta = fs::metadata(place);
    let is = |what: &'static str, good: fn(&fs::FileType) -> bool| match &meta {
        Ok(meta) if good(&meta.file_type()) => Ok(()),
        _ => Err(Fault::HostPathType { path: path.to_owned(), what }),
    };
    let missing = matches!(&meta, Err(error) if error.kind() == ErrorKind::NotFound);
    match kind {
        // As other runtimes do: a folder is made where nothing is.
        "" if missing => make_folder(place)?,
        "" => {}
        "DirectoryOrCreate" if missing => make_folder(place)?,
        "FileOrCreate" if missing => make_file(place)?,
        "DirectoryOrCreate" | "Directory" => is("a directory", fs::FileType::is_dir)?,
        "FileOrCreate" | "File" => is("a file", fs::FileType::is_file)?,
        "Socket" => is("a socket file", FileTypeExt::is_socket)?,
        "CharDevice" => is("a character device", FileTypeExt::is_char_device)?,
        "BlockDevice" => is("a block device", FileTypeExt::is_block_device)?,
        other => return Err(Fault::UnknownType(other.to_owned())),
    }
    Ok(place.to_owned())
}

fn make_folder(path: &Path) -> Result<(), Files> {
    fs::create_dir_all(path).map_err(Files::at("make", path))?;
    set(path, FOLDER_MODE)
}

fn make_file(path: &Path) -> Result<(), Files> {
    match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        made => drop(made.map_err(Files::at("make", path))?),
    }
    set(path, FILE_MODE)
}

fn set(path: &Path, mode: u32) -> Result<(), Files> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Files::at("set the mode of", path))
}
