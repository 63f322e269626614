//! Who of those that wait is next: by class, first come first served within a class, and nobody waits for ever.
//!
//! An operation rises by one class for each [`Limits::age_ms`] that it waits, up to critical, and stands there behind those
//! that were in that class before it. That order is the order of one number which never changes, the time of arrival plus
//! the class's number times that age: of two operations the one whose number is smaller has reached every class first. So
//! ageing costs nothing: nobody is moved while time passes, and an operation is overtaken only by those that arrive within
//! five ages after it.
//!
//! Each endpoint has a lane of those that could start; how many of a lane run at once, and which classes may, the caller
//! says ([`Queue::next`]). Times are milliseconds since the epoch. A clock that is put back does not bring newcomers to the
//! front: they count as arrived when the latest before them did.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use crate::control::PriorityClass;
use crate::control::queue::{ClassTotals, QueueId, QueueMove};

const CLASSES: usize = PriorityClass::ALL.len();

/// Bounds of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Operations that fit; one at least.
    pub capacity: usize,
    /// Time after which one that waits counts as of the next higher class, ms; one at least.
    pub age_ms: u64,
}

impl Default for Limits {
    /// 10,000 operations; a class in ten minutes.
    fn default() -> Self {
        Self { capacity: 10_000, age_ms: 600_000 }
    }
}

/// A place in the order: lower comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Arrival plus the class's number times the age, ms.
    pub due: u64,
    /// Tells apart those of a class that are due at the same time.
    pub tie: i64,
    /// Those that arrive later have larger ones.
    pub id: QueueId,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Could start.
    Ready,
    /// Could start from this time on, ms.
    Later(u64),
    /// Takes one of its endpoint's places.
    Running,
    /// Neither waits nor takes a place: somebody else decides when it goes on.
    Parked,
}

/// One operation, with what the caller knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<T> {
    /// As it was added, or changed.
    pub class: PriorityClass,
    /// When it arrived, ms.
    pub arrived: u64,
    /// The endpoint that it needs.
    pub target: Arc<str>,
    /// Its size, as far as known.
    pub bytes: u64,
    /// What it does.
    pub standing: Standing,
    /// Its place in the order.
    pub place: Place,
    /// The caller's own.
    pub what: T,
}

impl<T> Entry<T> {
    /// Classes that it rose by waiting.
    pub fn aged(&self, limits: Limits, now: u64) -> u32 {
        let classes = now.saturating_sub(self.arrived) / limits.age_ms.max(1);
        classes.min(self.class.index() as u64) as u32
    }
}

/// An operation to add.
#[derive(Debug, Clone, PartialEq)]
pub struct New<T> {
    /// Larger than that of any operation before.
    pub id: QueueId,
    /// Its class.
    pub class: PriorityClass,
    /// The endpoint that it needs.
    pub target: Arc<str>,
    /// Its size, as far as known.
    pub bytes: u64,
    /// The caller's own.
    pub what: T,
}

/// What became of an operation that was to be added.
#[derive(Debug, Clone, PartialEq)]
pub enum Added<T> {
    /// There was room.
    Fits,
    /// There was none: this one, the last of a lower class, had to go.
    Instead(QueueId, Box<Entry<T>>),
    /// There was none, and nothing of a lower class.
    Rejected,
}

/// Spreads numbers that we give ourselves, one after another: nobody can choose them so that they meet.
#[derive(Debug, Clone, Copy, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // Knuth's multiplicative hashing, with the golden ratio of 2^64.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Those of one endpoint.
#[derive(Debug, Default)]
struct Lane {
    ready: [BTreeSet<Place>; CLASSES],
    later: BTreeSet<(u64, QueueId)>,
    running: usize,
    count: usize,
}

/// The queue. See the module.
#[derive(Debug)]
pub struct Queue<T> {
    limits: Limits,
    entries: HashMap<QueueId, Entry<T>, BuildHasherDefault<IdHasher>>,
    classes: [BTreeSet<Place>; CLASSES],
    totals: [ClassTotals; CLASSES],
    lanes: HashMap<Arc<str>, Lane>,
    running: BTreeSet<Place>,
    latest: u64,
}

