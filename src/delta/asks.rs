//! What is asked for in a further round, as bytes. `docs/PROTOCOL.md` has the layout.
//!
//! Stretches of blocks are written as how many blocks are skipped and how many are wanted, in as few bytes as that takes: a
//! thousand scattered edits are a thousand stretches.

use std::io;

use super::blocks::{BLOCK_LENGTHS, Blocks, MAX_BLOCKS};
use super::refine::Ask;

const MAGIC: [u8; 4] = *b"SKDQ";
const VERSION: u8 = 1;
/// Signatures in one round.
pub const MAX_ASKS: usize = 8;
/// Blocks of all signatures of a round: what whoever makes them has to hash, and to hold.
const MAX_ALL: u64 = 2 * MAX_BLOCKS;
/// Most bytes of a request: two numbers for each of 2^20 stretches, which is far more than any round has.
pub const MAX_BYTES: usize = 8 << 20;
/// Bytes of a strong hash that may be asked for.
const STRONG: std::ops::RangeInclusive<u8> = 3..=16;

/// The asks of one round, as bytes.
pub fn write(asks: &[Ask]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, asks.len() as u8]);
    for ask in asks {
        let unit = u64::from(ask.blocks.length());
        out.push(ask.strong_length);
        out.extend_from_slice(&ask.blocks.length().to_le_bytes());
        put(&mut out, ask.blocks.ranges().len() as u64);
        let mut at = 0;
        for range in ask.blocks.ranges() {
            let (start, end) = (range.start / unit, range.end.div_ceil(unit));
            put(&mut out, start - at);
            put(&mut out, end - start);
            at = end;
        }
    }
    out
}

/// Reads what [`write()`] wrote, about a file of `file_size` bytes. Nothing is believed: what comes out are sound blocks.
///
/// # Errors
/// `InvalidData` with what is wrong.
pub fn read(bytes: &[u8], file_size: u64) -> io::Result<Vec<Ask>> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("not a list of blocks: {what}"));
    let mut from = bytes;
    if take::<4>(&mut from)? != MAGIC || take::<1>(&mut from)? != [VERSION] {
        return Err(wrong("this is something else".into()));
    }
    let [count] = take(&mut from)?;
    if usize::from(count) > MAX_ASKS || count == 0 {
        return Err(wrong(format!("{count} signatures at once: 1 to {MAX_ASKS} are possible")));
    }
    let (mut asks, mut all) = (Vec::new(), 0);
    for _ in 0..count {
        let [strong_length] = take(&mut from)?;
        let length = u32::from_le_bytes(take(&mut from)?);
        if !STRONG.contains(&strong_length) || !BLOCK_LENGTHS.contains(&length) {
            return Err(wrong(format!("hashes of {strong_length} bytes for blocks of {length}")));
        }
        let (unit, stretches) = (u64::from(length), get(&mut from)?);
        // Each takes two bytes at least: a number that says more is a lie, and allocates nothing.
        if stretches > from.len() as u64 / 2 {
            return Err(wrong("cut off".into()));
        }
        let (mut ranges, mut at) = (Vec::with_capacity(stretches as usize), 0_u64);
        for _ in 0..stretches {
            let start = at.checked_add(get(&mut from)?);
            let end = start.and_then(|start| Some((start, start.checked_add(get(&mut from).ok()?)?)));
            let beyond = || wrong("blocks beyond the end of the file".into());
            let (start, end) = end.filter(|(_, end)| *end <= file_size.div_ceil(unit)).ok_or_else(beyond)?;
            ranges.push(start * unit..(end * unit).min(file_size));
            at = end;
        }
        let blocks = Blocks::new(file_size, length, ranges).map_err(|error| wrong(error.to_string()))?;
        all += u64::from(blocks.count());
        if all > MAX_ALL {
            return Err(wrong(format!("{all} blocks at once: {MAX_ALL} are possible")));
        }
        asks.push(Ask { blocks, strong_length, sample: false });
    }
    if from.is_empty() { Ok(asks) } else { Err(wrong("something comes behind its end".into())) }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a list of blocks: cut off")
}

fn take<const N: usize>(from: &mut &[u8]) -> io::Result<[u8; N]> {
    let (head, rest) = from.split_first_chunk().ok_or_else(cut)?;
    *from = rest;
    Ok(*head)
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow (LEB128).
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn get(from: &mut &[u8]) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let [byte] = take(from)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(cut())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(file_size: u64, length: u32, ranges: Vec<std::ops::Range<u64>>) -> Ask {
        Ask { blocks: Blocks::new(file_size, length, ranges).unwrap(), strong_length: 5, sample: false }
    }

    #[test]
    fn what_is_written_is_read_and_is_short() {
        let size = (1 << 30) + 77;
        let edits = (0..2600).map(|n| n * 400_000 / 2048 * 2048).map(|at| at..at + 32_768).collect();
        let asks = [ask(size, 2048, edits), ask(size, 128, vec![0..128, (1 << 30)..size])];
        let bytes = write(&asks);
        assert_eq!(read(&bytes, size).unwrap(), asks);
        assert!(bytes.len() < 2600 * 4, "{}", bytes.len());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let good = write(&[ask(100_000, 128, vec![0..256, 512..640])]);
        for cut in 0..good.len() {
            assert!(read(&good[..cut], 100_000).is_err(), "cut at {cut}");
        }
        assert!(read(&[&good[..], b"x"].concat(), 100_000).is_err());
        assert!(read(&good, 300).is_err(), "a file that is shorter by now");
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            read(&bytes, 100_000)
        };
        // magic, version, count 0 and too many, hash lengths, block length, stretches, an empty one
        for (at, byte) in [(0, 0), (4, 2), (5, 0), (5, 9), (6, 2), (6, 17), (7, 1), (10, 255), (11, 200), (13, 0)] {
            assert!(with(at, byte).is_err(), "{at} {byte}");
        }
        let many = ask(MAX_BLOCKS * 64, 64, std::iter::once(0..MAX_BLOCKS * 64).collect());
        assert!(read(&write(&[many.clone(), many.clone(), many]), MAX_BLOCKS * 64).is_err(), "too many blocks in all");
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), size in any::<u64>()) {
            let _ = read(&bytes, size);
            if bytes.len() > 10 {
                bytes[..11].copy_from_slice(b"SKDQ\x01\x01\x05\x80\x00\x00\x00");
                if let Ok(asks) = read(&bytes, size) {
                    prop_assert_eq!(read(&write(&asks), size).unwrap(), asks);
                }
            }
        }
    }
}
