//! What is wished of the queue.

use std::sync::Arc;

use super::{Book, Effect, Same};
use crate::control::queue::{Operation, PurgeRequest, QueueId, QueueMove};
use crate::control::{CommandError, CommandErrorKind, PriorityClass, Reply};
use crate::queue::outbox::Waiting;
use crate::queue::priority::{Added, Entry, New, Standing};

/// An operation to take.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// It, checked.
    pub operation: Operation,
    /// Its class; none: as it was, or normal.
    pub class: Option<PriorityClass>,
    /// The endpoint that it needs.
    pub target: Arc<str>,
    /// The source's name, printable.
    pub name: String,
    /// Its size, as far as known.
    pub bytes: u64,
}

fn unknown(id: QueueId) -> CommandError {
    let words = format!("there is no operation {id} in the queue; `skep queue` lists them");
    CommandError::new(CommandErrorKind::NotFound, words)
}

impl Book {
    /// Takes an operation. `unix`: the time that is shown, ms since the epoch.
    ///
    /// # Errors
    /// The queue is full of what matters as much or more.
    pub fn enqueue(&mut self, wanted: Wanted, now: u64, unix: u64) -> Result<Reply, CommandError> {
        let newest = self.same.get(&Same::of(&wanted.operation)).copied();
        let waits = |id: &QueueId| {
            let stands = self.queue.get(*id).map(|entry| entry.standing);
            stands.is_some_and(|standing| standing != Standing::Running) && !self.paused.contains(id)
        };
        if let Some(id) = newest.filter(waits) {
            self.take_up(id, wanted);
            return Ok(Reply::Enqueued { id, again: true });
        }
        let id = self.next;
        self.next.0 += 1;
        let Wanted { operation, class, target, name, bytes } = wanted;
        let (class, same) = (class.unwrap_or_default(), Same::of(&operation));
        let what = Waiting {
            operation,
            name: name.clone(),
            added_ms: unix,
            attempts: 0,
            failures: 0,
            why: String::new(),
            transfer: None,
            parked: false,
            told_ms: None,
        };
        self.touch(id);
        match self.queue.push(New { id, class, target, bytes, what }, now) {
            Added::Fits => {}
            Added::Instead(gone, entry) => {
                if let Some(before) = &mut self.before {
                    before.entry(gone).or_insert_with(|| Some((*entry).clone()));
                }
                self.unsaved.insert(gone);
                self.forget(gone, &entry);
                let words = format!(
                    "the queue is full: {} ({}, #{gone}) is dropped for {name} ({}, #{id})",
                    entry.what.name,
                    entry.class.name(),
                    class.name()
                );
                self.note(true, words, None);
            }
            Added::Rejected => {
                self.unsaved.remove(&id);
                let capacity = self.queue.limits().capacity;
                let words = format!(
                    "the queue is full: {capacity} operations wait, none of a lower class than {}; {name} is not taken: wait, \
                     purge some (`skep queue purge`), or give it a higher class",
                    class.name()
                );
                self.note(true, words.clone(), None);
                return Err(CommandError::new(CommandErrorKind::Conflict, words));
            }
        }
        self.same.insert(same, id);
        Ok(Reply::Enqueued { id, again: false })
    }

    /// One that waits takes up what differs in a second wish.
    fn take_up(&mut self, id: QueueId, wanted: Wanted) {
        self.touch(id);
        self.left.remove(&id);
        if let Some(class) = wanted.class {
            self.queue.set_class(id, class);
        }
        self.queue.set_bytes(id, wanted.bytes);
        if let Some(what) = self.queue.what_mut(id) {
            (what.operation, what.name) = (wanted.operation, wanted.name);
        }
        self.ready(id);
    }

    /// It could start at once, whatever happened before.
    fn ready(&mut self, id: QueueId) {
        if let Some(what) = self.queue.what_mut(id) {
            (what.parked, what.failures) = (false, 0);
            what.why.clear();
        }
        self.queue.set_standing(id, Standing::Ready);
    }

    fn all(&self, ids: &[QueueId]) -> Result<(), CommandError> {
        ids.iter().find(|id| self.queue.get(**id).is_none()).map_or(Ok(()), |id| Err(unknown(*id)))
    }

