//! The pool of this node: keeps the operator's list, has its nodes asked how they are, answers which node is for what.
//!
//! Whoever moves data asks a [`Pool`] for the nodes of a key and for the one to read from, and tells it how that went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use reqwest::header::HeaderMap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::config::StartError;
use super::shared::Bell;
use crate::clock::unix_ms;
use crate::content::ContentId;
use crate::content::name::printable;
use crate::control::pool::{Balancer, MAX_NAME, MoveRow, Moves, Placement, PoolNode, PoolView};
use crate::control::{CommandError, CommandErrorKind};
use crate::link::probe;
use crate::pool::PoolConfig;
use crate::pool::asking::{self, Asker};
use crate::pool::book::{Book, BookError, Change, Event, Found, Listed, Member};
use crate::pool::chance::Chance;
use crate::pool::repair::Wanting;
use crate::pool::resource::NoNodes;
use crate::pool::ring::RingError;
use crate::store::{PoolNodeRecord, PoolRecord, State};

/// Nodes that are asked at once.
const ASKED_AT_ONCE: usize = 32;
/// Shortest time between two looks at all nodes for viewers.
const LOOK: Duration = Duration::from_millis(900);
/// Longest key, in bytes.
const MAX_KEY: usize = 4_096;
/// Replicas that one who fetches is told of: the best now; the others where these do not suffice.
const SOURCES: usize = 8;

/// The pool that a node is in, or knows.
pub struct Pool {
    name: String,
    book: Mutex<Book>,
    state: Arc<State>,
    asker: Asker,
    /// Nobody outside can tell whom it chooses next.
    chance: Mutex<Chance>,
    /// Where this node's time begins: ms since the epoch, and when that was. It never goes back.
    origin: (u64, Instant),
    bell: Arc<Bell>,
    shown: Mutex<Shown>,
    /// Held while the pool is recorded, so that the last word is the last one on the disk.
    recording: tokio::sync::Mutex<()>,
    /// The list or the drained ones changed.
    changed: Notify,
}

#[derive(Default)]
struct Shown {
    at: Option<Instant>,
    view: Arc<PoolView>,
    gossip: Option<String>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

fn refused(error: &BookError) -> CommandError {
    let kind = match error {
        BookError::Unknown(_) => CommandErrorKind::NotFound,
        BookError::Ring(RingError::Empty) => {
            let words =
                "the pool has no nodes: `skep nodes add URL` lists one, `skep serve --join ADDR:PORT` joins others";
            return CommandError::new(CommandErrorKind::Conflict, words);
        }
        BookError::Ring(_) => CommandErrorKind::Invalid,
        BookError::Away(..) => CommandErrorKind::Unavailable,
        BookError::Taken(..) | BookError::NotListed(_) | BookError::DrainedAt(..) | BookError::Full => {
            CommandErrorKind::Conflict
        }
    };
    CommandError::new(kind, error.to_string())
}

/// A name that can stand in lists and on the ring.
fn named(name: &str) -> Result<(), CommandError> {
    let is_one = !name.is_empty() && name.chars().count() <= MAX_NAME && name.trim() == name && printable(name) == name;
    let words = || format!("{:?} is no name for a node: 1 to {MAX_NAME} printable characters", printable(name));
    if is_one { Ok(()) } else { Err(CommandError::new(CommandErrorKind::Invalid, words())) }
}

impl Pool {
    /// The pool as it was kept.
    pub(super) fn open(
        config: &PoolConfig,
        own: &str,
        headers: HeaderMap,
        state: Arc<State>,
        bell: Arc<Bell>,
    ) -> Result<Arc<Self>, StartError> {
        let origin = (unix_ms(), Instant::now());
        let asker = Asker::new(headers).map_err(StartError::Pool)?;
        let pool = config.name.as_str();
        let mut book = Book::new(pool, own, config.limits, origin.0).on_ring(config.points, config.bound);
        let record = state.pool()?;
        book.set_balancer(record.balancer);
        for (name, PoolNodeRecord { endpoint, weight }) in record.nodes {
            if let Err(error) = book.list(&name, Listed { endpoint, weight }, origin.0) {
                tracing::warn!(target: "pool", "{name} is not taken up: {error}");
            }
        }
        book.take_up_drained(record.drained.into_iter().map(Arc::from), origin.0);
        Ok(Arc::new(Self {
            book: Mutex::new(book),
            state,
            asker,
            chance: Mutex::new(Chance::new().map_err(StartError::Pool)?),
            origin,
            bell,
            name: pool.to_owned(),
            shown: Mutex::default(),
            recording: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// 64 bits that nobody can foresee.
    fn chance(&self) -> u64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).bits()
    }

    /// Its name, as in `pool:NAME`.
    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    /// Nodes that are there.
    pub(super) fn size(&self) -> usize {
        self.book().there()
    }

    /// In words why no node is there; none: there are some.
    pub(super) fn nobody(&self) -> Option<String> {
        let book = self.book();
        (book.there() == 0).then(|| refused(&book.nobody()).message)
    }

    /// This node's time in ms. It never goes back.
    pub(super) fn now(&self) -> u64 {
        self.origin.0 + self.origin.1.elapsed().as_millis() as u64
    }

    /// The pool as viewers see it; looked at afresh about once a second, and after each command.
    pub(super) fn view(&self) -> Arc<PoolView> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.at.is_none_or(|at| at.elapsed() >= LOOK) {
            let view = self.book().view(shown.gossip.clone(), &shown.view, self.now());
            if view != *shown.view {
                shown.view = Arc::new(view);
            }
            shown.at = Some(Instant::now());
        }
        shown.view.clone()
    }

    /// What is shown is old.
    fn rings(&self) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).at = None;
        self.bell.changed.notify_one();
    }

