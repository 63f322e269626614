//! Telling the far side what is stale there, where the link takes no more than that.

use std::sync::Arc;

use tracing::Instrument as _;

use super::{Ask, Driver};
use crate::content::name::printable;
use crate::control::SyncRequest;
use crate::control::queue::QueueId;
use crate::engine::commands::Core;
use crate::engine::strategy::JobError;
use crate::engine::sync_job::{Receiver, Seen, compare, scan_source};
use crate::push::paths::resolve;

impl Driver {
    /// Compares and tells; what came of it comes as [`Ask::Told`].
    pub(super) fn tell(&self, id: QueueId, request: SyncRequest, name: String) {
        let (core, asks) = (self.core.clone(), self.core.queueing.asks.clone());
        let telling = async move {
            let told = tokio::select! {
                () = core.shutdown.cancelled() => return,
                told = core.tell_behind(&request, &name) => told,
            };
            let _ = asks.send(Ask::Told(id, told.map_err(|error| printable(&error.to_string())))).await;
        };
        self.core.tasks.spawn(telling.instrument(self.core.span.clone()));
    }
}

impl Core {
    /// What a sync would have to send is told to the receiver: files, and bytes. None: nothing, both are equal.
    async fn tell_behind(self: &Arc<Self>, request: &SyncRequest, name: &str) -> Result<Option<(u64, u64)>, JobError> {
        let destination = resolve(&request.dest, &[], &[], name).map_err(JobError::Other)?;
        let (headers, pace) = (self.services.swarm.client.node_headers(), self.services.pace);
        let receiver = Receiver::find(&destination, headers, pace).await?;
        let scanned = scan_source(request).await?;
        let Seen { plan, .. } = compare(request, &receiver.client, scanned, |_, _| ()).await?;
        if plan.totals.is_nothing() {
            return Ok(None);
        }
        let totals = plan.totals;
        let files = totals.new + totals.changed + totals.moved + totals.copied + totals.linked + totals.deleted;
        receiver.client.tell(&self.services.name, files, totals.send_bytes).await?;
        Ok(Some((files, totals.send_bytes)))
    }
}
