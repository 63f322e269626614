//! Makes snapshots: rows that changed are copied, the rest is shared; nothing is made while nobody
//! looks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::shared::{Bell, Shared};
use crate::clock::unix_ms;
use crate::control::link::{LinkRow, Thresholds};
use crate::control::pool::PoolView;
use crate::control::queue::QueueView;
use crate::control::{BanRow, Connection, Focus, NodeRow, Snapshot, TransferDetail, TransferId, TransferRow, View};
use crate::log::LogRing;

/// Shortest time between snapshots.
const INTERVAL: Duration = Duration::from_millis(250);

/// Where a snapshot's node row and bans come from.
pub(super) trait NodeFigures: Send + Sync {
    fn node(&self, rows: &[Arc<TransferRow>]) -> NodeRow;
    fn bans(&self) -> Arc<Vec<BanRow>>;
    fn links(&self) -> Vec<Arc<LinkRow>>;
    fn thresholds(&self) -> Thresholds;
    fn queue(&self) -> Arc<QueueView>;
    fn pool(&self) -> Arc<PoolView>;
}

/// Publishes the node's snapshots.
pub(super) struct Publisher {
    inner: Mutex<Inner>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// Always live: a view of it ends when the engine does.
    connection: watch::Sender<Connection>,
    /// What viewers look at.
    looked_at: watch::Sender<Vec<TransferId>>,
    bell: Arc<Bell>,
    log: LogRing,
    figures: Box<dyn NodeFigures>,
}

#[derive(Default)]
struct Inner {
    items: BTreeMap<TransferId, Item>,
    viewers: Vec<watch::Receiver<Focus>>,
}

struct Item {
    source: Source,
    row: Arc<TransferRow>,
}

/// Where rows and details come from.
enum Source {
    /// The task of a transfer: they are taken from what it shares.
    Task { shared: Arc<Shared>, rows: watch::Receiver<TransferRow> },
    /// Nobody here moves it: they are put.
    Received { detail: Option<Arc<TransferDetail>> },
}

impl Publisher {
    pub(super) fn new(bell: Arc<Bell>, log: LogRing, figures: Box<dyn NodeFigures>) -> Self {
        let snapshots = watch::Sender::new(Arc::default());
        let connection = watch::Sender::new(Connection::Live);
        let looked_at = watch::Sender::new(Vec::new());
        Self { inner: Mutex::default(), snapshots, connection, looked_at, bell, log, figures }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, shared: Arc<Shared>) {
        let mut rows = shared.rows();
        let row = Arc::new(rows.borrow_and_update().clone());
        self.lock().items.insert(shared.id, Item { source: Source::Task { shared, rows }, row });
        self.bell.changed.notify_one();
    }

    /// Shows a row that no task stands behind.
    pub(super) fn put(&self, row: TransferRow) {
        let mut inner = self.lock();
        let before = inner.items.get_mut(&row.id);
        let turned = before.as_ref().is_none_or(|item| item.row.state != row.state);
        match before {
            Some(item) if *item.row == row => return,
            Some(item) => item.row = Arc::new(row),
            None => {
                let item = Item { source: Source::Received { detail: None }, row: Arc::new(row) };
                inner.items.insert(item.row.id, item);
            }
        }
        drop(inner);
        self.bell.changed.notify_one();
        if turned {
            self.bell.urgent.notify_one();
        }
    }

    /// Shows details of such a row.
    pub(super) fn put_detail(&self, id: TransferId, detail: TransferDetail) {
        if let Some(Item { source: Source::Received { detail: shown }, .. }) = self.lock().items.get_mut(&id) {
            *shown = Some(Arc::new(detail));
        }
        self.bell.changed.notify_one();
    }

    /// What viewers look at, and its changes.
    pub(super) fn looked_at(&self) -> watch::Receiver<Vec<TransferId>> {
        self.looked_at.subscribe()
    }

    pub(super) fn remove(&self, id: TransferId) {
        self.lock().items.remove(&id);
        self.bell.changed.notify_one();
    }

    /// A new view; its first snapshot is fresh.
    pub(super) fn view(self: &Arc<Self>, focus: Focus) -> View {
        let focus = watch::Sender::new(focus);
        self.lock().viewers.push(focus.subscribe());
        self.publish();
        let mut changes = focus.subscribe();
        let publisher = self.clone();
        // Ends when the view is dropped.
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                publisher.publish();
            }
        });
        View { snapshots: self.snapshots.subscribe(), focus, connection: self.connection.subscribe() }
    }

    /// Publishes as things change, until `stop`.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut log = self.log.changes();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.bell.changed.notified() => {}
                changed = log.changed() => if changed.is_err() { return },
            }
            if self.has_viewers() {
                self.publish();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
                () = self.bell.urgent.notified() => {}
            }
        }
    }

    fn has_viewers(&self) -> bool {
        let mut inner = self.lock();
        inner.viewers.retain(|focus| focus.has_changed().is_ok());
        if inner.viewers.is_empty() {
            self.set_wanted(&mut inner, &[]);
        }
        !inner.viewers.is_empty()
    }

    /// Makes and publishes a snapshot now. Costs a look per transfer and a copy per changed row.
    pub(super) fn publish(&self) {
        let mut inner = self.lock();
        inner.viewers.retain(|focus| focus.has_changed().is_ok());
        let looked_at: Vec<TransferId> = inner.viewers.iter().filter_map(|focus| focus.borrow().transfer).collect();
        self.set_wanted(&mut inner, &looked_at);
        for item in inner.items.values_mut() {
            if let Source::Task { rows, .. } = &mut item.source
                && rows.has_changed().unwrap_or(false)
            {
                item.row = Arc::new(rows.borrow_and_update().clone());
            }
        }
        let transfers: Vec<_> = inner.items.values().map(|item| item.row.clone()).collect();
        let details: BTreeMap<TransferId, Arc<TransferDetail>> =
            looked_at.iter().filter_map(|id| Some((*id, inner.items.get(id)?.detail()?))).collect();
        let node = Arc::new(self.figures.node(&transfers));
        let (links, thresholds) = (self.figures.links(), self.figures.thresholds());
        let (bans, queue) = (self.figures.bans(), self.figures.queue());
        let pool = self.figures.pool();
        let log = self.log.tail();
        self.snapshots.send_modify(|last| {
            let generation = last.generation + 1;
            let time_ms = unix_ms();
            let rows =
                Snapshot { node, transfers, details, bans, links, thresholds, queue, pool, log, ..Snapshot::default() };
            *last = Arc::new(Snapshot { generation, time_ms, ..rows });
        });
    }
}

impl Publisher {
    fn set_wanted(&self, inner: &mut Inner, looked_at: &[TransferId]) {
        for (id, item) in &mut inner.items {
            let wanted = looked_at.contains(id);
            match &mut item.source {
                Source::Received { detail } if !wanted => *detail = None,
                Source::Received { .. } => {}
                Source::Task { shared, .. } => {
                    let turned = shared.wanted.send_if_modified(|now| std::mem::replace(now, wanted) != wanted);
                    if turned && !wanted {
                        // It would be old by the time somebody looks again.
                        shared.show(None);
                    }
                }
            }
        }
        self.looked_at.send_if_modified(|now| {
            let changed = now != looked_at;
            if changed {
                *now = looked_at.to_vec();
            }
            changed
        });
    }
}

impl Item {
    fn detail(&self) -> Option<Arc<TransferDetail>> {
        match &self.source {
            Source::Task { shared, .. } => shared.detail.borrow().clone(),
            Source::Received { detail } => detail.clone(),
        }
    }
}
