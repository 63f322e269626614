//! Instructions: how the new file is made of the old one. `docs/PROTOCOL.md` has the layout byte by byte.
//!
//! Written and read as a stream; what is read is checked before anything is allocated or copied. In order of the new file and without
//! holes, so that overlapping, missing and endless instructions cannot be told apart from wrong offsets: they are refused.

use std::io::{self, Read, Write};

use super::blocks::{BLOCK_LENGTHS, MAX_FILE};
use super::matcher::Run;
use crate::content::Digest;

const MAGIC: [u8; 4] = *b"SKDI";
const VERSION: u8 = 1;
const MATCH: u8 = 0;
const LITERAL: u8 = 1;
const ALIVE: u8 = 2;
/// Most signs of life: at one in five seconds, some days.
const MOST_ALIVE: u32 = 65_536;
/// Bytes of the header.
pub const HEADER: usize = 28;
/// Most instructions in a section.
const SECTION: u32 = 65_536;
/// Most bytes of one literal.
pub const MAX_LITERAL: usize = 256 << 10;
/// A section is sent when it has this many bytes.
const SECTION_BYTES: usize = 512 << 10;

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the blocks that matches are counted in.
    pub block_length: u32,
    /// Bytes of the old file.
    pub destination_size: u64,
    /// Bytes of the new file.
    pub source_size: u64,
}

impl Header {
    /// The header for these runs: their common grain, of blocks that were all halved from one length.
    pub fn for_runs(runs: &[Run], destination_size: u64, source_size: u64) -> Self {
        let largest = *BLOCK_LENGTHS.end();
        let grain = |n: u64| if n == 0 { largest } else { (n & n.wrapping_neg()).min(u64::from(largest)) as u32 };
        let whole = |run: &Run| if run.destination_end() == destination_size { 0 } else { run.length };
        let unit = runs.iter().map(|run| gcd(run.destination, whole(run))).fold(0, gcd);
        let block_length = match u32::try_from(unit) {
            Ok(unit) if BLOCK_LENGTHS.contains(&unit) => unit,
            _ => grain(unit),
        };
        Self { block_length, destination_size, source_size }
    }

    fn check(&self) -> Result<(), Malformed> {
        let sizes = self.destination_size <= MAX_FILE && self.source_size <= MAX_FILE;
        if sizes && BLOCK_LENGTHS.contains(&self.block_length) {
            Ok(())
        } else {
            Err(Malformed("a header out of bounds"))
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What the new file consists of, piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction<'a> {
    /// Bytes of the old file.
    Match(Run),
    /// Bytes as they are.
    Literal {
        /// Where they belong in the new file.
        source: u64,
        /// At most [`MAX_LITERAL`].
        data: &'a [u8],
    },
}

/// Instructions that break a rule. Says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the instructions are malformed: {0}")]
pub struct Malformed(&'static str);

impl From<Malformed> for io::Error {
    fn from(error: Malformed) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// Writes instructions.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    header: Header,
    section: Vec<u8>,
    count: u32,
    at: u64,
}

impl<W: Write> Writer<W> {
    /// Begins.
    ///
    /// # Errors
    /// What `out` says; a header that no reader would take.
    pub fn new(mut out: W, header: Header) -> io::Result<Self> {
        header.check()?;
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, 0, 0, 0]);
        bytes.extend_from_slice(&header.block_length.to_le_bytes());
        bytes.extend_from_slice(&header.destination_size.to_le_bytes());
        bytes.extend_from_slice(&header.source_size.to_le_bytes()[..]);
        out.write_all(&bytes)?;
        Ok(Self { out, header, section: Vec::new(), count: 0, at: 0 })
    }

    /// The next stretch of the new file is this one of the old file.
    ///
    /// # Errors
    /// What the writer below says; a run that does not begin here, or is not of whole blocks.
    pub fn matched(&mut self, run: &Run) -> io::Result<()> {
        let unit = u64::from(self.header.block_length);
        let whole = run.length.is_multiple_of(unit) || run.destination_end() == self.header.destination_size;
        if run.source != self.at || !run.destination.is_multiple_of(unit) || !whole || run.length == 0 {
            return Err(Malformed("a match out of its place").into());
        }
        let (mut block, mut left) = (run.destination / unit, run.length.div_ceil(unit));
        while left > 0 {
            let blocks = left.min(u64::from(u32::MAX)) as u32;
            self.section.push(MATCH);
            self.section.extend_from_slice(&block.to_le_bytes());
            self.section.extend_from_slice(&self.at.to_le_bytes());
            self.section.extend_from_slice(&blocks.to_le_bytes());
            left -= u64::from(blocks);
            block += u64::from(blocks);
            self.at = (self.at + u64::from(blocks) * unit).min(run.source_end());
            self.counted()?;
        }
        Ok(())
    }

    /// The next stretch of the new file is this, at most [`MAX_LITERAL`] bytes.
    ///
    /// # Errors
    /// What the writer below says; too much at once.
    pub fn literal(&mut self, data: &[u8]) -> io::Result<()> {
        if data.is_empty() || data.len() > MAX_LITERAL {
            return Err(Malformed("a literal of a length that cannot be").into());
        }
        self.section.push(LITERAL);
        self.section.extend_from_slice(&self.at.to_le_bytes());
        self.section.extend_from_slice(&(data.len() as u32).to_le_bytes());
        self.section.extend_from_slice(data);
        self.at += data.len() as u64;
        self.counted()
    }

    /// Sends what there is, so that a receiver can go on with it.
    ///
    /// # Errors
    /// What the writer below says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.out.flush()
    }

