//! A process's standard streams: from its pipes or terminal into spools, and from there to the log and attachments.
//!
//! ```text
//!            splice             ┌▶ log (whole lines)
//!  pipe ───────────────▶ spool ─┤
//!  pty ──splice─▶ relay pipe ─▲ └▶ feeds (attachments)
//! ```
//! Nothing here waits. A pipe is read again only when every feed has what the spool holds; the log takes what it can and
//! drops what it cannot. Both are counted in offsets of the stream, so a successor goes on where this supervisor stopped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

use crate::feed::{Feed, Pushed};
use crate::log::{Journal, Logger, Marks, Source};
use crate::spool::{Fill, Spool};
use crate::types::{Io, LogConfig, Streams};

/// Bytes taken from a pipe at once.
const CHUNK: usize = 64 << 10;
/// How often a pipe is read before others get their turn.
const ROUNDS: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Stdio {
    stdin: Option<OwnedFd>,
    terminal: Option<Terminal>,
    outputs: [Option<Output>; 2],
    logger: Logger,
    feeds: Vec<Feed>,
    blocked: Vec<u64>,
    /// There was no memory for what a pipe holds.
    starved: bool,
    /// Descriptors that are done with; the poller removes them before they are closed.
    retired: Vec<OwnedFd>,
    /// Feeds that have ended since they were last asked for.
    ended_feeds: Vec<u64>,
}

/// A pseudo terminal's master and the pipe its output goes through, because `splice` wants one.
#[derive(Debug)]
struct Terminal {
    master: OwnedFd,
    relay: OwnedFd,
    hung_up: bool,
}

/// One output stream.
#[derive(Debug)]
struct Output {
    /// Where it is read; `None` after its end.
    pipe: Option<OwnedFd>,
    spool: Spool,
}

/// What a descriptor is for, when all are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Role {
    Pidfd,
    Stdin,
    Terminal,
    Relay,
    Output(usize),
    Spool(usize),
    Journal,
}

/// Which descriptors should be polled now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Read these outputs (on a terminal, the first stands for the master).
    pub(crate) read: [bool; 2],
    /// The terminal has hung up although the process lives, or memory is short: look again later.
    pub(crate) retry: bool,
    /// Feeds that wait for room.
    pub(crate) blocked: Vec<u64>,
}

/// The child's ends.
pub(crate) type ChildEnds = [OwnedFd; 3];

impl Stdio {
    /// Pipes for a new process, and the child's ends of them. For a terminal there are none until
    /// [`Stdio::set_terminal`].
    pub(crate) fn new(io: Io, log: &LogConfig) -> io::Result<(Stdio, Option<ChildEnds>)> {
        let mut stdio = Stdio {
            stdin: None,
            terminal: None,
            outputs: [None, None],
            logger: Logger::new(log)?,
            feeds: Vec::new(),
            blocked: Vec::new(),
            starved: false,
            retired: Vec::new(),
            ended_feeds: Vec::new(),
        };
        let Io::Pipes { stdin } = io else {
            stdio.outputs[0] = Some(Output { pipe: None, spool: Spool::new()? });
            return Ok((stdio, None));
        };
        let (out, child_out) = output_pipe()?;
        let (err, child_err) = output_pipe()?;
        stdio.outputs = [Some(Output::new(out)?), Some(Output::new(err)?)];
        let child_in = if stdin {
            let (child_in, ours) = pipe_with(PipeFlags::CLOEXEC)?;
            set_nonblocking(ours.as_fd())?;
            stdio.stdin = Some(ours);
            child_in
        } else {
            std::fs::File::open("/dev/null")?.into()
        };
        Ok((stdio, Some([child_in, child_out, child_err])))
    }

    /// Gives the new process's terminal to serve.
    pub(crate) fn set_terminal(&mut self, master: OwnedFd) -> io::Result<()> {
        set_nonblocking(master.as_fd())?;
        let (relay_out, relay) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let spool = Spool::new()?;
        self.outputs[0] = Some(Output { pipe: Some(relay_out), spool });
        self.terminal = Some(Terminal { master, relay, hung_up: false });
        Ok(())
    }

    /// Goes on where another supervisor stopped.
    pub(crate) fn adopt(log: &LogConfig, fds: Vec<(Role, OwnedFd)>) -> io::Result<Stdio> {
        let (mut stdin, mut master, mut relay, mut journal) = (None, None, None, None);
        let (mut pipes, mut spools) = ([None, None], [None, None]);
        for (role, fd) in fds {
            match role {
                Role::Stdin => stdin = Some(fd),
                Role::Terminal => master = Some(fd),
                Role::Relay => relay = Some(fd),
                Role::Journal => journal = Some(fd),
                Role::Output(index @ 0..2) => pipes[index] = Some(fd),
                Role::Spool(index @ 0..2) => spools[index] = Some(Spool::adopt(fd)?),
                Role::Output(_) | Role::Spool(_) | Role::Pidfd => {}
            }
        }
        let journal = Journal::adopt(journal.ok_or(Errno::BADF)?);
        let ends = [0, 1].map(|i| spools[i].as_ref().map_or(0, Spool::end));
        let [out_pipe, err_pipe] = pipes;
        let [out_spool, err_spool] = spools;
        let output = |pipe, spool: Option<Spool>| spool.map(|spool| Output { pipe, spool });
        Ok(Stdio {
            stdin,
            terminal: master.zip(relay).map(|(master, relay)| Terminal { master, relay, hung_up: false }),
            outputs: [output(out_pipe, out_spool), output(err_pipe, err_spool)],
            logger: Logger::adopt(log, journal, ends)?,
            feeds: Vec::new(),
            blocked: Vec::new(),
            starved: false,
            retired: Vec::new(),
            ended_feeds: Vec::new(),
        })
    }

