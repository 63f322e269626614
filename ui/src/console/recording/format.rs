//! The bytes of a recording.
//!
//! ```text
//! file   magic, then frames to the end
//! magic  "skep recording 1\n"
//! frame  kind (1: 'K' a whole snapshot, 'D' the difference to the frame before)
//!        time (8, ms since the epoch) · down (8) · up (8, bytes per second of the node, for charts)
//!        stored (4) · plain (4) · check (4) · `stored` bytes
//! ```
//!
//! Numbers are little-endian. The stored bytes are an LZ4 block of `plain` bytes: one JSON
//! [`SnapshotDelta`] per line. The check (FNV-1a over everything else of the frame) tells what was torn or
//! rotted; it is no protection against somebody who forges a file: the limits below are.

use skep_engine::control::{Focus, Snapshot};
use skep_engine::rpc::delta::{Encoder, SnapshotDelta, apply, clean};

use super::RecordingError;

/// How every file begins.
pub const MAGIC: &[u8; 17] = b"skep recording 1\n";
/// What all versions of the format have in common.
const ANY_VERSION: &[u8] = b"skep recording ";
/// Bytes of a frame before what is stored.
pub const HEAD: usize = 37;
/// Bytes of a frame before compression: rows of 100,000 transfers are less.
pub const MAX_PLAIN: u32 = 128 << 20;
/// Bytes of one difference: as over the wire.
const MAX_LINE: usize = 16 << 20;
/// Objects in one difference. In memory an object can take a hundred times its characters: `{}` is a
/// row of a transfer.
const MAX_OBJECTS: usize = 200_000;

/// What a frame starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it is whole.
    Key,
    /// The frame before it.
    Delta,
}

/// The fixed part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What it starts from.
    pub kind: Kind,
    /// When, ms since the epoch.
    pub time_ms: u64,
    /// What the node moved then, bytes per second.
    pub down: u64,
    /// What the node moved then, bytes per second.
    pub up: u64,
    /// Bytes that follow.
    pub stored: u32,
    /// Bytes they unpack to.
    pub plain: u32,
    check: u32,
}

impl Head {
    /// Reads it; none if this is no frame.
    pub fn parse(bytes: &[u8; HEAD]) -> Option<Self> {
        let kind = match bytes[0] {
            b'K' => Kind::Key,
            b'D' => Kind::Delta,
            _ => return None,
        };
        let four = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        let (time_ms, down, up) = (eight(1), eight(9), eight(17));
        let head = Self { kind, time_ms, down, up, stored: four(25), plain: four(29), check: four(33) };
        // LZ4 grows what it cannot pack by less than one part in 200.
        let fits = head.plain <= MAX_PLAIN && head.stored <= head.plain + head.plain / 200 + 64;
        fits.then_some(head)
    }

    /// True if these are the bytes that were stored behind it.
    pub fn holds(&self, stored: &[u8]) -> bool {
        self.stored as usize == stored.len() && check(&self.open(), stored) == self.check
    }

    /// Everything but the check.
    fn open(&self) -> [u8; HEAD - 4] {
        let mut bytes = [0; HEAD - 4];
        bytes[0] = match self.kind {
            Kind::Key => b'K',
            Kind::Delta => b'D',
        };
        bytes[1..9].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes[9..17].copy_from_slice(&self.down.to_le_bytes());
        bytes[17..25].copy_from_slice(&self.up.to_le_bytes());
        bytes[25..29].copy_from_slice(&self.stored.to_le_bytes());
        bytes[29..].copy_from_slice(&self.plain.to_le_bytes());
        bytes
    }
}

/// FNV-1a, 32 bits.
fn check(head: &[u8], stored: &[u8]) -> u32 {
    head.iter().chain(stored).fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Judges the first bytes of a file called `name`.
///
/// # Errors
/// They are not those of a recording, or of one of another version.
pub fn check_magic(bytes: &[u8], name: &str) -> Result<(), RecordingError> {
    if bytes == MAGIC {
        Ok(())
    } else if bytes.starts_with(ANY_VERSION) {
        Err(RecordingError::Version(name.to_owned()))
    } else {
        Err(RecordingError::NotOne(name.to_owned()))
    }
}

/// The frame that brings a viewer from what `encoder` knows it has to this snapshot; none if it has
/// that already.
///
/// # Errors
/// It is larger than a frame may be.
pub fn encode(
    encoder: &mut Encoder,
    snapshot: &Snapshot,
    focus: Focus,
    time_ms: u64,
) -> Result<Option<Vec<u8>>, RecordingError> {
    let mut plain = Vec::new();
    let mut kind = Kind::Delta;
    while let Some(delta) = encoder.next(snapshot, focus) {
        if delta.full {
            kind = Kind::Key;
        }
        let more = delta.more;
        // Writing to memory fails for maps with odd keys only, and there are none.
        serde_json::to_writer(&mut plain, &delta).map_err(|e| RecordingError::Damaged(e.to_string()))?;
        plain.push(b'\n');
        if plain.len() > MAX_PLAIN as usize {
            return Err(RecordingError::Large("a moment takes more than 128 MiB"));
        }
        if !more {
            break;
        }
    }
    if plain.is_empty() {
        return Ok(None);
    }
    let stored = lz4_flex::block::compress(&plain);
    let lengths = (u32::try_from(stored.len()), u32::try_from(plain.len()));
    let (Ok(stored_len), Ok(plain_len)) = lengths else {
        return Err(RecordingError::Large("a moment takes more than 128 MiB"));
    };
    let (down, up) = (snapshot.node.rate_down, snapshot.node.rate_up);
    let head = Head { kind, time_ms, down, up, stored: stored_len, plain: plain_len, check: 0 };
    let open = head.open();
    let mut frame = Vec::with_capacity(HEAD + stored.len());
    frame.extend_from_slice(&open);
    frame.extend_from_slice(&check(&open, &stored).to_le_bytes());
    frame.extend_from_slice(&stored);
    Ok(Some(frame))
}

/// Takes a frame into the snapshot that the frames before it made. Its texts are made printable.
///
/// # Errors
/// It does not fit, or is not what its head says.
pub fn decode(head: &Head, stored: &[u8], snapshot: &mut Snapshot) -> Result<(), RecordingError> {
    let damaged = |why: String| RecordingError::Damaged(why);
    if !head.holds(stored) {
        return Err(damaged("a frame is not what was written".into()));
    }
    let plain = lz4_flex::block::decompress(stored, head.plain as usize).map_err(|e| damaged(e.to_string()))?;
    if plain.len() != head.plain as usize {
        return Err(damaged("a frame is shorter than it says".into()));
    }
    for (at, line) in plain.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        if line.len() > MAX_LINE || line.iter().filter(|byte| **byte == b'{').count() > MAX_OBJECTS {
            return Err(RecordingError::Large("one change holds more than any node sends"));
        }
        let mut delta: SnapshotDelta = serde_json::from_slice(line).map_err(|e| damaged(e.to_string()))?;
        if delta.full != (head.kind == Kind::Key && at == 0) {
            return Err(damaged("a whole snapshot where a change belongs, or the other way round".into()));
        }
        clean(&mut delta);
        apply(snapshot, delta).map_err(|e| damaged(e.to_string()))?;
    }
    Ok(())
}
