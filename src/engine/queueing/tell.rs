//! Telling the far side what is stale there, where the link takes no more than that.

use tracing::Instrument as _;

use super::{Ask, Driver};
use crate::content::name::printable;
use crate::control::SyncRequest;
use crate::control::queue::QueueId;
use crate::engine::services::Services;
use crate::engine::strategy::JobError;
use crate::engine::sync_job::{Receiver, Seen, compare, scan_source};
use crate::push::paths::{Destination, resolve};
use crate::sync::scan::Scanned;

impl Driver {
    /// Compares and tells; what came of it comes as [`Ask::Told`].
    pub(super) fn tell(&self, id: QueueId, request: SyncRequest, name: String) {
        let (core, asks) = (self.core.clone(), self.core.queueing.asks.clone());
        let telling = async move {
            let told = tokio::select! {
                () = core.shutdown.cancelled() => return,
                told = told(&core.services, &request, &name) => told,
            };
            let _ = asks.send(Ask::Told(id, told.map_err(|error| printable(&error.to_string())))).await;
        };
        self.core.tasks.spawn(telling.instrument(self.core.span.clone()));
    }
}

async fn told(services: &Services, request: &SyncRequest, name: &str) -> Result<Option<(u64, u64)>, JobError> {
    let destination = resolve(&request.dest, &[], &[], name).map_err(JobError::Other)?;
    Ok(tell_behind(services, request, &destination).await?.0)
}

/// What a sync would have to send is told to the receiver: files, and bytes, and the source as it was. None: nothing, both are
/// equal.
pub(in crate::engine) async fn tell_behind(
    services: &Services,
    request: &SyncRequest,
    destination: &Destination,
) -> Result<(Option<(u64, u64)>, Scanned), JobError> {
    let receiver = Receiver::find(services, request, destination).await?;
    let scanned = scan_source(request).await?;
    let Seen { plan, scanned } = compare(request, &receiver.client, scanned, |_, _| ()).await?;
    if plan.totals.is_nothing() {
        return Ok((None, scanned));
    }
    let totals = plan.totals;
    let files = totals.new + totals.changed + totals.moved + totals.copied + totals.linked + totals.deleted;
    receiver.client.tell(&services.name, files, totals.send_bytes).await?;
    Ok((Some((files, totals.send_bytes)), scanned))
}
