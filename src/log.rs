//! The log that viewers see: the newest lines of an engine, in memory and bounded.
//!
//! [`Logs`] is one `tracing` layer for the process, installed by the program (beside its own, such
//! as one that writes a file). Each engine has a [`LogRing`] of it and runs its tasks inside
//! [`LogRing::span`]: what they say goes to that ring, so that several engines in one process (a
//! demo, a test) do not mix. Lines from outside of any engine go to all rings.
//!
//! An event is about a transfer if it has a field `transfer` (a number), or a span around it does.
//! Text is made printable and cut before it is kept: names of files and answers of peers are in it.

mod gate;
mod line;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Span, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

use crate::control::{LogLevel, LogLine, TransferId};
use gate::Gate;
use line::{SpanFields, read_event, read_span};

pub use gate::FilterError;

/// Lines that a ring keeps.
pub const RING_LINES: usize = 2_048;

/// The target of [`LogRing::span`]: let through whatever the filter says, or lines would lose their
/// engine.
const NODE_TARGET: &str = "skep_engine::node_span";

/// The process's log. Cheap to clone.
#[derive(Clone, Default)]
pub struct Logs {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    rings: Mutex<Rings>,
    filter: Mutex<Filter>,
}

#[derive(Default)]
struct Rings {
    next: u64,
    open: Vec<Weak<Ring>>,
}

#[derive(Default)]
struct Filter {
    gate: Gate,
    /// One per layer: puts a new gate in; false if that layer is gone.
    layers: Vec<Reload>,
}

type Reload = Box<dyn Fn(&Gate) -> bool + Send>;

impl Logs {
    /// A log that lets through what `filter` names: a level (`info`), directives for targets
    /// (`skep_engine::swarm=debug`), or several of both, separated by commas.
    ///
    /// # Errors
    /// What is wrong with the filter.
    pub fn new(filter: &str) -> Result<Self, FilterError> {
        let logs = Self::default();
        lock(&logs.shared.filter).gate = filter.parse()?;
        Ok(logs)
    }

    /// The layer to install: `tracing_subscriber::registry().with(logs.layer())`.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        self.filtered(RingLayer { shared: Arc::clone(&self.shared) })
    }

    /// Puts another layer, such as one that writes a file, behind the same filter: what
    /// [`Self::set_filter`] says goes for it too.
    pub fn filtered<S, L>(&self, layer: L) -> impl Layer<S> + Send + Sync + use<S, L>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        L: Layer<S> + Send + Sync,
    {
        let mut filter = lock(&self.shared.filter);
        let (gate, handle) = reload::Layer::<Gate, S>::new(filter.gate.clone());
        filter.layers.push(Box::new(move |gate| handle.reload(gate.clone()).is_ok()));
        layer.with_filter(gate)
    }

    /// A ring for an engine of this name. It fills once the layer is installed.
    pub fn ring(&self, name: &str) -> LogRing {
        let mut rings = lock(&self.shared.rings);
        rings.next += 1;
        let ring =
            Arc::new(Ring { id: rings.next, name: name.to_owned(), kept: Mutex::default(), news: watch::channel(0).0 });
        rings.open.retain(|ring| ring.strong_count() > 0);
        rings.open.push(Arc::downgrade(&ring));
        LogRing { ring, logs: self.clone() }
    }

    /// Changes what is let through, at once, for all rings and every [filtered](Self::filtered) layer.
    ///
    /// # Errors
    /// What is wrong with the filter; the old one stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), FilterError> {
        let gate: Gate = filter.parse()?;
        let mut filter = lock(&self.shared.filter);
        filter.layers.retain(|reload| reload(&gate));
        filter.gate = gate;
        Ok(())
    }

    /// The filter in force, as it was given.
    pub fn filter(&self) -> String {
        lock(&self.shared.filter).gate.text().to_owned()
    }
}

/// The newest [`RING_LINES`] lines of one engine. Cheap to clone.
#[derive(Clone)]
pub struct LogRing {
    ring: Arc<Ring>,
    logs: Logs,
}

impl Default for LogRing {
    /// A ring of logs that nobody installed: it stays empty.
    fn default() -> Self {
        Logs::default().ring("")
    }
}

