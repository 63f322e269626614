//! The first stage: the new file, window by window, against the first signature, of which at first only the beginning is there.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::mpsc::{SyncSender, TrySendError};

use super::look::{LONG, Looker};
use super::skim::Seen;
use super::{Batch, Delta, FlowError, check, gone, search};
use crate::delta::digest::Feed;
use crate::delta::matched::Matched;
use crate::delta::matcher::Search;
use crate::delta::refine::Ask;
use crate::delta::signature::Signature;
use crate::delta::signature_wire::Reader;
use crate::delta::table::Table;

/// Bytes of the first window and of the longest ones: the first instructions leave early, and later ones keep all cores busy.
const FIRST: u64 = 2 << 20;
const LONGEST: u64 = 32 << 20;
/// How much further than where a window's data should end the signature has to be: so much may have been taken out before it.
const SLACK: u64 = 1 << 20;
/// At a window's end, a stretch of so many blocks may be the beginning of one that is found with what follows.
const OPEN_END: u64 = 4;
/// What goes on its way when nothing is found at the very beginning: the link is idle until the signature has come.
const HEAD: u64 = 64 << 10;
/// Where nothing was found: how many probes are taken of what follows, and of how many blocks each.
const PROBES: u64 = 64;
const PROBE_BLOCKS: u64 = 2;

/// A signature as far as it has come, and its index.
struct Growing<R> {
    signature: Signature,
    table: Table,
    reader: Reader<R>,
}

impl<R: Read> Growing<R> {
    fn is_complete(&self) -> bool {
        self.signature.len() == self.signature.blocks.count()
    }

    /// Reads on until the blocks up to this byte of the old file are there.
    fn upto(&mut self, delta: &Delta<'_>, end: u64) -> Result<(), FlowError> {
        let wanted = end.div_ceil(u64::from(self.signature.blocks.length()));
        while u64::from(self.signature.len()) < wanted {
            check(delta)?;
            if !self.reader.more(&mut self.signature).map_err(FlowError::Signature)? {
                break;
            }
        }
        self.table.extend(&self.signature);
        Ok(())
    }

    /// Hands a batch on. While whoever takes it is slow, more of the signature is read: who makes it holds a connection that stalls for
    /// dead. Once it is there (its memory is bounded by its blocks) there is nothing left but to wait.
    fn hand_on(&mut self, delta: &Delta<'_>, batches: &SyncSender<Batch>, mut batch: Batch) -> Result<(), FlowError> {
        while !self.is_complete() {
            match batches.try_send(batch) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(gone(())),
                Err(TrySendError::Full(back)) => batch = back,
            }
            check(delta)?;
            self.reader.more(&mut self.signature).map_err(FlowError::Signature)?;
        }
        batches.send(batch).map_err(gone)
    }

    fn index(&self) -> (&Signature, &Table) {
        (&self.signature, &self.table)
    }

    fn search(&self, delta: &Delta<'_>, searches: &[Search]) -> io::Result<Matched> {
        let mut found = Matched::nothing(delta.source_size, delta.destination_size);
        found.add(search(delta, &self.signature, &self.table, searches)?, self.signature.blocks.length());
        Ok(found)
    }
}

pub(super) fn run(
    delta: &Delta<'_>,
    ask: &Ask,
    first: impl Read,
    batches: &SyncSender<Batch>,
    seen: &Seen,
    feed: Feed,
) -> Result<(), FlowError> {
    let reader = Reader::new(first, ask).map_err(FlowError::Signature)?;
    let signature = reader.empty(ask);
    let mut growing = Growing { signature, table: Table::with_room(ask.blocks.count()), reader };
    let block = u64::from(ask.blocks.length());
    let size = delta.source_size;
    let mut looker = Looker::new(delta, &feed);
    let (mut at, mut expected, mut window, mut probe_from) = (0, 0, FIRST, 0);
    while at < size {
        let end = (at + window).min(size);
        window = (window * 2).min(LONGEST);
        growing.upto(delta, (expected + (end - at)).saturating_add(SLACK + 2 * block))?;
        let skims = growing.is_complete() && seen.may_skim();
        let mut found = looker.look(delta, growing.index(), at..end, expected, skims)?;
        if !growing.is_complete() && found.gaps().any(|gap| gap.source.end - gap.source.start >= LONG * block) {
            if at == 0 && found.runs().is_empty() && end > HEAD {
                let head = Batch { source: 0..HEAD, expected: 0, runs: Vec::new(), rest: false, decided: true };
                growing.hand_on(delta, batches, head)?;
                (at, expected) = (HEAD, HEAD);
            }
            // Nothing of this stretch is followed: the digest may go on.
            feed.upto(end);
            growing.upto(delta, u64::MAX)?;
            found = looker.look(delta, growing.index(), at..end, expected, false)?;
        }
        let mut rest = false;
        // Where it skims, the next stage finds what is there.
        if !skims && growing.is_complete() && found.runs().is_empty() && end < size && end >= probe_from {
            // Twice as far on it is asked again, so that probes cost little of what is searched anyway.
            probe_from = end.saturating_mul(2);
            rest = !probe(delta, &growing, end..size, block)?;
        }
        if rest {
            found = Matched::part(at..size, expected, delta.destination_size, Vec::new());
        } else if end < size {
            let tail = found.gaps().last().filter(|gap| gap.source.end == end).map_or(end, |gap| gap.source.start);
            if end - tail < OPEN_END * block && tail > at {
                found.cut(tail);
            }
        }
        let source = found.source();
        if !skims {
            seen.on_coarse(source.end - source.start, found.literal_bytes());
        }
        let was_expected = expected;
        (at, expected) = (source.end, found.expected_behind());
        let runs = found.into_runs();
        growing.hand_on(delta, batches, Batch { source, expected: was_expected, runs, rest, decided: false })?;
    }
    looker.finish();
    drop(feed);
    // It is read to its end in any case: who sends it knows then that all is well, and keeps the connection.
    growing.upto(delta, u64::MAX)?;
    let end = "the signature does not end where it should";
    match growing.reader.into_inner().read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(FlowError::Signature(io::Error::new(io::ErrorKind::InvalidData, end))),
        Err(error) => Err(FlowError::Signature(error)),
    }
}

