//! Recognising and undoing the compression of a stream.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use crate::{Error, Result, tar::TarError};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Recognises the first bytes of a stream.
    pub fn of(start: &[u8], what: &str) -> Result<Compression> {
        let unsupported = |format: &str| Error::Compression { what: what.to_owned(), format: format.to_owned() };
        match start {
            [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Err(unsupported("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(unsupported("xz")),
            _ => Ok(Compression::None),
        }
    }

    /// The name for errors.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}

/// Bytes enough to recognise a compression.
const START: usize = 6;

/// Reads the start of a stream; gives it back with the rest behind it.
pub(crate) fn recognise<R: Read>(mut stream: R, what: &str) -> Result<(Compression, impl Read + use<R>)> {
    let mut start = Vec::with_capacity(START);
    (&mut stream).take(START as u64).read_to_end(&mut start).map_err(|source| stream_failed(what, source))?;
    let compression = Compression::of(&start, what)?;
    Ok((compression, Cursor::new(start).chain(stream)))
}

/// The other end of the stream failed; an archive around the layer that is damaged says so itself.
pub(crate) fn stream_failed(what: &str, source: io::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match source.downcast::<TarError>() {
        Ok(source) => Error::Tar { what: what.to_owned(), source },
        // A compressed archive that ends early or is damaged.
        Err(source) if matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof) => {
            Error::Tar { what: what.to_owned(), source: TarError::Read(source) }
        }
        Err(source) => Error::Stream { action: "read layer", source },
    }
}

/// A reader of what a compressed stream holds.
pub(crate) fn inflater<'a>(
    compression: Compression,
    stream: impl BufRead + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(stream),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(stream)?),
    })
}

/// A reader of a stream in any compression.
pub(crate) fn decompress<'a, R: Read + Send + 'a>(stream: R, what: &str) -> Result<Box<dyn Read + Send + 'a>> {
    let (compression, stream) = recognise(stream, what)?;
    let stream = BufReader::with_capacity(1 << 17, stream);
    inflater(compression, stream).map_err(|source| Error::Stream { action: "start decompressing", source })
}
