//! Operations that wait, on the disk: what was accepted is there after a crash, in its place.
//!
//! A row is four bytes of Adler-32 over the rest, big-endian, then a record as JSON. Many changes go into one transaction:
//! what a commit costs, the sync of the disk, is paid once for all of them. A row that cannot be read is put aside, with its
//! bytes; the others go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::priority::{Entry, Place, Standing};
use crate::content::name::printable;
use crate::control::queue::{Operation, QueueId};
use crate::control::{PriorityClass, TransferId};
use crate::store::{State, StateError};

/// What is known of an operation beside its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What is to be done.
    pub operation: Operation,
    /// The source's name, printable.
    pub name: String,
    /// When it was added, ms since the epoch: shown, and nothing decided by it.
    pub added_ms: u64,
    /// Times it was tried.
    #[serde(default)]
    pub attempts: u32,
    /// Times in a row that it failed though its endpoint answered.
    #[serde(default)]
    pub failures: u32,
    /// What went wrong the last time.
    #[serde(default)]
    pub why: String,
    /// The transfer that works on it, or did.
    #[serde(default)]
    pub transfer: Option<TransferId>,
    /// It waits for the operator: refused, or failed too often.
    #[serde(default)]
    pub parked: bool,
    /// The far side was told what is stale, ms since the epoch.
    #[serde(default)]
    pub told_ms: Option<u64>,
}

/// An operation as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    class: PriorityClass,
    arrived: u64,
    due: u64,
    tie: i64,
    target: String,
    bytes: u64,
    /// When it may be tried again, ms since the epoch.
    #[serde(default)]
    retry_at: Option<u64>,
    #[serde(flatten)]
    what: Waiting,
}

/// What was found when the outbox was opened.
#[derive(Debug)]
pub struct Found {
    /// The operations. Those that a transfer worked on stand as if they could start.
    pub entries: BTreeMap<QueueId, Entry<Waiting>>,
    /// Rows that were put aside, ever.
    pub corrupt: u64,
    /// The number that the next operation gets.
    pub next: QueueId,
}

/// The outbox of a node. All calls block.
#[derive(Debug, Clone)]
pub struct Outbox(Arc<State>);

impl Outbox {
    /// In this state.
    pub fn new(state: Arc<State>) -> Self {
        Self(state)
    }

    /// Everything that waits. What cannot be read is put aside and logged.
    ///
    /// # Errors
    /// The database cannot be read at all.
    pub fn open(&self) -> Result<Found, StateError> {
        let found = self.0.outbox()?;
        let (mut entries, mut bad) = (BTreeMap::new(), Vec::new());
        for (id, bytes) in found.rows {
            match read(QueueId(id), &bytes) {
                Ok(entry) => {
                    entries.insert(QueueId(id), entry);
                }
                Err(why) => {
                    let why = printable(&why);
                    tracing::error!(target: "queue", id, why, "an operation that waited here cannot be read: it is put aside");
                    bad.push(id);
                }
            }
        }
        let corrupt = found.aside + bad.len() as u64;
        if !bad.is_empty()
            && let Err(error) = self.0.put_aside(&bad)
        {
            // It is found again at the next start.
            tracing::error!(target: "queue", %error, "what cannot be read stays where it is");
        }
        Ok(Found { entries, corrupt, next: QueueId(found.next) })
    }

    /// Makes changes durable, in one transaction: `changed` as they are now (none: gone). `next`: the number that the next
    /// operation gets.
    ///
    /// # Errors
    /// The disk refused: what is on it is what was before.
    pub fn commit(&self, changed: &[(QueueId, Option<Vec<u8>>)], next: QueueId) -> Result<(), StateError> {
        let puts: Vec<_> = changed.iter().filter_map(|(id, row)| Some((id.0, row.clone()?))).collect();
        let gone: Vec<_> = changed.iter().filter(|(_, row)| row.is_none()).map(|(id, _)| id.0).collect();
        self.0.change_outbox(&puts, &gone, next.0)
    }
}

/// An operation as a row.
pub fn row(entry: &Entry<Waiting>) -> Vec<u8> {
    let Place { due, tie, .. } = entry.place;
    let retry_at = match entry.standing {
        Standing::Later(at) => Some(at),
        _ => None,
    };
    let record = Record {
        class: entry.class,
        arrived: entry.arrived,
        due,
        tie,
        target: entry.target.to_string(),
        bytes: entry.bytes,
        retry_at,
        what: entry.what.clone(),
    };
    let mut row = vec![0; 4];
    // A path that is no UTF-8 is spelled with escapes: nothing here cannot be written.
    if serde_json::to_writer(&mut row, &record).is_err() {
        row.truncate(4);
    }
    let sum = simd_adler32::adler32(&&row[4..]).to_be_bytes();
    row[..4].copy_from_slice(&sum);
    row
}

