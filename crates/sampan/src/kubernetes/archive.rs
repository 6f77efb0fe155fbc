//! The file of a backup: a tar of the cluster's keys (`pki/*`), their sums (`pki.sha256`), and all objects (`store`).
//!
//! The sums are as `sha256sum` writes and checks them; the objects carry checksums of their own. Keys come first, so that the objects can be
//! written into the file as they are read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::at;

pub const STORE: &str = "store";
pub const SUMS: &str = "pki.sha256";
pub const KEYS: &str = "pki/";
/// No key or certificate is larger.
const LARGEST: u64 = 1 << 20;
const BLOCK: u64 = 512;

/// A key or certificate, by its name in the folder.
pub struct Key {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The files of a folder of keys; none where there is no folder.
pub fn keys(dir: &Path) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(keys),
        Err(error) => return Err(error).with_context(at("read", dir)),
    };
    for entry in entries {
        let path = entry.with_context(at("read", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        // what is being written goes on under another name
        if path.is_file() && !name.starts_with('.') && !name.ends_with(".new") {
            keys.push(Key { bytes: std::fs::read(&path).with_context(at("read", &path))?, name });
        }
    }
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(keys)
}

/// Writes a backup; `save` writes the objects.
pub fn write<T>(mut file: &File, keys: &[Key], save: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    for key in keys {
        append(file, &format!("{KEYS}{}", key.name), &key.bytes)?;
    }
    let sums: String = keys.iter().map(|key| format!("{}  {KEYS}{}\n", sum(&key.bytes), key.name)).collect();
    append(file, SUMS, sums.as_bytes())?;
    // Their size is known when they are written.
    let start = file.stream_position()?;
    file.write_all(&[0; BLOCK as usize])?;
    let mut out = io::BufWriter::with_capacity(1 << 20, file);
    let saved = save(&mut out)?;
    out.flush()?;
    drop(out);
    let end = file.stream_position()?;
    file.write_all(&vec![0; (padding(end - start) + 2 * BLOCK) as usize])?;
    file.seek(SeekFrom::Start(start))?;
    file.write_all(header(STORE, end - start - BLOCK)?.as_bytes())?;
    file.sync_all()?;
    Ok(saved)
}

/// Reads a backup: `take` gets the objects; the keys are answered, verified.
pub fn read<T>(path: &Path, take: impl FnOnce(&mut dyn Read) -> Result<T>) -> Result<(Vec<Key>, T)> {
    let file = File::open(path).with_context(at("open", path))?;
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(1 << 20, file));
    let (mut keys, mut sums) = (Vec::new(), None);
    for entry in archive.entries().with_context(at("read", path))? {
        let mut entry = entry.with_context(|| format!("{} is no backup, or damaged", path.display()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name == STORE {
            let sums: String = sums.with_context(|| format!("{} is damaged: {SUMS} is missing", path.display()))?;
            verify(path, &keys, &sums)?;
            return Ok((keys, take(&mut entry)?));
        }
        let mut bytes = Vec::new();
        (&mut entry).take(LARGEST).read_to_end(&mut bytes).with_context(at("read", path))?;
        match name.strip_prefix(KEYS) {
            Some(key) if !key.is_empty() && !key.contains('/') && !key.starts_with('.') => {
                keys.push(Key { name: key.to_owned(), bytes });
            }
            None if name == SUMS => sums = Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => bail!("{} is no backup of a cluster: it holds {name:?}", path.display()),
        }
    }
    bail!("{} is no whole backup of a cluster: the objects are missing", path.display())
}

fn append(mut file: &File, name: &str, bytes: &[u8]) -> Result<()> {
    file.write_all(header(name, bytes.len() as u64)?.as_bytes())?;
    file.write_all(bytes)?;
    Ok(file.write_all(&vec![0; padding(bytes.len() as u64) as usize])?)
}

fn padding(length: u64) -> u64 {
    length.next_multiple_of(BLOCK) - length
}

fn verify(path: &Path, keys: &[Key], sums: &str) -> Result<()> {
    let lines: Vec<&str> = sums.lines().collect();
    for key in keys {
        let line = format!("{}  {KEYS}{}", sum(&key.bytes), key.name);
        ensure!(lines.contains(&line.as_str()), "{} is damaged: {KEYS}{} is not what it was", path.display(), key.name);
    }
    ensure!(lines.len() == keys.len(), "{} is damaged: a key is missing", path.display());
    Ok(())
}

fn header(name: &str, size: u64) -> Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).with_context(|| format!("the name {name}"))?;
    header.set_mode(0o600);
    header.set_size(size);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
