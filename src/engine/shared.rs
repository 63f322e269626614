//! What the task of a transfer and everyone who watches it hold in common.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use crate::content::{Bitmap, FileStamp};
use crate::control::{DeltaMap, PathChoices, TransferDetail, TransferId, TransferRow};
use crate::queue::book::Fault;
use crate::store::{JobRecord, State, StateError, TransferRecord};
use crate::throttle::Throttle;

/// Rung for whoever publishes rows.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// Something has changed.
    pub changed: Notify,
    /// A transfer's state has: nobody shall wait for the next regular snapshot.
    pub urgent: Notify,
}

/// A transfer as others see it: its row, its details while somebody looks, its record.
#[derive(Debug)]
pub(crate) struct Shared {
    pub id: TransferId,
    row: watch::Sender<TransferRow>,
    bell: Arc<Bell>,
    pub detail: watch::Sender<Option<Arc<TransferDetail>>>,
    pub wanted: watch::Sender<bool>,
    /// What was chosen for the paths of a push: whoever sends follows it.
    pub choices: watch::Sender<PathChoices>,
    record: Mutex<TransferRecord>,
    /// What its last delta found, for whoever looks at it later; not kept over a restart.
    map: Mutex<Option<Arc<DeltaMap>>>,
    /// Why it failed last, for the queue; not kept over a restart.
    fault: Mutex<Option<Fault>>,
    state: Arc<State>,
    pub limits: Limits,
}

/// Limits of a transfer, each its own first, then the node's.
#[derive(Debug)]
pub(crate) struct Limits {
    pub up: Arc<[Arc<Throttle>]>,
    pub down: Arc<[Arc<Throttle>]>,
}

impl Shared {
    pub(crate) fn new(
        record: TransferRecord,
        row: TransferRow,
        bell: Arc<Bell>,
        state: Arc<State>,
        limits: Limits,
    ) -> Self {
        let choices = match &record.job {
            JobRecord::Send(send) => send.choices.clone(),
            JobRecord::Fetch(_) | JobRecord::Share(_) | JobRecord::Sync(_) => PathChoices::new(),
        };
        Self {
            id: record.id,
            row: watch::Sender::new(row),
            bell,
            detail: watch::Sender::new(None),
            wanted: watch::Sender::new(false),
            choices: watch::Sender::new(choices),
            record: Mutex::new(record),
            map: Mutex::default(),
            fault: Mutex::default(),
            state,
            limits,
        }
    }

    /// Changes the row; viewers are told only if it differs then.
    pub(crate) fn update(&self, change: impl FnOnce(&mut TransferRow)) {
        let mut turned = false;
        let changed = self.row.send_if_modified(|row| {
            let before = row.clone();
            change(row);
            turned = row.state != before.state;
            *row != before
        });
        if changed {
            self.bell.changed.notify_one();
        }
        if turned {
            self.bell.urgent.notify_one();
        }
    }

    /// Shows a detail, or that there is none now.
    pub(crate) fn show(&self, detail: Option<TransferDetail>) {
        let is_there = detail.is_some();
        let before = self.detail.send_replace(detail.map(Arc::new));
        // Whoever waits for the first one; later ones come along with the row.
        if before.is_some() != is_there {
            self.bell.changed.notify_one();
        }
    }

    /// Keeps what a delta found.
    pub(crate) fn keep_map(&self, map: DeltaMap) {
        *self.map.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(map));
    }

    /// What the last delta found.
    pub(crate) fn map(&self) -> Option<Arc<DeltaMap>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what kind of failure its last one was.
    pub(crate) fn set_fault(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// What kind of failure its last one was, if it failed since the start of the node.
    pub(crate) fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row now.
    pub(crate) fn row(&self) -> TransferRow {
        self.row.borrow().clone()
    }

    /// The row and its changes.
    pub(crate) fn rows(&self) -> watch::Receiver<TransferRow> {
        self.row.subscribe()
    }

    /// The record as it was written last.
    pub(crate) fn record(&self) -> TransferRecord {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the record, in memory and, off the async threads, on the disk.
    ///
    /// # Errors
    /// The disk refused; the change stands in memory.
    pub(crate) async fn change_record(
        self: &Arc<Self>,
        change: impl FnOnce(&mut TransferRecord),
    ) -> Result<(), StateError> {
        {
            let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut record);
        }
        let shared = self.clone();
        let written = tokio::task::spawn_blocking(move || shared.write(None, None)).await;
        written.unwrap_or_else(|e| Err(StateError::Task(e.to_string())))
    }

    /// Writes the record, what of the content is on the disk, and what it looks like there once it
    /// is complete. Blocks.
    ///
    /// # Errors
    /// The disk refused.
    pub(crate) fn write(&self, have: Option<&Bitmap>, stamps: Option<&[FileStamp]>) -> Result<(), StateError> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let row = self.row.borrow();
            record.bytes_down = row.bytes_down;
            record.bytes_up = row.bytes_up;
            record.wire_bytes = row.wire_bytes;
            record.saved_bytes = row.saved_bytes;
            record.running_ms = (row.duration_s * 1e3) as u64;
        }
        // Held while writing, so that an older record never overwrites a newer one.
        self.state.put_transfer(&record, have, stamps)
    }
}