/// An operation from its row.
fn read(id: QueueId, row: &[u8]) -> Result<Entry<Waiting>, String> {
    let (sum, json) = row.split_at_checked(4).ok_or("it is too short")?;
    if sum != simd_adler32::adler32(&json).to_be_bytes() {
        return Err("its checksum is wrong".into());
    }
    let record: Record = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let standing = match record.retry_at {
        _ if record.what.parked => Standing::Parked,
        Some(at) => Standing::Later(at),
        None => Standing::Ready,
    };
    Ok(Entry {
        class: record.class,
        arrived: record.arrived,
        target: record.target.into(),
        bytes: record.bytes,
        standing,
        place: Place { due: record.due, tie: record.tie, id },
        what: record.what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{SendRequest, SyncRequest};

    fn entry(id: u64) -> Entry<Waiting> {
        let operation = if id.is_multiple_of(2) {
            Operation::Send(SendRequest { path: "/a".into(), dest: "http://h/".into(), ..SendRequest::default() })
        } else {
            Operation::Sync(SyncRequest { path: "/b".into(), rules: vec!["*.o".into()], ..SyncRequest::default() })
        };
        let what = Waiting {
            operation,
            name: format!("n{id}"),
            added_ms: 7,
            attempts: 2,
            failures: 1,
            why: "gone".into(),
            transfer: Some(TransferId(id + 100)),
            parked: false,
            told_ms: None,
        };
        Entry {
            class: PriorityClass::Analytics,
            arrived: 5 + id,
            target: "http://h:1".into(),
            bytes: id,
            standing: Standing::Later(99),
            place: Place { due: 4_000, tie: -3, id: QueueId(id) },
            what,
        }
    }

    fn changed(ids: std::ops::RangeInclusive<u64>) -> Vec<(QueueId, Option<Vec<u8>>)> {
        ids.map(|id| (QueueId(id), Some(row(&entry(id))))).collect()
    }

    #[test]
    fn what_was_committed_is_there_after_reopening_and_numbers_are_never_given_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        let open = || Outbox::new(Arc::new(State::open(&path).unwrap()));
        {
            let outbox = open();
            let found = outbox.open().unwrap();
            assert!(found.entries.is_empty() && (found.corrupt, found.next) == (0, QueueId(1)));
            outbox.commit(&changed(1..=5), QueueId(6)).unwrap();
            outbox.commit(&[(QueueId(5), None), (QueueId(2), None)], QueueId(6)).unwrap();
        }
        let found = open().open().unwrap();
        assert_eq!(found.next, QueueId(6));
        let expected: BTreeMap<_, _> = [1, 3, 4].map(|id| (QueueId(id), entry(id))).into();
        assert_eq!(found.entries, expected);
    }

    #[test]
    fn a_row_that_was_changed_anywhere_is_put_aside_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(State::open(&dir.path().join("state.redb")).unwrap());
        let outbox = Outbox::new(state.clone());
        let good = row(&entry(2));
        let mut corrupt = 0;
        let rows = (0..good.len()).step_by(7).chain([good.len() - 1]).map(|at| {
            let mut bad = good.clone();
            bad[at] ^= 4;
            bad
        });
        for (id, bad) in (2..).zip(rows.chain([vec![], vec![1, 2, 3], vec![0, 0, 0, 1]])) {
            state.change_outbox(&[(1, row(&entry(1))), (id, bad)], &[], id + 1).unwrap();
            corrupt += 1;
            let found = outbox.open().unwrap();
            assert_eq!(found.entries.keys().collect::<Vec<_>>(), [&QueueId(1)], "row {id}");
            assert_eq!((found.corrupt, found.next), (corrupt, QueueId(id + 1)));
            assert_eq!(outbox.open().unwrap().corrupt, corrupt, "each counts once");
        }
        assert!(corrupt > 40);
    }

    #[test]
    fn a_parked_one_stays_parked() {
        let parked = Entry { standing: Standing::Parked, what: Waiting { parked: true, ..entry(1).what }, ..entry(1) };
        let back = read(QueueId(1), &row(&parked)).unwrap();
        assert_eq!(back, parked);
        let running = Entry { standing: Standing::Running, ..entry(1) };
        assert_eq!(read(QueueId(1), &row(&running)).unwrap().standing, Standing::Ready, "its transfer tells");
    }
}
