//! Drives the queue: takes wishes, writes what changed before it answers, starts transfers when their turn comes and their
//! endpoint answers, and follows them.
//!
//! ```text
//!  Command ─wishes─▶ asks ─▶ Driver ─▶ Book (decides) ─▶ Outbox (one transaction for all that came together)
//!                     ▲        │ effects
//!                     │        ├─ begin: a transfer, or its next try ─▶ watch: what it does
//!                     └────────┴─ reach: does the endpoint answer
//! ```
//!
//! One task owns the book. A transfer's record names its operation, and is written with it: whatever moment the process dies
//! at, a restart finds the transfer and starts no second one.

mod begin;
mod reach;
mod tell;
mod wishes;

pub(super) use self::tell::tell_behind;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::Instrument as _;

use super::commands::{Core, internal};
use crate::clock::unix_ms;
use crate::control::queue::{QueueId, QueueView};
use crate::control::{CommandError, CommandErrorKind, Reply, TransferId};
use crate::failpoint;
use crate::queue::book::{Book, Effect, Turn, Wanted};
use crate::queue::links::Links;
use crate::queue::outbox::Outbox;
use crate::store::{Phase, StateError};
use crate::sync::behind::Behind;

/// Asks that may wait; also how many go into one transaction.
const ASKS: usize = 1_024;
/// How often the world is looked at while something waits: links that changed, drains.
const LOOK: Duration = Duration::from_secs(1);
/// How often a queue that waits is shown anew: operations age.
const SHOW: Duration = Duration::from_secs(30);
/// Pause after the disk refused.
const DISK_PAUSE: Duration = Duration::from_secs(5);
/// Finished transfers of the queue whose rows are kept; older ones go, or a long queue would fill the list of transfers.
const FINISHED: usize = 200;

/// What the driver is told.
#[derive(Debug)]
pub(super) enum Ask {
    /// Somebody wishes something.
    Wish(Wish, oneshot::Sender<Result<Reply, CommandError>>),
    /// A transfer was started, or not.
    Begun(QueueId, Result<TransferId, CommandError>),
    /// What a transfer does changed.
    Turned(QueueId, TransferId, Turn),
    /// An endpoint answered, or did not.
    Answered(Arc<str>, Result<(), String>),
    /// The far side of a sync was told what is stale: files and bytes, none if nothing is; or was not.
    Told(QueueId, Result<Option<(u64, u64)>, String>),
}

/// What can be wished.
#[derive(Debug)]
pub(super) enum Wish {
    Enqueue(Box<Wanted>),
    Class(Vec<QueueId>, crate::control::PriorityClass),
    Move(QueueId, crate::control::queue::QueueMove),
    Retry(Vec<QueueId>),
    Purge(crate::control::queue::PurgeRequest),
}

/// The way to the driver, and what it shows.
#[derive(Debug)]
pub(super) struct Queueing {
    asks: mpsc::Sender<Ask>,
    pub(super) view: watch::Receiver<Arc<QueueView>>,
}

/// The driver's ends of that.
pub(super) struct Ends {
    asks: mpsc::Receiver<Ask>,
    view: watch::Sender<Arc<QueueView>>,
}

impl Queueing {
    pub(super) fn new() -> (Self, Ends) {
        let ((asks, asked), (show, view)) = (mpsc::channel(ASKS), watch::channel(Arc::default()));
        (Self { asks, view }, Ends { asks: asked, view: show })
    }

    async fn wish(&self, wish: Wish) -> Result<Reply, CommandError> {
        let stops = || CommandError::new(CommandErrorKind::Internal, "the node is stopping");
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Wish(wish, reply)).await.map_err(|_| stops())?;
        answer.await.map_err(|_| stops())?
    }
}

struct Driver {
    core: Arc<Core>,
    asks: mpsc::Receiver<Ask>,
    view: watch::Sender<Arc<QueueView>>,
    book: Book,
    outbox: Outbox,
    links: Arc<dyn Links>,
    /// Operations at work at most.
    places: usize,
    /// Time that no clock that is put back disturbs: what the clock said at the start, and what passed since.
    since: (u64, Instant),
    /// What watches the transfer of an operation.
    watched: HashMap<QueueId, TransferId>,
    finished: VecDeque<TransferId>,
    /// What others say of trees here.
    behind: Arc<Behind>,
    /// The disk refused: nothing is begun before this.
    rests_until: Option<Instant>,
}

/// What the driver is set up with.
pub(super) struct Setup {
    pub ends: Ends,
    pub limits: crate::queue::priority::Limits,
    pub links: Arc<dyn Links>,
    pub places: usize,
    /// Goes on with what was queued before.
    pub go_on: bool,
    pub behind: Arc<Behind>,
}

