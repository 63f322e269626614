//! What leaves when, and what is decided midway. That the right file comes out in all other cases: `delta::patch`.

use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;
use crate::delta::hashes::{BlockHashes, StrongHash};
use crate::delta::instructions::{HEADER, Instruction, Reader};
use crate::delta::patch::patch;
use crate::delta::signature::sign;
use crate::delta::signature_wire;
use crate::delta::testing::{bytes, file};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

struct Pair {
    old: File,
    new: File,
    size: u64,
    stop: AtomicBool,
}

impl Pair {
    fn new(old: &[u8], new: &[u8]) -> Self {
        Self { old: file(old), new: file(new), size: new.len() as u64, stop: AtomicBool::new(false) }
    }

    fn delta(&self) -> Delta<'_> {
        Delta {
            source: &self.new,
            source_size: self.size,
            destination_size: self.old.metadata().unwrap().len(),
            block_length: Some(4096),
            prices: Prices::default(),
            threads: 2,
            give_up: false,
            stop: &self.stop,
        }
    }

    fn signature(&self, ask: &Ask) -> Vec<u8> {
        let mut out = Vec::new();
        let strong = StrongHash::Xxh3 { seed: 3 };
        let mut writer = signature_wire::Writer::new(&mut out, ask, strong).unwrap();
        let hashes = BlockHashes::new(ask.blocks.length(), strong);
        sign(&self.old, &ask.blocks, &hashes, ask.strong_length, 1, |hashed| writer.write(&hashed)).unwrap();
        out
    }

    fn first(&self) -> Vec<u8> {
        self.signature(&first_ask(&self.delta()).unwrap())
    }

    fn further(&self, asks: &[Ask]) -> io::Result<Vec<Signature>> {
        asks.iter().map(|ask| signature_wire::read(&self.signature(ask)[..], ask)).collect()
    }

    fn run(&self) -> Result<Vec<u8>, FlowError> {
        run(&self.delta(), &self.first()[..], |asks| self.further(asks), Vec::new(), || true, &|_| {})
    }

    /// Bytes of the new file that were found; checks that it comes out.
    #[track_caller]
    fn matched(&self, instructions: &[u8]) -> u64 {
        let made = tempfile::tempfile().unwrap();
        let done = patch(&self.old, instructions, &made, |_, _| {}).unwrap();
        let (mut is, mut should) = (vec![0; self.size as usize], vec![0; self.size as usize]);
        made.read_exact_at(&mut is, 0).unwrap();
        self.new.read_exact_at(&mut should, 0).unwrap();
        assert!(is == should);
        done.matched
    }
}

/// Half of a signature; the rest when it is allowed.
struct Stalled {
    bytes: Vec<u8>,
    at: usize,
    go_on: Receiver<()>,
}

impl Read for Stalled {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let half = self.bytes.len() / 2;
        if self.at == half {
            self.go_on.recv_timeout(PATIENCE).map_err(|_| io::Error::other("nothing has left"))?;
        }
        let end = if self.at < half { half } else { self.bytes.len() };
        let count = buf.len().min(end - self.at);
        buf[..count].copy_from_slice(&self.bytes[self.at..][..count]);
        self.at += count;
        Ok(count)
    }
}

/// Tells when more than a header has left.
struct Out {
    bytes: Vec<u8>,
    left: Sender<()>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.bytes.len() > HEADER {
            let _ = self.left.send(());
        }
        Ok(())
    }
}

#[test]
fn bytes_leave_before_the_signature_has_come() {
    let old = bytes(12 * MIB, 1);
    let mut edited = old.clone();
    edited[1_000_000] ^= 1;
    // What was found, or where nothing was the beginning of the file.
    for new in [edited, bytes(12 * MIB, 2)] {
        let pair = Pair::new(&old, &new);
        let (left, go_on) = channel();
        let first = Stalled { bytes: pair.first(), at: 0, go_on };
        let out = Out { bytes: Vec::new(), left };
        let out = run(&pair.delta(), first, |asks| pair.further(asks), out, || true, &|_| {}).unwrap();
        pair.matched(&out.bytes);
    }
}

