//! The near side's requests. What comes back is untrusted: read up to a cap, names checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::compare::{CompareError, Descent, There};
use super::entry::Tree;
use super::plan::Questions;
use super::receive::{digests, open_regular};
use super::rules::Rules;
use super::wire::{
    Applied, Apply, Compare, Compared, Digested, Digests, List, Listed, MAX_DOCUMENT, MAX_FILES, MAX_OPS, Op, Tell,
    Told, VERSION, WireError as Document,
};
use crate::content::{Digest, name};
use crate::push::retry::Pace;
use crate::push::wire::{Wire, WireError};
use crate::store::beneath;

/// A receiver looks at a whole tree before it answers, or hashes files, or syncs a disk.
const PATIENCE: Duration = Duration::from_secs(900);
/// Files are hashed no slower than this: a disk that turns. Bytes per second.
const HASHING: u64 = 20_000_000;
/// Bytes of files whose digests are asked for at once.
const HASHED: u64 = 4 << 30;
/// A tree that changes under the comparison is looked at again this often.
const LOOKS: u32 = 3;

/// Why a sync cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The receiver or the way to it.
    #[error("{at}: {error}")]
    Wire {
        /// Where it leads, for people.
        at: String,
        /// What.
        error: WireError,
    },
    /// What it lists is no tree.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// What it says is no answer.
    #[error("not a receiver's answer: {0}")]
    Answer(#[from] Document),
    /// It does not know what a sync is.
    #[error("{0}: what answers there takes no syncs: is it a skep node, and not an older one?")]
    NoSyncs(String),
    /// Here.
    #[error("{0}")]
    Local(String),
}

/// Asks one receiver about one tree.
#[derive(Debug)]
pub(crate) struct Client {
    pub wire: Arc<Wire>,
    /// The tree's place under the receiver's root.
    pub path: String,
    /// Bytes of requests and answers, heads included as far as known.
    pub bytes: AtomicU64,
    pace: Pace,
}

/// Bytes of the heads of a request and its answer, about.
const HEADS: u64 = 350;

impl Client {
    pub(crate) fn new(wire: Arc<Wire>, path: String, pace: Pace) -> Self {
        Self { wire, path, bytes: AtomicU64::new(0), pace }
    }

    /// One exchange, tried again while the way breaks or the receiver is busy: none of them does anything
    /// twice that matters.
    async fn ask<T: DeserializeOwned>(&self, route: &str, request: &impl Serialize) -> Result<T, ClientError> {
        self.ask_for(route, request, PATIENCE).await
    }

    async fn ask_for<T: DeserializeOwned>(
        &self,
        route: &str,
        request: &impl Serialize,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let failed = |error| ClientError::Wire { at: self.wire.at().to_owned(), error };
        let malformed = |e: serde_json::Error| failed(WireError::Malformed(name::excerpt(&e.to_string())));
        let body = Bytes::from(serde_json::to_vec(request).map_err(malformed)?);
        let mut failures = 0;
        loop {
            let answer = self.wire.exchange(route, body.clone(), patience, MAX_DOCUMENT).await;
            let (error, asked) = match answer {
                Ok(answer) => {
                    self.bytes.fetch_add(HEADS + body.len() as u64 + answer.on_wire, Ordering::Relaxed);
                    return serde_json::from_slice(&answer.body).map_err(malformed);
                }
                Err(WireError::Busy(asked)) => (WireError::Busy(asked), asked),
                Err(error @ WireError::Broken(_)) => (error, None),
                Err(error) => return Err(failed(error)),
            };
            failures += 1;
            match self.pace.wait(failures, asked, fastrand::f64()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(failed(error)),
            }
        }
    }

    /// Finds out how the tree there differs. `everything`: equal folders are looked into too.
    pub(crate) async fn compare(&self, tree: &Tree, rules: &Rules, everything: bool) -> Result<There, ClientError> {
        let mut looks = 0;
        loop {
            looks += 1;
            match self.look(tree, rules, everything).await {
                // Somebody changed it: what was seen of it is not kept.
                Err(ClientError::Wire { error: WireError::Unknown, .. }) if looks < LOOKS => {}
                result => return result,
            }
        }
    }

    async fn look(&self, tree: &Tree, rules: &Rules, everything: bool) -> Result<There, ClientError> {
        // A digest that nothing has: everything is to be listed.
        let digest = if everything { Digest([0; 32]) } else { tree.digest() };
        let request = Compare { version: VERSION, path: self.path.clone(), rules: rules.clone(), digest };
        let compared: Compared = match self.ask("/sync/compare", &request).await {
            Err(ClientError::Wire { at, error: WireError::Unknown }) => return Err(ClientError::NoSyncs(at)),
            compared => compared?,
        };
        let mut descent = Descent::new(tree, &compared, everything);
        loop {
            let folders = descent.ask();
            if folders.is_empty() {
                return Ok(descent.finish());
            }
            let request = List { snapshot: compared.snapshot.clone(), folders };
            let listed: Listed = self.ask("/sync/list", &request).await?;
            if listed.folders.len() != request.folders.len() {
                return Err(Document::Bad("another number of folders than was asked for".into()).into());
            }
            for (path, folder) in request.folders.into_iter().zip(listed.folders) {
                let folder = folder.map(super::wire::ListedFolder::check).transpose()?;
                descent.take(path, folder)?;
            }
        }
    }