/// Opens the outbox and starts the driver. Every transfer that was recorded runs or rests already. Blocks while it opens.
///
/// # Errors
/// The outbox cannot be read.
pub(super) fn start(core: &Arc<Core>, setup: Setup) -> Result<(), StateError> {
    let outbox = Outbox::new(core.services.state.clone());
    let now = unix_ms();
    let book = Book::new(setup.limits, outbox.open()?, setup.go_on, now, core.services.pace.0);
    let mut driver = Driver {
        core: core.clone(),
        asks: setup.ends.asks,
        view: setup.ends.view,
        book,
        outbox,
        links: setup.links,
        places: setup.places.max(1),
        since: (now, Instant::now()),
        watched: HashMap::new(),
        finished: VecDeque::new(),
        behind: setup.behind,
        rests_until: None,
    };
    driver.take_up();
    // Who asks as soon as the node listens sees what waits.
    driver.show();
    core.tasks.spawn(driver.run().instrument(core.span.clone()));
    Ok(())
}

impl Driver {
    fn now(&self) -> u64 {
        self.since.0.saturating_add(self.since.1.elapsed().as_millis() as u64)
    }

    /// Finds the transfers of what was queued before: each goes on with its own.
    fn take_up(&mut self) {
        let mut of: HashMap<QueueId, (TransferId, Phase)> = HashMap::new();
        for shared in self.core.all() {
            let record = shared.record();
            let Some(id) = record.queued else { continue };
            of.insert(id, (record.id, record.phase));
            if record.phase == Phase::Complete {
                self.finished.push_back(record.id);
            }
        }
        let entries: Vec<(QueueId, Option<TransferId>)> =
            self.book.entries().map(|(id, entry)| (id, entry.what.transfer)).collect();
        let now = self.now();
        for (id, known) in entries {
            let Some((transfer, phase)) = of.get(&id).copied() else {
                if known.is_some() {
                    self.book.orphan(id);
                }
                continue;
            };
            self.book.adopt(id, transfer);
            let turn = match phase {
                Phase::Active => Turn::Runs,
                Phase::Paused => Turn::Paused,
                Phase::Complete => Turn::Done,
                Phase::Cancelled => Turn::Cancelled,
                // What the book knows of it is as good.
                Phase::Failed => {
                    self.watch(id, transfer, false);
                    continue;
                }
            };
            self.book.on_turn(id, transfer, turn, now, fastrand::f64());
            if matches!(phase, Phase::Active | Phase::Paused) {
                self.watch(id, transfer, false);
            }
        }
    }

