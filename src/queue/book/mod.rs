//! Everything that is decided about operations that wait: which are taken, which starts when, what becomes of it.
//!
//! Whoever drives it tells what was wished (`wishes`) and what happened (`turns`), writes what became other
//! ([`Book::unsaved`]) before it answers, and carries out what is to be done ([`Effect`]).
//!
//! Invariants:
//! - An operation has one transfer at a time, and goes on with it when it is tried again.
//! - Two operations of the same source and destination do not run at once; one that waits takes up a second wish.
//! - What was taken is in the queue or was told to be gone: done, dropped, purged, cancelled.

mod turns;
mod view;
mod wishes;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

pub use self::turns::{Fault, Turn};
pub use self::wishes::Wanted;
use super::links::{Links, Terms};
use super::outbox::{Found, Waiting, row};
use super::priority::{Entry, Limits, Place, Queue, Standing};
use super::reach::{MAX_PAUSE, Reach};
use crate::control::queue::{Operation, QueueId, QueueView};
use crate::control::{SyncRequest, TransferId};

/// Endpoints that are asked at once whether they answer.
const MAX_QUESTIONS: usize = 16;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start a transfer, or go on with this one.
    Begin {
        /// For which operation.
        id: QueueId,
        /// It, as it was taken.
        entry: Box<Entry<Waiting>>,
    },
    /// Ask the endpoint of this operation whether it answers.
    Ask {
        /// The endpoint.
        target: Arc<str>,
        /// An operation that goes there.
        operation: Box<Operation>,
        /// The source's name.
        name: String,
    },
    /// Tell the far side of a sync what is stale there: its link takes no more now.
    Tell {
        /// Which operation.
        id: QueueId,
        /// The sync.
        request: Box<SyncRequest>,
        /// The source's name.
        name: String,
    },
    /// Cancel a transfer: its operation was purged.
    Cancel(TransferId),
    /// A transfer has done what it was for.
    Done(TransferId),
}

/// Something to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Somebody should look at it.
    pub warns: bool,
    /// In words.
    pub words: String,
    /// The transfer that it is about.
    pub transfer: Option<TransferId>,
}

/// What makes two operations the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Same(&'static str, PathBuf, String);

impl Same {
    fn of(operation: &Operation) -> Self {
        let (path, dest) = match operation {
            Operation::Send(send) => (&send.path, &send.dest),
            Operation::Sync(sync) => (&sync.path, &sync.dest),
        };
        Self(operation.what(), path.clone(), dest.clone())
    }
}

fn is_same(a: &Operation, b: &Operation) -> bool {
    match (a, b) {
        (Operation::Send(a), Operation::Send(b)) => (&a.path, &a.dest) == (&b.path, &b.dest),
        (Operation::Sync(a), Operation::Sync(b)) => (&a.path, &a.dest) == (&b.path, &b.dest),
        _ => false,
    }
}

/// The queue and what is known around it. See the module.
#[derive(Debug)]
pub struct Book {
    queue: Queue<Waiting>,
    reach: HashMap<Arc<str>, Reach>,
    /// The newest operation of a source and destination.
    same: HashMap<Same, QueueId>,
    /// Those whose transfer the operator paused.
    paused: HashSet<QueueId>,
    /// Those that were there before, on a node that does not go on with what was.
    left: HashSet<QueueId>,
    /// The one whose far side is being told what is stale.
    telling: Option<QueueId>,
    /// When a far side is told again, ms.
    tell_again: HashMap<QueueId, u64>,
    /// Those whose row on the disk is not as they are.
    unsaved: BTreeSet<QueueId>,
    /// What was before a wish; none: nothing is to be taken back.
    before: Option<BTreeMap<QueueId, Option<Entry<Waiting>>>>,
    notes: Vec<Note>,
    next: QueueId,
    corrupt: u64,
    expired: u64,
    /// Shortens every pause; for tests.
    pace: f64,
    shown: Arc<QueueView>,
}

impl Book {
    /// From what was found on the disk. `go_on`: with what was there before, too.
    pub fn new(limits: Limits, found: Found, go_on: bool, now: u64, pace: f64) -> Self {
        let mut book = Self {
            queue: Queue::new(limits),
            reach: HashMap::new(),
            same: HashMap::new(),
            paused: HashSet::new(),
            left: HashSet::new(),
            telling: None,
            tell_again: HashMap::new(),
            unsaved: BTreeSet::new(),
            before: None,
            notes: Vec::new(),
            next: found.next,
            corrupt: found.corrupt,
            expired: 0,
            pace,
            shown: Arc::default(),
        };
        for (id, mut entry) in found.entries {
            if !go_on {
                book.left.insert(id);
                entry.standing = Standing::Parked;
            } else if let Standing::Later(at) = entry.standing {
                entry.standing = Standing::Later(at.min(now + MAX_PAUSE));
            }
            book.put(id, entry);
        }
        book
    }

