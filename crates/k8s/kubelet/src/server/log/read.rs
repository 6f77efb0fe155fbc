//! Reads the files of a log from where a client wants it, and goes on where it follows.

use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{mpsc, watch};

use super::entry;
use super::watch::Watching;

/// How much is read at once.
const PIECE: usize = 64 * 1024;
/// How long a line may be before it is handed on as it is; longer than any entry that is written.
const LINE: usize = 1 << 20;

/// What of a log is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    pub follow: bool,
    pub timestamps: bool,
    /// Entries from the end.
    pub tail: Option<u64>,
    /// Bytes of the answer.
    pub limit: Option<u64>,
    pub since: Option<Timestamp>,
    /// `stdout` or `stderr`, where only one is wanted.
    pub stream: Option<&'static str>,
}

/// A log on its way to a client.
pub struct Reading {
    /// What is written now.
    pub path: PathBuf,
    pub options: Options,
    /// Tells of changes, where it is followed.
    pub watching: Option<Watching>,
    /// Becomes true when nothing more will be written.
    pub ended: watch::Receiver<bool>,
    pub out: mpsc::Sender<Bytes>,
}

/// The client has all it wants, or is gone.
struct Enough;

impl Reading {
    /// Sends everything; returns at the end of the log, of what was wanted, or of the client.
    pub async fn run(mut self) {
        let mut lines = Lines {
            options: self.options.clone(),
            pending: BytesMut::new(),
            out: BytesMut::new(),
            sent: 0,
            midway: false,
        };
        let Some((mut file, mut inode)) = begin(&self.path, &self.options).await else { return };
        loop {
            // asked before reading: what was written until the end is read after it
            let ended = *self.ended.borrow_and_update();
            if self.read(&mut file, &mut lines).await.is_err() {
                return;
            }
            if let Some(next) = after(&self.path, inode).await {
                // what was written between the last look and the move aside
                if self.read(&mut file, &mut lines).await.is_err() {
                    return;
                }
                (file, inode) = next;
                continue;
            }
            let Some(watching) = self.watching.as_mut().filter(|_| !ended) else { return };
            tokio::select! {
                () = watching.changed() => {}
                changed = self.ended.changed() => if changed.is_err() { return },
                () = self.out.closed() => return,
            }
        }
    }

    /// Sends what there is in a file.
    async fn read(&self, file: &mut File, lines: &mut Lines) -> Result<(), Enough> {
        let mut buffer = BytesMut::with_capacity(PIECE);
        loop {
            buffer.reserve(PIECE);
            let read = file.read_buf(&mut buffer).await.map_err(|error| {
                tracing::warn!(path = %self.path.display(), %error, "a log cannot be read");
                Enough
            })?;
            let piece = buffer.split();
            let more = lines.take(&piece);
            if lines.out.len() >= PIECE / 2 || read == 0 || more.is_err() {
                let out = lines.out.split().freeze();
                if !out.is_empty() {
                    self.out.send(out).await.map_err(|_| Enough)?;
                }
            }
            more?;
            if read == 0 {
                return Ok(());
            }
        }
    }
}

/// Makes lines of bytes, and an answer of lines.
struct Lines {
    options: Options,
    /// A line whose end did not come yet.
    pending: BytesMut,
    out: BytesMut,
    sent: u64,
    /// The entry before was partial.
    midway: bool,
}

