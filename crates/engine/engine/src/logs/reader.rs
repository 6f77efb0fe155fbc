//! Reading a log: rotated files from the oldest on, the last lines only, and what is still to come.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::record;
use crate::error::{Error, Kind, Result};
use crate::model::stream::{LogQuery, LogRecord, Output};

/// How long a follower waits before it looks again.
const PAUSE: Duration = Duration::from_millis(50);
const BLOCK: u64 = 64 << 10;

/// The files of a log, open: what is in them is read even when the container is removed meanwhile.
pub struct Log {
    path: PathBuf,
    files: Vec<File>,
}

impl Log {
    /// Opens what there is; blocks. Where something is still to come, the file that will hold it is made if it is not there yet: a
    /// container may write, exit and be removed before a follower looks again.
    pub fn open(path: &Path, to_come: bool) -> Result<Log> {
        let open = || {
            if to_come {
                File::options().append(true).create(true).mode(0o640).open(path)?;
            }
            open_all(path)
        };
        let files = open().map_err(|error| failed(path, error))?;
        Ok(Log { path: path.to_owned(), files })
    }

    /// Sends what the query wants; blocks. A follower ends when `live` says that nothing more will be written, or when
    /// nobody listens.
    pub fn read(self, query: &LogQuery, live: &watch::Receiver<bool>, to: &mpsc::Sender<Result<LogRecord>>) {
        let path = self.path.clone();
        if let Err(error) = self.try_read(query, live, to) {
            // Nobody listening any more is no error to tell.
            let _ = to.blocking_send(Err(failed(&path, error)));
        }
    }

