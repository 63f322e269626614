//! The task that owns a transfer from its start to its removal.
//!
//! ```text
//!   Active ──strategy runs──▶ Complete / Failed          Pause, Cancel, shutdown: stop the
//!     ▲                            │                     strategy, wait until it has recorded,
//!     └────── Resume ◀── Paused ◀──┘                     then show the new state as a fact.
//! ```

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::adapt::Adapt;
use super::push_report;
use super::replicating;
use super::send_job;
use super::services::Services;
use super::shared::Shared;
use super::strategy::{Job, JobEnd, JobError, Strategies};
use super::turns::Weight;
use crate::content::name::printable;
use crate::content::{Bitmap, FileStamp};
use crate::control::{Bits, DeltaMap, Kept, PathRow, PhaseRow, TransferDetail, TransferState};
use crate::queue::book::Fault;
use crate::store::{
    ContentFiles, FilesError, JobRecord, Phase, Place, State, StateError, TransferRecord, partial_name,
};
use crate::swarm::files_shown;

/// What a transfer's task is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Pause,
    Resume,
    /// Begin again with what the record says now.
    Restart,
    Cancel,
    /// Check the data against the manifest, fetch what is wrong.
    Verify,
    /// Stop for good; answered when nothing runs any more.
    Remove {
        data: bool,
        done: oneshot::Sender<Result<Kept, String>>,
    },
}

/// Everything the task needs.
pub(super) struct TransferTask {
    pub shared: Arc<Shared>,
    pub services: Arc<Services>,
    pub strategies: Arc<Strategies>,
    pub orders: mpsc::Receiver<Order>,
    /// The node stops: record everything and end; the transfer goes on after a restart.
    pub shutdown: CancellationToken,
}

/// Whether the task goes on after an order.
enum Next {
    Go,
    End,
}

impl TransferTask {
    /// Runs until the transfer is removed or the node stops.
    pub(super) async fn run(mut self) {
        let mut first = true;
        loop {
            let next = if self.shared.record().phase == Phase::Active
                || (self.shared.record().phase == Phase::Complete && self.shared.record().seeding)
            {
                self.work(first).await
            } else {
                self.rest().await
            };
            first = false;
            if matches!(next, Next::End) {
                return;
            }
        }
    }

    /// Waits for an order.
    async fn rest(&mut self) -> Next {
        let mut wanted = self.shared.wanted.subscribe();
        let order = loop {
            if *wanted.borrow_and_update() && self.shared.detail.borrow().is_none() {
                self.show_at_rest().await;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Next::End,
                order = self.orders.recv() => break order,
                _ = wanted.changed() => {}
            }
        };
        match order {
            None => Next::End,
            Some(Order::Pause) => {
                if self.shared.record().phase == Phase::Failed {
                    self.settle(Phase::Paused, TransferState::Paused, None).await;
                }
                Next::Go
            }
            Some(Order::Resume | Order::Restart) => {
                self.activate().await;
                Next::Go
            }
            Some(Order::Verify) => {
                self.look_again().await;
                self.activate().await;
                Next::Go
            }
            Some(Order::Cancel) => self.cancel().await,
            Some(Order::Remove { data, done }) => self.remove(data, done).await,
        }
    }

    async fn activate(&self) {
        self.shared.update(|row| {
            row.state = TransferState::Queued;
            row.error = None;
            (row.integrity_failure, row.refused) = (false, false);
            row.ended_ms = None;
        });
        self.keep(
            self.shared
                .change_record(|record| {
                    record.phase = Phase::Active;
                    record.error = None;
                    record.ended_ms = None;
                })
                .await,
        );
    }

