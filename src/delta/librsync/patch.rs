//! Reading deltas and applying them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;

use super::delta::MAGIC;
use crate::aligned::Aligned;

/// Bytes copied at a time.
const STEP: u64 = 256 << 10;

/// Writes the new file to `out`. Blocks. Bytes written.
///
/// # Errors
/// `InvalidData` for what is no delta, or one that reaches beyond the old file; `UnexpectedEof` for one that is cut off; what the files say.
pub fn apply_delta(old: &File, mut delta: impl Read, mut out: impl Write) -> io::Result<u64> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("the delta is malformed: {what}"));
    let size = old.metadata()?.len();
    let magic = number(&mut delta, 4)?;
    if magic != u64::from(MAGIC) {
        return Err(wrong(format!("it begins with {magic:08x}")));
    }
    let mut buffer = Aligned::new(STEP as usize);
    let mut written = 0_u64;
    loop {
        let command = number(&mut delta, 1)? as u8;
        let length = match command {
            0 => break,
            1..=0x40 => u64::from(command),
            0x41..=0x44 => number(&mut delta, 1 << (command - 0x41))?,
            0x45..=0x54 => {
                let code = command - 0x45;
                let mut from = number(&mut delta, 1 << (code / 4))?;
                let length = number(&mut delta, 1 << (code % 4))?;
                if from.checked_add(length).is_none_or(|end| end > size) {
                    return Err(wrong(format!("it copies {length} bytes at {from} of a file of {size}")));
                }
                let mut left = length;
                while left > 0 {
                    let part = &mut buffer[..left.min(STEP) as usize];
                    old.read_exact_at(part, from)?;
                    out.write_all(part)?;
                    (from, left) = (from + part.len() as u64, left - part.len() as u64);
                }
                written = written.saturating_add(length);
                continue;
            }
            other => return Err(wrong(format!("command {other:#x} is reserved"))),
        };
        // Literals take as much memory as a step, whatever they claim.
        let mut left = length;
        while left > 0 {
            let part = &mut buffer[..left.min(STEP) as usize];
            delta.read_exact(part)?;
            out.write_all(part)?;
            left -= part.len() as u64;
        }
        written = written.saturating_add(length);
    }
    out.flush()?;
    Ok(written)
}

fn number(from: &mut impl Read, bytes: usize) -> io::Result<u64> {
    let mut all = [0; 8];
    from.read_exact(&mut all[8 - bytes..])?;
    Ok(u64::from_be_bytes(all))
}
