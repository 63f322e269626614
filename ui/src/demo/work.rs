//! The work that never ends: new contents, new pushes, and what is over removed, so that rows and disk stay bounded.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use skep_engine::control::{
    AddTransfer, Command, Control, Focus, Reply, SendRequest, ShareRequest, TransferId, TransferKind, TransferRow,
    TransferState,
};
use skep_shaper::{Profile, Shaper};
use tokio::sync::watch;

use super::content::make_content;
use super::fleet::DemoError;
use super::program::{Content, Course, Program, Trouble, troubles};

/// Contents that are there at a time.
const CONTENTS: usize = 5;
/// Pushes, and received uploads, that are over and still listed.
pub(super) const ENDED: usize = 2;
/// Longest wait for a share to be hashed.
const HASHING: Duration = Duration::from_secs(120);
/// Before something that failed is tried with the next content.
pub(super) const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The ways from the node in the middle to the vault: rates and delays that differ.
pub(super) const UPLINKS: [Profile; 3] = [
    Profile { name: "uplink of 16 Mbit/s", up: 2_000_000, down: 2_000_000, ..of_delay(8) },
    Profile { name: "uplink of 8 Mbit/s", up: 1_000_000, down: 1_000_000, ..of_delay(35) },
    Profile { name: "uplink of 4 Mbit/s", up: 500_000, down: 500_000, ..of_delay(90) },
];

const fn of_delay(ms: u64) -> Profile {
    Profile { delay: Duration::from_millis(ms), queue: Duration::from_millis(100), ..Profile::IDEAL }
}

/// What was done and is not listed any more.
#[derive(Debug, Default)]
pub struct Tally {
    /// Transfers of the node in the middle that were complete and removed.
    pub retired: AtomicU64,
    /// Pushes that were completed.
    pub pushed: AtomicU64,
    /// Uploads that came whole.
    pub received: AtomicU64,
    /// Deltas that were applied.
    pub deltas: AtomicU64,
    /// Bytes that did not go over the wire because of them.
    pub saved: AtomicU64,
}

/// A node as the work sees it.
#[derive(Clone)]
pub(super) struct Worker {
    pub control: Arc<dyn Control>,
    /// What it fetches and receives lies here.
    pub root: PathBuf,
}

impl Worker {
    pub(super) async fn begin(&self, command: Command) -> Result<TransferId, DemoError> {
        match self.control.command(command).await? {
            Reply::Added { ids, .. } if !ids.is_empty() => Ok(ids[0]),
            // Its link has it wait: it begins when that is better.
            Reply::Enqueued { id, .. } => match self.row(|row| row.queued == Some(id)).await {
                Some(row) => Ok(row.id),
                None => Err(DemoError::Io(io::Error::other("the node stopped"))),
            },
            _ => Err(DemoError::Io(io::Error::other("nothing was added"))),
        }
    }

    /// The row that is as wanted; waits for it.
    pub(super) async fn row(&self, wanted: impl Fn(&TransferRow) -> bool) -> Option<Arc<TransferRow>> {
        let mut view = self.control.view(Focus::default());
        let snapshot = view.snapshots.wait_for(|s| s.transfers.iter().any(|row| wanted(row))).await.ok()?.clone();
        snapshot.transfers.iter().find(|row| wanted(row)).cloned()
    }

    /// What it says of a failure does not matter: the row stays, and is seen.
    pub(super) async fn remove(&self, id: TransferId, data: bool) {
        let _ = self.control.command(Command::Remove { ids: vec![id], data }).await;
    }

    pub(super) fn here(&self, id: TransferId) -> Option<Arc<TransferRow>> {
        let view = self.control.view(Focus::default());
        let snapshot = view.snapshots.borrow().clone();
        snapshot.transfers.iter().find(|row| row.id == id).cloned()
    }
}

/// A content that everybody has or fetches.
pub(super) struct Shared {
    source: PathBuf,
    share: TransferId,
    /// Of the node in the middle, then of the sites.
    fetches: Vec<TransferId>,
}

/// Contents that the origin shares and everybody fetches.
pub(super) struct Fetching {
    pub source: PathBuf,
    pub origin: Worker,
    pub local: Worker,
    pub sites: Vec<Worker>,
    pub mallory: String,
    pub tally: Arc<Tally>,
    /// Told how many of the first contents were dealt with.
    pub there: watch::Sender<usize>,
}