    /// What stands at a file's place.
    pub(crate) async fn look_at_file(&self) -> Result<Compared, ClientError> {
        let rules = Rules::first(vec!["*".into()]);
        let request = Compare { version: VERSION, path: self.path.clone(), rules, digest: Digest([0; 32]) };
        match self.ask("/sync/compare", &request).await {
            Err(ClientError::Wire { at, error: WireError::Unknown }) => Err(ClientError::NoSyncs(at)),
            compared => compared,
        }
    }

    /// The digest of the file of so many bytes there, and of one here; none: it cannot be had.
    pub(crate) async fn file_digests(
        &self,
        here: &Path,
        size: u64,
    ) -> Result<(Option<Digest>, Option<Digest>), ClientError> {
        let (top, name) = (here.parent().unwrap_or(Path::new("/")), here.file_name().unwrap_or_default());
        let here = vec![name::escape(name)];
        let there = BTreeMap::from([(String::new(), size)]);
        let (mine, theirs) = tokio::join!(digests_here(top.to_owned(), here), self.digests_there(&there));
        Ok((mine?.into_values().next(), theirs?.into_values().next()))
    }

    /// The digests of both ends that a plan's questions ask for. `top`: the tree here.
    pub(crate) async fn answers(
        &self,
        top: &Path,
        questions: &Questions,
    ) -> Result<(BTreeMap<String, Digest>, BTreeMap<String, Digest>), ClientError> {
        let here: Vec<String> = questions.here.iter().cloned().collect();
        let (mine, theirs) = tokio::join!(digests_here(top.to_owned(), here), self.digests_there(&questions.there));
        Ok((mine?, theirs?))
    }

    async fn digests_there(&self, files: &BTreeMap<String, u64>) -> Result<BTreeMap<String, Digest>, ClientError> {
        let mut found = BTreeMap::new();
        let mut rest = files.iter().peekable();
        while rest.peek().is_some() {
            let (mut batch, mut bytes) = (Vec::new(), 0u64);
            while let Some((path, size)) = rest.next_if(|(_, size)| {
                batch.is_empty() || (batch.len() < MAX_FILES && bytes.saturating_add(**size) <= HASHED)
            }) {
                bytes = bytes.saturating_add(*size);
                batch.push(path.clone());
            }
            let request = Digests { path: self.path.clone(), files: batch };
            let patience = PATIENCE + Duration::from_secs(bytes / HASHING);
            let answer: Digested = self.ask_for("/sync/digests", &request, patience).await?;
            if answer.digests.len() != request.files.len() {
                return Err(Document::Bad("another number of digests than was asked for".into()).into());
            }
            let known = request.files.into_iter().zip(answer.digests);
            found.extend(known.filter_map(|(path, digest)| Some((path, digest?))));
        }
        Ok(found)
    }

    /// Tells the receiver that the tree there is behind by so many files and bytes.
    pub(crate) async fn tell(&self, from: &str, files: u64, bytes: u64) -> Result<(), ClientError> {
        let request = Tell { version: VERSION, path: self.path.clone(), from: from.to_owned(), files, bytes };
        match self.ask::<Told>("/sync/behind", &request).await {
            Err(ClientError::Wire { at, error: WireError::Unknown }) => Err(ClientError::NoSyncs(at)),
            told => told.map(|Told {}| ()),
        }
    }

    /// Has operations carried out, in as many requests as they need; what was not, and why.
    pub(crate) async fn apply(&self, sync: &str, ops: Vec<Op>, over: Vec<String>) -> Result<Vec<String>, ClientError> {
        let mut failed = Vec::new();
        let mut rest = ops;
        loop {
            let later = rest.split_off(rest.len().min(MAX_OPS));
            let last = later.is_empty();
            let request = Apply {
                version: VERSION,
                path: self.path.clone(),
                sync: sync.to_owned(),
                ops: rest,
                over: if last { over.clone() } else { Vec::new() },
            };
            if !request.ops.is_empty() || !request.over.is_empty() {
                let applied: Applied = self.ask("/sync/apply", &request).await?;
                failed.extend(applied.failed.into_iter().map(|(_, why)| name::excerpt(&why)));
            }
            if last {
                return Ok(failed);
            }
            rest = later;
        }
    }
}

/// SHA-256 of files of ours, off the async threads; stops if nobody waits for it any more.
async fn digests_here(top: PathBuf, paths: Vec<String>) -> Result<BTreeMap<String, Digest>, ClientError> {
    let stop = StopOnDrop::default();
    let stopped = stop.0.clone();
    let work = move || {
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let top = rustix::fs::open(&top, flags, rustix::fs::Mode::empty())
            .map_err(|e| ClientError::Local(format!("cannot read {top:?}: {}", std::io::Error::from(e))))?;
        let open = |path: &String| {
            let raw = name::checked_path(path).ok()?;
            let raw = Path::new(&raw);
            let folder = beneath::open_folder(&top, raw.parent()?).ok()?;
            open_regular(&folder, raw.file_name()?).ok()
        };
        let found = digests(&paths, open, &stopped);
        Ok(paths.into_iter().zip(found).filter_map(|(path, found)| Some((path, found?.0))).collect())
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(ClientError::Local(format!("internal: {e}"))))
}

/// Tells blocking work that its result is not wanted any more.
#[derive(Debug, Default)]
pub(crate) struct StopOnDrop(pub Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