    async fn run(mut self) {
        let (shutdown, mut behind) = (self.core.shutdown.clone(), self.behind.changes());
        self.settle().await;
        loop {
            let wakes = self.wakes_in();
            let first = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                ask = self.asks.recv() => match ask {
                    Some(ask) => Some(ask),
                    None => break,
                },
                Ok(()) = behind.changed() => None,
                () = tokio::time::sleep(wakes) => None,
            };
            let mut asks: Vec<Ask> = first.into_iter().collect();
            while asks.len() < ASKS
                && let Ok(ask) = self.asks.try_recv()
            {
                asks.push(ask);
            }
            self.carry_out(asks).await;
            self.settle().await;
        }
        // A restart finds by itself what became other last, where this fails.
        let _ = self.save().await;
    }

    fn wakes_in(&self) -> Duration {
        let pace = self.core.services.pace.0.clamp(0.01, 1.0);
        let due = self.book.wakes_at().map(|at| Duration::from_millis(at.saturating_sub(self.now()).max(1)));
        let look = if self.book.waits() { LOOK.mul_f64(pace) } else { SHOW };
        due.map_or(look, |due| due.min(look))
    }

    /// Wishes are carried out together: all of them are on the disk before the first is answered.
    async fn carry_out(&mut self, asks: Vec<Ask>) {
        let (mut replies, mut effects) = (Vec::new(), Vec::new());
        let mut wishes = Vec::new();
        for ask in asks {
            let now = self.now();
            match ask {
                Ask::Wish(wish, reply) => wishes.push((wish, reply)),
                Ask::Begun(id, result) => {
                    if let Ok(transfer) = &result {
                        self.watch(id, *transfer, true);
                    }
                    effects.extend(self.book.on_begun(id, result, now, fastrand::f64()));
                }
                Ask::Turned(id, transfer, turn) => {
                    if matches!(turn, Turn::Done | Turn::Cancelled | Turn::Gone) {
                        self.watched.remove(&id);
                    }
                    effects.extend(self.book.on_turn(id, transfer, turn, now, fastrand::f64()));
                }
                Ask::Told(id, told) => self.book.on_told(id, told, now, unix_ms()),
                Ask::Answered(target, answer) => self.book.on_answer(&target, answer, now, fastrand::f64()),
            }
        }
        if let Err(error) = self.save().await {
            // It is written with what comes next; a restart would find it by the records of the transfers.
            tracing::error!(target: "queue", %error, "the queue cannot be written");
        }
        self.act(std::mem::take(&mut effects));
        if wishes.is_empty() {
            return;
        }
        self.book.begin_wishes();
        for (wish, reply) in wishes {
            let result = self.grant(wish, &mut effects);
            replies.push((reply, result));
        }
        failpoint::step("queue:wished");
        let saved = self.save().await;
        failpoint::step("queue:saved");
        if let Err(error) = &saved {
            self.book.take_back();
            effects.clear();
            tracing::error!(target: "queue", %error, "the queue cannot be written: what was wished is not done");
        } else {
            self.book.keep_wishes();
        }
        self.act(effects);
        // Whoever is answered shall see it.
        self.show();
        for (reply, result) in replies {
            let result = match &saved {
                Err(error) => result.and_then(|_| Err(internal(error))),
                Ok(()) => result,
            };
            let _ = reply.send(result);
        }
    }

    fn grant(&mut self, wish: Wish, effects: &mut Vec<Effect>) -> Result<Reply, CommandError> {
        let now = self.now();
        match wish {
            Wish::Enqueue(wanted) => self.book.enqueue(*wanted, now, unix_ms()),
            Wish::Class(ids, class) => self.book.set_class(&ids, class),
            Wish::Move(id, to) => self.book.move_to(id, to),
            Wish::Retry(ids) => self.book.retry(&ids),
            Wish::Purge(request) => {
                let (reply, more) = self.book.purge(&request, now)?;
                effects.extend(more);
                Ok(reply)
            }
        }
    }

    /// Writes what became other.
    async fn save(&mut self) -> Result<(), StateError> {
        let changed = self.book.unsaved();
        if changed.is_empty() {
            return Ok(());
        }
        let (outbox, next) = (self.outbox.clone(), self.book.next_id());
        let written = tokio::task::spawn_blocking(move || outbox.commit(&changed, next)).await;
        let written = written.unwrap_or_else(|e| Err(StateError::Task(e.to_string())));
        match &written {
            Ok(()) => self.book.on_saved(),
            Err(_) => self.rests_until = Some(Instant::now() + DISK_PAUSE),
        }
        written
    }

    /// Begins what can begin, writes and shows what is.
    async fn settle(&mut self) {
        if self.rests_until.is_none_or(|until| until <= Instant::now()) {
            self.rests_until = None;
            let holds = self.core.services.places.is_held();
            let effects = self.book.effects(self.now(), self.links.as_ref(), holds, self.places);
            if let Err(error) = self.save().await {
                // What is begun is known by its transfer's record.
                tracing::error!(target: "queue", %error, "the queue cannot be written: tried again");
            }
            if effects.iter().any(|effect| matches!(effect, Effect::Begin { .. })) {
                failpoint::step("queue:begins");
            }
            self.act(effects);
        }
        self.show();
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for note in self.book.notes() {
            let transfer = note.transfer.map(|id| id.0);
            if note.warns {
                tracing::warn!(target: "queue", transfer, "{}", note.words);
            } else {
                tracing::info!(target: "queue", transfer, "{}", note.words);
            }
        }
        for effect in effects {
            match effect {
                Effect::Begin { id, entry } => self.begin(id, *entry),
                Effect::Ask { target, operation, name } => self.question(target, *operation, name),
                Effect::Tell { id, request, name } => self.tell(id, *request, name),
                Effect::Cancel(transfer) => self.cancel(transfer),
                Effect::Done(transfer) => self.finished(transfer),
            }
        }
    }

    fn show(&mut self) {
        let holds = self.core.services.places.is_held();
        let view = self.book.view(self.now(), unix_ms(), self.links.as_ref(), holds, self.behind.rows());
        let changed = self.view.send_if_modified(|shown| {
            let other = !Arc::ptr_eq(shown, &view);
            if other {
                *shown = view;
            }
            other
        });
        if changed {
            self.core.services.bell.changed.notify_one();
        }
    }

    /// Rows of what the queue has done are kept for a while.
    fn finished(&mut self, transfer: TransferId) {
        self.finished.push_back(transfer);
        while self.finished.len() > FINISHED
            && let Some(oldest) = self.finished.pop_front()
        {
            let core = self.core.clone();
            let removing = async move {
                if let Err(error) = core.forget_done(oldest).await {
                    tracing::debug!(target: "queue", transfer = oldest.0, %error, "stays in the list");
                }
            };
            self.core.tasks.spawn(removing.instrument(self.core.span.clone()));
        }
    }
}
