//! A connection that speaks D-Bus: one call at a time, and signals between.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::wire::{self, Call, HEAD, Heard, Kind as Message, Writer};

/// What is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The manager itself.
    Private,
    /// A bus that it is on.
    Bus,
}

/// How long an answer and the end of a job are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
const SYSTEMD: &str = "org.freedesktop.systemd1";
const DBUS: &str = "org.freedesktop.DBus";

#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    kind: Kind,
    serial: u32,
    listens: bool,
    /// Ends of jobs that were told before they were asked for: object path and result.
    ended: Vec<(String, String)>,
}

impl Bus {
    pub(super) fn connect(path: &Path, kind: Kind) -> io::Result<Bus> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut bus = Bus { stream, kind, serial: 0, listens: false, ended: Vec::new() };
        bus.log_in()?;
        if kind == Kind::Bus {
            bus.ask(DBUS, "/org/freedesktop/DBus", DBUS, "Hello", "", |_| {})?;
        }
        Ok(bus)
    }

    /// Who we are the other end sees by the socket; the hexadecimal user id must only agree.
    fn log_in(&mut self) -> io::Result<()> {
        let id = rustix::process::geteuid().as_raw().to_string();
        let hex: String = id.bytes().map(|digit| format!("{digit:02x}")).collect();
        self.stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
            if line.len() > 1024 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        match line.starts_with(b"OK ") {
            true => self.stream.write_all(b"BEGIN\r\n"),
            false => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, String::from_utf8_lossy(&line).trim().to_owned()))
            }
        }
    }

    /// Calls a method of the manager and waits for its answer.
    pub(super) fn call(
        &mut self,
        interface: &str,
        member: &str,
        signature: &str,
        body: impl FnOnce(&mut Writer),
    ) -> io::Result<Heard> {
        self.ask(SYSTEMD, "/org/freedesktop/systemd1", interface, member, signature, body)
    }

    /// From now on ends of jobs are told.
    pub(super) fn listen_to_jobs(&mut self) -> io::Result<()> {
        if self.listens {
            return Ok(());
        }
        if self.kind == Kind::Bus {
            let rule = "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
            self.ask(DBUS, "/org/freedesktop/DBus", DBUS, "AddMatch", "s", |body| body.string(rule))?;
        }
        self.call(super::MANAGER, "Subscribe", "", |_| {})?;
        self.listens = true;
        Ok(())
    }

    /// Waits until a job has ended well.
    pub(super) fn wait_for_job(&mut self, job: &str) -> io::Result<()> {
        let start = Instant::now();
        loop {
            if let Some(at) = self.ended.iter().position(|(path, _)| path == job) {
                return match self.ended.swap_remove(at).1.as_str() {
                    "done" => Ok(()),
                    other => Err(io::Error::other(format!("the job's result is {other:?}"))),
                };
            }
            if start.elapsed() > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let heard = self.hear()?;
            self.take_signal(&heard);
        }
    }

    fn ask(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        signature: &str,
        body: impl FnOnce(&mut Writer),
    ) -> io::Result<Heard> {
        self.serial += 1;
        let serial = self.serial;
        let destination = (self.kind == Kind::Bus).then_some(destination);
        let message = Call { serial, destination, path, interface, member, signature }.message(body);
        self.stream.write_all(&message)?;
        loop {
            let heard = self.hear()?;
            match heard.kind {
                Message::Answer if heard.answers == serial => return Ok(heard),
                Message::Failure if heard.answers == serial => {
                    let text = heard.object_path().unwrap_or_default();
                    return Err(io::Error::other(format!("{text} ({})", heard.error)));
                }
                _ => self.take_signal(&heard),
            }
        }
    }

    fn hear(&mut self) -> io::Result<Heard> {
        let mut head = [0; HEAD];
        self.stream.read_exact(&mut head)?;
        let mut rest = vec![0; wire::rest(&head)?];
        self.stream.read_exact(&mut rest)?;
        Heard::parse(&head, &rest)
    }

    /// JobRemoved: number, object path, unit, result.
    fn take_signal(&mut self, heard: &Heard) {
        if heard.kind != Message::Signal || heard.member != "JobRemoved" {
            return;
        }
        let mut reader = heard.reader();
        let values = (reader.u32(), reader.string(), reader.string(), reader.string());
        if let (Ok(_), Ok(job), Ok(_), Ok(result)) = values {
            self.ended.push((job, result));
        }
    }
}