    /// The operations, for whoever takes up their transfers.
    pub fn entries(&self) -> impl Iterator<Item = (QueueId, &Entry<Waiting>)> {
        self.queue.in_order()
    }

    /// An operation's transfer was found at work, or at rest.
    pub fn adopt(&mut self, id: QueueId, transfer: TransferId) {
        let known = self.queue.get(id).is_some_and(|entry| entry.what.transfer == Some(transfer));
        if !known && let Some(what) = self.queue.what_mut(id) {
            what.transfer = Some(transfer);
            self.unsaved.insert(id);
        }
    }

    /// An operation's transfer is not there any more: it gets another.
    pub fn orphan(&mut self, id: QueueId) {
        if let Some(what) = self.queue.what_mut(id) {
            what.transfer = None;
            self.unsaved.insert(id);
        }
    }

    /// Rows that are to be written: as they are now, or none if they are gone.
    pub fn unsaved(&self) -> Vec<(QueueId, Option<Vec<u8>>)> {
        self.unsaved.iter().map(|id| (*id, self.queue.get(*id).map(|entry| row(&self.as_kept(*id, entry))))).collect()
    }

    /// One that is left alone is kept as it was.
    fn as_kept(&self, id: QueueId, entry: &Entry<Waiting>) -> Entry<Waiting> {
        let standing = if self.left.contains(&id) { Standing::Ready } else { entry.standing };
        Entry { standing, ..entry.clone() }
    }

    /// The number that the next operation gets.
    pub fn next_id(&self) -> QueueId {
        self.next
    }

    /// They were written.
    pub fn on_saved(&mut self) {
        self.unsaved.clear();
    }

    /// Wishes follow that can be taken back.
    pub fn begin_wishes(&mut self) {
        self.before = Some(BTreeMap::new());
    }

    /// The wishes since then stand.
    pub fn keep_wishes(&mut self) {
        self.before = None;
    }

    /// The disk refused: everything is as it was before them.
    pub fn take_back(&mut self) {
        for (id, entry) in self.before.take().into_iter().flatten() {
            // Written again in any case: that is as good as leaving it.
            match entry {
                Some(entry) => self.put(id, entry),
                None => {
                    self.take(id);
                }
            }
        }
        self.notes.clear();
    }

    /// Notes so far.
    pub fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    fn note(&mut self, warns: bool, words: String, transfer: Option<TransferId>) {
        self.notes.push(Note { warns, words, transfer });
    }

    /// Remembers what an operation was before it changes.
    fn touch(&mut self, id: QueueId) {
        self.remember(id);
        self.unsaved.insert(id);
    }

    /// What it was like, for [`Self::take_back`].
    fn remember(&mut self, id: QueueId) {
        if let Some(before) = &mut self.before {
            before.entry(id).or_insert_with(|| self.queue.get(id).cloned());
        }
    }

    fn put(&mut self, id: QueueId, entry: Entry<Waiting>) {
        let newest = self.same.entry(Same::of(&entry.what.operation)).or_insert(id);
        *newest = (*newest).max(id);
        self.queue.put(id, entry);
    }

    fn take(&mut self, id: QueueId) -> Option<Entry<Waiting>> {
        let entry = self.queue.remove(id)?;
        self.forget(id, &entry);
        Some(entry)
    }

    /// It has left the queue.
    fn forget(&mut self, id: QueueId, entry: &Entry<Waiting>) {
        self.paused.remove(&id);
        self.left.remove(&id);
        self.tell_again.remove(&id);
        let same = Same::of(&entry.what.operation);
        if self.same.get(&same) == Some(&id) {
            self.same.remove(&same);
        }
    }

