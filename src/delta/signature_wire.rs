//! Signatures as bytes. `docs/PROTOCOL.md` has the layout.
//!
//! Consecutive blocks with equal hashes are written once: of a file of zeros a few bytes. What is read must be of exactly the blocks
//! that were asked for, so nothing in it decides how much is allocated.

use std::io::{self, Read, Write};

use super::hashes::StrongHash;
use super::refine::Ask;
use super::signature::{Hashed, Signature};

const MAGIC: [u8; 4] = *b"SKDS";
/// The first version has SHA-256 and no more; the second names the strong hash, and its seed.
const VERSIONS: [u8; 2] = [1, 2];
/// The name of XXH3-128.
const XXH3: u8 = 1;
/// Most entries of a group.
const GROUP: usize = 4096;
/// Set in a group's count: one entry, for that many blocks.
const REPEATED: u32 = 1 << 31;
/// Fewer equal entries than this are written out.
const MIN_REPEAT: usize = 4;
/// Bytes of the header, but for the seed of the second version.
pub const HEADER: usize = 24;

/// Writes one signature.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    strong_length: usize,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(mut out: W, ask: &Ask, strong: StrongHash) -> io::Result<Self> {
        out.write_all(&header(ask, strong))?;
        Ok(Self { out, strong_length: usize::from(ask.strong_length), buffer: Vec::new() })
    }

    /// Writes the hashes of the next blocks.
    ///
    /// # Errors
    /// What the writer below says.
    pub fn write(&mut self, hashed: &Hashed) -> io::Result<()> {
        self.buffer.clear();
        let same =
            |a: usize, b: usize| hashed.weak[a] == hashed.weak[b] && self.strong(hashed, a) == self.strong(hashed, b);
        let (mut at, mut plain) = (0, 0);
        let mut groups = Vec::new();
        while at < hashed.weak.len() {
            let mut end = at + 1;
            while end < hashed.weak.len() && same(at, end) {
                end += 1;
            }
            if end - at >= MIN_REPEAT {
                groups.push((plain..at, false));
                groups.push((at..end, true));
                plain = end;
            }
            at = end;
        }
        groups.push((plain..at, false));
        for (range, repeated) in groups {
            if repeated {
                self.buffer.extend_from_slice(&(REPEATED | range.len() as u32).to_le_bytes());
                self.entry(hashed, range.start);
                continue;
            }
            for start in range.clone().step_by(GROUP) {
                let end = range.end.min(start + GROUP);
                self.buffer.extend_from_slice(&((end - start) as u32).to_le_bytes());
                (start..end).for_each(|index| self.entry(hashed, index));
            }
        }
        self.out.write_all(&self.buffer)
    }

    fn strong<'h>(&self, hashed: &'h Hashed, index: usize) -> &'h [u8] {
        &hashed.strong[index * self.strong_length..][..self.strong_length]
    }

    fn entry(&mut self, hashed: &Hashed, index: usize) {
        self.buffer.extend_from_slice(&hashed.weak[index].to_le_bytes());
        self.buffer.extend_from_slice(&hashed.strong[index * self.strong_length..][..self.strong_length]);
    }
}

fn header(ask: &Ask, strong: StrongHash) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER + 8);
    header.extend_from_slice(&MAGIC);
    let (version, name, seed) = match strong {
        StrongHash::Sha256 => (VERSIONS[0], 0, None),
        StrongHash::Xxh3 { seed } => (VERSIONS[1], XXH3, Some(seed)),
    };
    header.extend_from_slice(&[version, ask.strong_length, name, 0]);
    header.extend_from_slice(&ask.blocks.length().to_le_bytes());
    header.extend_from_slice(&ask.blocks.count().to_le_bytes());
    header.extend_from_slice(&ask.blocks.file_size().to_le_bytes());
    header.extend(seed.into_iter().flat_map(u64::to_le_bytes));
    header
}

/// Reads one signature, group by group, while it comes.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    strong: StrongHash,
    /// Blocks that have not come yet.
    left: u32,
    /// Bytes of an entry.
    size: usize,
    buffer: Vec<u8>,
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the signature is malformed: {what}"))
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// What the reader says; `InvalidData` for what is no signature, or not this one.
    pub fn new(mut from: R, ask: &Ask) -> io::Result<Self> {
        let mut told = vec![0; HEADER];
        from.read_exact(&mut told)?;
        if told[..4] != MAGIC {
            return Err(wrong("this is something else"));
        }
        let mut strong = StrongHash::Sha256;
        if told[4] == VERSIONS[1] {
            let mut seed = [0; 8];
            from.read_exact(&mut seed)?;
            told.extend_from_slice(&seed);
            strong = StrongHash::Xxh3 { seed: u64::from_le_bytes(seed) };
        }
        if told != header(ask, strong) {
            return Err(wrong("it is not of the blocks that were asked for"));
        }
        let size = 4 + usize::from(ask.strong_length);
        Ok(Self { from, strong, left: ask.blocks.count(), size, buffer: Vec::new() })
    }

    /// The signature that it will be, without hashes yet: of what was asked for.
    pub fn empty(&self, ask: &Ask) -> Signature {
        Signature::empty(ask.blocks.clone(), ask.strong_length, self.strong)
    }

    /// Appends the next group to `signature`, which is the one that was asked for. False: all are there.
    ///
    /// # Errors
    /// What the reader says; `InvalidData` for groups that cannot be.
    pub fn more(&mut self, signature: &mut Signature) -> io::Result<bool> {
        if self.left == 0 {
            return Ok(false);
        }
        let mut count = [0; 4];
        self.from.read_exact(&mut count)?;
        let count = u32::from_le_bytes(count);
        let (entries, times) = if count & REPEATED == 0 { (count, 1) } else { (1, count & !REPEATED) };
        if entries as usize > GROUP || entries == 0 || times == 0 || entries > self.left || times > self.left {
            return Err(wrong("a group of a length that cannot be"));
        }
        self.buffer.resize(entries as usize * self.size, 0);
        self.from.read_exact(&mut self.buffer)?;
        let mut hashed = Hashed::default();
        for entry in self.buffer.chunks_exact(self.size) {
            let (weak, strong) = entry.split_at(4);
            hashed.weak.push(weak.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte)));
            hashed.strong.extend_from_slice(strong);
        }
        (0..times).for_each(|_| signature.extend(&hashed));
        self.left -= entries.max(times);
        Ok(true)
    }

    /// What it was read from.
    pub fn into_inner(self) -> R {
        self.from
    }
}

