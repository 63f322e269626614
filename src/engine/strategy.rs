//! The ways of moving a content. Each system of the engine is one of them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::services::Services;
use super::shared::Shared;
use super::turns::Place;
use crate::content::ReadError;
use crate::content::manifest::ManifestError;
use crate::control::{BoxFuture, StrategyRow};
use crate::push::PushError;
use crate::push::ways::Ways;
use crate::push::wire::WireError;
use crate::queue::book::Fault;
use crate::store::{FilesError, FilesErrorKind, JobRecord, StateError};
use crate::swarm::{ClientError, DownloadError};

/// One transfer at work: who it is, what it may use, when to stop.
#[derive(Clone)]
pub(crate) struct Job {
    pub shared: Arc<Shared>,
    pub services: Arc<Services>,
    /// Cancelled to pause, cancel or shut down: return [`JobEnd::Stopped`] soon, with everything
    /// done so far recorded.
    pub stop: CancellationToken,
    /// The place among those that move bytes; empty if it needs none.
    pub place: Arc<Mutex<Option<Place>>>,
    /// The paths of a push, as they were probed.
    pub ways: Arc<Ways>,
}

impl Job {
    /// It only serves from now on: another transfer may have its place.
    pub(crate) fn give_back_place(&self) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// How work ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// Everything there, verified and under its name; nothing left to do.
    Complete,
    /// Stopped on request.
    Stopped,
}

/// Why work stopped by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Push(#[from] PushError),
    /// The pool that it goes to has no nodes, or none that answers.
    #[error("{0}")]
    NoNodes(String),
    #[error("{0}")]
    Other(String),
}

impl JobError {
    /// Data is not what its digest says.
    pub(crate) fn is_integrity(&self) -> bool {
        match self {
            Self::Files(e) => matches!(e.kind, FilesErrorKind::Changed | FilesErrorKind::Replaced),
            Self::Push(error) => matches!(error, PushError::Lies | PushError::OtherBytes),
            _ => false,
        }
    }

    /// What a queue shall think of it.
    pub(crate) fn fault(&self) -> Fault {
        let wire = match self {
            Self::Push(PushError::Wire { error, .. } | PushError::GaveUp { error, .. }) => error,
            Self::Push(PushError::Lies | PushError::OtherBytes) => return Fault::Never,
            Self::NoNodes(_) => return Fault::Away,
            Self::Push(PushError::Source(ReadError::Read { error, .. }))
                if error.kind() == std::io::ErrorKind::NotFound =>
            {
                return Fault::Never;
            }
            _ => return Fault::Again,
        };
        match wire {
            WireError::Broken(_) => Fault::Away,
            // No node sends on, nor asks for a login (RFC 6585): something on the way answers in its place, until that is done.
            WireError::Status { status: 300..400 | 511, .. } => Fault::Away,
            WireError::Refused(_) => Fault::Never,
            // A request that came too early or took too long, or one of too many (RFC 9110, RFC 6585).
            WireError::Status { status: 408 | 425 | 429, .. } => Fault::Again,
            WireError::Status { status: 400..500, .. } => Fault::Never,
            _ => Fault::Again,
        }
    }

    /// The other side wants a token that it was not given, or forbids what was asked for.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Push(PushError::Wire { error: WireError::Refused(_), .. }))
    }
}

impl From<DownloadError> for JobError {
    fn from(error: DownloadError) -> Self {
        match error {
            DownloadError::Disk(e) => Self::Files(e),
            DownloadError::State(e) => Self::State(e),
            DownloadError::Internal(e) => Self::Other(format!("internal: {e}")),
        }
    }
}

/// A way of moving a content.
pub(crate) trait Strategy: Send + Sync {
    /// Stable id, such as `transit-p2p-swarm`.
    fn id(&self) -> &'static str;

    /// For people.
    fn name(&self) -> &'static str;

    /// Such as `P2P`, `streaming`, `resumable`.
    fn capabilities(&self) -> &'static [&'static str];

    /// Whether it can take this job now.
    ///
    /// # Errors
    /// Why not, in words.
    fn availability(&self, job: &JobRecord) -> Result<(), String>;

    /// Why it suits a job that it can take, in a few words.
    fn why(&self, job: &JobRecord) -> String;

    /// Works from the beginning until done or stopped. Publishes rows as it goes.
    fn start(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>>;

    /// Works on from what was recorded.
    fn resume(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>>;
}

/// The strategies of this engine, in the order in which they are tried.
pub(crate) struct Strategies(Vec<Arc<dyn Strategy>>);

impl Strategies {
    pub(crate) fn new(all: Vec<Arc<dyn Strategy>>) -> Self {
        Self(all)
    }

    /// The first that can take the job; else why none can.
    pub(crate) fn choose(&self, job: &JobRecord) -> Result<Arc<dyn Strategy>, String> {
        let mut reasons = Vec::new();
        for strategy in &self.0 {
            match strategy.availability(job) {
                Ok(()) => return Ok(strategy.clone()),
                Err(reason) => reasons.push(format!("{}: {reason}", strategy.id())),
            }
        }
        Err(reasons.join("; "))
    }

    pub(crate) fn rows(&self) -> Vec<StrategyRow> {
        let row = |s: &Arc<dyn Strategy>| StrategyRow {
            id: s.id().into(),
            name: s.name().into(),
            capabilities: s.capabilities().iter().map(|c| (*c).to_owned()).collect(),
            unavailable: None,
        };
        self.0.iter().map(row).collect()
    }
}