    /// The nodes that `key` belongs to, the first one first, with their endpoints.
    ///
    /// # Errors
    /// The pool has no nodes.
    pub fn nodes_for(&self, key: &str, count: usize) -> Result<Vec<(Arc<str>, String)>, BookError> {
        let (book, now) = (self.book(), self.now());
        let nodes = book.place(key, count, Some(Balancer::ConsistentHash), now, || self.chance())?.nodes;
        Ok(nodes.into_iter().filter_map(|node| Some((node.clone(), book.endpoint(&node)?.to_owned()))).collect())
    }

    /// All nodes that there are, with their endpoints, chosen by how they are, one after the other.
    ///
    /// # Errors
    /// The pool has no nodes.
    pub(super) fn by_health(&self, key: &str) -> Result<Vec<(Arc<str>, String)>, BookError> {
        let (book, now) = (self.book(), self.now());
        let all = book.there().max(1);
        let nodes = book.place(key, all, Some(Balancer::ResourceAware), now, || self.chance())?.nodes;
        Ok(nodes.into_iter().filter_map(|node| Some((node.clone(), book.endpoint(&node)?.to_owned()))).collect())
    }

    /// Who answers where nobody says.
    pub(super) fn balancer(&self) -> Balancer {
        self.book().balancer()
    }

    /// The one of these nodes to read from now, by how they are, with its endpoint.
    ///
    /// # Errors
    /// None of them is there.
    pub fn choose_among(&self, among: &[Arc<str>]) -> Result<(Arc<str>, String), NoNodes> {
        let mut book = self.book();
        let node = book.choose(self.now(), |name| among.iter().any(|one| **one == *name), || self.chance())?;
        let endpoint = book.endpoint(&node).ok_or(NoNodes)?.to_owned();
        Ok((node, endpoint))
    }

    /// The nodes that say they hold a content.
    pub fn holders(&self, content: &str) -> Vec<Arc<str>> {
        self.book().holders(content)
    }

    /// Whom to fetch a content from, with their endpoints, the best one now first. Where nobody says that it has it: those
    /// that the ring gives it to. Drained and overloaded ones only where there is no other.
    pub(super) fn sources(&self, content: &str) -> Vec<(Arc<str>, String)> {
        {
            let (book, now) = (self.book(), self.now());
            if !book.holders(content).is_empty() {
                let sources = book.sources(content, SOURCES, now, || self.chance());
                let with = |name: Arc<str>| book.endpoint(&name).map(|at| (name.clone(), at.to_owned()));
                return sources.into_iter().filter_map(with).collect();
            }
        }
        self.nodes_for(content, SOURCES).unwrap_or_default()
    }

    /// Endpoints of the nodes that a content is not fetched from, as they are drained or overloaded and others have it.
    pub(super) fn spared(&self, content: &ContentId) -> Vec<String> {
        self.book().spared(&content.to_string(), self.now())
    }