/// Reads the signature that was asked for, and not a byte more.
///
/// # Errors
/// What the reader says; `InvalidData` for what is no signature, or not this one.
pub fn read(from: impl Read, ask: &Ask) -> io::Result<Signature> {
    let mut reader = Reader::new(from, ask)?;
    let mut signature = reader.empty(ask);
    while reader.more(&mut signature)? {}
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::super::blocks::Blocks;
    use super::super::signature::sign;
    use super::super::testing::{bytes, file};
    use super::*;
    use crate::delta::hashes::BlockHashes;

    fn ask(blocks: Blocks) -> Ask {
        Ask { blocks, strong_length: 5, sample: false }
    }

    const XXH3: StrongHash = StrongHash::Xxh3 { seed: 0x1122_3344_5566_7788 };

    fn written(data: &[u8], ask: &Ask, strong: StrongHash) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, ask, strong).unwrap();
        let hashes = BlockHashes::new(ask.blocks.length(), strong);
        sign(&file(data), &ask.blocks, &hashes, 5, 2, |hashed| writer.write(&hashed)).unwrap();
        out
    }

    #[test]
    fn what_is_written_is_read() {
        let mut data = bytes(3_000_100, 8);
        data[1_000_000..2_000_000].fill(0);
        for (length, strong) in [(128, XXH3), (1000, StrongHash::Sha256), (65_536, XXH3)] {
            let ask = ask(Blocks::whole(data.len() as u64, length).unwrap());
            let out = written(&data, &ask, strong);
            let read = read(&mut &out[..], &ask).unwrap();
            assert_eq!(read, Signature::of(&file(&data), ask.blocks.clone(), (strong, 5), 1).unwrap());
            assert_eq!(read.strong_hash, strong);
            assert!(out.len() < 24 + (9 * 2_010_000 / length as usize) + 200, "zeros are written once");
        }
    }

    #[test]
    fn a_file_of_zeros_has_a_short_signature() {
        let ask = ask(Blocks::whole(64 << 20, 512).unwrap());
        assert!(written(&vec![0; 64 << 20], &ask, XXH3).len() < 1000);
    }

    #[test]
    fn what_lies_is_refused() {
        let data = bytes(10_000, 9);
        let wanted = ask(Blocks::whole(10_000, 128).unwrap());
        let good = written(&data, &wanted, StrongHash::Sha256);
        for cut in [0, 10, 23, 24, 27, 28, 100, good.len() - 1] {
            assert!(read(&mut &good[..cut], &wanted).is_err(), "cut at {cut}");
        }
        let with = |at: usize, bytes: &[u8]| {
            let mut out = good.clone();
            out[at..at + bytes.len()].copy_from_slice(bytes);
            read(&mut &out[..], &wanted).unwrap_err().to_string()
        };
        assert!(with(0, b"gzip").contains("something else"));
        for (at, bytes) in [(4, [2]), (4, [3]), (5, [6]), (6, [1]), (8, [127]), (12, [0]), (16, [0])] {
            assert!(with(at, &bytes).contains("asked for"), "byte {at}");
        }
        for count in [0, 80, 4097, 0x7fff_ffff, 0x8000_0000, 0x8000_0050, u32::MAX] {
            assert!(with(24, &count.to_le_bytes()).contains("cannot be"), "{count:x}");
        }
    }

    #[test]
    fn a_seed_is_part_of_the_second_version() {
        let data = bytes(10_000, 9);
        let wanted = ask(Blocks::whole(10_000, 128).unwrap());
        let mut good = written(&data, &wanted, XXH3);
        assert_eq!(good[..8], *b"SKDS\x02\x05\x01\0");
        assert_eq!(good[24..32], 0x1122_3344_5566_7788_u64.to_le_bytes());
        for cut in [24, 31, 32, 35] {
            assert!(read(&mut &good[..cut], &wanted).is_err(), "cut at {cut}");
        }
        for name in [0, 2, 255] {
            good[6] = name;
            assert!(read(&mut &good[..], &wanted).unwrap_err().to_string().contains("asked for"), "hash {name}");
        }
    }
}
