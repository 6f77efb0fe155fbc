//! Streams on real pipes and terminals: fan-out, back-pressure, detach, and a successor that goes on.

use std::io::Write as _;
use std::path::Path;

use super::*;
use crate::types::{JsonFile, WindowSize};

const BOTH: Streams = Streams { stdin: false, stdout: true, stderr: true };

fn received(socket: &OwnedFd) -> (Vec<u8>, Vec<u8>, bool) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut packet = vec![0; 65536];
    loop {
        match rustix::io::read(socket, &mut packet) {
            Ok(0) => return (out, err, true),
            Ok(n) if packet[0] == 1 => out.extend_from_slice(&packet[crate::feed::HEAD..n]),
            Ok(n) => err.extend_from_slice(&packet[crate::feed::HEAD..n]),
            Err(Errno::AGAIN) => return (out, err, false),
            Err(error) => panic!("{error}"),
        }
    }
}

fn write(fd: &OwnedFd, bytes: &[u8]) {
    assert_eq!(rustix::io::write(fd, bytes).unwrap(), bytes.len());
}

fn json(path: &Path) -> LogConfig {
    LogConfig::JsonFile(JsonFile::bounded(path))
}

fn hand_over(old: Stdio, log: &LogConfig) -> Stdio {
    let fds = old.descriptors().into_iter().map(|(role, fd)| (role, fd.try_clone_to_owned().unwrap())).collect();
    let feeds: Vec<_> =
        old.feeds().iter().map(|f| (f.id, f.streams, f.slot, f.as_fd().try_clone_to_owned().unwrap())).collect();
    drop(old);
    let mut new = Stdio::adopt(log, fds).unwrap();
    for (id, streams, slot, socket) in feeds {
        new.adopt_feed(id, streams, slot, socket).unwrap();
    }
    new
}

#[test]
fn every_observer_gets_both_streams_and_the_end() {
    let mut scratch = vec![0; 65536];
    let (mut stdio, ends) = Stdio::new(Io::Pipes { stdin: false }, &LogConfig::None).unwrap();
    let [_, out, err] = ends.unwrap();
    let first = stdio.attach(1, BOTH).unwrap();
    write(&out, b"hello");
    stdio.turn(&mut scratch);
    let second = stdio.attach(2, Streams { stderr: false, ..BOTH }).unwrap();
    write(&err, b"oops");
    write(&out, b"more");
    stdio.turn(&mut scratch);
    drop((out, err));
    stdio.turn(&mut scratch);
    assert!(stdio.ended());
    stdio.finish_feeds();
    assert_eq!(received(&first), (b"hellomore".to_vec(), b"oops".to_vec(), true));
    assert_eq!(received(&second), (b"more".to_vec(), b"".to_vec(), true));
}

#[test]
fn a_slow_observer_holds_back_and_loses_nothing() {
    let mut scratch = vec![0; 65536];
    let (mut stdio, ends) = Stdio::new(Io::Pipes { stdin: false }, &LogConfig::None).unwrap();
    let [_, out, _err] = ends.unwrap();
    set_nonblocking(out.as_fd()).unwrap();
    let slow = stdio.attach(1, BOTH).unwrap();
    let mut sent = Vec::new();
    for n in 0..400_u32 {
        let chunk = [u8::try_from(n % 251).unwrap(); 4096];
        if rustix::io::write(&out, &chunk).is_err() {
            break;
        }
        sent.extend_from_slice(&chunk);
        stdio.turn(&mut scratch);
    }
    let wants = stdio.wants();
    assert_eq!((wants.read[0], &wants.blocked[..]), (false, &[1][..]));
    assert!(sent.len() < 1 << 20, "the process was never held back");
    let mut got = Vec::new();
    drop(out);
    for _ in 0..1000 {
        got.extend(received(&slow).0);
        stdio.turn(&mut scratch);
    }
    got.extend(received(&slow).0);
    assert_eq!(got, sent);
}

#[test]
fn an_observer_that_goes_leaves_the_others() {
    let mut scratch = vec![0; 65536];
    let (mut stdio, ends) = Stdio::new(Io::Pipes { stdin: false }, &LogConfig::None).unwrap();
    let [_, out, _err] = ends.unwrap();
    drop(stdio.attach(1, BOTH).unwrap());
    let stays = stdio.attach(2, BOTH).unwrap();
    write(&out, b"x");
    stdio.turn(&mut scratch);
    assert_eq!(stdio.feeds().len(), 1);
    assert_eq!(received(&stays).0, b"x");
}

#[test]
fn a_successor_goes_on_with_log_and_observers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut scratch = vec![0; 65536];
    let (mut stdio, ends) = Stdio::new(Io::Pipes { stdin: true }, &json(&path)).unwrap();
    let [stdin, out, err] = ends.unwrap();
    let observer = stdio.attach(7, BOTH).unwrap();
    let mut expected = String::new();
    for n in 0..50 {
        let text = format!("line {n}\nhalf of ");
        write(&out, text.as_bytes());
        expected.push_str(&text);
        match n % 3 {
            0 => drop(stdio.turn(&mut scratch)),
            1 => drop(stdio.fill(false)),
            _ => {}
        }
        stdio = hand_over(stdio, &json(&path));
    }
    drop((out, err));
    stdio.drain(false, &mut scratch);
    assert!(stdio.ended());
    stdio.finish_feeds();
    assert_eq!(String::from_utf8(received(&observer).0).unwrap(), expected);
    let logged: String = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["log"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(logged, expected);
    drop(stdio);
    let mut rest = [0; 8];
    assert_eq!(rustix::io::read(&stdin, &mut rest).unwrap(), 0);
}

#[test]
fn a_terminal_is_read_through_the_relay_and_survives_a_hand_over() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let mut scratch = vec![0; 65536];
    let io = Io::Terminal { size: Some(WindowSize { rows: 24, columns: 80 }) };
    let (mut stdio, ends) = Stdio::new(io, &LogConfig::None).unwrap();
    assert!(ends.is_none());
    let observer = stdio.attach(1, BOTH).unwrap();
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let mut slave = std::fs::OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    stdio.set_terminal(master).unwrap();
    slave.write_all(b"to the screen\n").unwrap();
    assert!(stdio.turn(&mut scratch).read[0]);
    stdio = hand_over(stdio, &LogConfig::None);
    slave.write_all(b"again\n").unwrap();
    stdio.turn(&mut scratch);
    assert_eq!(received(&observer).0, b"to the screen\r\nagain\r\n");
    drop(slave);
    assert!(stdio.turn(&mut scratch).retry);
    assert!(!stdio.ended());
    stdio.drain(false, &mut scratch);
    assert!(stdio.ended());
}