/// Whether any of the blocks is found in a few places of this stretch.
fn probe<R: Read>(delta: &Delta<'_>, growing: &Growing<R>, source: Range<u64>, block: u64) -> Result<bool, FlowError> {
    let (length, count) = (source.end - source.start, PROBES.min((source.end - source.start) / (4 * block)));
    if count < PROBES / 4 {
        return Ok(true);
    }
    let place = |n: u64| {
        let start = source.start + length / count * n;
        let limit = (start + (PROBE_BLOCKS + 1) * block).min(source.end);
        Search { starts: start..(start + PROBE_BLOCKS * block).min(limit), limit, expected: None, patience: u64::MAX }
    };
    let found = growing.search(delta, &(0..count).map(place).collect::<Vec<_>>())?;
    Ok(!found.runs().is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::{Sender, channel, sync_channel};
    use std::time::Duration;

    use super::*;
    use crate::delta::flow::first_ask;
    use crate::delta::hashes::StrongHash;
    use crate::delta::refine::Prices;
    use crate::delta::signature_wire::Writer;
    use crate::delta::testing::{bytes, file};

    /// Tells when it was read to its end.
    struct Told<'a> {
        bytes: &'a [u8],
        read: Sender<()>,
    }

    impl Read for Told<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let count = self.bytes.read(buf)?;
            if self.bytes.is_empty() {
                let _ = self.read.send(());
            }
            Ok(count)
        }
    }

    #[test]
    fn while_nobody_takes_a_batch_the_signature_is_read_on() {
        let old = file(&bytes(3 << 20, 1));
        let delta = Delta {
            source: &old,
            source_size: 3 << 20,
            destination_size: 3 << 20,
            block_length: Some(128),
            prices: Prices::default(),
            threads: 1,
            give_up: false,
            stop: &AtomicBool::new(false),
        };
        let ask = first_ask(&delta).unwrap();
        let mut made = Vec::new();
        let strong = StrongHash::Sha256;
        let signature = Signature::of(&old, ask.blocks.clone(), (strong, ask.strong_length), 1).unwrap();
        let mut writer = Writer::new(&mut made, &ask, strong).unwrap();
        let (weak, strong) =
            (0..signature.len()).map(|n| (signature.weak(n), signature.strong(n))).unzip::<_, _, _, Vec<_>>();
        writer.write(&crate::delta::signature::Hashed { weak, strong: strong.concat() }).unwrap();
        let (read, was_read) = channel();
        let reader = Reader::new(Told { bytes: &made, read }, &ask).unwrap();
        let empty = reader.empty(&ask);
        let mut growing = Growing { signature: empty, table: Table::with_room(ask.blocks.count()), reader };
        let (batches, taken) = sync_channel(1);
        let batch = || Batch { source: 0..1, expected: 0, runs: Vec::new(), rest: false, decided: false };
        let taking = std::thread::spawn(move || {
            was_read.recv_timeout(Duration::from_secs(60)).expect("the signature is not read");
            taken.iter().count()
        });
        for _ in 0..3 {
            growing.hand_on(&delta, &batches, batch()).unwrap();
        }
        drop(batches);
        assert!(growing.is_complete() && taking.join().unwrap() == 3);
    }
}
