//! What the two ends of a delta say to each other.

use std::fs::File;
use std::io::{Read, Write as _};
use std::sync::OnceLock;

use skep_engine::delta::asks;
use skep_engine::delta::blocks::Blocks;
use skep_engine::delta::instructions::{Instruction, MAX_LITERAL, Reader};
use skep_engine::delta::librsync::{apply_delta, read_signature};
use skep_engine::delta::packed::unpack;
use skep_engine::delta::patch::patch;
use skep_engine::delta::refine::Ask;
use skep_engine::delta::signature_wire;

/// Bytes of the file that instructions are applied to.
pub const OLD: usize = 4096;
/// More than this no target unpacks or writes: whoever gets there has seen enough.
const ENOUGH: u64 = 4 << 20;

/// The file that instructions are applied to.
pub fn old_file() -> &'static File {
    static OLD_FILE: OnceLock<File> = OnceLock::new();
    OLD_FILE.get_or_init(|| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&super::seeds::noise(OLD, 1)).unwrap();
        file
    })
}

/// Reads instructions to their end, or to what is wrong with them.
fn follow(from: impl Read) -> bool {
    let Ok(mut reader) = Reader::new(from) else { return false };
    let header = *reader.header();
    let mut made = 0;
    while let Ok(instruction) = reader.read() {
        let Some(instruction) = instruction else {
            assert_eq!(made, header.source_size, "the end comes when all is there");
            assert!(reader.digest().is_some());
            assert!(reader.read().unwrap().is_none(), "and stays the end");
            return true;
        };
        let (from, length) = match instruction {
            Instruction::Match(run) => {
                let end = run.destination.checked_add(run.length).unwrap();
                assert!(end <= header.destination_size, "only what is in the old file");
                (run.source, run.length)
            }
            Instruction::Literal { source, data } => {
                assert!(data.len() <= MAX_LITERAL);
                (source, data.len() as u64)
            }
        };
        assert!(length > 0, "each gets on");
        assert!(from.checked_add(length).unwrap() <= header.source_size, "nothing behind the new file's end");
        made += length;
        assert!(made <= header.source_size, "nothing twice");
    }
    false
}

/// Instructions as they are.
pub fn instructions(data: &[u8]) -> bool {
    follow(data)
}

/// Instructions in a frame of zstd.
pub fn packed(data: &[u8]) -> bool {
    unpack(data).is_ok_and(|plain| follow(plain.take(ENOUGH)))
}

/// Instructions that are carried out.
pub fn patched(data: &[u8]) -> bool {
    use sha2::Digest as _;

    // A new file may be as long as anybody likes, where there is room; here there is none.
    let told = Reader::new(data).map_or(0, |reader| reader.header().source_size);
    if told > ENOUGH {
        return false;
    }
    let new = tempfile::tempfile().unwrap();
    let Ok(done) = patch(old_file(), data, &new, |_, _| ()) else { return false };
    let mut made = vec![0; told as usize];
    std::os::unix::fs::FileExt::read_exact_at(&new, &mut made, 0).unwrap();
    assert_eq!(done.digest.0[..], sha2::Sha256::digest(&made)[..]);
    assert_eq!(done.matched + done.literal, told);
    true
}

/// What a signature must be of: 4 bytes size of the file, 4 bytes length of a block, a byte length of a hash; the signature.
pub fn signature(data: &[u8]) -> bool {
    let Some((ask, rest)) = asked(data) else { return false };
    let Ok(signature) = signature_wire::read(rest, &ask) else { return false };
    assert_eq!(signature.len(), ask.blocks.count());
    assert_eq!(signature.blocks, ask.blocks);
    (0..signature.len()).for_each(|n| assert_eq!(signature.strong(n).len(), usize::from(ask.strong_length)));
    true
}

fn asked(data: &[u8]) -> Option<(Ask, &[u8])> {
    let (size, rest) = data.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (strong, rest) = rest.split_first()?;
    // No more than some thousand blocks: a lie about more looks the same.
    let size = u64::from(u32::from_le_bytes(*size) % (1 << 18));
    let blocks = Blocks::whole(size, u32::from_le_bytes(*length)).ok()?;
    Some((Ask { blocks, strong_length: strong % 30 + 3, sample: false }, rest))
}

/// What is asked for: 8 bytes size of the file; the list.
pub fn asks(data: &[u8]) -> bool {
    let Some((size, rest)) = data.split_first_chunk() else { return false };
    let size = u64::from_le_bytes(*size);
    let Ok(list) = asks::read(rest, size) else { return false };
    assert!(!list.is_empty() && list.len() <= asks::MAX_ASKS);
    for ask in &list {
        assert!(ask.blocks.ranges().iter().all(|range| range.start < range.end && range.end <= size));
        assert!(ask.blocks.ranges().windows(2).all(|pair| pair[0].end <= pair[1].start), "none twice");
    }
    assert_eq!(asks::read(&asks::write(&list), size).unwrap(), list);
    true
}

/// The formats of `rdiff`: a signature if the first byte is even, else a delta.
pub fn librsync(data: &[u8]) -> bool {
    let Some((kind, rest)) = data.split_first() else { return false };
    if kind % 2 == 0 { read_signature(rest).is_ok() } else { apply_delta(old_file(), rest, Bounded(ENOUGH)).is_ok() }
}

/// Takes so much and no more.
struct Bounded(u64);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len() as u64).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