struct Ring {
    id: u64,
    name: String,
    kept: Mutex<Kept>,
    /// The `seq` of the newest line.
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<Arc<LogLine>>,
    seq: u64,
    tail: Option<Arc<Vec<Arc<LogLine>>>>,
}

impl LogRing {
    /// The span to run an engine's tasks in.
    pub fn span(&self) -> Span {
        tracing::error_span!(target: NODE_TARGET, parent: None, "node", name = %self.ring.name, ring = self.ring.id)
    }

    /// The `seq` of the newest line: grows with every line, 0 before the first.
    pub fn generation(&self) -> u64 {
        *self.ring.news.borrow()
    }

    /// Wakes with every new line; its value is [`generation`](Self::generation).
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.ring.news.subscribe()
    }

    /// Changes what is let through; for every ring of these [`Logs`].
    ///
    /// # Errors
    /// What is wrong with the filter; the old one stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), FilterError> {
        self.logs.set_filter(filter)
    }

    /// The lines, oldest first. The same `Arc` until there are new ones.
    pub fn tail(&self) -> Arc<Vec<Arc<LogLine>>> {
        let mut kept = lock(&self.ring.kept);
        if let Some(tail) = &kept.tail {
            return Arc::clone(tail);
        }
        let tail = Arc::new(kept.lines.iter().cloned().collect::<Vec<_>>());
        kept.tail = Some(Arc::clone(&tail));
        tail
    }
}

impl Ring {
    fn push(&self, line: LogLine) {
        let mut kept = lock(&self.kept);
        kept.seq += 1;
        let seq = kept.seq;
        if kept.lines.len() == RING_LINES {
            kept.lines.pop_front();
        }
        kept.lines.push_back(Arc::new(LogLine { seq, ..line }));
        kept.tail = None;
        // Under the lock, so that the generation never goes back.
        self.news.send_replace(seq);
    }
}

/// Puts events into rings.
struct RingLayer {
    shared: Arc<Shared>,
}

impl<S> Layer<S> for RingLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let is_node = attributes.metadata().target() == NODE_TARGET;
        let fields = read_span(|visitor| attributes.record(visitor), is_node);
        if let Some(span) = context.span(id)
            && !fields.is_empty()
        {
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let news = read_span(|visitor| values.record(visitor), false);
        if let Some(span) = context.span(id)
            && let Some(transfer) = news.transfer
        {
            let mut extensions = span.extensions_mut();
            let ring = extensions.get_mut::<SpanFields>().and_then(|fields| fields.ring);
            extensions.replace(SpanFields { ring, transfer: Some(transfer) });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut around = SpanFields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                around.ring = around.ring.or(fields.ring);
                around.transfer = around.transfer.or(fields.transfer);
            }
        }
        let (message, transfer) = read_event(event);
        let line = LogLine {
            seq: 0,
            time_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
            level: level(event.metadata()),
            target: speaker(event.metadata().target()).to_owned(),
            message,
            transfer: transfer.or(around.transfer).map(TransferId),
        };
        // Taken out first: no lock is held while another is taken.
        let rings: Vec<_> = lock(&self.shared.rings).open.iter().filter_map(Weak::upgrade).collect();
        for ring in rings {
            if around.ring.is_none_or(|id| id == ring.id) {
                ring.push(line.clone());
            }
        }
    }
}

fn level(metadata: &Metadata<'_>) -> LogLevel {
    match *metadata.level() {
        tracing::Level::ERROR => LogLevel::Error,
        tracing::Level::WARN => LogLevel::Warn,
        tracing::Level::INFO => LogLevel::Info,
        tracing::Level::DEBUG => LogLevel::Debug,
        tracing::Level::TRACE => LogLevel::Trace,
    }
}

/// The part of the engine that speaks: `skep_engine::swarm::picker` → `swarm`; of other crates,
/// their name.
fn speaker(target: &str) -> &str {
    let inside = target.strip_prefix("skep_engine::").or_else(|| target.strip_prefix("skep::")).unwrap_or(target);
    inside.split("::").next().unwrap_or(inside)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Logging goes on after a panic elsewhere; nothing under these locks is left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
