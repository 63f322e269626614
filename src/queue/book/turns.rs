//! What becomes of operations that were started.

use super::{Book, Effect, Note};
use crate::control::queue::QueueId;
use crate::control::{CommandError, CommandErrorKind, TransferId};
use crate::queue::priority::Standing;
use crate::queue::reach::{MAX_TRIES, pause};

/// A far side is told anew after so long: the source may have changed, ms.
const TELL_AGAIN: u64 = 600_000;

/// Why a transfer failed, as far as it matters for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The endpoint could not be reached, or the way there broke.
    Away,
    /// It may go better another time.
    Again,
    /// It was refused, or cannot be done: trying is of no use.
    Never,
}

/// What a transfer does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It is at work, or will be.
    Runs,
    /// The operator paused it.
    Paused,
    /// It has done it.
    Done,
    /// The operator cancelled it.
    Cancelled,
    /// The operator removed it.
    Gone,
    /// It failed.
    Failed {
        /// What kind of failure.
        fault: Fault,
        /// In words.
        why: String,
        /// Bytes were moved since it began.
        moved: bool,
    },
}

impl Book {
    /// A transfer was started for an operation, or was not.
    pub fn on_begun(
        &mut self,
        id: QueueId,
        result: Result<TransferId, CommandError>,
        now: u64,
        random: f64,
    ) -> Vec<Effect> {
        match result {
            Ok(transfer) if self.queue.get(id).is_none() => vec![Effect::Cancel(transfer)],
            Ok(transfer) => {
                self.adopt(id, transfer);
                Vec::new()
            }
            Err(error) => {
                use CommandErrorKind as K;
                let fault = match error.kind {
                    K::Invalid | K::NotFound | K::Refused | K::Integrity => Fault::Never,
                    K::Conflict | K::Unavailable | K::Internal => Fault::Again,
                };
                self.fail(id, fault, error.message, false, now, random);
                Vec::new()
            }
        }
    }

    /// The far side of a sync that waits was told what is stale (files and bytes; none: nothing is), or was not. `unix`: the
    /// time that is shown.
    pub fn on_told(&mut self, id: QueueId, told: Result<Option<(u64, u64)>, String>, now: u64, unix: u64) {
        if self.telling == Some(id) {
            self.telling = None;
        }
        let Some(what) = self.queue.what_mut(id) else { return };
        let name = what.name.clone();
        let again = (TELL_AGAIN as f64 * self.pace.max(0.0)) as u64;
        self.tell_again.insert(id, now.saturating_add(again.max(1)));
        match told {
            Ok(Some((files, bytes))) => {
                if what.told_ms.is_none() {
                    let words =
                        format!("{name}: the far side knows that {files} files, {bytes} bytes are missing there");
                    self.notes.push(Note { warns: false, words, transfer: None });
                }
                what.told_ms = Some(unix);
                self.unsaved.insert(id);
            }
            // Equal: its turn will find that, too.
            Ok(None) => {}
            Err(why) => self.note(true, format!("{name}: the far side could not be told what is stale: {why}"), None),
        }
    }

    /// What an operation's transfer does changed. `random` is uniform in 0..1.
    pub fn on_turn(&mut self, id: QueueId, transfer: TransferId, turn: Turn, now: u64, random: f64) -> Vec<Effect> {
        let Some(entry) = self.queue.get(id) else { return Vec::new() };
        if entry.what.transfer.is_some_and(|known| known != transfer) {
            return Vec::new();
        }
        let (name, standing) = (entry.what.name.clone(), entry.standing);
        match turn {
            Turn::Runs => {
                self.left.remove(&id);
                if self.paused.remove(&id) || standing != Standing::Running {
                    self.unpark(id);
                    self.queue.set_standing(id, Standing::Running);
                }
                Vec::new()
            }
            Turn::Paused => {
                if !self.left.contains(&id) {
                    self.paused.insert(id);
                    self.queue.set_standing(id, Standing::Parked);
                }
                Vec::new()
            }
            Turn::Done => {
                self.over(id);
                vec![Effect::Done(transfer)]
            }
            Turn::Cancelled | Turn::Gone => {
                self.over(id);
                let what = if turn == Turn::Gone { "removed" } else { "cancelled" };
                self.note(true, format!("{name}: its transfer was {what}, so it leaves the queue"), Some(transfer));
                Vec::new()
            }
            Turn::Failed { fault, why, moved } => {
                self.paused.remove(&id);
                if !self.left.contains(&id) {
                    self.fail(id, fault, why, moved, now, random);
                }
                Vec::new()
            }
        }
    }

    fn over(&mut self, id: QueueId) {
        self.unsaved.insert(id);
        self.take(id);
    }

    fn unpark(&mut self, id: QueueId) {
        if let Some(what) = self.queue.what_mut(id)
            && (what.parked || !what.why.is_empty())
        {
            what.parked = false;
            what.why.clear();
            self.unsaved.insert(id);
        }
    }

    fn fail(&mut self, id: QueueId, fault: Fault, why: String, moved: bool, now: u64, random: f64) {
        let Some(target) = self.queue.get(id).map(|entry| entry.target.clone()) else { return };
        let Some(what) = self.queue.what_mut(id) else { return };
        what.failures = if moved { 1 } else { what.failures.saturating_add(1) };
        what.parked = fault == Fault::Never || (fault == Fault::Again && what.failures >= MAX_TRIES);
        what.why.clone_from(&why);
        let (parked, failures, name, transfer) = (what.parked, what.failures, what.name.clone(), what.transfer);
        self.unsaved.insert(id);
        if parked {
            self.queue.set_standing(id, Standing::Parked);
            let words = if fault == Fault::Never {
                format!("{name} is put aside, it would be of no use to try again: {why}")
            } else {
                format!("{name} is put aside after {failures} tries: {why}")
            };
            self.note(true, format!("{words}; `skep queue retry {id}` tries it all the same"), transfer);
            return;
        }
        self.queue.set_standing(id, Standing::Later(now.saturating_add(pause(failures, random, self.pace))));
        if fault == Fault::Away {
            self.reach.entry(target).or_default().on_broken(&why);
        }
    }
}