    /// Runs the strategy, taking orders meanwhile.
    async fn work(&mut self, first: bool) -> Next {
        let stop = self.shutdown.child_token();
        let job = Job {
            shared: self.shared.clone(),
            services: self.services.clone(),
            stop: stop.clone(),
            place: Arc::default(),
            ways: Arc::default(),
        };
        let working = work(job, self.strategies.clone(), first);
        tokio::pin!(working);
        let mut wanted: Option<Order> = None;
        let result = loop {
            tokio::select! {
                result = &mut working => break result,
                order = self.orders.recv() => {
                    let order = match order {
                        // Nobody can give orders any more: the node ends.
                        None => Order::Restart,
                        Some(Order::Resume) if wanted.is_none() => continue,
                        // Of a transfer that is on its way to paused.
                        Some(Order::Resume) => Order::Restart,
                        Some(order) => order,
                    };
                    if matches!(order, Order::Pause) && wanted.is_none() {
                        self.shared.update(|row| row.state = TransferState::Pausing);
                    }
                    match (&wanted, order) {
                        (Some(Order::Remove { .. }), Order::Remove { done, .. }) => {
                            let _ = done.send(Ok(Kept::default()));
                        }
                        // A removal outweighs everything, a cancellation all but that.
                        (Some(Order::Remove { .. }), _) => {}
                        (Some(Order::Cancel), order) if !matches!(order, Order::Remove { .. }) => {}
                        (_, order) => wanted = Some(order),
                    }
                    stop.cancel();
                    if self.orders.is_closed() {
                        break (&mut working).await;
                    }
                }
            }
        };
        if let (Err(error), false) = (&result, matches!(wanted, Some(Order::Remove { .. } | Order::Cancel))) {
            self.fail(error).await;
            if wanted.is_none() {
                return Next::Go;
            }
        }
        match wanted {
            Some(Order::Pause) => {
                self.settle(Phase::Paused, TransferState::Paused, None).await;
                Next::Go
            }
            Some(Order::Restart) => {
                self.activate().await;
                Next::Go
            }
            Some(Order::Cancel) => self.cancel().await,
            Some(Order::Verify) => {
                self.look_again().await;
                self.activate().await;
                Next::Go
            }
            Some(Order::Remove { data, done }) => self.remove(data, done).await,
            Some(Order::Resume) | None if self.shutdown.is_cancelled() => {
                self.keep(self.shared.change_record(|_| ()).await);
                Next::End
            }
            Some(Order::Resume) | None => {
                if matches!(result, Ok(JobEnd::Complete)) {
                    // A fetch recorded this itself; a share ends here when its goal is met.
                    self.shared.update(|row| row.link = None);
                    self.keep(self.shared.change_record(|record| record.seeding = false).await);
                    self.settle(Phase::Complete, TransferState::Done, None).await;
                }
                Next::Go
            }
        }
    }

    async fn fail(&self, error: &JobError) {
        let mut message = printable(&error.to_string());
        if error.fault() == Fault::Away && self.could_wait() {
            message.push_str("; with --queue it waits until the receiver answers, also over a restart");
        }
        tracing::error!(transfer = self.shared.id.0, error = %message, "transfer failed");
        self.shared.set_fault(error.fault());
        self.shared.update(|row| (row.integrity_failure, row.refused) = (error.is_integrity(), error.is_refusal()));
        self.settle(Phase::Failed, TransferState::Failed, Some(message)).await;
    }

    /// It was started directly, and its link, whose operations are kept now until it is back, died under it.
    fn could_wait(&self) -> bool {
        let record = self.shared.record();
        if self.shared.row().bytes_up == 0 {
            return false;
        }
        let dest = match &record.job {
            JobRecord::Send(send) if record.queued.is_none() => &send.request.dest,
            JobRecord::Sync(sync) if record.queued.is_none() => &sync.dest,
            _ => return false,
        };
        Adapt::of(&self.services, dest).stores().is_some()
    }

    async fn settle(&self, phase: Phase, state: TransferState, error: Option<String>) {
        let now = crate::clock::unix_ms();
        let ended = (phase != Phase::Paused).then_some(now);
        self.keep(
            self.shared
                .change_record(|record| {
                    record.phase = phase;
                    record.error.clone_from(&error);
                    record.ended_ms = record.ended_ms.or(ended);
                })
                .await,
        );
        self.show_at_rest().await;
        self.shared.update(|row| {
            row.state = state;
            row.error = error;
            row.ended_ms = row.ended_ms.or(ended);
            row.reason.clear();
            row.eta_s = None;
            (row.rate_down, row.rate_up, row.smooth_down, row.smooth_up) = (0, 0, 0, 0);
            (row.peers, row.stalled_s) = (0, 0);
            row.paths.iter_mut().for_each(PathRow::rest);
            PhaseRow::rest(&mut row.phases);
        });
    }

    /// Shows what is there of a transfer that does not run, instead of the peers and requests that it
    /// had when it did; nothing while nobody looks.
    async fn show_at_rest(&self) {
        if !*self.shared.wanted.borrow() {
            return self.shared.show(None);
        }
        let (record, state) = (self.shared.record(), self.services.state.clone());
        let found = tokio::task::spawn_blocking(move || at_rest(&record, &state)).await;
        let detail = found.unwrap_or_else(|e| Err(StateError::Task(e.to_string())));
        let detail = detail.unwrap_or_else(|error| {
            tracing::warn!(transfer = self.shared.id.0, %error, "no details");
            None
        });
        self.shared.show(detail.map(|detail| with_map(detail, self.shared.map())));
    }

