//! Header blocks of SPDY/3.1 (draft 3.1, section 2.6.10): pairs, compressed in one zlib stream for each direction.

use std::sync::LazyLock;

use bytes::{Buf, Bytes};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::ProtocolError;

/// How long a block may be that was taken apart.
const LIMIT: usize = 256 * 1024;

/// What both sides begin with (section 2.6.10.1): words with their lengths in front, then text.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow \
    authorization cache-control connection content-base content-encoding content-language content-length content-location content-md5 \
    content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since \
    last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer \
    transfer-encoding upgrade user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie \
    keep-alive origin";
const TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative \
    Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not \
    Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, \
    GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=\
    gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = Vec::with_capacity(1423);
    for word in WORDS.split_ascii_whitespace() {
        out.extend_from_slice(&(word.len() as u32).to_be_bytes());
        out.extend_from_slice(word.replace('_', " ").as_bytes());
    }
    out.extend_from_slice(TEXT.as_bytes());
    out
});

/// Names in lower case with their values.
pub type Pairs = Vec<(String, String)>;

/// Reads the blocks of one direction.
pub struct Reader(Decompress);

/// Writes the blocks of one direction.
pub struct Writer(Compress);

impl Default for Reader {
    fn default() -> Reader {
        Reader(Decompress::new(true))
    }
}

impl Default for Writer {
    fn default() -> Writer {
        let mut compress = Compress::new(Compression::fast(), true);
        // it can fail only after something was compressed
        let _ = compress.set_dictionary(&DICTIONARY);
        Writer(compress)
    }
}

impl Reader {
    /// The pairs of the next block.
    pub fn read(&mut self, block: &[u8]) -> Result<Pairs, ProtocolError> {
        parse(&mut self.inflate(block)?)
    }

    fn inflate(&mut self, block: &[u8]) -> Result<Bytes, ProtocolError> {
        let mut out = Vec::with_capacity(1024);
        let begin = self.0.total_in();
        loop {
            let read = (self.0.total_in() - begin) as usize;
            let (rest, space) = (&block[read.min(block.len())..], out.capacity() - out.len());
            match self.0.decompress_vec(rest, &mut out, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => break,
                // what fits has been written, and there is nothing more to read
                Ok(_) if out.len() < out.capacity() && (self.0.total_in() - begin) as usize >= block.len() => break,
                Ok(_) if out.capacity() - out.len() == space && space > 0 => return Err(ProtocolError::HeaderBlock),
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&DICTIONARY).map_err(|_| ProtocolError::HeaderBlock)?;
                }
                Err(_) => return Err(ProtocolError::HeaderBlock),
            }
            if out.len() >= LIMIT {
                return Err(ProtocolError::HeaderBlock);
            }
            out.reserve(1024);
        }
        Ok(out.into())
    }
}

impl Writer {
    /// A block of pairs.
    pub fn write(&mut self, pairs: &[(&str, &str)]) -> Bytes {
        let mut plain = (pairs.len() as u32).to_be_bytes().to_vec();
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend_from_slice(&(text.len() as u32).to_be_bytes());
            plain.extend_from_slice(text.as_bytes());
        }
        let mut out = Vec::with_capacity(plain.len() + 64);
        let begin = self.0.total_in();
        loop {
            let rest = &plain[(self.0.total_in() - begin) as usize..];
            // compressing into memory that is there does not fail
            let _ = self.0.compress_vec(rest, &mut out, FlushCompress::Sync);
            if out.len() < out.capacity() && (self.0.total_in() - begin) as usize >= plain.len() {
                return out.into();
            }
            out.reserve(256);
        }
    }
}

fn parse(block: &mut Bytes) -> Result<Pairs, ProtocolError> {
    let number = |block: &mut Bytes| block.try_get_u32().map_err(|_| ProtocolError::HeaderBlock);
    let text = |block: &mut Bytes| {
        let length = number(block)? as usize;
        if length > block.len() {
            return Err(ProtocolError::HeaderBlock);
        }
        String::from_utf8(block.split_to(length).to_vec()).map_err(|_| ProtocolError::HeaderBlock)
    };
    let count = number(block)?;
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push((text(block)?.to_ascii_lowercase(), text(block)?));
    }
    Ok(pairs)
}
