//! Whose turn it is to move bytes: as many transfers at a time as the node allows, by priority, then
//! by their order in the queue.
//!
//! [`Turns`] decides, [`Gate`] lets tasks wait. A turn that was given is kept until it is given back:
//! a higher priority comes before those that wait, it takes no place away.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::control::TransferId;

/// What a waiting transfer is weighed by: higher priority first, then lower rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    pub priority: i8,
    /// Place in the queue.
    pub rank: u64,
}

/// The decider: who waits, and how many places are free.
#[derive(Debug)]
struct Turns<T> {
    free: usize,
    /// Nobody is called: the node drains.
    held: bool,
    waiting: Vec<(TransferId, Weight, T)>,
}

impl<T> Turns<T> {
    fn new(places: usize) -> Self {
        Self { free: places, held: false, waiting: Vec::new() }
    }

    fn wait(&mut self, id: TransferId, weight: Weight, ticket: T) {
        self.leave(id);
        self.waiting.push((id, weight, ticket));
    }

    fn leave(&mut self, id: TransferId) {
        self.waiting.retain(|(waiting, ..)| *waiting != id);
    }

    fn weigh(&mut self, id: TransferId, weight: Weight) {
        for (_, old, _) in self.waiting.iter_mut().filter(|(waiting, ..)| *waiting == id) {
            *old = weight;
        }
    }

    /// The next one whose turn it is: its place is taken.
    fn next(&mut self) -> Option<T> {
        if self.free == 0 || self.held {
            return None;
        }
        let key = |weight: &Weight| (-i16::from(weight.priority), weight.rank);
        let (at, _) = self.waiting.iter().enumerate().min_by_key(|(_, (id, weight, _))| (key(weight), *id))?;
        self.free -= 1;
        Some(self.waiting.remove(at).2)
    }

    fn give_back(&mut self) {
        self.free += 1;
    }
}

/// Where tasks wait for their turn.
#[derive(Debug)]
pub(crate) struct Gate(Mutex<Turns<oneshot::Sender<Place>>>);

/// A turn; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Gate>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.with(Turns::give_back);
        self.0.call();
    }
}

/// Takes a waiting transfer off the list when nobody waits for it any more.
struct Waiting<'a>(&'a Gate, TransferId);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.with(|turns| turns.leave(self.1));
    }
}

impl Gate {
    /// A gate with this many places, one at least.
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Turns::new(places.max(1)))))
    }

    fn with<R>(&self, act: impl FnOnce(&mut Turns<oneshot::Sender<Place>>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls those whose turn it is. One that has gone meanwhile drops its place, which calls again.
    fn call(self: &Arc<Self>) {
        while let Some(ticket) = self.with(Turns::next) {
            let _ = ticket.send(Place(self.clone()));
        }
    }

    /// Calls nobody from now on, or again: those who have a place keep it.
    pub(crate) fn hold(self: &Arc<Self>, held: bool) {
        self.with(|turns| turns.held = held);
        self.call();
    }

    /// True while nobody is called.
    pub(crate) fn is_held(&self) -> bool {
        self.with(|turns| turns.held)
    }

    /// Waits for a turn; `blocked` is called once if it does not come at once. Dropping the future
    /// leaves the queue.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        id: TransferId,
        weight: Weight,
        blocked: impl FnOnce(),
    ) -> Option<Place> {
        let (ticket, mut turn) = oneshot::channel();
        self.with(|turns| turns.wait(id, weight, ticket));
        let _waiting = Waiting(self, id);
        self.call();
        if let Ok(place) = turn.try_recv() {
            return Some(place);
        }
        blocked();
        turn.await.ok()
    }

    /// A transfer has another weight now; if it waits, it counts at once.
    pub(crate) fn weigh(&self, id: TransferId, weight: Weight) {
        self.with(|turns| turns.weigh(id, weight));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(priority: i8, rank: u64) -> Weight {
        Weight { priority, rank }
    }

    #[test]
    fn by_priority_then_by_rank() {
        let mut turns = Turns::new(1);
        for (id, priority, rank) in [(1, 0, 1), (2, 0, 2), (3, 5, 3), (4, -1, 0)] {
            turns.wait(TransferId(id), weight(priority, rank), id);
        }
        assert_eq!(turns.next(), Some(3));
        assert_eq!(turns.next(), None, "the place is taken");
        turns.weigh(TransferId(2), weight(0, 0));
        let mut order = Vec::new();
        for _ in 0..3 {
            turns.give_back();
            order.extend(turns.next());
        }
        assert_eq!(order, [2, 1, 4]);
    }

    #[test]
    fn who_leaves_is_not_called() {
        let mut turns = Turns::new(1);
        turns.wait(TransferId(1), weight(0, 1), 1);
        turns.wait(TransferId(2), weight(0, 2), 2);
        turns.leave(TransferId(1));
        assert_eq!(turns.next(), Some(2));
    }

    #[tokio::test]
    async fn while_it_is_held_nobody_begins_and_nobody_is_stopped() {
        let gate = Gate::new(2);
        let first = gate.enter(TransferId(1), weight(0, 1), || panic!("it is free")).await.unwrap();
        gate.hold(true);
        let mut second = Box::pin(gate.enter(TransferId(2), weight(0, 2), || {}));
        assert!(futures_util::poll!(&mut second).is_pending(), "although a place is free");
        drop(first);
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(gate.is_held());
        gate.hold(false);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn a_place_goes_from_hand_to_hand_and_none_is_lost() {
        let gate = Gate::new(1);
        let first = gate.enter(TransferId(1), weight(0, 1), || panic!("it is free")).await.unwrap();
        let mut low = Box::pin(gate.enter(TransferId(2), weight(0, 2), || {}));
        let mut high = Box::pin(gate.enter(TransferId(3), weight(1, 3), || {}));
        assert!(futures_util::poll!(&mut low).is_pending());
        assert!(futures_util::poll!(&mut high).is_pending());
        // Gone before its turn comes: its place goes to the next.
        let mut gone = Box::pin(gate.enter(TransferId(4), weight(9, 4), || {}));
        assert!(futures_util::poll!(&mut gone).is_pending());
        drop(gone);
        drop(first);
        let high = high.await.unwrap();
        assert!(futures_util::poll!(&mut low).is_pending());
        drop(high);
        assert!(low.await.is_some());
    }
}
