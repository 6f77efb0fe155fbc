//! The log as a whole: format, rotation, a full disk, and a supervisor that dies at every point.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};

use super::*;
use crate::types::JsonFile;

fn spool_of(bytes: &[u8]) -> Spool {
    let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
    let mut spool = Spool::new().unwrap();
    for chunk in bytes.chunks(4096) {
        rustix::io::write(&writer, chunk).unwrap();
        while let crate::spool::Fill::Moved(_) = spool.fill(reader.as_fd(), 65536).unwrap() {}
    }
    spool
}

fn config(path: &Path, max_size: Option<u64>, max_file: u32) -> LogConfig {
    LogConfig::JsonFile(JsonFile { max_size, max_file, ..JsonFile::bounded(path) })
}

fn log_all(logger: &mut Logger, spool: &Spool, ended: bool) {
    let mut scratch = vec![0; 65536];
    logger.log(&[Some(Source { spool, ended }), None], &mut scratch);
}

fn messages(path: &Path) -> Vec<String> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["log"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn lines_are_logged_when_complete_and_the_rest_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let spool = spool_of(b"one\n\ntwo");
    let mut logger = Logger::new(&config(&path, None, 1)).unwrap();
    log_all(&mut logger, &spool, false);
    assert_eq!(messages(&path), ["one\n", "\n"]);
    log_all(&mut logger, &spool, true);
    assert_eq!(messages(&path), ["one\n", "\n", "two"]);
    assert_eq!(logger.logged()[0], 8);
}

#[test]
fn a_long_line_becomes_pieces_of_16_kib() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut text = vec![b'x'; 40_000];
    text.push(b'\n');
    let mut logger = Logger::new(&config(&path, None, 1)).unwrap();
    log_all(&mut logger, &spool_of(&text), false);
    let lengths: Vec<usize> = messages(&path).iter().map(String::len).collect();
    assert_eq!(lengths, [16384, 16384, 7233]);
}

#[test]
fn more_than_the_scratch_is_logged_completely() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let text: String = (0..60_000).map(|n| format!("line {n}\n")).collect();
    let mut logger = Logger::new(&config(&path, None, 1)).unwrap();
    log_all(&mut logger, &spool_of(text.as_bytes()), false);
    assert_eq!(messages(&path).concat(), text);
}

#[test]
fn rotation_keeps_the_newest_files_within_their_bound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let text: String = (0..1000).map(|n| format!("line {n:05}\n")).collect();
    let mut logger = Logger::new(&config(&path, Some(10_000), 3)).unwrap();
    log_all(&mut logger, &spool_of(text.as_bytes()), false);
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["log", "log.1", "log.2"]);
    let mut kept = messages(&dir.path().join("log.2"));
    kept.extend(messages(&dir.path().join("log.1")));
    kept.extend(messages(&path));
    assert!(text.ends_with(&kept.concat()));
    for name in names {
        assert!(fs::metadata(dir.path().join(name)).unwrap().len() < 10_200);
    }
}

#[test]
fn one_file_is_begun_anew_when_full() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut logger = Logger::new(&config(&path, Some(100), 1)).unwrap();
    log_all(&mut logger, &spool_of(b"a\nb\nc\nd\ne\n"), false);
    assert_eq!(messages(&path).last().unwrap(), "e\n");
    assert!(fs::metadata(&path).unwrap().len() < 200);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_log_that_cannot_be_written_drops_counts_and_tells() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not-yet").join("log");
    let mut logger = Logger::new(&config(&path, None, 1)).unwrap();
    let spool = spool_of(b"lost\nlost too\n");
    log_all(&mut logger, &spool, false);
    assert_eq!(logger.dropped(), 14);
    assert_eq!(logger.logged()[0], 14);
    fs::create_dir(path.parent().unwrap()).unwrap();
    let mut successor = Logger::adopt(
        &config(&path, None, 1),
        Journal::adopt(logger.journal().as_fd().try_clone_to_owned().unwrap()),
        [spool.end(), 0],
    )
    .unwrap();
    let spool = spool_of(b"lost\nlost too\nkept\n");
    log_all(&mut successor, &spool, false);
    let found = messages(&path);
    assert!(found[0].contains("14 bytes of output are not in this log"), "{found:?}");
    assert_eq!(found[1..], ["kept\n"]);
    assert_eq!(successor.dropped(), 0);
}

#[test]
fn a_full_disk_leaves_no_half_line() {
    let full = Path::new("/dev/full");
    let mut logger = Logger::new(&config(full, None, 1)).unwrap();
    log_all(&mut logger, &spool_of(b"x\n"), false);
    assert_eq!(logger.dropped(), 2);
}

/// Every length the log can have when the supervisor is killed during a batch ends in the same log.
#[test]
fn death_at_any_byte_of_a_batch_repeats_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let spool = spool_of(b"first\nsecond\nthird\nunfinished");
    let mut logger = Logger::new(&config(&path, None, 1)).unwrap();
    log_all(&mut logger, &spool, false);
    let complete = fs::read(&path).unwrap();
    let journal = logger.journal().as_fd().try_clone_to_owned().unwrap();
    for cut in 0..=complete.len() {
        fs::write(&path, &complete[..cut]).unwrap();
        let journal = Journal::adopt(journal.try_clone().unwrap());
        let mut successor = Logger::adopt(&config(&path, None, 1), journal, [spool.end(), 0]).unwrap();
        log_all(&mut successor, &spool, true);
        assert_eq!(messages(&path), ["first\n", "second\n", "third\n", "unfinished"], "cut at {cut}");
        // The record now tells of the successor's batches; put the first one back.
        logger
            .journal()
            .record(&Batch { before: [0, 0], after: [19, 0], log_length: 0, length: complete.len() as u64, dropped: 0 })
            .unwrap();
    }
}
