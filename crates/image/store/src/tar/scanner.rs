//! A tar reader that is fed: sees every byte of a layer once, keeps only headers.

use super::{
    Entry, TarError,
    decode::{Decoder, Step, data_span},
};

/// Takes the entries a scanner finds.
pub trait EntrySink {
    /// One entry, in the order of the stream.
    fn entry(&mut self, entry: Entry) -> Result<(), TarError>;
}

/// Finds the entries of a stream that is pushed through it in pieces of any size.
pub struct Scanner<S> {
    sink: S,
    decoder: Decoder,
    state: State,
    /// Bytes seen.
    position: u64,
}

enum State {
    /// Filling a header block.
    Block(Box<[u8; 512]>, usize),
    /// Filling an extension of this length.
    Extension(Vec<u8>, usize),
    /// Skipping data or padding: bytes left, and whose they are.
    Skip { left: u64, of: String },
    /// After the end marker: anything may follow.
    End,
}

impl State {
    fn block() -> State {
        State::Block(Box::new([0; 512]), 0)
    }
}

impl<S: EntrySink> Scanner<S> {
    /// Starts at the beginning of a stream.
    pub fn new(sink: S) -> Self {
        Scanner { sink, decoder: Decoder::default(), state: State::block(), position: 0 }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), TarError> {
        while !bytes.is_empty() {
            let used = self.step(bytes)?;
            self.position += used as u64;
            bytes = &bytes[used..];
            self.turn()?;
        }
        Ok(())
    }

    /// The stream is over: gives the sink back, with the length of the stream.
    pub fn finish(self) -> Result<(S, u64), TarError> {
        let place = match &self.state {
            State::End => None,
            State::Block(_, 0) => self.decoder.inside(),
            State::Block(..) => Some(format!("a header at offset {}", self.position)),
            State::Extension(..) => Some("an extension header".to_owned()),
            State::Skip { of, .. } => Some(of.clone()),
        };
        match place {
            None => Ok((self.sink, self.position)),
            Some(place) => Err(TarError::Truncated { place }),
        }
    }

    /// Moves bytes into the current state; gives how many were used.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, TarError> {
        Ok(match &mut self.state {
            State::Block(block, filled) => {
                let take = bytes.len().min(512 - *filled);
                block[*filled..*filled + take].copy_from_slice(&bytes[..take]);
                *filled += take;
                take
            }
            State::Extension(buffer, length) => {
                let take = bytes.len().min(*length - buffer.len());
                buffer.extend_from_slice(&bytes[..take]);
                take
            }
            State::Skip { left, .. } => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= take as u64;
                take
            }
            State::End => bytes.len(),
        })
    }

    /// Leaves a state that is complete.
    fn turn(&mut self) -> Result<(), TarError> {
        loop {
            let next = match &mut self.state {
                State::Block(block, 512) => {
                    let step = self.decoder.block(block, self.position - 512)?;
                    match step {
                        Step::Block => State::block(),
                        Step::Extension(size) => State::Extension(Vec::new(), size as usize),
                        Step::End => State::End,
                        Step::Entry(entry) => {
                            let left = data_span(&entry);
                            let of = if left > 0 { format!("entry {:?}", entry.name()) } else { String::new() };
                            self.sink.entry(entry)?;
                            State::Skip { left, of }
                        }
                    }
                }
                State::Extension(buffer, length) if buffer.len() == *length => {
                    let padding = super::padded(*length as u64) - *length as u64;
                    self.decoder.extension(buffer, self.position)?;
                    State::Skip { left: padding, of: "an extension header".to_owned() }
                }
                State::Skip { left: 0, .. } => State::block(),
                _ => return Ok(()),
            };
            self.state = next;
        }
    }
}
