//! Priorities and places in the queue.

use super::commands::{Core, internal};
use super::transfer::weight;
use crate::control::{CommandError, CommandErrorKind, Reply, TransferId};
use crate::store::Phase;

/// Priorities reach from minus this to this.
const HIGHEST: i8 = 9;

impl Core {
    /// Gives transfers a priority. One that waits counts with it at once; one that runs goes on.
    pub(super) async fn prioritise(&self, ids: &[TransferId], priority: i8) -> Result<Reply, CommandError> {
        let priority = priority.clamp(-HIGHEST, HIGHEST);
        let handles = ids.iter().map(|id| self.handle(*id)).collect::<Result<Vec<_>, _>>()?;
        for handle in handles {
            let kept = handle.shared.change_record(|record| record.priority = priority);
            kept.await.map_err(|e| internal(&e))?;
            handle.shared.update(|row| row.priority = priority);
            self.services.places.weigh(handle.shared.id, weight(&handle.shared.record()));
            self.services.copy_places.weigh(handle.shared.id, weight(&handle.shared.record()));
        }
        Ok(Reply::Done)
    }

    /// Changes a transfer's place with its neighbour of the same priority.
    pub(super) async fn move_in_queue(&self, id: TransferId, up: bool) -> Result<Reply, CommandError> {
        let this = self.handle(id)?.shared;
        let record = this.record();
        let (priority, rank) = (record.priority, record.rank());
        let queue = self.all().into_iter().filter(|other| {
            let record = other.record();
            // What has ended stands in no queue.
            let waits = matches!(record.phase, Phase::Active | Phase::Paused | Phase::Failed);
            other.id != id && waits && record.priority == priority && (record.rank() < rank) == up
        });
        let neighbour = if up {
            queue.max_by_key(|other| other.record().rank())
        } else {
            queue.min_by_key(|other| other.record().rank())
        };
        let Some(neighbour) = neighbour else {
            let end = if up { "first" } else { "last" };
            let message = format!("transfer {id} is the {end} of its priority; + and - change that");
            return Err(CommandError::new(CommandErrorKind::Conflict, message));
        };
        let other = neighbour.record().rank();
        for (shared, rank) in [(&this, other), (&neighbour, rank)] {
            shared.change_record(|record| record.moved_to = Some(rank)).await.map_err(|e| internal(&e))?;
            shared.update(|row| row.rank = rank);
            self.services.places.weigh(shared.id, weight(&shared.record()));
            self.services.copy_places.weigh(shared.id, weight(&shared.record()));
        }
        Ok(Reply::Done)
    }
}
