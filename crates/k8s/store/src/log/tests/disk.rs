//! A disk in memory that can lose power and space.

use super::Dice;
use crate::log::files::{File, Files};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// The disk; clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Sim(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    /// Changes of names since the directory's last sync.
    renames: Vec<BTreeMap<String, usize>>,
    /// After so many operations the power is gone.
    power: Option<usize>,
    /// Bytes that files may have together.
    space: Option<usize>,
    /// Syncs fail from now on.
    pub(super) rotten: bool,
}

#[derive(Clone, Default)]
struct Content {
    now: Vec<u8>,
    safe: Vec<u8>,
    unsafe_writes: Vec<(usize, Vec<u8>)>,
}

impl Sim {
    pub(super) fn set_power(&self, operations: Option<usize>) {
        self.0.lock().unwrap().power = operations;
    }

    pub(super) fn set_space(&self, bytes: Option<usize>) {
        self.0.lock().unwrap().space = bytes;
    }

    pub(super) fn rot(&self) {
        self.0.lock().unwrap().rotten = true;
    }

    pub(super) fn used(&self) -> usize {
        let state = self.0.lock().unwrap();
        state.names.values().map(|file| state.files[*file].now.len()).sum()
    }

    /// What is left when the power comes back: of what was not synced, anything.
    pub(super) fn after_power_cut(&self, dice: &mut Dice) -> Sim {
        let state = self.0.lock().unwrap();
        let kept = dice.below(state.renames.len() + 1);
        let names = kept.checked_sub(1).map_or(&state.safe_names, |last| &state.renames[last]).clone();
        let mut files = Vec::new();
        for file in &state.files {
            let mut bytes = file.safe.clone();
            for (offset, write) in &file.unsafe_writes {
                tear(&mut bytes, *offset, write, dice);
            }
            files.push(Content { now: bytes.clone(), safe: bytes, unsafe_writes: Vec::new() });
        }
        let state = State { files, safe_names: names.clone(), names, ..State::default() };
        Sim(Arc::new(Mutex::new(state)))
    }

    /// The bytes of a file, to damage them.
    pub(super) fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock().unwrap();
        let file = state.names[name];
        edit(&mut state.files[file].now);
    }

    fn step<T>(&self, what: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.0.lock().unwrap();
        match &mut state.power {
            Some(0) => return Err(io::Error::other("the power is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        what(&mut state)
    }

    fn handle(&self, file: usize) -> Box<dyn File> {
        Box::new(Handle { sim: self.clone(), file })
    }
}

/// Applies a write that was never synced: not, wholly, up to some byte, or some sectors of it.
fn tear(bytes: &mut Vec<u8>, offset: usize, write: &[u8], dice: &mut Dice) {
    let until = match dice.below(4) {
        0 => return,
        1 => write.len(),
        2 => dice.below(write.len() + 1),
        _ => {
            for (number, sector) in write.chunks(512).enumerate() {
                if dice.below(2) == 0 {
                    put(bytes, offset + number * 512, sector);
                }
            }
            return;
        }
    };
    put(bytes, offset, &write[..until]);
}

fn put(bytes: &mut Vec<u8>, offset: usize, write: &[u8]) {
    if bytes.len() < offset + write.len() {
        bytes.resize(offset + write.len(), 0);
    }
    bytes[offset..offset + write.len()].copy_from_slice(write);
}

impl State {
    fn file(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn renamed(&mut self) {
        self.renames.push(self.names.clone());
    }
}

impl Files for Sim {
    fn list(&self) -> io::Result<Vec<String>> {
        self.step(|state| Ok(state.names.keys().cloned().collect()))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.step(|state| state.file(name)).map(|file| self.handle(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = self.step(|state| {
            state.files.push(Content::default());
            state.names.insert(name.to_string(), state.files.len() - 1);
            state.renamed();
            Ok(state.files.len() - 1)
        })?;
        Ok(self.handle(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(|state| {
            let file = state.file(from)?;
            state.names.remove(from);
            state.names.insert(to.to_string(), file);
            state.renamed();
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(|state| {
            state.file(name)?;
            state.names.remove(name);
            state.renamed();
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.step(|state| {
            state.safe_names = state.names.clone();
            state.renames.clear();
            Ok(())
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/sim").join(name)
    }
}

struct Handle {
    sim: Sim,
    file: usize,
}

impl File for Handle {
    fn size(&self) -> io::Result<u64> {
        self.sim.step(|state| Ok(state.files[self.file].now.len() as u64))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.sim.step(|state| {
            let rest = state.files[self.file].now.get(offset as usize..).unwrap_or(&[]);
            let len = rest.len().min(into.len());
            into[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let last = {
            let state = self.sim.0.lock().unwrap();
            state.power == Some(0)
        };
        let done = self.sim.step(|state| {
            let used: usize = state.names.values().map(|file| state.files[*file].now.len()).sum();
            let file = &mut state.files[self.file];
            let grows = (offset as usize + bytes.len()).saturating_sub(file.now.len());
            let room = state.space.map_or(usize::MAX, |space| space.saturating_sub(used));
            let fits = if grows > room { bytes.len() - (grows - room).min(bytes.len()) } else { bytes.len() };
            put(&mut file.now, offset as usize, &bytes[..fits]);
            file.unsafe_writes.push((offset as usize, bytes[..fits].to_vec()));
            if fits < bytes.len() { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
        });
        if last {
            // the power went while this was being written
            let mut state = self.sim.0.lock().unwrap();
            state.files[self.file].unsafe_writes.push((offset as usize, bytes.to_vec()));
        }
        done
    }

    fn sync(&self) -> io::Result<()> {
        self.sim.step(|state| {
            if state.rotten {
                return Err(io::Error::other("the disk is rotten"));
            }
            let file = &mut state.files[self.file];
            file.safe = file.now.clone();
            file.unsafe_writes.clear();
            Ok(())
        })
    }
}