    fn try_read(
        mut self,
        query: &LogQuery,
        live: &watch::Receiver<bool>,
        to: &mpsc::Sender<Result<LogRecord>>,
    ) -> io::Result<()> {
        if let Some(tail) = query.tail {
            keep_tail(&mut self.files, tail)?;
        }
        let mut sink = Sink { query, to, done: false };
        let mut last = None;
        for file in self.files {
            let mut reader = LineReader::new(file)?;
            reader.drain(&mut sink)?;
            last = Some(reader);
        }
        if query.follow && !sink.done {
            follow(&self.path, last, live, &mut sink)?;
        }
        Ok(())
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::because(Kind::Internal, format_args!("read the log {}", path.display()), error)
}

fn follow(
    path: &Path,
    mut current: Option<LineReader>,
    live: &watch::Receiver<bool>,
    sink: &mut Sink<'_>,
) -> io::Result<()> {
    while !sink.done && !sink.to.is_closed() {
        // Looked at before reading: what was written until the end is still read afterwards.
        let ended = !*live.borrow() || live.has_changed().is_err();
        if let Some(reader) = &mut current {
            reader.drain(sink)?;
        }
        let inode = current.as_ref().map(|it| it.inode);
        let renewed = std::fs::metadata(path).is_ok_and(|it| Some(it.ino()) != inode);
        if renewed {
            if let Some(reader) = &mut current {
                reader.drain(sink)?;
            }
            for file in newer_than(path, inode)? {
                let mut reader = LineReader::new(file)?;
                reader.drain(sink)?;
                current = Some(reader);
            }
        } else if ended {
            return Ok(());
        } else {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Files that came after the one with that inode, oldest first; only the newest when it is no longer there.
fn newer_than(path: &Path, inode: Option<u64>) -> io::Result<Vec<File>> {
    let files = open_all(path)?;
    let mut at = None;
    for (index, file) in files.iter().enumerate() {
        if Some(file.metadata()?.ino()) == inode {
            at = Some(index);
        }
    }
    let skip = match at {
        Some(index) => index + 1,
        None if inode.is_some() => 0,
        None => 0,
    };
    Ok(files.into_iter().skip(skip).collect())
}

/// What was moved aside, the oldest first (`path.N` ... `path.1`, or `path.<time>` of a pod's container), then `path`, as far as they exist.
fn open_all(path: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut number = 0;
    loop {
        let name = if number == 0 { path.to_owned() } else { rotated(path, number) };
        match File::open(&name) {
            Ok(file) => files.push(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if number > 0 {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
        number += 1;
    }
    files.reverse();
    if number > 1 {
        return Ok(files);
    }
    aside(path, files)
}

/// The files that whoever runs pods moved aside, before the present one, which may have become one of them meanwhile.
fn aside(path: &Path, present: Vec<File>) -> io::Result<Vec<File>> {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else { return Ok(present) };
    let prefix = format!("{}.", name.to_string_lossy());
    let dated = |name: &str| name.strip_prefix(&prefix).is_some_and(|time| time.len() > 8 && time.contains('-'));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> =
        entries.filter(|entry| dated(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect();
    names.sort();
    let inodes: Vec<u64> = present.iter().filter_map(|file| Some(file.metadata().ok()?.ino())).collect();
    let mut files = Vec::new();
    for name in names {
        match File::open(&name) {
            Ok(file) if inodes.contains(&file.metadata()?.ino()) => {}
            Ok(file) => files.push(file),
            // The oldest go when there are too many.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    files.extend(present);
    Ok(files)
}

fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Moves the files' positions so that only the last lines are read.
fn keep_tail(files: &mut Vec<File>, lines: usize) -> io::Result<()> {
    let mut left = lines;
    for index in (0..files.len()).rev() {
        let (start, found) = tail_start(&mut files[index], left)?;
        files[index].seek(SeekFrom::Start(start))?;
        left -= found;
        if left == 0 {
            files.drain(..index);
            break;
        }
    }
    Ok(())
}

/// Where the last `lines` lines begin, and how many there are.
fn tail_start(file: &mut File, lines: usize) -> io::Result<(u64, usize)> {
    let length = file.metadata()?.len();
    if lines == 0 {
        return Ok((length, 0));
    }
    let mut end = length;
    let mut ends = 0;
    let mut block = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(begin))?;
        block.clear();
        file.by_ref().take(end - begin).read_to_end(&mut block)?;
        for (offset, byte) in block.iter().enumerate().rev() {
            if *byte == b'\n' {
                if ends == lines {
                    return Ok((begin + offset as u64 + 1, lines));
                }
                ends += 1;
            }
        }
        end = begin;
    }
    Ok((0, ends))
}

struct LineReader {
    reader: BufReader<File>,
    inode: u64,
    line: Vec<u8>,
}

impl LineReader {
    fn new(file: File) -> io::Result<LineReader> {
        let inode = file.metadata()?.ino();
        Ok(LineReader { reader: BufReader::with_capacity(BLOCK as usize, file), inode, line: Vec::new() })
    }

    /// Reads complete lines to the end of the file; the beginning of an incomplete one is kept for the next time.
    fn drain(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        while !sink.done {
            if self.reader.read_until(b'\n', &mut self.line)? == 0 || self.line.last() != Some(&b'\n') {
                return Ok(());
            }
            sink.take(&self.line);
            self.line.clear();
        }
        Ok(())
    }
}

struct Sink<'a> {
    query: &'a LogQuery,
    to: &'a mpsc::Sender<Result<LogRecord>>,
    done: bool,
}

impl Sink<'_> {
    fn take(&mut self, line: &[u8]) {
        let Some(record) = record::parse(line, self.query.details) else {
            return;
        };
        if self.query.until.is_some_and(|until| record.time > until) {
            self.done = true;
            return;
        }
        let wanted = match record.output {
            Output::Stdout => self.query.stdout,
            Output::Stderr => self.query.stderr,
        };
        let early = self.query.since.is_some_and(|since| record.time < since);
        if wanted && !early && self.to.blocking_send(Ok(record)).is_err() {
            self.done = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("sampan-log-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Folder(folder)
        }

        fn path(&self) -> PathBuf {
            self.0.join("x.log")
        }

        fn append(&self, range: std::ops::Range<u32>) {
            let mut file = File::options().append(true).create(true).open(self.path()).unwrap();
            for number in range {
                writeln!(file, r#"{{"log":"{number}\n","stream":"stdout","time":"2024-01-01T00:00:{number:02}Z"}}"#)
                    .unwrap();
            }
        }

        fn rotate(&self) {
            for number in (1..5).rev() {
                let from = rotated(&self.path(), number);
                if from.exists() {
                    std::fs::rename(from, rotated(&self.path(), number + 1)).unwrap();
                }
            }
            std::fs::rename(self.path(), rotated(&self.path(), 1)).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn all() -> LogQuery {
        LogQuery { stdout: true, stderr: true, ..LogQuery::default() }
    }

    fn lines(log: &Folder, query: LogQuery) -> Vec<u32> {
        let (send, mut receive) = mpsc::channel(100);
        let (_live, ended) = watch::channel(false);
        Log::open(&log.path(), false).unwrap().read(&query, &ended, &send);
        drop(send);
        let mut lines = Vec::new();
        while let Some(record) = receive.blocking_recv() {
            lines.push(std::str::from_utf8(&record.unwrap().line).unwrap().trim().parse().unwrap());
        }
        lines
    }

    #[test]
    fn rotated_files_are_one_log() {
        let log = Folder::new("rotated");
        log.append(0..3);
        log.rotate();
        log.append(3..5);
        log.rotate();
        log.append(5..6);
        assert_eq!(lines(&log, all()), [0, 1, 2, 3, 4, 5]);
        assert_eq!(lines(&log, LogQuery { tail: Some(2), ..all() }), [4, 5]);
        assert!(lines(&log, LogQuery { tail: Some(0), ..all() }).is_empty());
        let since = "2024-01-01T00:00:02Z".parse().ok();
        let until = "2024-01-01T00:00:03Z".parse().ok();
        assert_eq!(lines(&log, LogQuery { since, until, ..all() }), [2, 3]);
    }

    #[test]
    fn files_that_were_moved_aside_with_their_time_are_one_log() {
        let log = Folder::new("dated");
        log.append(0..3);
        std::fs::rename(log.path(), log.0.join("x.log.20261125-010538.835391")).unwrap();
        log.append(3..5);
        std::fs::rename(log.path(), log.0.join("x.log.20261125-010548.857393")).unwrap();
        log.append(5..6);
        assert_eq!(lines(&log, all()), [0, 1, 2, 3, 4, 5]);
        assert_eq!(lines(&log, LogQuery { tail: Some(2), ..all() }), [4, 5]);
    }

    #[test]
    fn a_follower_misses_nothing_when_files_change() {
        let log = Folder::new("follow");
        log.append(0..2);
        let (send, mut receive) = mpsc::channel(100);
        let (live, watching) = watch::channel(true);
        let path = log.path();
        let query = LogQuery { follow: true, ..all() };
        let opened = Log::open(&path, true).unwrap();
        let follower = std::thread::spawn(move || opened.read(&query, &watching, &send));
        std::thread::sleep(PAUSE * 2);
        log.append(2..4);
        log.rotate();
        log.append(4..5);
        log.rotate();
        log.append(5..6);
        live.send(false).unwrap();
        follower.join().unwrap();
        let mut count = 0;
        while let Some(record) = receive.blocking_recv() {
            assert_eq!(&record.unwrap().line[..], format!("{count}\n").as_bytes());
            count += 1;
        }
        assert_eq!(count, 6);
    }

    #[test]
    fn what_is_written_before_the_log_goes_is_read() {
        let log = Folder::new("removed");
        let (send, mut receive) = mpsc::channel(100);
        let (_live, ended) = watch::channel(false);
        let opened = Log::open(&log.path(), true).unwrap();
        log.append(0..2);
        std::fs::remove_dir_all(&log.0).unwrap();
        opened.read(&LogQuery { follow: true, ..all() }, &ended, &send);
        drop(send);
        let mut count = 0;
        while let Some(record) = receive.blocking_recv() {
            record.unwrap();
            count += 1;
        }
        assert_eq!(count, 2);
    }
}
