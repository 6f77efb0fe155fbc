//! Being there while a process runs: its end, signals to it, and its terminal.

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::error::{AtStep, Result};

/// How much may wait on its way to a terminal before no more is read.
const BUFFER: usize = 16 * 1024;

/// Waits for the end of a child and returns its exit code, 128 and the signal if one has ended it.
///
/// Every signal must be blocked ([`sys::signals::block_all`]); they are passed on. With a terminal, standard input and
/// output are connected to it until then.
pub(super) fn wait(child: BorrowedFd<'_>, terminal: Option<OwnedFd>) -> Result<u8> {
    let signals = sys::signals::descriptor().at(|| "watch signals")?;
    let mut relay = terminal.map(Relay::new).transpose()?;
    loop {
        let mut fds = vec![PollFd::new(&child, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        if let Some(relay) = &relay {
            fds.extend(relay.interest());
        }
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            result => result.at(|| "wait for the process")?,
        };
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        if ready[1].contains(PollFlags::IN) {
            pass_signals_on(child, relay.as_ref())?;
        }
        if let Some(relay) = &mut relay {
            relay.move_bytes(&ready[2..])?;
        }
        if ready[0].contains(PollFlags::IN) {
            if let Some(relay) = &mut relay {
                relay.drain()?;
            }
            return reap(child);
        }
    }
}

/// Takes the exit code of an ended child.
fn reap(child: BorrowedFd<'_>) -> Result<u8> {
    let status = loop {
        match waitid(WaitId::PidFd(child), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            result => break result.at(|| "reap the process")?,
        }
    };
    let code = status.map_or(0, |status| match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 0,
    });
    Ok(code as u8)
}

fn pass_signals_on(child: BorrowedFd<'_>, relay: Option<&Relay>) -> Result<()> {
    while let Some(signal) = sys::signals::wait(std::time::Duration::ZERO).at(|| "take a signal")? {
        match Signal::from_named_raw(signal.number) {
            Some(Signal::CHILD | Signal::URG | Signal::PIPE) => {}
            Some(Signal::WINCH) => {
                if let Some(relay) = relay {
                    relay.copy_size();
                }
            }
            // The terminal's own signals went to its whole foreground group, the process included, unless it has a
            // terminal of its own, where the keys arrive as bytes.
            _ if signal.from_kernel && relay.is_none() => {}
            _ => match sys::pidfd::send_signal(child, signal.number) {
                Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
                result => result.at(|| "pass a signal on")?,
            },
        }
    }
    Ok(())
}

/// Our terminal, made raw, and the container's.
struct Relay {
    master: OwnedFd,
    saved: Option<Termios>,
    to_container: VecDeque<u8>,
    input_open: bool,
}

impl Relay {
    fn new(master: OwnedFd) -> Result<Relay> {
        let flags = rustix::fs::fcntl_getfl(&master).at(|| "look at the terminal")?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK).at(|| "prepare the terminal")?;
        let input = rustix::stdio::stdin();
        let saved = tcgetattr(input).ok();
        if let Some(saved) = &saved {
            let mut raw = saved.clone();
            raw.make_raw();
            tcsetattr(input, OptionalActions::Now, &raw).at(|| "make the terminal raw")?;
        }
        let relay = Relay { master, saved, to_container: VecDeque::new(), input_open: true };
        relay.copy_size();
        Ok(relay)
    }

    fn copy_size(&self) {
        if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
            // A terminal without a size keeps what it has.
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// The container's terminal and our input, in this order.
    fn interest(&self) -> [PollFd<'_>; 2] {
        let mut master = PollFlags::IN;
        if !self.to_container.is_empty() {
            master |= PollFlags::OUT;
        }
        let reads = self.input_open && self.to_container.len() < BUFFER;
        let input = if reads { PollFlags::IN } else { PollFlags::empty() };
        [PollFd::new(&self.master, master), PollFd::from_borrowed_fd(rustix::stdio::stdin(), input)]
    }

    fn move_bytes(&mut self, ready: &[PollFlags]) -> Result<()> {
        let readable = PollFlags::IN | PollFlags::HUP;
        if ready[1].intersects(readable) && self.input_open {
            let mut bytes = [0; 4096];
            match rustix::io::read(rustix::stdio::stdin(), &mut bytes) {
                Ok(0) => self.input_open = false,
                Ok(length) => self.to_container.extend(&bytes[..length]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => self.input_open = false,
            }
        }
        if !self.to_container.is_empty() {
            let (first, _) = self.to_container.as_slices();
            match rustix::io::write(&self.master, first) {
                Ok(length) => drop(self.to_container.drain(..length)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => self.to_container.clear(), // nobody reads it any more
            }
        }
        if ready[0].intersects(readable) {
            self.read_once()?;
        }
        Ok(())
    }

    /// Whether there was something to read.
    fn read_once(&mut self) -> Result<bool> {
        let mut bytes = [0; 16 * 1024];
        match rustix::io::read(&self.master, &mut bytes) {
            Ok(0) => Ok(false),
            Ok(length) => write_all(rustix::stdio::stdout(), &bytes[..length]).map(|()| true),
            // EIO: the other side is closed everywhere.
            Err(_) => Ok(false),
        }
    }

    /// What the process wrote last.
    fn drain(&mut self) -> Result<()> {
        while self.read_once()? {}
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, saved);
        }
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None);
            }
            Err(errno) => Err(errno).at(|| "write to standard output")?,
        }
    }
    Ok(())
}