    /// Drops partial data; what is complete stays.
    async fn cancel(&mut self) -> Next {
        if self.shared.record().published {
            self.keep(self.shared.change_record(|record| record.seeding = false).await);
            self.settle(Phase::Complete, TransferState::Done, None).await;
        } else {
            if let Err(error) = self.delete_partial().await {
                tracing::warn!(transfer = self.shared.id.0, %error, "partial data is left");
            }
            let is_share = matches!(self.shared.record().job, JobRecord::Share(_));
            self.shared.update(|row| {
                if !is_share {
                    (row.done, row.pieces_done) = (0, 0);
                }
            });
            self.settle(Phase::Cancelled, TransferState::Cancelled, None).await;
        }
        Next::Go
    }

    async fn remove(&mut self, data: bool, done: oneshot::Sender<Result<Kept, String>>) -> Next {
        let record = self.shared.record();
        let result = match record.phase {
            _ if record.published && data => self.delete_published().await,
            _ if record.published => Ok(Kept::default()),
            // Cancelling deleted it; what lies there now is another transfer's.
            Phase::Cancelled | Phase::Complete => Ok(Kept::default()),
            _ => self.delete_partial().await.map(|()| Kept::default()),
        };
        if let Ok(kept) = &result
            && !kept.is_nothing()
        {
            tracing::warn!(transfer = self.shared.id.0, "removed with its data: {kept}");
        }
        let state = self.services.state.clone();
        let forgotten = tokio::task::spawn_blocking(move || state.remove_transfer(record.id)).await;
        let result = result.and_then(|kept| match forgotten {
            Ok(Ok(())) => Ok(kept),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        });
        let _ = done.send(result);
        Next::End
    }

    async fn delete_partial(&self) -> Result<(), String> {
        if matches!(self.shared.record().job, JobRecord::Send(_)) {
            let stop = self.shutdown.child_token();
            let (shared, services) = (self.shared.clone(), self.services.clone());
            let job = Job { shared, services, stop, place: Arc::default(), ways: Arc::default() };
            let is_to_pool = matches!(&job.shared.record().job, JobRecord::Send(send) if send.request.pool().is_some());
            let end = if is_to_pool { replicating::abandon(&job).await } else { send_job::abandon(&job).await };
            return end.map_err(|e| e.to_string());
        }
        if matches!(self.shared.record().job, JobRecord::Sync(_)) {
            // What the receiver holds of an upload it drops by itself.
            let (state, id) = (self.services.state.clone(), self.shared.id);
            let forgotten = tokio::task::spawn_blocking(move || state.forget_push(id)).await;
            return forgotten.map_err(|e| e.to_string())?.map_err(|e| e.to_string());
        }
        let Some(id) = self.shared.record().content else { return Ok(()) };
        self.delete(partial_name(&id), |files, _| files.delete()).await.map(|_| ())
    }

    /// Deletes what was fetched, and nothing that somebody added to it or changed in it.
    async fn delete_published(&self) -> Result<Kept, String> {
        // Checked again: what is deleted must be one name in the folder, never the folder.
        let name = crate::content::name::checked_path(&self.shared.record().name).map_err(|e| e.to_string())?;
        let kept = self.delete(name, |files, stamps| files.delete_entries(stamps)).await?;
        Ok(kept.unwrap_or_default())
    }

    /// Deletes from what was fetched; what is shared in place is never touched. None: nothing is there.
    async fn delete<T: Send + 'static>(
        &self,
        top: std::ffi::OsString,
        how: fn(&ContentFiles, &[FileStamp]) -> Result<T, FilesError>,
    ) -> Result<Option<T>, String> {
        let record = self.shared.record();
        let (JobRecord::Fetch(_), Some(id)) = (&record.job, record.content) else { return Ok(None) };
        let state = self.services.state.clone();
        let deleted = tokio::task::spawn_blocking(move || {
            let Some(manifest) = state.manifest(&id).map_err(|e| e.to_string())? else { return Ok(None) };
            if !record.dir.exists() {
                return Ok(None);
            }
            let stamps = state.stamps(record.id).map_err(|e| e.to_string())?.unwrap_or_default();
            let files = ContentFiles::open(&record.dir, &top, Arc::new(manifest), Place::Fetched, vec![]);
            files.and_then(|files| how(&files, &stamps)).map(Some).map_err(|e| e.to_string())
        });
        deleted.await.map_err(|e| e.to_string())?
    }

    /// The next run checks everything on the disk instead of believing the record, and mends it.
    async fn look_again(&self) {
        self.keep(self.shared.change_record(|record| record.mend = record.published).await);
        let (state, id) = (self.services.state.clone(), self.shared.id);
        let forgotten = tokio::task::spawn_blocking(move || state.forget_data(id)).await;
        self.keep(forgotten.unwrap_or_else(|e| Err(StateError::Task(e.to_string()))));
    }

    /// A record that cannot be written is no reason to stop what works, but to say so.
    fn keep(&self, result: Result<(), StateError>) {
        if let Err(error) = result {
            tracing::error!(transfer = self.shared.id.0, %error, "state not recorded");
        }
    }
}