impl Lines {
    fn take(&mut self, piece: &[u8]) -> Result<(), Enough> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, more) = (&rest[..end], &rest[end + 1..]);
            rest = more;
            if self.pending.is_empty() {
                self.line(line)?;
            } else {
                self.pending.extend_from_slice(line);
                let line = self.pending.split();
                self.line(&line)?;
            }
        }
        self.pending.extend_from_slice(rest);
        if self.pending.len() > LINE {
            let line = self.pending.split();
            self.put(&line)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Enough> {
        let Some(entry) = entry::parse(line) else {
            self.put(line)?;
            return self.put(b"\n");
        };
        if self.options.stream.is_some_and(|stream| stream != entry.stream) {
            return Ok(());
        }
        if let Some(since) = self.options.since {
            if entry.time.parse::<Timestamp>().is_ok_and(|time| time < since) {
                return Ok(());
            }
            // later ones are later
            self.options.since = None;
        }
        if self.options.timestamps && !self.midway {
            self.put(entry.time.as_bytes())?;
            self.put(b" ")?;
        }
        self.put(entry.text)?;
        self.midway = entry.partial;
        if entry.partial { Ok(()) } else { self.put(b"\n") }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Enough> {
        let left = self.options.limit.map_or(u64::MAX, |limit| limit - self.sent);
        let length = (bytes.len() as u64).min(left) as usize;
        self.out.extend_from_slice(&bytes[..length]);
        self.sent += length as u64;
        if self.options.limit == Some(self.sent) { Err(Enough) } else { Ok(()) }
    }
}

/// The files of a log, the oldest first.
async fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        && let Ok(mut entries) = tokio::fs::read_dir(folder).await
    {
        while let Ok(Some(entry)) = entries.next_entry().await {
            let moved = entry.file_name().to_str().is_some_and(|other| {
                other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') && !rest.ends_with(".gz"))
            });
            if moved {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found.push(path.to_owned());
    found
}

async fn open(path: &Path) -> Option<(File, u64)> {
    let file = File::open(path).await.ok()?;
    let inode = file.metadata().await.ok()?.ino();
    Some((file, inode))
}

/// The file that comes after one; the oldest where that one is gone.
async fn after(path: &Path, inode: u64) -> Option<(File, u64)> {
    if std::fs::metadata(path).is_ok_and(|about| about.ino() == inode) {
        return None;
    }
    let mut all = Vec::new();
    for path in files(path).await {
        all.extend(open(&path).await);
    }
    let position = all.iter().position(|(_, other)| *other == inode);
    let next = position.map_or(0, |position| position + 1);
    (next < all.len()).then(|| all.swap_remove(next))
}

/// The file to begin with, at the place to begin at.
async fn begin(path: &Path, options: &Options) -> Option<(File, u64)> {
    let files = files(path).await;
    let Some(tail) = options.tail else {
        for path in &files {
            // what was moved aside before the time that is wanted holds nothing of it
            let older = options
                .since
                .is_some_and(|since| std::fs::metadata(path).is_ok_and(|about| about.mtime() + 1 < since.as_second()));
            if !older && let Some(opened) = open(path).await {
                return Some(opened);
            }
        }
        return open(path).await;
    };
    let (mut left, mut first) = (tail, None);
    for path in files.iter().rev() {
        let Some((mut file, inode)) = open(path).await else { continue };
        let (offset, lines) = from_end(&mut file, left).await.ok()?;
        file.seek(SeekFrom::Start(offset)).await.ok()?;
        first = Some((file, inode));
        left -= lines;
        if offset > 0 || left == 0 {
            break;
        }
    }
    first
}

/// Where the last `wanted` lines of a file begin, and how many there are of them.
async fn from_end(file: &mut File, wanted: u64) -> std::io::Result<(u64, u64)> {
    let end = file.metadata().await?.len();
    let (mut at, mut lines) = (end, 0);
    let mut buffer = vec![0; PIECE];
    if wanted == 0 {
        return Ok((end, 0));
    }
    while at > 0 {
        let length = at.min(PIECE as u64);
        at -= length;
        file.seek(SeekFrom::Start(at)).await?;
        let piece = &mut buffer[..length as usize];
        file.read_exact(piece).await?;
        for (index, _) in piece.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let next = at + index as u64 + 1;
            // the line feed of the last line begins no line
            if next == end {
                continue;
            }
            lines += 1;
            if lines == wanted {
                return Ok((next, lines));
            }
        }
    }
    Ok((0, if end > 0 { lines + 1 } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::super::watch::Watcher;
    use super::*;

    fn line(second: u32, stream: &str, tag: &str, text: &str) -> String {
        format!("2026-11-24T12:00:{second:02}.000000001Z {stream} {tag} {text}\n")
    }

    fn write(path: &Path, lines: &[String]) {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(lines.concat().as_bytes()).unwrap();
    }

    async fn read(path: &Path, options: Options) -> String {
        let (out, mut pieces) = mpsc::channel(8);
        let (_sender, ended) = watch::channel(true);
        let reading = Reading { path: path.to_owned(), options, watching: None, ended, out };
        let running = tokio::spawn(reading.run());
        let mut said = Vec::new();
        while let Some(piece) = pieces.recv().await {
            said.extend_from_slice(&piece);
        }
        running.await.unwrap();
        String::from_utf8(said).unwrap()
    }

    fn log() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        write(
            &folder.path().join("0.log.20261124-120000"),
            &[line(1, "stdout", "F", "one"), line(2, "stderr", "F", "two")],
        );
        write(&path, &[line(3, "stdout", "P", "thr"), line(3, "stdout", "F", "ee"), line(4, "stdout", "F", "four")]);
        (folder, path)
    }

    #[tokio::test]
    async fn options_say_what_is_read() {
        let (_folder, path) = log();
        let none = Options::default();
        let since = Some("2026-11-24T12:00:03Z".parse().unwrap());
        for (options, wanted) in [
            (none.clone(), "one\ntwo\nthree\nfour\n"),
            (Options { tail: Some(0), ..none.clone() }, ""),
            (Options { tail: Some(1), ..none.clone() }, "four\n"),
            (Options { tail: Some(4), ..none.clone() }, "two\nthree\nfour\n"),
            (Options { tail: Some(99), ..none.clone() }, "one\ntwo\nthree\nfour\n"),
            (Options { limit: Some(6), ..none.clone() }, "one\ntw"),
            (Options { stream: Some("stderr"), ..none.clone() }, "two\n"),
            (Options { since, ..none.clone() }, "three\nfour\n"),
            (
                Options { timestamps: true, tail: Some(3), ..none.clone() },
                "2026-11-24T12:00:03.000000001Z three\n2026-11-24T12:00:04.000000001Z four\n",
            ),
        ] {
            assert_eq!(read(&path, options.clone()).await, wanted, "{options:?}");
        }
    }

    #[tokio::test]
    async fn who_follows_reads_on_over_files_moved_aside_until_the_end() {
        let (folder, path) = log();
        let watcher = Watcher::default();
        let (out, mut pieces) = mpsc::channel(8);
        let (end, ended) = watch::channel(false);
        let options = Options { follow: true, tail: Some(1), ..Options::default() };
        let reading = Reading { path: path.clone(), options, watching: watcher.watch(&path), ended, out };
        let running = tokio::spawn(reading.run());
        assert_eq!(pieces.recv().await.unwrap(), "four\n");
        write(&path, &[line(5, "stdout", "F", "five")]);
        assert_eq!(pieces.recv().await.unwrap(), "five\n");
        std::fs::rename(&path, folder.path().join("0.log.20261124-120005")).unwrap();
        write(&path, &[line(6, "stdout", "F", "six")]);
        assert_eq!(pieces.recv().await.unwrap(), "six\n");
        write(&path, &[line(7, "stdout", "F", "seven")]);
        end.send_replace(true);
        assert_eq!(pieces.recv().await.unwrap(), "seven\n");
        running.await.unwrap();
        assert_eq!(pieces.recv().await, None);
    }

    #[tokio::test]
    async fn who_follows_and_leaves_is_noticed() {
        let (_folder, path) = log();
        let watcher = Watcher::default();
        let (out, mut pieces) = mpsc::channel(8);
        let (_end, ended) = watch::channel(false);
        let options = Options { follow: true, tail: Some(1), ..Options::default() };
        let reading = Reading { path: path.clone(), options, watching: watcher.watch(&path), ended, out };
        let running = tokio::spawn(reading.run());
        pieces.recv().await.unwrap();
        drop(pieces);
        running.await.unwrap();
    }
}