    /// Another class for some.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn set_class(&mut self, ids: &[QueueId], class: PriorityClass) -> Result<Reply, CommandError> {
        self.all(ids)?;
        for id in ids {
            self.touch(*id);
            self.queue.set_class(*id, class);
        }
        Ok(Reply::Done)
    }

    /// Another place for one, among those of its class.
    ///
    /// # Errors
    /// It is not there.
    pub fn move_to(&mut self, id: QueueId, to: QueueMove) -> Result<Reply, CommandError> {
        self.all(&[id])?;
        self.touch(id);
        let neighbours: Vec<QueueId> = self.queue.neighbours(id).collect();
        for other in neighbours {
            self.remember(other);
        }
        // Only those have to be written down that have another place now.
        self.unsaved.extend(self.queue.move_to(id, to).unwrap_or_default());
        Ok(Reply::Done)
    }

    /// Some are tried now, that waited for their time or the operator.
    ///
    /// # Errors
    /// One of them is not there, or there is nothing to try.
    pub fn retry(&mut self, ids: &[QueueId]) -> Result<Reply, CommandError> {
        self.all(ids)?;
        let refuse = |words: String| Err(CommandError::new(CommandErrorKind::Conflict, words));
        for id in ids {
            if self.paused.contains(id) {
                return refuse(format!("the transfer of operation {id} is paused: resume that"));
            }
            if self.queue.get(*id).is_some_and(|entry| entry.standing == Standing::Running) {
                return refuse(format!("operation {id} is at work already"));
            }
        }
        for id in ids {
            self.touch(*id);
            self.left.remove(id);
            self.ready(*id);
            let target = self.queue.get(*id).map(|entry| entry.target.clone());
            // It is asked now, not when its pause is over.
            if let Some(reach) = target.and_then(|target| self.reach.get_mut(&target)) {
                reach.hurry();
            }
        }
        Ok(Reply::Done)
    }

    /// Removes some; the transfers of those that are at work are cancelled.
    ///
    /// # Errors
    /// One that was named is not there, or nothing was asked for.
    pub fn purge(&mut self, request: &PurgeRequest, now: u64) -> Result<(Reply, Vec<Effect>), CommandError> {
        if *request == PurgeRequest::default() {
            let words = "nothing to remove: name operations, a class, an age, an endpoint, or say all";
            return Err(CommandError::new(CommandErrorKind::Invalid, words));
        }
        self.all(&request.ids)?;
        let old = |entry: &Entry<Waiting>| {
            let age = now.saturating_sub(entry.arrived);
            request.max_age_s.is_none_or(|max| age > max.saturating_mul(1_000))
        };
        let meant = |id: QueueId, entry: &Entry<Waiting>| {
            let named = request.ids.contains(&id);
            // What is at work stays, unless it is named.
            let waits = entry.standing != Standing::Running && !self.paused.contains(&id);
            (named || (request.ids.is_empty() && waits))
                && request.class.is_none_or(|class| class == entry.class)
                && request.target.as_ref().is_none_or(|target| is_target(entry, target))
                && old(entry)
        };
        let ids: Vec<QueueId> =
            self.queue.in_order().filter(|(id, entry)| meant(*id, entry)).map(|(id, _)| id).collect();
        let mut effects = Vec::new();
        for id in &ids {
            self.touch(*id);
            let at_work =
                self.paused.contains(id) || self.queue.get(*id).is_some_and(|e| e.standing == Standing::Running);
            let Some(entry) = self.take(*id) else { continue };
            effects.extend(entry.what.transfer.filter(|_| at_work).map(Effect::Cancel));
        }
        let count = ids.len() as u64;
        if request.max_age_s.is_some() {
            self.expired += count;
        }
        if count > 0 {
            self.note(false, format!("{count} removed from the queue"), None);
        }
        Ok((Reply::Purged { count }, effects))
    }
}

/// The endpoint as it is listed, or without its scheme.
fn is_target(entry: &Entry<Waiting>, target: &str) -> bool {
    let plain = |text: &str| text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/').to_owned();
    plain(&entry.target) == plain(target)
}
