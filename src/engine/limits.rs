//! Rate limits that are set while the node runs, of one transfer or of all of it: in force at once,
//! and kept.

use super::commands::{Core, blocking, internal};
use crate::control::{CommandError, Rate, Reply, TransferId};
use crate::store::{Chosen, JobRecord};

impl Core {
    pub(super) async fn limit(
        &self,
        id: Option<TransferId>,
        up: Option<Rate>,
        down: Option<Rate>,
    ) -> Result<Reply, CommandError> {
        let Some(id) = id else { return self.limit_node(up, down).await };
        let shared = self.handle(id)?.shared;
        if let Some(up) = up {
            shared.limits.up[0].set(up);
        }
        if let Some(down) = down {
            shared.limits.down[0].set(down);
        }
        let (up, down) = (shared.limits.up[0].rate(), shared.limits.down[0].rate());
        shared.update(|row| (row.limit_up, row.limit_down) = (up, down));
        let kept = shared.change_record(|record| {
            let (record_up, record_down) = limits_of(&mut record.job);
            (*record_up, *record_down) = (up, down);
        });
        kept.await.map_err(|e| internal(&e))?;
        Ok(Reply::Done)
    }

    /// Limits the whole node, now and after a restart.
    async fn limit_node(&self, up: Option<Rate>, down: Option<Rate>) -> Result<Reply, CommandError> {
        if let Some(up) = up {
            self.services.throttle_up.set(up);
        }
        if let Some(down) = down {
            self.services.throttle_down.set(down);
        }
        self.services.bell.changed.notify_one();
        let (state, configured) = (self.services.state.clone(), self.services.configured);
        blocking(move || {
            state.change_limits(|chosen| {
                chosen.up = up.map(|rate| Chosen { instead_of: configured.0, rate }).or(chosen.up);
                chosen.down = down.map(|rate| Chosen { instead_of: configured.1, rate }).or(chosen.down);
            })
        })
        .await?;
        Ok(Reply::Done)
    }
}

/// A transfer's own limits, up and down, as they are kept.
pub(super) fn limits_of(job: &mut JobRecord) -> (&mut Rate, &mut Rate) {
    match job {
        JobRecord::Fetch(fetch) => (&mut fetch.request.up, &mut fetch.request.down),
        JobRecord::Share(share) => (&mut share.up, &mut share.down),
        JobRecord::Send(send) => (&mut send.request.up, &mut send.request.down),
        JobRecord::Sync(sync) => (&mut sync.up, &mut sync.down),
    }
}