    /// Endpoints of the nodes that say that they have a content, the best one now first.
    pub(super) fn holders_of(&self, content: &ContentId) -> Vec<String> {
        let content = content.to_string();
        if self.book().holders(&content).is_empty() {
            return Vec::new();
        }
        self.sources(&content).into_iter().map(|(_, endpoint)| endpoint).collect()
    }

    /// The node that is reached there.
    pub(super) fn named(&self, endpoint: &str) -> Option<Arc<str>> {
        self.book().named(endpoint)
    }

    /// The contents of the pool with this name, or this id.
    pub(super) fn find(&self, what: &str) -> Vec<Found> {
        self.book().find(what)
    }

    /// Contents of which copies are missing, and that the ring gives to this node too.
    pub(super) fn wanting(&self, running: &[&str]) -> Vec<Wanting> {
        let now = self.now();
        self.book().wanting(running, now)
    }

    /// What is being made again here.
    pub(super) fn set_moves(&self, moves: Vec<MoveRow>) {
        let changed = {
            let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = shown.view.moves != moves;
            if changed {
                Arc::make_mut(&mut shown.view).moves = moves;
            }
            changed
        };
        if changed {
            self.rings();
        }
    }

    /// An operation with a node ended: it had answered after so long, or it failed.
    pub fn used(&self, node: &str, answered: Option<Duration>) {
        let latency = answered.map(|latency| latency.as_secs_f64() * 1_000.0);
        self.learned(|book, now| book.on_used(node, latency, now));
    }

    /// An operation with a node ended well, which says nothing of how soon it answers.
    pub(super) fn did_well(&self, node: &str) {
        self.learned(|book, now| book.on_done(node, now));
    }

    /// A node was chosen, by whichever balancer, and really read from or written to.
    pub(super) fn chose(&self, node: &str) {
        self.learned(|book, _| book.on_chosen(node));
    }

    fn learned(&self, what: impl FnOnce(&mut Book, u64)) {
        let events = {
            let (mut book, now) = (self.book(), self.now());
            what(&mut book, now);
            book.look(now)
        };
        tell(events);
        self.rings();
    }

    /// Puts a node on the list; its name, which it is asked for if none is given.
    pub(super) async fn add(&self, node: PoolNode) -> Result<String, CommandError> {
        let invalid = |words: String| CommandError::new(CommandErrorKind::Invalid, words);
        let endpoint = probe::endpoint(&node.endpoint).map_err(|error| invalid(error.to_string()))?;
        let name = if node.name.is_empty() {
            let (name, _) = self.asker.ask(&endpoint).await.map_err(|why| {
                let words = format!("{endpoint} does not say its name ({why}): name it by --name");
                CommandError::new(CommandErrorKind::Unavailable, words)
            })?;
            name
        } else {
            node.name
        };
        named(&name)?;
        let listed = Listed { endpoint, weight: node.weight };
        let events = self.book().list(&name, listed, self.now()).map_err(|error| refused(&error))?;
        tell(events);
        self.record().await?;
        Ok(name)
    }

    /// Takes a node off the list.
    pub(super) async fn remove(&self, name: &str) -> Result<(), CommandError> {
        let events = self.book().unlist(name, self.now()).map_err(|error| refused(&error))?;
        tell(events);
        self.record().await
    }

    /// Takes a node out of use, or into it again. What is taken back here stays so, even where it is drained elsewhere too.
    pub(super) async fn drain(&self, name: &str, on: bool) -> Result<(), CommandError> {
        let (events, elsewhere) = {
            let mut book = self.book();
            let events = book.drain(name, on, self.now()).map_err(|error| refused(&error))?;
            (events, book.drained_at(name).filter(|_| !on).cloned())
        };
        tell(events);
        self.record().await?;
        match elsewhere {
            Some(at) => Err(refused(&BookError::DrainedAt(name.to_owned(), at.to_string()))),
            None => Ok(()),
        }
    }

    /// Who answers where nobody says.
    pub(super) async fn set_balancer(&self, balancer: Balancer) -> Result<(), CommandError> {
        let before = {
            let mut book = self.book();
            let before = book.balancer();
            book.set_balancer(balancer);
            before
        };
        if before != balancer {
            tracing::info!(target: "pool", "{} answers from now on, no longer {}", balancer.word(), before.word());
        }
        self.record().await
    }

