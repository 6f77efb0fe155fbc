//! gzip on all cores: blocks are deflated side by side and joined into one member (RFC 1952).
//!
//! Every block ends with an empty stored block (a "sync flush"), so that the next begins at a byte; the checksums are
//! combined. The output depends only on the input, not on how many cores there were.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Mutex, mpsc};

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

const BLOCK: usize = 1024 * 1024;
/// Deflate method, no flags, no time, unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A last, empty, stored block.
const END: [u8; 5] = [1, 0, 0, 0xff, 0xff];

struct Job {
    block: Vec<u8>,
    done: mpsc::SyncSender<io::Result<Deflated>>,
}

struct Deflated {
    bytes: Vec<u8>,
    checksum: Crc,
}

/// Compresses `input` with `threads` threads and hands the output on in order. Ends with the first error of either.
pub(crate) fn gzip(
    mut input: impl Read,
    threads: usize,
    mut output: impl FnMut(Bytes) -> io::Result<()>,
) -> io::Result<()> {
    let (jobs, queue) = mpsc::sync_channel::<Job>(threads);
    // held only to wait for the next job
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        // moved in here, so that it is closed, and the threads end, on every way out
        let jobs = jobs;
        for _ in 0..threads.max(1) {
            scope.spawn(|| work(&queue));
        }
        output(Bytes::from_static(&HEAD))?;
        let mut checksum = Crc::new();
        let mut pending: VecDeque<mpsc::Receiver<io::Result<Deflated>>> = VecDeque::new();
        loop {
            let block = read_block(&mut input)?;
            let last = block.is_empty();
            if !last {
                let (done, result) = mpsc::sync_channel(1);
                jobs.send(Job { block, done }).map_err(|_| stopped())?;
                pending.push_back(result);
            }
            while pending.len() > if last { 0 } else { threads } {
                let Some(result) = pending.pop_front() else { break };
                let deflated = result.recv().map_err(|_| stopped())??;
                checksum.combine(&deflated.checksum);
                output(deflated.bytes.into())?;
            }
            if last {
                let mut tail = END.to_vec();
                tail.extend(checksum.sum().to_le_bytes());
                tail.extend(checksum.amount().to_le_bytes());
                return output(tail.into());
            }
        }
    })
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let job = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok(job) = job else { return };
        // nobody waits for the result any more when the other side failed
        let _ = job.done.send(deflate(&job.block));
    }
}

fn deflate(block: &[u8]) -> io::Result<Deflated> {
    let mut checksum = Crc::new();
    checksum.update(block);
    let mut compress = Compress::new(Compression::default(), false);
    let mut bytes = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let rest = &block[compress.total_in() as usize..];
        compress.compress_vec(rest, &mut bytes, FlushCompress::Sync).map_err(io::Error::other)?;
        // room left over means that everything, the flush included, is out
        if compress.total_in() as usize == block.len() && bytes.len() < bytes.capacity() {
            return Ok(Deflated { bytes, checksum });
        }
        bytes.reserve(block.len() / 2 + 1024);
    }
}

fn read_block(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut block = Vec::new();
    input.take(BLOCK as u64).read_to_end(&mut block)?;
    Ok(block)
}

fn stopped() -> io::Error {
    io::Error::other("a compressing thread stopped")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(input: &[u8], threads: usize) -> Vec<u8> {
        let mut output = Vec::new();
        gzip(input, threads, |piece| {
            output.extend_from_slice(&piece);
            Ok(())
        })
        .unwrap();
        output
    }

    /// Bytes that do not compress away, and do not stay as they are.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 & 0x5f
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn one_member_comes_back_whole_at_every_length() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17] {
            let input = noise(length);
            let output = compressed(&input, 3);
            let mut back = Vec::new();
            // a decoder for a single member: several joined ones would end early
            let mut decoder = flate2::read::GzDecoder::new(output.as_slice());
            decoder.read_to_end(&mut back).unwrap();
            assert!(back == input, "{length}");
            assert!(decoder.into_inner().is_empty());
        }
    }

    #[test]
    fn the_number_of_threads_does_not_show() {
        let input = noise(2 * BLOCK + 5);
        assert!(compressed(&input, 1) == compressed(&input, 4));
        assert!(compressed(&input, 2).len() < input.len());
    }

    #[test]
    fn a_sink_that_fails_ends_it() {
        let input = noise(8 * BLOCK);
        let error = gzip(input.as_slice(), 2, |_| Err(io::Error::other("gone"))).unwrap_err();
        assert_eq!(error.to_string(), "gone");
    }
}