/// What the record tells about a transfer that does not run; none before its manifest is known.
fn at_rest(record: &TransferRecord, state: &State) -> Result<Option<TransferDetail>, StateError> {
    if let JobRecord::Send(_) = record.job {
        return pushed_at_rest(record, state);
    }
    let Some(id) = record.content else { return Ok(None) };
    let Some(manifest) = state.manifest(&id)? else { return Ok(None) };
    let pieces = manifest.piece_count();
    let have = match (&record.job, record.phase) {
        (JobRecord::Share(_), _) | (_, Phase::Complete) => Bitmap::full(pieces),
        (_, Phase::Cancelled) => Bitmap::empty(pieces),
        _ => state.bitmap(record.id, pieces)?.unwrap_or_else(|| Bitmap::empty(pieces)),
    };
    Ok(Some(resting(record, manifest.piece_length, have, files_shown(&manifest))))
}

/// The same of a push: what was acknowledged.
fn pushed_at_rest(record: &TransferRecord, state: &State) -> Result<Option<TransferDetail>, StateError> {
    let Some(push) = state.push(record.id)? else { return Ok(None) };
    let segments = push.bytes.div_ceil(push.segment.max(1)) as u32;
    let have = if record.phase == Phase::Complete {
        Bitmap::full(segments)
    } else {
        let mut have = Bitmap::empty(segments);
        for (segment, _) in state.sent(record.id)?.into_iter().filter(|(segment, _)| *segment < segments) {
            have.set(segment);
        }
        have
    };
    Ok(Some(resting(record, push.segment, have, push_report::files_of(&push))))
}

/// Details without anything that only a running transfer has.
fn resting(record: &TransferRecord, piece_length: u64, have: Bitmap, files: Vec<(String, u64)>) -> TransferDetail {
    TransferDetail {
        id: record.id,
        generation: crate::clock::unix_ms(),
        piece_length,
        have: Bits(Arc::new(have)),
        in_flight: Vec::new(),
        failed: Vec::new(),
        availability: Arc::default(),
        peers: Vec::new(),
        trackers: Vec::new(),
        files: Arc::new(files),
        delta: None,
    }
}

/// A delta's details are about its map: a piece is a cell of it.
fn with_map(detail: TransferDetail, map: Option<Arc<DeltaMap>>) -> TransferDetail {
    let Some(map) = map else { return detail };
    let have = Bits(Arc::new(Bitmap::full(map.len() as u32)));
    TransferDetail { piece_length: map.cell, have, delta: Some(map), ..detail }
}

/// What decides when a transfer's turn comes.
pub(super) fn weight(record: &TransferRecord) -> Weight {
    Weight { priority: record.priority, rank: record.rank() }
}

/// Waits for a place, then lets the strategy work.
async fn work(mut job: Job, strategies: Arc<Strategies>, first: bool) -> Result<JobEnd, JobError> {
    if matches!(&job.shared.record().job, JobRecord::Send(send) if send.request.pool().is_none()) {
        let found = tokio::select! {
            () = job.stop.cancelled() => return Ok(JobEnd::Stopped),
            found = send_job::probe(&job) => found?,
        };
        job.ways = Arc::new(found);
    }
    let record = job.shared.record();
    let strategy = strategies.choose(&record.job).map_err(JobError::Other)?;
    job.shared.update(|row| {
        row.strategy = strategy.id().to_owned();
        row.strategy_reason = strategy.why(&record.job);
    });
    let moves_bytes = !matches!(record.job, JobRecord::Share(_)) && record.phase != Phase::Complete;
    let place = if moves_bytes {
        let weight = weight(&job.shared.record());
        let blocked = || {
            let why = if job.services.places.is_held() {
                "waiting: the node drains, nothing new begins"
            } else {
                "waiting for a place: as many transfers run as are allowed"
            };
            job.shared.update(|row| row.reason = why.into());
        };
        let is_copy = matches!(&record.job, JobRecord::Fetch(fetch) if fetch.kept);
        let places = if is_copy { &job.services.copy_places } else { &job.services.places };
        tokio::select! {
            () = job.stop.cancelled() => return Ok(JobEnd::Stopped),
            place = places.enter(job.shared.id, weight, blocked) => place,
        }
    } else {
        None
    };
    *job.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = place;
    if first { strategy.resume(job).await } else { strategy.start(job).await }
}
