//! Writing deltas. Commands, one byte each, then their big-endian parameters: 0 end; 0x01 to 0x40 a literal of that many bytes; 0x41 to
//! 0x44 a literal whose length comes in 1, 2, 4 or 8 bytes; 0x45 to 0x54 a copy from the old file, its offset and its length in 1, 2, 4 or
//! 8 bytes each.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;

use super::hashes::{Kind, LibrsyncHashes};
use crate::delta::matched::Matched;
use crate::delta::matcher::Run;
use crate::delta::search::search_all;
use crate::delta::signature::Signature;

/// What a delta begins with.
pub(super) const MAGIC: u32 = 0x7273_0236;
/// The longest literal written in one command.
const LITERAL: u64 = 64 << 10;

/// Writes what makes `new` of the file that has this signature. Matches on all cores. Blocks. Bytes matched.
///
/// # Errors
/// The new file cannot be read; what `out` says.
pub fn write_delta(kind: Kind, signature: &Signature, new: &File, mut out: impl Write) -> io::Result<u64> {
    let length = signature.blocks.length();
    let size = new.metadata()?.len();
    let mut matched = Matched::nothing(size, signature.blocks.file_size());
    let runs = search_all(new, signature, &LibrsyncHashes::new(kind, length), &matched.searches(), 0)?;
    matched.add(runs, length);
    out.write_all(&MAGIC.to_be_bytes())?;
    let mut buffer = vec![0; LITERAL as usize];
    let mut at = 0;
    for run in matched.runs().iter().chain([&Run { source: size, destination: 0, length: 0 }]) {
        while at < run.source {
            let part = &mut buffer[..(run.source - at).min(LITERAL) as usize];
            new.read_exact_at(part, at)?;
            literal(part, &mut out)?;
            at += part.len() as u64;
        }
        if run.length > 0 {
            let ((offset, code), (length, step)) = (number(run.destination), number(run.length));
            out.write_all(&[0x45 + 4 * code + step])?;
            out.write_all(&offset)?;
            out.write_all(&length)?;
            at = run.source_end();
        }
    }
    out.write_all(&[0])?;
    out.flush()?;
    Ok(matched.matched_bytes())
}

fn literal(data: &[u8], out: &mut impl Write) -> io::Result<()> {
    match data.len() {
        short @ 1..=64 => out.write_all(&[short as u8])?,
        long => {
            let (length, code) = number(long as u64);
            out.write_all(&[0x41 + code])?;
            out.write_all(&length)?;
        }
    }
    out.write_all(data)
}

/// A number in as few bytes as fit, and the code for how many: 0 to 3 for 1, 2, 4 and 8.
fn number(value: u64) -> (Vec<u8>, u8) {
    let bytes = value.to_be_bytes();
    let code = match value {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    };
    (bytes[8 - (1 << code)..].to_vec(), code)
}
