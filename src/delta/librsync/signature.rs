//! Reading and writing signatures.

use std::fs::File;
use std::io::{self, Read, Write};

use super::hashes::{Kind, LibrsyncHashes};
use crate::delta::blocks::Blocks;
use crate::delta::hashes::StrongHash;
use crate::delta::signature::{Hashed, Signature, sign};

/// The block length that `rdiff` takes for a file: the square root of its size in steps of 128, at least 256.
pub fn block_length_for(size: u64) -> u32 {
    let root = u32::try_from(size.isqrt()).unwrap_or(u32::MAX);
    (root & !127).clamp(256, 16 << 20)
}

/// Writes the signature of a file, on all cores. Blocks.
///
/// # Errors
/// `InvalidInput` for a length that is not possible; what the file or `out` says.
pub fn write_signature(file: &File, kind: Kind, length: u32, strong_length: u8, mut out: impl Write) -> io::Result<()> {
    let most = kind.strong.length();
    if !(1..=most).contains(&strong_length) {
        return Err(invalid(format!("strong hashes of {strong_length} bytes: 1 to {most} are possible")));
    }
    let blocks = Blocks::whole(file.metadata()?.len(), length).map_err(invalid)?;
    for word in [kind.magic(), length, u32::from(strong_length)] {
        out.write_all(&word.to_be_bytes())?;
    }
    sign(file, &blocks, &LibrsyncHashes::new(kind, length), strong_length, 0, |hashed| {
        for (weak, strong) in hashed.weak.iter().zip(hashed.strong.chunks_exact(usize::from(strong_length))) {
            out.write_all(&weak.to_be_bytes())?;
            out.write_all(strong)?;
        }
        Ok(())
    })?;
    out.flush()
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// Reads a signature. How long the last block is it does not say: it counts as whole.
///
/// # Errors
/// What the reader says; `InvalidData` for what is no signature or has more blocks than memory is meant for.
pub fn read_signature(mut from: impl Read) -> io::Result<(Kind, Signature)> {
    let wrong =
        |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("not a signature of librsync: {what}"));
    let mut words = [0; 12];
    from.read_exact(&mut words).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => wrong("it is too short".into()),
        _ => e,
    })?;
    let word = |at: usize| words[at..at + 4].iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
    let (magic, length, strong_length) = (word(0), word(4), word(8));
    let kind = Kind::of(magic).ok_or_else(|| wrong(format!("it begins with {magic:08x}")))?;
    let strong_length = u8::try_from(strong_length)
        .ok()
        .filter(|n| (1..=kind.strong.length()).contains(n))
        .ok_or_else(|| wrong(format!("strong hashes of {strong_length} bytes")))?;
    let mut hashed = Hashed::default();
    let mut entry = vec![0; 4 + usize::from(strong_length)];
    loop {
        match from.read(&mut entry[..1])? {
            0 => break,
            _ => from.read_exact(&mut entry[1..]).map_err(|_| wrong("it is cut off".into()))?,
        }
        hashed.weak.push(entry[..4].iter().fold(0, |all, byte| all << 8 | u32::from(*byte)));
        hashed.strong.extend_from_slice(&entry[4..]);
        // Checked while it grows: what is claimed is bounded by what came.
        Blocks::whole(hashed.weak.len() as u64 * u64::from(length), length).map_err(|e| wrong(e.to_string()))?;
    }
    let blocks =
        Blocks::whole(hashed.weak.len() as u64 * u64::from(length), length).map_err(|e| wrong(e.to_string()))?;
    let mut signature = Signature::empty(blocks, strong_length, StrongHash::default());
    signature.extend(&hashed);
    Ok((kind, signature))
}