/// Tells of signs of life behind the last instruction.
struct Alive {
    bytes: Vec<u8>,
    size: u64,
    /// Bytes of all instructions.
    whole: Option<usize>,
    told: Sender<()>,
}

impl Alive {
    /// Up to where the new file can be made.
    fn end(&self) -> u64 {
        let Ok(mut reader) = Reader::new(&self.bytes[..]) else { return 0 };
        let mut end = 0;
        while let Ok(Some(instruction)) = reader.read() {
            end = match instruction {
                Instruction::Match(run) => run.source_end(),
                Instruction::Literal { source, data } => source + data.len() as u64,
            };
        }
        end
    }
}

impl Write for Alive {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.whole {
            None => self.whole = (self.end() == self.size).then_some(self.bytes.len()),
            Some(whole) if self.bytes.len() > whole => drop(self.told.send(())),
            Some(_) => {}
        }
        Ok(())
    }
}

#[test]
fn there_are_signs_of_life_while_the_rest_of_a_signature_comes() {
    let old = bytes(12 * MIB, 1);
    let pair = Pair::new(&old, &old[..2 * MIB]);
    let (told, go_on) = channel();
    let first = Stalled { bytes: pair.first(), at: 0, go_on };
    let out = Alive { bytes: Vec::new(), size: pair.size, whole: None, told };
    let out = run(&pair.delta(), first, |asks| pair.further(asks), out, || true, &|_| {}).unwrap();
    assert_eq!(pair.matched(&out.bytes), pair.size);
}

#[test]
fn there_are_signs_of_life_until_a_digest_is_there_unless_it_shall_end() {
    let pair = Pair::new(&[1; 100], &[1; 100]);
    let header = crate::delta::instructions::Header { block_length: 128, destination_size: 100, source_size: 100 };
    let (told, alive) = channel();
    let out = Out { bytes: Vec::new(), left: told };
    let mut writer = crate::delta::instructions::Writer::new(out, header).unwrap();
    let (running, hashed) = sync_channel(0);
    let hashing = thread::spawn(move || {
        let told = alive.recv_timeout(PATIENCE);
        drop(running);
        told
    });
    emit::alive_until(&pair.delta(), &mut writer, &hashed).unwrap();
    hashing.join().unwrap().unwrap();
    let (_running, hashed) = sync_channel(0);
    pair.stop.store(true, Ordering::Relaxed);
    let ended = emit::alive_until(&pair.delta(), &mut writer, &hashed).unwrap_err();
    assert!(is_stop(&ended));
}

#[test]
fn it_changes_its_mind_midway_and_sends_nothing_twice() {
    let (old, other) = (bytes(16 * MIB, 1), bytes(12 * MIB, 2));
    // Alike, then not any more: the rest is sent as it is.
    let pair = Pair::new(&old, &[&old[..8 * MIB], &other].concat());
    let done = pair.run().unwrap();
    assert_eq!(pair.matched(&done), 8 * MIB as u64);
    assert!(done.len() < 12 * MIB + 2000, "{}", done.len());
    // Unlike, then alike: it does not give up for good.
    let pair = Pair::new(&old, &[&other[..4 * MIB], &old].concat());
    assert!(pair.matched(&pair.run().unwrap()) > 15 * MIB as u64);
}

#[test]
fn what_was_moved_is_found() {
    let old = bytes(16 * MIB, 1);
    let pair = Pair::new(&old, &[&old[9 * MIB + 77..], &old[..9 * MIB + 77]].concat());
    // But for the first 64 KiB, which leave while the signature comes, and the seams.
    assert!(pair.matched(&pair.run().unwrap()) > 16 * MIB as u64 - (64 << 10) - 40_000);
}

