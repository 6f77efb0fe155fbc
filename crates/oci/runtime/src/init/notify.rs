//! Handing the listener of a seccomp filter to its agent.
//!
//! Once the filter is loaded, any system call but write(2) may wait for an agent that does not have the listener yet. So the process
//! does not send it itself: a helper that has no filter, and shares its descriptors, does. The process writes the listener's
//! number into a pipe, and by waiting for the helper's end it knows that the agent has everything.

use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{WaitId, WaitIdOptions};
use sys::clone::Child;

use crate::error::{AtStep, Result};
use crate::plan::process::Notify;
use crate::state::{ProcessState, StateView};

/// A connection to an agent, with what it will be told. Made where the agent's path is valid.
#[derive(Debug)]
pub(crate) struct Agent {
    socket: OwnedFd,
    state: ProcessState,
}

impl Agent {
    /// Connects; `container` is the container's state, in which the process is put by [`Agent::prepare`].
    pub fn connect(notify: &Notify, container: StateView) -> Result<Agent> {
        let socket = UnixStream::connect(&notify.path)
            .at(|| format!("connect to the seccomp agent at {}", notify.path.display()))?;
        Ok(Agent { socket: socket.into(), state: ProcessState::new(container, notify.metadata.clone()) })
    }

    /// The connection.
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Makes the helper. The host's /proc must still be there.
    pub fn prepare(mut self) -> Result<Helper> {
        // The number as the host sees it, whatever namespace the process is in.
        let own = fs::read_link("/proc/self").at(|| "read /proc/self")?;
        self.state.set_pid(own.to_string_lossy().parse().unwrap_or(0));
        let text = self.state.to_json();
        let (reads, writes) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(|| "make a pipe")?;
        let child = sys::clone::clone_process(sys::clone::CLONE_FILES, None, || {
            let sent = sys::process::end_with_parent().and_then(|()| hand_over(&reads, &self.socket, text.as_bytes()));
            i32::from(sent.is_err())
        })
        .at(|| "clone a helper for the seccomp listener")?;
        // These numbers are the helper's too: they are closed when the program is executed, and when it ends.
        Ok(Helper { child, writes, _shared: (reads, self.socket) })
    }
}

fn hand_over(reads: &OwnedFd, socket: &OwnedFd, text: &[u8]) -> std::io::Result<()> {
    let mut number = [0; 4];
    if rustix::io::read(reads, &mut number)? != number.len() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let listener = sys::fd::duplicate(i32::from_ne_bytes(number))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [listener.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    rustix::net::sendmsg(socket, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The helper, waiting for the number.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Child,
    writes: OwnedFd,
    _shared: (OwnedFd, OwnedFd),
}

impl Helper {
    /// Has the listener sent, and waits for that.
    pub fn send(self, listener: &OwnedFd) -> Result<()> {
        let step = || "hand the seccomp listener to its agent";
        rustix::io::write(&self.writes, &listener.as_raw_fd().to_ne_bytes()).at(step)?;
        // From here on the agent may be asked.
        let ended = rustix::process::waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED);
        match ended {
            Ok(Some(status)) if status.exit_status() == Some(0) => Ok(()),
            // A profile may forbid to wait.
            Err(rustix::io::Errno::PERM | rustix::io::Errno::NOSYS) => Ok(()),
            Ok(_) => Err(rustix::io::Errno::PIPE).at(step),
            Err(error) => Err(error).at(step),
        }
    }
}