    /// Where a key belongs.
    pub(super) fn place(
        &self,
        key: &str,
        replicas: u32,
        balancer: Option<Balancer>,
    ) -> Result<Placement, CommandError> {
        if key.len() > MAX_KEY {
            let words = format!("the key has {} bytes, {MAX_KEY} are allowed", key.len());
            return Err(CommandError::new(CommandErrorKind::Invalid, words));
        }
        let placed = self.book().place(key, replicas.max(1) as usize, balancer, self.now(), || self.chance());
        placed.map_err(|error| refused(&error))
    }

    /// What would follow.
    pub(super) fn preview(&self, name: &str, weight: Option<f64>, drain: bool) -> Result<Moves, CommandError> {
        let change = match (weight, drain) {
            (Some(weight), false) => Change::Comes(weight),
            (None, false) => Change::Leaves,
            (None, true) => Change::Drains,
            (Some(_), true) => {
                let words = "a node that is drained keeps its weight: give `weight` or `drain`";
                return Err(CommandError::new(CommandErrorKind::Invalid, words));
            }
        };
        self.book().preview(name, change).map_err(|error| refused(&error))
    }

    async fn record(&self) -> Result<(), CommandError> {
        let _turn = self.recording.lock().await;
        let record = {
            let book = self.book();
            let kept = |(name, Listed { endpoint, weight }): (Arc<str>, Listed)| {
                (name.to_string(), PoolNodeRecord { endpoint, weight })
            };
            PoolRecord {
                nodes: book.listed().into_iter().map(kept).collect::<BTreeMap<_, _>>(),
                drained: book.drained().map(|name| name.to_string()).collect::<BTreeSet<_>>(),
                balancer: book.balancer(),
            }
        };
        self.changed.notify_waiters();
        self.rings();
        let state = self.state.clone();
        super::commands::blocking(move || state.put_pool(&record)).await
    }

    /// Gossip says who is there.
    pub(super) fn on_gossip(&self, members: Vec<Member>) {
        let (mut events, looked) = {
            let (mut book, now) = (self.book(), self.now());
            (book.on_gossip(members, now), book.look(now))
        };
        if !events.is_empty() {
            self.changed.notify_waiters();
        }
        events.extend(looked);
        tell(events);
        self.rings();
    }

    /// This node's operator drains these.
    pub(super) fn drained(&self) -> Vec<Arc<str>> {
        self.book().drained().cloned().collect()
    }

    /// Gossip goes by this address.
    pub(super) fn gossips_at(&self, address: String) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).gossip = Some(address);
        self.rings();
    }

    /// Has the nodes of the list asked, until `stop`. Idle while there is none to ask.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let changed = self.changed.notified();
            let to_ask = self.book().to_ask();
            if to_ask.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = changed => continue,
                }
            }
            let (began, asker) = (Instant::now(), &self.asker);
            let mut answers = futures_util::stream::iter(to_ask)
                .map(|(name, endpoint)| async move { (name, asker.ask(&endpoint).await) })
                .buffer_unordered(ASKED_AT_ONCE);
            loop {
                let answer = tokio::select! {
                    () = stop.cancelled() => return,
                    answer = answers.next() => answer,
                };
                let Some((name, answer)) = answer else { break };
                tell(self.book().on_answer(&name, answer, self.now()));
            }
            let events = self.book().look(self.now());
            tell(events);
            self.rings();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(asking::INTERVAL.saturating_sub(began.elapsed())) => {}
                () = changed => {}
            }
        }
    }
}

fn tell(events: Vec<Event>) {
    for event in events {
        match event {
            Event::Came(name) => tracing::info!(target: "pool", "{name} is in the pool"),
            Event::Left(name, why) => tracing::warn!(target: "pool", "{name} has left the pool: {why}"),
            Event::SameName(name, first, other) => tracing::error!(
                target: "pool",
                "{first} and {other} both call themselves {name}: the second is left out; give it another --name"
            ),
            Event::Excluded(name, why) => {
                tracing::warn!(target: "pool", "{name} is excluded: {why}; chosen only where there is no other");
            }
            Event::Back(name, ms) => {
                tracing::info!(target: "pool", "{name} is chosen again, excluded for {:.1} s", ms as f64 / 1e3);
            }
            Event::Drained(name, None) => tracing::info!(target: "pool", "{name} is drained"),
            Event::Drained(name, Some(at)) => tracing::info!(target: "pool", "{name} is drained, at {at}"),
            Event::InUse(name) => tracing::info!(target: "pool", "{name} is in use again"),
        }
    }
}