    /// Every descriptor that a successor needs, except the feeds'.
    pub(crate) fn descriptors(&self) -> Vec<(Role, BorrowedFd<'_>)> {
        let mut all = vec![(Role::Journal, self.logger.journal().as_fd())];
        if let Some(stdin) = &self.stdin {
            all.push((Role::Stdin, stdin.as_fd()));
        }
        if let Some(terminal) = &self.terminal {
            all.push((Role::Terminal, terminal.master.as_fd()));
            all.push((Role::Relay, terminal.relay.as_fd()));
        }
        for (index, output) in self.outputs.iter().enumerate() {
            let Some(output) = output else { continue };
            all.push((Role::Spool(index), output.spool.as_fd()));
            if let Some(pipe) = &output.pipe {
                all.push((Role::Output(index), pipe.as_fd()));
            }
        }
        all
    }

    /// The descriptor to poll for an output: its pipe, or the terminal.
    pub(crate) fn source(&self, index: usize) -> Option<BorrowedFd<'_>> {
        match &self.terminal {
            Some(terminal) if index == 0 => Some(terminal.master.as_fd()),
            _ => Some(self.outputs[index].as_ref()?.pipe.as_ref()?.as_fd()),
        }
    }

    /// Descriptors that are done with and may still be registered somewhere.
    pub(crate) fn take_retired(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.retired)
    }

    /// Feeds that have ended since the last call.
    pub(crate) fn take_ended_feeds(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.ended_feeds)
    }

    /// Ends the process's standard input; a terminal stays.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Adds an observer that sees everything from now on, and returns its end.
    pub(crate) fn attach(&mut self, id: u64, streams: Streams) -> io::Result<OwnedFd> {
        let slot = (0..).find(|slot| self.feeds.iter().all(|feed| feed.slot != *slot)).unwrap_or(u32::MAX);
        let from = self.ends();
        self.logger.journal().mark(slot, from)?;
        let (feed, theirs) = Feed::new(id, streams, slot, from)?;
        self.feeds.push(feed);
        Ok(theirs)
    }

    /// Goes on serving an observer of another supervisor.
    pub(crate) fn adopt_feed(&mut self, id: u64, streams: Streams, slot: u32, socket: OwnedFd) -> io::Result<()> {
        let sent = self.logger.journal().marked(slot)?;
        self.feeds.push(Feed::adopt(id, streams, slot, socket, sent));
        Ok(())
    }

    /// The observers.
    pub(crate) fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// Stops serving an observer that has gone.
    pub(crate) fn detach(&mut self, id: u64) {
        let Some(at) = self.feeds.iter().position(|feed| feed.id == id) else {
            return;
        };
        let feed = self.feeds.remove(at);
        self.retire_feed(feed);
        self.blocked.retain(|blocked| *blocked != id);
    }

    /// Records that the process is told to start, for a successor.
    pub(crate) fn mark_start(&self) -> io::Result<()> {
        let now = jiff::Timestamp::now().as_nanosecond();
        self.logger.journal().mark_start(u64::try_from(now).unwrap_or(1))
    }

    /// When the process was told to start, by this supervisor or a former one.
    pub(crate) fn started(&self) -> Option<jiff::Timestamp> {
        let at = self.logger.journal().started().ok()??;
        jiff::Timestamp::from_nanosecond(i128::from(at)).ok()
    }

    /// Begins a new log at its path.
    pub(crate) fn reopen_log(&mut self) -> io::Result<()> {
        self.logger.reopen()
    }

    /// Bytes of output that the log misses and does not tell of yet.
    pub(crate) fn dropped(&self) -> u64 {
        self.logger.dropped()
    }

    /// Every output has come to its end.
    pub(crate) fn ended(&self) -> bool {
        self.outputs.iter().flatten().all(|output| output.pipe.is_none())
    }

    /// Moves what can be moved without waiting, and tells what to poll for.
    pub(crate) fn turn(&mut self, scratch: &mut [u8]) -> Wants {
        for _ in 0..ROUNDS {
            let moved = self.fill(false);
            self.distribute(scratch);
            if !moved || !self.blocked.is_empty() {
                break;
            }
        }
        self.wants()
    }

    /// After the process's end: takes what its pipes still hold, whether or not observers are slow. With `close`
    /// nothing more is waited for, though others may still hold the pipes open.
    pub(crate) fn drain(&mut self, close: bool, scratch: &mut [u8]) {
        while self.fill(true) {
            self.distribute(scratch);
        }
        if close {
            for output in self.outputs.iter_mut().flatten() {
                self.retired.extend(output.pipe.take());
            }
        }
        self.distribute(scratch);
    }

    /// Tells every observer that has everything that nothing follows; the others stay.
    pub(crate) fn finish_feeds(&mut self) {
        for feed in std::mem::take(&mut self.feeds) {
            if self.blocked.contains(&feed.id) {
                self.feeds.push(feed);
            } else {
                feed.finish();
                self.retire_feed(feed);
            }
        }
    }

    /// What to poll for.
    pub(crate) fn wants(&self) -> Wants {
        let wait = !self.blocked.is_empty() || self.starved;
        let hung_up = self.terminal.as_ref().is_some_and(|t| t.hung_up);
        let open = |index: usize| {
            let output: Option<&Output> = self.outputs[index].as_ref();
            output.is_some_and(|output| output.pipe.is_some())
        };
        Wants {
            read: [open(0) && !wait && !hung_up, open(1) && !wait],
            retry: (hung_up && open(0)) || self.starved,
            blocked: self.blocked.clone(),
        }
    }

    fn retire_feed(&mut self, feed: Feed) {
        self.ended_feeds.push(feed.id);
        self.retired.push(feed.into_socket());
    }

    fn ends(&self) -> Marks {
        [0, 1].map(|i| self.outputs[i].as_ref().map_or(0, |o| o.spool.end()))
    }

    /// Moves bytes into the spools; tells whether any came. `exited`: a terminal that hangs up is at its end.
    fn fill(&mut self, exited: bool) -> bool {
        if !exited && !self.blocked.is_empty() {
            return false;
        }
        let mut hung_up = false;
        if let Some(terminal) = &mut self.terminal {
            terminal.hung_up = !terminal.relay();
            hung_up = terminal.hung_up;
        }
        self.starved = false;
        let mut moved = false;
        for (index, output) in self.outputs.iter_mut().enumerate() {
            let Some(output) = output else { continue };
            let Some(pipe) = &output.pipe else { continue };
            match output.spool.fill(pipe.as_fd(), CHUNK) {
                Ok(Fill::Moved(_)) => moved = true,
                Ok(Fill::Empty) if index == 0 && hung_up && exited => {
                    self.retired.extend(output.pipe.take());
                }
                Ok(Fill::Empty) => {}
                Ok(Fill::End) => self.retired.extend(output.pipe.take()),
                // The bytes wait in the pipe.
                Err(_) => self.starved = true,
            }
        }
        moved
    }

    /// From the spools to the log and the feeds; gives finished memory back.
    fn distribute(&mut self, scratch: &mut [u8]) {
        let sources = [0, 1].map(|i| {
            let output: Option<&Output> = self.outputs[i].as_ref();
            output.map(|output| Source { spool: &output.spool, ended: output.pipe.is_none() })
        });
        self.logger.log(&sources, scratch);
        let spools = sources.map(|source| source.map(|source| source.spool));
        self.blocked.clear();
        let mut needed = self.logger.logged();
        let (journal, blocked) = (self.logger.journal(), &mut self.blocked);
        let mut gone = Vec::new();
        for feed in &mut self.feeds {
            match feed.push(&spools, journal, scratch) {
                Pushed::CaughtUp => {}
                Pushed::Blocked => blocked.push(feed.id),
                Pushed::Gone => {
                    gone.push(feed.id);
                    continue;
                }
            }
            for (need, sent) in needed.iter_mut().zip(feed.sent()) {
                *need = (*need).min(sent);
            }
        }
        for id in gone {
            self.detach(id);
        }
        for (output, need) in self.outputs.iter_mut().zip(needed) {
            if let Some(output) = output {
                output.spool.release(need);
            }
        }
    }
}

impl Output {
    fn new(pipe: OwnedFd) -> io::Result<Output> {
        Ok(Output { pipe: Some(pipe), spool: Spool::new()? })
    }
}

impl Terminal {
    /// Moves what the terminal shows into the relay; `false` when nobody has the terminal open.
    fn relay(&self) -> bool {
        let flags = SpliceFlags::NONBLOCK;
        match splice(&self.master, None, &self.relay, None, CHUNK, flags) {
            Ok(_) => true,
            Err(Errno::AGAIN | Errno::INTR | Errno::NOMEM) => true,
            Err(_) => false,
        }
    }
}

/// The reading end never waits; the writing end is the child's and does.
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, childs) = pipe_with(PipeFlags::CLOEXEC)?;
    set_nonblocking(ours.as_fd())?;
    Ok((ours, childs))
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok(())
}

#[cfg(test)]
mod tests;