    /// Nothing for now, but the connection lives.
    ///
    /// # Errors
    /// What the writer below says.
    pub fn alive(&mut self) -> io::Result<()> {
        self.section.push(ALIVE);
        self.counted()?;
        self.flush()
    }

    fn counted(&mut self) -> io::Result<()> {
        self.count += 1;
        if self.count == SECTION || self.section.len() >= SECTION_BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.count > 0 {
            self.out.write_all(&self.count.to_le_bytes())?;
            self.out.write_all(&self.section)?;
            self.section.clear();
            self.count = 0;
        }
        Ok(())
    }

    /// Ends, with the SHA-256 of the whole new file. Gives the writer below back.
    ///
    /// # Errors
    /// What the writer below says; that something is missing.
    pub fn finish(mut self, digest: &Digest) -> io::Result<W> {
        if self.at != self.header.source_size {
            return Err(Malformed("something is missing").into());
        }
        self.send()?;
        self.out.write_all(&0_u32.to_le_bytes())?;
        self.out.write_all(&digest.0)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads instructions, checking each.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    header: Header,
    /// Instructions left in this section.
    left: u32,
    /// Signs of life.
    alive: u32,
    at: u64,
    literal: Vec<u8>,
    digest: Option<Digest>,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// What the reader below says; `InvalidData` for what is no header.
    pub fn new(mut from: R) -> io::Result<Self> {
        let magic: [u8; 8] = array(&mut from)?;
        if magic[..4] != MAGIC {
            return Err(Malformed("this is something else").into());
        }
        if magic[4..] != [VERSION, 0, 0, 0] {
            return Err(Malformed("of another version").into());
        }
        let header = Header {
            block_length: u32::from_le_bytes(array(&mut from)?),
            destination_size: u64::from_le_bytes(array(&mut from)?),
            source_size: u64::from_le_bytes(array(&mut from)?),
        };
        header.check()?;
        Ok(Self { from, header, left: 0, alive: 0, at: 0, literal: Vec::new(), digest: None })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// SHA-256 of the new file, once all instructions were read.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The next instruction; none at the end, which is where the new file is complete.
    ///
    /// # Errors
    /// What the reader below says; `InvalidData` for what breaks a rule, `UnexpectedEof` where it is cut off.
    pub fn read(&mut self) -> io::Result<Option<Instruction<'_>>> {
        if self.digest.is_some() {
            return Ok(None);
        }
        loop {
            if self.left == 0 {
                self.left = u32::from_le_bytes(array(&mut self.from)?);
                if self.left == 0 {
                    return self.end().map(|()| None);
                }
                if self.left > SECTION {
                    return Err(Malformed("a section of too many instructions").into());
                }
            }
            self.left -= 1;
            match array::<1>(&mut self.from)?[0] {
                MATCH => return self.matched().map(|run| Some(Instruction::Match(run))),
                LITERAL => return self.literal().map(Some),
                ALIVE if self.alive < MOST_ALIVE => self.alive += 1,
                ALIVE => return Err(Malformed("signs of life without end").into()),
                _ => return Err(Malformed("an instruction that is neither match nor literal").into()),
            }
        }
    }

    fn place(&mut self) -> io::Result<u64> {
        let source = u64::from_le_bytes(array(&mut self.from)?);
        if source == self.at {
            Ok(source)
        } else {
            Err(Malformed("it does not go on where the one before ended").into())
        }
    }

    /// Counts bytes of the new file.
    fn advance(&mut self, length: u64) -> io::Result<()> {
        if length == 0 || length > self.header.source_size - self.at {
            return Err(Malformed("beyond the end of the new file").into());
        }
        self.at += length;
        Ok(())
    }

    fn matched(&mut self) -> io::Result<Run> {
        let block = u64::from_le_bytes(array(&mut self.from)?);
        let source = self.place()?;
        let blocks = u32::from_le_bytes(array(&mut self.from)?);
        let (unit, size) = (u64::from(self.header.block_length), self.header.destination_size);
        let beyond = Malformed("blocks beyond the end of the old file");
        let end = block.checked_add(u64::from(blocks)).filter(|end| *end <= size.div_ceil(unit)).ok_or(beyond)?;
        let destination = block * unit;
        let length = (end * unit).min(size).saturating_sub(destination);
        self.advance(length)?;
        Ok(Run { source, destination, length })
    }

    fn literal(&mut self) -> io::Result<Instruction<'_>> {
        let source = self.place()?;
        let length = u32::from_le_bytes(array(&mut self.from)?) as usize;
        if length > MAX_LITERAL {
            return Err(Malformed("a literal that is too long").into());
        }
        self.advance(length as u64)?;
        if self.literal.len() < length {
            self.literal.resize(length, 0);
        }
        let data = &mut self.literal[..length];
        self.from.read_exact(data)?;
        Ok(Instruction::Literal { source, data })
    }

    fn end(&mut self) -> io::Result<()> {
        if self.at != self.header.source_size {
            return Err(Malformed("they end before the new file does").into());
        }
        self.digest = Some(Digest(array(&mut self.from)?));
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(Malformed("something comes behind their end").into()),
        }
    }
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "instructions_tests.rs"]
mod tests;