#[test]
fn where_next_to_nothing_is_found_of_a_long_file_it_says_so() {
    let pair = Pair::new(&bytes(4 * MIB, 1), &[]);
    let size = 80 << 20;
    pair.new.set_len(size).unwrap();
    let pair = Pair { size, ..pair };
    let delta = Delta { give_up: true, ..pair.delta() };
    let done = run(&delta, &pair.first()[..], |asks| pair.further(asks), Vec::new(), || true, &|_| {});
    assert!(matches!(done, Err(FlowError::Full(_))));
}

#[test]
fn progress_counts_every_byte_once() {
    let old = bytes(10 * MIB, 1);
    let mut new = old.clone();
    new[5_000_000..5_100_000].copy_from_slice(&bytes(100_000, 3));
    let pair = Pair::new(&old, &new);
    let seen = std::sync::Mutex::new(Vec::new());
    let tell = |told: Told<'_>| seen.lock().unwrap().push(told.progress);
    let done = run(&pair.delta(), &pair.first()[..], |asks| pair.further(asks), Vec::new(), || true, &tell).unwrap();
    let seen = seen.into_inner().unwrap();
    let total = |progress: &Progress| progress.matched + progress.literal;
    assert!(seen.windows(2).all(|two| total(&two[0]) < total(&two[1])));
    let last = seen.last().unwrap();
    assert_eq!((total(last), last.matched), (new.len() as u64, pair.matched(&done)));
    assert!(last.rounds > 1);
}

#[test]
fn whatever_fails_ends_it_and_says_why() {
    let old = bytes(8 * MIB, 1);
    let mut new = old.clone();
    // So many edits that it pays to ask once more.
    (0..40).for_each(|n| new[n * 200_000] ^= 1);
    let pair = || Pair::new(&old, &new);
    let kind = |done: Result<Vec<u8>, FlowError>| match done {
        Err(FlowError::Io(error) | FlowError::Signature(error)) => (error.kind(), error.to_string()),
        other => panic!("{:?}", other.map(|made| made.len())),
    };
    // Signatures that break off, at first or later.
    let it = pair();
    let cut = it.first();
    let done = run(&it.delta(), &cut[..cut.len() - 5], |asks| it.further(asks), Vec::new(), || true, &|_| {});
    assert_eq!(kind(done).0, io::ErrorKind::UnexpectedEof);
    let it = pair();
    let refuse = |_: &[Ask]| Err(io::Error::other("no more"));
    let done = run(&it.delta(), &it.first()[..], refuse, Vec::new(), || true, &|_| {});
    assert_eq!(kind(done).1, "no more");
    // Something behind the end of one.
    let it = pair();
    let long = [it.first(), vec![0]].concat();
    let done = run(&it.delta(), &long[..], |asks| it.further(asks), Vec::new(), || true, &|_| {});
    assert_eq!(kind(done).0, io::ErrorKind::InvalidData);
    // Nobody takes them.
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let it = pair();
    let done = run(&it.delta(), &it.first()[..], |asks| it.further(asks), Closed, || true, &|_| {});
    assert_eq!(kind(done.map(|_| Vec::new())).0, io::ErrorKind::BrokenPipe);
    // Somebody wants it to end.
    let it = pair();
    it.stop.store(true, Ordering::Relaxed);
    assert_eq!(kind(it.run()).0, io::ErrorKind::Interrupted);
    // A source that is not what it was: the end does not leave.
    let it = pair();
    let mut left = Vec::new();
    let done = run(&it.delta(), &it.first()[..], |asks| it.further(asks), &mut left, || false, &|_| {});
    assert!(matches!(done, Err(FlowError::Io(error)) if error.kind() == io::ErrorKind::InvalidData));
    let mut reader = Reader::new(&left[..]).unwrap();
    let ended = loop {
        match reader.read() {
            Ok(Some(Instruction::Match(_) | Instruction::Literal { .. })) => {}
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    assert!(!ended);
}
