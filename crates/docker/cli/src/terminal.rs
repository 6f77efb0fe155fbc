//! The user's terminal: raw mode, its size, detach keys and the input of an attached container.

use anyhow::bail;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{IsTerminal, Read};
use tokio::sync::mpsc;

/// Puts standard input into raw mode for as long as it lives.
pub(crate) struct RawMode(Termios);

impl RawMode {
    pub(crate) fn enter() -> anyhow::Result<Self> {
        let saved = tcgetattr(std::io::stdin())?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
        Ok(RawMode(saved))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

pub(crate) fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Height and width in characters, where standard output is a terminal.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// What comes from standard input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Bytes(Vec<u8>),
    /// The detach keys were typed.
    Detach,
}

/// Reads standard input on a thread of its own; the channel ends with the input.
pub(crate) fn input(mut detach: Option<DetachKeys>) -> mpsc::Receiver<Input> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; 32 * 1024];
        while let Ok(read @ 1..) = stdin.read(&mut buffer) {
            let pieces = match &mut detach {
                Some(keys) => keys.filter(&buffer[..read]),
                None => vec![Input::Bytes(buffer[..read].to_vec())],
            };
            for piece in pieces {
                let last = piece == Input::Detach;
                if sender.blocking_send(piece).is_err() || last {
                    return;
                }
            }
        }
    });
    receiver
}

/// A sequence of keys that leaves a container without ending it.
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    /// Reads `ctrl-p,ctrl-q`: single characters or `ctrl-` with a letter or one of `@[\]^_`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut keys = Vec::new();
        for key in text.split(',') {
            let byte = match key.strip_prefix("ctrl-").map(str::as_bytes) {
                Some([letter @ b'a'..=b'z']) => letter - b'a' + 1,
                Some(b"@") => 0,
                Some([mark @ b'['..=b'_']) => mark - b'[' + 27,
                None if key.len() == 1 => key.as_bytes()[0],
                _ => bail!("invalid detach keys ({text}) provided: unknown character: '{key}'"),
            };
            keys.push(byte);
        }
        Ok(DetachKeys { keys, matched: 0 })
    }

    /// Splits what was typed into what goes on and the moment of leaving; a half-typed sequence is held back.
    fn filter(&mut self, typed: &[u8]) -> Vec<Input> {
        let mut out = Vec::new();
        for &byte in typed {
            if byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    let mut pieces = Vec::new();
                    if !out.is_empty() {
                        pieces.push(Input::Bytes(out));
                    }
                    pieces.push(Input::Detach);
                    return pieces;
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(byte == self.keys[0]);
            if self.matched == 0 {
                out.push(byte);
            }
        }
        if out.is_empty() { Vec::new() } else { vec![Input::Bytes(out)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_leave_and_half_a_sequence_goes_on() {
        let mut keys = DetachKeys::parse("ctrl-p,ctrl-q").unwrap();
        assert_eq!(keys.filter(b"ls\n"), [Input::Bytes(b"ls\n".to_vec())]);
        assert_eq!(keys.filter(&[16]), []);
        assert_eq!(keys.filter(b"x"), [Input::Bytes(vec![16, b'x'])]);
        assert_eq!(keys.filter(&[b'a', 16, 17, b'z']), [Input::Bytes(b"a".to_vec()), Input::Detach]);
    }

    #[test]
    fn bad_detach_keys_are_named() {
        let error = DetachKeys::parse("ctrl-p,shift").err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("invalid detach keys (ctrl-p,shift) provided: unknown character: 'shift'"));
    }
}