    /// What is to be done now. `holds`: nothing new begins; `places`: operations at work at most.
    pub fn effects(&mut self, now: u64, links: &dyn Links, holds: bool, places: usize) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut ready: BTreeMap<Place, Arc<str>> = BTreeMap::new();
        let targets: Vec<Arc<str>> = self.queue.targets().cloned().collect();
        let mut asking = self.reach.values().filter(|reach| matches!(reach, Reach::Asking { .. })).count();
        for target in &targets {
            if holds {
                continue;
            }
            let candidate = self.candidate(target, now, links).map(|(place, _)| place);
            let summary = || self.to_tell(target, now, links);
            // Whoever is away is asked even while all that is for it waits for its next try.
            let away = || {
                let is_away = self.reach.get(target).is_some_and(|reach| reach.is_due(now));
                self.queue.waiting(target).filter(|_| is_away).and_then(|id| Some(self.queue.get(id)?.place))
            };
            let Some(place) = candidate.or_else(summary).or_else(away) else { continue };
            let Some(operation) = self.queue.get(place.id).map(|entry| entry.what.clone()) else { continue };
            let reach = self.reach.entry(target.clone()).or_default();
            if *reach == Reach::There {
                match operation.operation {
                    Operation::Sync(request) if candidate.is_none() => {
                        self.telling = Some(place.id);
                        effects.push(Effect::Tell { id: place.id, request: Box::new(request), name: operation.name });
                    }
                    _ => {
                        ready.insert(place, target.clone());
                    }
                }
            } else if reach.is_due(now) && asking < MAX_QUESTIONS {
                reach.on_asked();
                asking += 1;
                let (target, name) = (target.clone(), operation.name);
                effects.push(Effect::Ask { target, operation: Box::new(operation.operation), name });
            }
        }
        while self.queue.running().count() < places
            && let Some((place, target)) = ready.pop_first()
        {
            effects.extend(self.start(place.id));
            if let Some((next, _)) = self.candidate(&target, now, links) {
                ready.insert(next, target);
            }
        }
        effects
    }

    /// A sync that waits for a better link and whose far side is to be told what is stale; one at a time.
    fn to_tell(&self, target: &str, now: u64, links: &dyn Links) -> Option<Place> {
        let terms = links.terms(target);
        if !terms.summary || self.telling.is_some() {
            return None;
        }
        let waits = |(id, entry): &(QueueId, &Entry<Waiting>)| {
            &*entry.target == target
                && entry.class > terms.lowest
                && entry.standing == Standing::Ready
                && matches!(entry.what.operation, Operation::Sync(_))
                && self.tell_again.get(id).is_none_or(|at| *at <= now)
        };
        self.queue.in_order().find(waits).map(|(_, entry)| entry.place)
    }

    /// Whose turn it is at an endpoint, if it answers.
    fn candidate(&mut self, target: &str, now: u64, links: &dyn Links) -> Option<(Place, Terms)> {
        let terms = links.terms(target);
        self.queue.wake(target, now);
        let at_work = || self.queue.running().map(|(_, entry)| &entry.what.operation);
        let fits = |_: QueueId, what: &Waiting| !at_work().any(|other| is_same(other, &what.operation));
        let id = self.queue.first(target, terms.concurrent, terms.lowest, fits)?;
        Some((self.queue.get(id)?.place, terms))
    }

    fn start(&mut self, id: QueueId) -> Option<Effect> {
        self.queue.set_standing(id, Standing::Running);
        let what = self.queue.what_mut(id)?;
        what.attempts += 1;
        self.unsaved.insert(id);
        Some(Effect::Begin { id, entry: Box::new(self.queue.get(id)?.clone()) })
    }

    /// An endpoint answered, or did not.
    pub fn on_answer(&mut self, target: &str, answer: Result<(), String>, now: u64, random: f64) {
        let Some(reach) = self.reach.get_mut(target) else { return };
        let was_away = reach.away().is_some();
        let is_back = reach.on_answer(answer, now, random, self.pace);
        let is_away = reach.away().map(str::to_owned);
        if is_back {
            self.queue.release(target);
            self.note(false, format!("{target} answers again: what was stored for it goes out"), None);
        } else if let Some(why) = is_away.filter(|_| !was_away) {
            let (_, waiting) = self.queue.lane(target);
            self.note(
                true,
                format!("{target} does not answer ({why}): what is for it is stored, {waiting} so far"),
                None,
            );
        }
        // Nobody waits for those any more.
        let targets: HashSet<&Arc<str>> = self.queue.targets().collect();
        self.reach.retain(|target, _| targets.contains(target));
    }

    /// When something is to be done by itself, ms; none: only when something happens.
    pub fn wakes_at(&self) -> Option<u64> {
        let asked = self.reach.values().filter_map(Reach::due_at);
        let tried = self.queue.targets().filter_map(|target| self.queue.wakes_at(target));
        asked.chain(tried).min()
    }

    /// Something waits that could start if the world around it changes.
    pub fn waits(&self) -> bool {
        self.queue.targets().any(|target| self.queue.lane(target).1 > 0)
    }
}