impl<T> Queue<T> {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: Limits { capacity: limits.capacity.max(1), age_ms: limits.age_ms.max(1) },
            entries: HashMap::default(),
            classes: Default::default(),
            totals: Default::default(),
            lanes: HashMap::new(),
            running: BTreeSet::new(),
            latest: 0,
        }
    }

    /// Its bounds.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Operations in it, those at work included.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Their bytes.
    pub fn total_queued_bytes(&self) -> u64 {
        self.totals.iter().fold(0, |sum, class| sum.saturating_add(class.bytes))
    }

    /// Operations, bytes and drops per class, critical first.
    pub fn totals(&self) -> [ClassTotals; CLASSES] {
        self.totals
    }

    /// One of them.
    pub fn get(&self, id: QueueId) -> Option<&Entry<T>> {
        self.entries.get(&id)
    }

    /// The caller's own of one of them.
    pub fn what_mut(&mut self, id: QueueId) -> Option<&mut T> {
        self.entries.get_mut(&id).map(|entry| &mut entry.what)
    }

    /// Adds an operation that arrives now. In a full queue the last of the lowest class has to go, or, if none is of a lower
    /// class than the newcomer, the newcomer; what runs stays.
    pub fn push(&mut self, new: New<T>, now: u64) -> Added<T> {
        let mut added = Added::Fits;
        if self.entries.len() >= self.limits.capacity {
            let Some(last) = self.last_below(new.class) else {
                self.totals[new.class.index()].dropped += 1;
                return Added::Rejected;
            };
            if let Some(entry) = self.remove(last) {
                self.totals[entry.class.index()].dropped += 1;
                added = Added::Instead(last, Box::new(entry));
            }
        }
        let arrived = now.max(self.latest);
        let place = self.place_for(new.class, arrived, new.id);
        let New { id, class, target, bytes, what } = new;
        self.put(id, Entry { class, arrived, target, bytes, standing: Standing::Ready, place, what });
        added
    }

    /// The last of the lowest class below `class` of those that do not run.
    fn last_below(&self, class: PriorityClass) -> Option<QueueId> {
        let below = self.classes[class.index() + 1..].iter().rev();
        below.filter_map(|class| class.iter().rev().find(|place| !self.running.contains(place))).map(|p| p.id).next()
    }

    /// Behind all of its class that arrived before it, moved or not.
    fn place_for(&self, class: PriorityClass, arrived: u64, id: QueueId) -> Place {
        let due = arrived.saturating_add(self.limits.age_ms.saturating_mul(class.index() as u64));
        match self.classes[class.index()].last() {
            Some(last) if last.due >= due => Place { due: last.due, tie: last.tie.saturating_add(1), id },
            _ => Place { due, tie: 0, id },
        }
    }

    /// Puts an entry as it is: one that was recorded, or was there before. One of that id gives way.
    pub fn put(&mut self, id: QueueId, entry: Entry<T>) {
        self.remove(id);
        let (class, place) = (entry.class.index(), Place { id, ..entry.place });
        self.latest = self.latest.max(entry.arrived);
        self.totals[class].count += 1;
        self.totals[class].bytes = self.totals[class].bytes.saturating_add(entry.bytes);
        self.classes[class].insert(place);
        let lane = match self.lanes.get_mut(&entry.target) {
            Some(lane) => lane,
            None => self.lanes.entry(entry.target.clone()).or_default(),
        };
        lane.count += 1;
        stand(lane, &mut self.running, class, place, entry.standing);
        self.entries.insert(id, Entry { place, ..entry });
    }

    /// Takes an operation out.
    pub fn remove(&mut self, id: QueueId) -> Option<Entry<T>> {
        let entry = self.entries.remove(&id)?;
        let class = entry.class.index();
        self.totals[class].count -= 1;
        self.totals[class].bytes = self.totals[class].bytes.saturating_sub(entry.bytes);
        self.classes[class].remove(&entry.place);
        if let Some(lane) = self.lanes.get_mut(&entry.target) {
            leave(lane, &mut self.running, class, entry.place, entry.standing);
            lane.count -= 1;
            if lane.count == 0 {
                self.lanes.remove(&entry.target);
            }
        }
        Some(entry)
    }

    /// Changes what an operation does. False: there is none.
    pub fn set_standing(&mut self, id: QueueId, standing: Standing) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let Some(lane) = self.lanes.get_mut(&entry.target) else { return false };
        let class = entry.class.index();
        leave(lane, &mut self.running, class, entry.place, entry.standing);
        entry.standing = standing;
        stand(lane, &mut self.running, class, entry.place, standing);
        true
    }

    /// Changes an operation's size. False: there is none.
    pub fn set_bytes(&mut self, id: QueueId, bytes: u64) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        let total = &mut self.totals[entry.class.index()];
        total.bytes = total.bytes.saturating_sub(entry.bytes).saturating_add(bytes);
        entry.bytes = bytes;
        true
    }

    /// Gives an operation another class, in which it counts as arrived when it did. False: there is none.
    pub fn set_class(&mut self, id: QueueId, class: PriorityClass) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        if entry.class == class {
            return true;
        }
        let Some(mut entry) = self.remove(id) else { return false };
        let due = entry.arrived.saturating_add(self.limits.age_ms.saturating_mul(class.index() as u64));
        let at = |tie, id| Place { due, tie, id: QueueId(id) };
        let same = self.classes[class.index()].range(at(i64::MIN, 0)..=at(i64::MAX, u64::MAX)).next_back();
        let tie = same.map_or(0, |last| last.tie.saturating_add(1));
        (entry.class, entry.place) = (class, Place { due, tie, id });
        self.put(id, entry);
        true
    }

    /// Those of its class next to an operation.
    pub fn neighbours(&self, id: QueueId) -> impl Iterator<Item = QueueId> {
        let around = self.entries.get(&id).map(|entry| {
            let class = &self.classes[entry.class.index()];
            let behind = class.range((Bound::Excluded(entry.place), Bound::Unbounded)).next();
            [class.range(..entry.place).next_back(), behind]
        });
        around.into_iter().flatten().flatten().map(|place| place.id)
    }

    /// Gives an operation another place among those of its class; which others have another place by that. None: there is
    /// no such operation.
    pub fn move_to(&mut self, id: QueueId, to: QueueMove) -> Option<Vec<QueueId>> {
        let entry = self.entries.get(&id)?;
        let (place, class) = (entry.place, &self.classes[entry.class.index()]);
        // Next to whom, who stands there already, and on which side.
        let (other, beyond, step) = match to {
            QueueMove::Up => {
                let mut before = class.range(..place).rev();
                (before.next(), before.next(), -1)
            }
            QueueMove::Down => {
                let mut behind = class.range((Bound::Excluded(place), Bound::Unbounded));
                (behind.next(), behind.next(), 1)
            }
            QueueMove::First => (class.first(), None, -1),
            QueueMove::Last => (class.last(), None, 1),
        };
        let Some(other) = other.filter(|other| other.id != id).copied() else { return Some(Vec::new()) };
        let next_to = Place { due: other.due, tie: other.tie.saturating_add(step), id };
        let is_free = beyond.is_none_or(|beyond| match (beyond.due, beyond.tie).cmp(&(next_to.due, next_to.tie)) {
            Ordering::Less => step < 0,
            Ordering::Greater => step > 0,
            Ordering::Equal => false,
        });
        if is_free {
            self.set_place(id, next_to);
            return Some(Vec::new());
        }
        self.set_place(other.id, place);
        self.set_place(id, other);
        Some(vec![other.id])
    }

    fn set_place(&mut self, id: QueueId, place: Place) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let (class, place) = (entry.class.index(), Place { id, ..place });
        self.classes[class].remove(&entry.place);
        self.classes[class].insert(place);
        if let Some(lane) = self.lanes.get_mut(&entry.target) {
            leave(lane, &mut self.running, class, entry.place, entry.standing);
            stand(lane, &mut self.running, class, place, entry.standing);
        }
        entry.place = place;
    }

    /// The operation whose turn it is at an endpoint that answers: none if `limit` of it run already, or none could start.
    /// Only those of `lowest` or a higher class; `fits` may pass over some.
    pub fn next(
        &mut self,
        target: &str,
        limit: usize,
        lowest: PriorityClass,
        now: u64,
        fits: impl Fn(QueueId, &T) -> bool,
    ) -> Option<QueueId> {
        self.wake(target, now);
        self.first(target, limit, lowest, fits)
    }

    /// [`Self::next`] of those that could start when they were woken last ([`Self::wake`]).
    pub fn first(
        &self,
        target: &str,
        limit: usize,
        lowest: PriorityClass,
        fits: impl Fn(QueueId, &T) -> bool,
    ) -> Option<QueueId> {
        let lane = self.lanes.get(target).filter(|lane| lane.running < limit)?;
        let classes = &lane.ready[..=lowest.index()];
        let fits = |place: &&Place| self.entries.get(&place.id).is_some_and(|entry| fits(place.id, &entry.what));
        classes.iter().filter_map(|class| class.iter().find(fits)).min().map(|place| place.id)
    }

    /// Those of an endpoint whose time has come could start.
    pub fn wake(&mut self, target: &str, now: u64) {
        while let Some(id) =
            self.lanes.get(target).and_then(|lane| lane.later.first()).filter(|(at, _)| *at <= now).map(|(_, id)| *id)
        {
            self.set_standing(id, Standing::Ready);
        }
    }

    /// Lets all of an endpoint that wait for their time start now.
    pub fn release(&mut self, target: &str) {
        self.wake(target, u64::MAX);
    }

    /// When the next of an endpoint that waits for its time may start, ms.
    pub fn wakes_at(&self, target: &str) -> Option<u64> {
        self.lanes.get(target).and_then(|lane| lane.later.first()).map(|(at, _)| *at)
    }

    /// Those of an endpoint that run, and those that could start now or later.
    pub fn lane(&self, target: &str) -> (usize, usize) {
        let wait = |lane: &Lane| lane.later.len() + lane.ready.iter().map(BTreeSet::len).sum::<usize>();
        self.lanes.get(target).map_or((0, 0), |lane| (lane.running, wait(lane)))
    }

    /// One of an endpoint that could start, now or later.
    pub fn waiting(&self, target: &str) -> Option<QueueId> {
        let lane = self.lanes.get(target)?;
        let ready = lane.ready.iter().find_map(BTreeSet::first).map(|place| place.id);
        ready.or_else(|| lane.later.first().map(|(_, id)| *id))
    }

    /// Endpoints that operations need.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<str>> {
        self.lanes.keys()
    }

    /// The first in the order, of those that do not run.
    pub fn peek(&self) -> Option<(QueueId, &Entry<T>)> {
        self.in_order().find(|(_, entry)| entry.standing != Standing::Running)
    }

    /// All of them in the order in which they are tried, whether they could start or not.
    pub fn in_order(&self) -> impl Iterator<Item = (QueueId, &Entry<T>)> {
        let mut classes = self.classes.each_ref().map(|class| class.iter().peekable());
        std::iter::from_fn(move || {
            let first =
                (0..CLASSES).min_by_key(|class| classes[*class].peek().map_or((true, None), |p| (false, Some(**p))))?;
            classes[first].next()
        })
        .filter_map(|place| self.entries.get(&place.id).map(|entry| (place.id, entry)))
    }

    /// Those that run, in the same order.
    pub fn running(&self) -> impl Iterator<Item = (QueueId, &Entry<T>)> {
        self.running.iter().filter_map(|place| self.entries.get(&place.id).map(|entry| (place.id, entry)))
    }

    /// Those of a class in their order.
    pub fn by_priority(&self, class: PriorityClass) -> impl Iterator<Item = (QueueId, &Entry<T>)> {
        let places = self.classes[class.index()].iter();
        places.filter_map(|place| self.entries.get(&place.id).map(|entry| (place.id, entry)))
    }

    /// Takes out what arrived more than `max_age` ms ago and does not run.
    pub fn purge_expired(&mut self, max_age: u64, now: u64) -> BTreeMap<QueueId, Entry<T>> {
        let old = |entry: &Entry<T>| entry.standing != Standing::Running && now.saturating_sub(entry.arrived) > max_age;
        let ids: Vec<QueueId> = self.entries.iter().filter(|(_, entry)| old(entry)).map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| Some((id, self.remove(id)?))).collect()
    }
}

fn stand(lane: &mut Lane, running: &mut BTreeSet<Place>, class: usize, place: Place, standing: Standing) {
    match standing {
        Standing::Ready => {
            lane.ready[class].insert(place);
        }
        Standing::Later(at) => {
            lane.later.insert((at, place.id));
        }
        Standing::Running => {
            lane.running += 1;
            running.insert(place);
        }
        Standing::Parked => {}
    }
}

fn leave(lane: &mut Lane, running: &mut BTreeSet<Place>, class: usize, place: Place, standing: Standing) {
    match standing {
        Standing::Ready => {
            lane.ready[class].remove(&place);
        }
        Standing::Later(at) => {
            lane.later.remove(&(at, place.id));
        }
        Standing::Running => {
            lane.running = lane.running.saturating_sub(1);
            running.remove(&place);
        }
        Standing::Parked => {}
    }
}