impl Fetching {
    /// The origin shares it; everybody fetches it.
    pub(super) async fn distribute(&self, content: &Content) -> Result<Shared, DemoError> {
        let path = self.source.join(&content.name);
        write(&path, content).await?;
        let request = ShareRequest { path: path.clone(), ..ShareRequest::default() };
        let share = self.origin.begin(Command::Share(request)).await?;
        let ready = |row: &TransferRow| row.id == share && row.state == TransferState::Seeding && row.link.is_some();
        let ready = tokio::time::timeout(HASHING, self.origin.row(ready)).await.ok().flatten();
        let link = ready.and_then(|row| row.link.clone()).ok_or_else(|| DemoError::Slow(content.name.clone()))?;
        let mut fetches = Vec::new();
        for node in std::iter::once(&self.local).chain(&self.sites) {
            let peers = if fetches.is_empty() { vec![self.mallory.clone()] } else { Vec::new() };
            let request = AddTransfer { link: link.clone(), peers, seed: true, ..AddTransfer::default() };
            fetches.push(node.begin(Command::Add(request)).await?);
        }
        Ok(Shared { source: path, share, fetches })
    }

    /// Those that are there first, then for ever: the oldest goes when there are enough, once it is complete in the middle.
    pub(super) async fn run(self, first: Vec<Content>, seed: u64) {
        let mut there = VecDeque::new();
        for content in first {
            match self.distribute(&content).await {
                Ok(shared) => there.push_back(shared),
                Err(error) => failed(&content, &error).await,
            }
            self.there.send_modify(|count| *count += 1);
        }
        let mut program = Program::new(Course::Fetched, seed);
        loop {
            let (pause, content) = program.next();
            tokio::time::sleep(pause).await;
            if there.len() >= CONTENTS
                && let Some(oldest) = there.pop_front()
            {
                self.retire(oldest).await;
            }
            match self.distribute(&content).await {
                Ok(shared) => there.push_back(shared),
                Err(error) => failed(&content, &error).await,
            }
        }
    }

    async fn retire(&self, old: Shared) {
        let fetch = old.fetches[0];
        let settled = |row: &TransferRow| row.id == fetch && row.state.is_settled();
        if self.local.row(settled).await.is_some_and(|row| row.state == TransferState::Seeding) {
            self.tally.retired.fetch_add(1, Ordering::Relaxed);
        }
        for (node, id) in std::iter::once(&self.local).chain(&self.sites).zip(old.fetches) {
            node.remove(id, true).await;
        }
        self.origin.remove(old.share, false).await;
        delete(&old.source).await;
    }
}

/// Pushes from the node in the middle to the vault.
pub(super) struct Pushing {
    pub source: PathBuf,
    pub local: Worker,
    pub vault: Worker,
    pub uplinks: Vec<Shaper>,
    pub tally: Arc<Tally>,
}

impl Pushing {
    /// Goes on for ever.
    pub(super) async fn run(self, seed: u64) {
        let (mut program, mut rng) = (Program::new(Course::Pushed, seed), fastrand::Rng::with_seed(seed));
        let mut over = VecDeque::new();
        loop {
            let (pause, content) = program.next();
            tokio::time::sleep(pause).await;
            let troubles = troubles(&mut rng);
            match self.push(&content, troubles).await {
                Ok(id) => over.push_back((id, content)),
                Err(error) => failed(&content, &error).await,
            }
            if over.len() > ENDED
                && let Some((id, content)) = over.pop_front()
            {
                if self.local.here(id).is_some_and(|row| row.state == TransferState::Done) {
                    self.tally.retired.fetch_add(1, Ordering::Relaxed);
                }
                self.local.remove(id, false).await;
                forget_received(&self.vault, &content.name, true).await;
                delete(&self.source.join(&content.name)).await;
            }
        }
    }

