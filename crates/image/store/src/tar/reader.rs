//! A tar reader that pulls: entries with their data, for archives that clients send.

use std::io::{self, Read};

use super::{
    Entry, TarError,
    decode::{Decoder, Step, data_span},
};

/// Gives the entries of a stream one after the other; reads the data of the current one.
pub struct Reader<R> {
    stream: R,
    decoder: Decoder,
    position: u64,
    /// Data bytes of the current entry not read yet, and the padding after them.
    left: u64,
    padding: u64,
    current: String,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Starts at the beginning of a stream.
    pub fn new(stream: R) -> Self {
        let current = String::new();
        Reader { stream, decoder: Decoder::default(), position: 0, left: 0, padding: 0, current, ended: false }
    }

    /// Skips what is left of the current entry and gives the next, `None` at the end of the archive.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        self.skip_rest()?;
        let mut block = [0u8; 512];
        while !self.ended {
            if !self.read_block(&mut block)? {
                self.ended = true;
                return match self.decoder.inside() {
                    Some(place) => Err(TarError::Truncated { place }),
                    None => Ok(None),
                };
            }
            match self.decoder.block(&block, self.position - 512)? {
                Step::Block => {}
                Step::End => self.ended = true,
                Step::Extension(size) => self.read_extension(size)?,
                Step::Entry(entry) => {
                    self.left = entry.stored;
                    self.padding = data_span(&entry) - entry.stored;
                    self.current = entry.name();
                    return Ok(Some(entry));
                }
            }
        }
        Ok(None)
    }

    /// Reads the stream to its end, so that a client that still sends is not cut off.
    pub fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(drop)
    }

    fn read_extension(&mut self, size: u64) -> Result<(), TarError> {
        let mut bytes = vec![0; size as usize];
        let mut padding = vec![0; (super::padded(size) - size) as usize];
        for part in [&mut bytes, &mut padding] {
            self.stream.read_exact(part).map_err(|error| truncated(error, "an extension header"))?;
            self.position += part.len() as u64;
        }
        self.decoder.extension(&bytes, self.position)
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let want = self.left + self.padding;
        if want > 0 {
            let place = format!("entry {:?}", self.current);
            let got = io::copy(&mut (&mut self.stream).take(want), &mut io::sink()).map_err(TarError::Read)?;
            if got < want {
                return Err(TarError::Truncated { place });
            }
            self.position += want;
            (self.left, self.padding) = (0, 0);
        }
        Ok(())
    }

    /// False at a clean end of the stream.
    fn read_block(&mut self, block: &mut [u8; 512]) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < block.len() {
            match self.stream.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => {
                    let place = format!("a header at offset {}", self.position);
                    return Err(TarError::Truncated { place });
                }
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        self.position += 512;
        Ok(true)
    }
}

fn truncated(error: io::Error, place: &str) -> TarError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        TarError::Truncated { place: place.to_owned() }
    } else {
        TarError::Read(error)
    }
}

impl<R: Read> Read for Reader<R> {
    /// The stored data of the current entry.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let got = self.stream.read(&mut buffer[..want])?;
        if got == 0 {
            let place = format!("entry {:?}", self.current);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, TarError::Truncated { place }));
        }
        self.left -= got as u64;
        self.position += got as u64;
        Ok(got)
    }
}