    async fn push(
        &self,
        content: &Content,
        troubles: Vec<(Duration, usize, Trouble)>,
    ) -> Result<TransferId, DemoError> {
        let path = self.source.join(&content.name);
        write(&path, content).await?;
        let mut urls = self.uplinks.iter().map(|uplink| format!("http://{}", uplink.addr()));
        let dest = format!("{}/", urls.next().unwrap_or_default());
        let id =
            self.local.begin(Command::Send(SendRequest { path, dest, paths: urls.collect(), ..Default::default() }));
        let id = id.await?;
        let settled = self.local.row(|row| row.id == id && row.state.is_settled());
        // What happens to the uplinks happens for as long as it runs; then they are as they were.
        let row = tokio::select! {
            row = settled => row,
            () = self.stir(troubles) => None,
        };
        for (uplink, profile) in self.uplinks.iter().zip(UPLINKS) {
            uplink.set(profile);
            uplink.uncut();
        }
        if row.is_some_and(|row| row.state == TransferState::Done) {
            self.tally.pushed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(id)
    }

    async fn stir(&self, troubles: Vec<(Duration, usize, Trouble)>) {
        let began = Instant::now();
        for (when, at, trouble) in troubles {
            tokio::time::sleep(when.saturating_sub(began.elapsed())).await;
            let (uplink, profile) = (&self.uplinks[at], UPLINKS[at]);
            let word = match trouble {
                Trouble::Collapses => {
                    uplink.set(Profile { up: profile.up / 50, down: profile.down / 50, ..profile });
                    "collapses"
                }
                Trouble::Dies => {
                    uplink.cut();
                    uplink.reset();
                    "dies"
                }
                Trouble::Recovers => {
                    uplink.set(profile);
                    uplink.uncut();
                    "is back"
                }
            };
            tracing::info!("the {} {word}", profile.name);
        }
        std::future::pending().await
    }
}

/// Pushes from the van to the node in the middle.
pub(super) struct Receiving {
    pub source: PathBuf,
    pub van: Worker,
    pub local: Worker,
    /// The node in the middle, as the van reaches it.
    pub link: Shaper,
    pub tally: Arc<Tally>,
}

impl Receiving {
    /// Goes on for ever.
    pub(super) async fn run(self, seed: u64) {
        let mut program = Program::new(Course::Received, seed);
        let mut over = VecDeque::new();
        loop {
            let (pause, content) = program.next();
            tokio::time::sleep(pause).await;
            match self.push(&content).await {
                Ok(()) => over.push_back(content),
                Err(error) => failed(&content, &error).await,
            }
            if over.len() > ENDED
                && let Some(content) = over.pop_front()
                && forget_received(&self.local, &content.name, true).await
            {
                self.tally.retired.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn push(&self, content: &Content) -> Result<(), DemoError> {
        let path = self.source.join(&content.name);
        write(&path, content).await?;
        let dest = format!("http://{}/", self.link.addr());
        let id =
            self.van.begin(Command::Send(SendRequest { path: path.clone(), dest, ..SendRequest::default() })).await?;
        let row = self.van.row(|row| row.id == id && row.state.is_settled()).await;
        if row.is_some_and(|row| row.state == TransferState::Done) {
            self.tally.received.fetch_add(1, Ordering::Relaxed);
        }
        self.van.remove(id, false).await;
        delete(&path).await;
        Ok(())
    }
}

/// Takes something received off the list, and its file with it if that is wanted; true if it was complete.
pub(super) async fn forget_received(node: &Worker, name: &str, file: bool) -> bool {
    let view = node.control.view(Focus::default());
    let snapshot = view.snapshots.borrow().clone();
    let is_it = |row: &&Arc<TransferRow>| row.kind == TransferKind::Receive && row.name == name;
    let Some(row) = snapshot.transfers.iter().find(is_it) else { return false };
    let done = row.state == TransferState::Done;
    node.remove(row.id, false).await;
    if file {
        delete(&node.root.join(name)).await;
    }
    done
}

async fn failed(content: &Content, error: &DemoError) {
    tracing::warn!("{}: {error}", content.name);
    tokio::time::sleep(AFTER_FAILURE).await;
}

pub(super) async fn write(path: &Path, content: &Content) -> Result<(), DemoError> {
    let (path, content) = (path.to_owned(), content.clone());
    tokio::task::spawn_blocking(move || make_content(&path, &content)).await.map_err(io::Error::other)??;
    Ok(())
}

/// What is gone already needs no deleting.
pub(super) async fn delete(path: &Path) {
    let path = path.to_owned();
    let gone = move || if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    let _ = tokio::task::spawn_blocking(gone).await;
}
