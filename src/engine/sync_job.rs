//! Making a tree at another node equal to one here: look at both, plan, send what is missing, change the rest.
//! What is left after one look (the source changed, an answer was lost) the next one finds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;

use super::adapt::Adapt;
use super::fetch_job::blocking;
use super::services::Services;
use super::strategy::{Job, JobEnd, JobError, Strategy};
use super::sync_round::{Sent, send};
use super::sync_shown::Shown;
use super::{sync_delta, sync_file, sync_watch};
use crate::content::ReadError;
use crate::content::name::printable;
use crate::control::sync::Totals;
use crate::control::{BoxFuture, Phase, PhaseRow, SyncRequest, TransferState};
use crate::failpoint;
use crate::push::PushError;
use crate::push::pack::Packer;
use crate::push::paths::{Destination, resolve};
use crate::push::ways::Ways;
use crate::push::wire::{Wire, WireError};
use crate::store::JobRecord;
use crate::sync::client::{Client, ClientError, StopOnDrop};
use crate::sync::plan::{Act, Draft, Options, Plan};
use crate::sync::rules::Rules;
use crate::sync::scan::{Scanned, Side, scan, scan_file};

/// A tree that changes under the sync is looked at this often.
const LOOKS: u32 = 3;
/// Things that went wrong which are named.
const TOLD: usize = 3;
/// What a sync that is stopped gets to record.
const GRACE: Duration = Duration::from_secs(1);

/// `transit-tree-sync`: digests of folders tell what differs.
pub(super) struct SyncStrategy;

impl Strategy for SyncStrategy {
    fn id(&self) -> &'static str {
        "transit-tree-sync"
    }

    fn name(&self) -> &'static str {
        "Tree sync"
    }

    fn capabilities(&self) -> &'static [&'static str] {
        &["trees", "resumable", "http", "https"]
    }

    fn availability(&self, job: &JobRecord) -> Result<(), String> {
        match job {
            JobRecord::Sync(_) => Ok(()),
            _ => Err("it keeps trees equal, this is none".into()),
        }
    }

    fn why(&self, _: &JobRecord) -> String {
        "digests of folders tell what differs".into()
    }

    fn start(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        Box::pin(run(job))
    }

    /// It looks at both trees anyway.
    fn resume(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        self.start(job)
    }
}

impl From<ClientError> for JobError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Wire { at, error } => PushError::Wire { at, error }.into(),
            error => Self::Other(error.to_string()),
        }
    }
}

pub(super) fn other(error: impl std::fmt::Display) -> JobError {
    JobError::Other(error.to_string())
}

pub(super) fn key() -> Result<String, JobError> {
    let mut key = [0; 16];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| JobError::Other(format!("no random bytes: {e}")))?;
    Ok(HEXLOWER.encode(&key))
}

/// The receiver, and the ways there.
pub(super) struct Receiver {
    pub(super) ways: Ways,
    pub(super) nearest: Duration,
    names: Vec<String>,
    pub(super) client: Client,
    /// What the link has it do.
    pub(super) adapt: Adapt,
    /// Compresses what is sent whole.
    pub(super) packer: Arc<Packer>,
}

impl Receiver {
    /// Asks all paths whether they answer.
    pub(super) async fn find(
        services: &Services,
        request: &SyncRequest,
        destination: &Destination,
    ) -> Result<Self, JobError> {
        let (headers, pace) = (services.swarm.client.node_headers(), services.pace);
        let limits = &services.links_limited;
        let wire = |path| Ok(Arc::new(Wire::new(path, &destination.target, headers.clone())?.limited(limits)));
        let wires: Vec<Arc<Wire>> = destination.paths.iter().map(wire).collect::<Result<_, PushError>>()?;
        let mut failures = 0;
        loop {
            let (ways, failed) = Ways::probe(wires.clone()).await;
            let answering = (0..wires.len()).filter(|n| ways.latencies[*n].is_some() && !ways.late.contains(n));
            if let Some(best) = answering.min_by_key(|n| ways.latencies[*n]) {
                let names = destination.paths.iter().map(|path| printable(&path.to_string())).collect();
                let client = Client::new(wires[best].clone(), destination.target.clone(), pace);
                let nearest = ways.latencies[best].unwrap_or_default();
                let adapt = Adapt::of(services, &request.dest);
                let packer = adapt.packer(None);
                return Ok(Self { ways, nearest, names, client, adapt, packer });
            }
            failures += 1;
            let (path, error) = failed.into_iter().next().unwrap_or((0, WireError::Unknown));
            let worth_it = matches!(error, WireError::Broken(_) | WireError::Busy(_));
            match pace.wait(failures, None, fastrand::f64()).filter(|_| worth_it) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(wires[path].failed(error).into()),
            }
        }
    }
}

/// Both trees as they are, and what is to be done.
pub(super) struct Seen {
    pub(super) scanned: Scanned,
    pub(super) plan: Plan,
}

/// The source as it is.
pub(super) async fn scan_source(request: &SyncRequest) -> Result<Scanned, JobError> {
    let (path, rules, stop) = (request.path.clone(), Rules::first(request.rules.clone()), StopOnDrop::default());
    let stopped = stop.0.clone();
    blocking(move || {
        let failed = |e: std::io::Error| JobError::Other(format!("cannot read {path:?}: {e}"));
        if !std::fs::metadata(&path).map_err(failed)?.is_dir() {
            return scan_file(&path).map_err(other);
        }
        let top = std::fs::File::open(&path).map_err(failed)?;
        scan(&top, rules, Side::Source, &stopped).map_err(other)
    })
    .await
}

/// What has to happen there.
pub(super) async fn compare(
    request: &SyncRequest,
    client: &Client,
    scanned: Scanned,
    phase: impl Fn(Phase, &str),
) -> Result<Seen, JobError> {
    phase(Phase::Comparing, "comparing with the receiver");
    if scanned.is_file {
        return sync_file::compare(request, client, scanned).await;
    }
    let there = client.compare(&scanned.tree, &scanned.rules, request.checksum).await?;
    let options = Options {
        delete: request.delete,
        checksum: request.checksum,
        force: request.force,
        max_delete: request.max_delete,
    };
    let plan = {
        let draft = Draft::new(&scanned.tree, &there, options).map_err(other)?;
        let questions = draft.questions();
        let (here, theirs) = if questions.is_empty() {
            Default::default()
        } else {
            phase(Phase::Comparing, "comparing contents: what is there already is not sent");
            client.answers(&request.path, questions).await?
        };
        draft.finish(&here, &theirs).map_err(other)?
    };
    Ok(Seen { scanned, plan })
}

fn request_of(job: &JobRecord) -> Result<SyncRequest, JobError> {
    match job {
        JobRecord::Sync(request) => Ok(request.clone()),
        _ => Err(JobError::Other("internal: not a sync".into())),
    }
}

async fn run(job: Job) -> Result<JobEnd, JobError> {
    let stop = job.stop.clone();
    let working = work(job);
    tokio::pin!(working);
    tokio::select! {
        end = &mut working => return end,
        () = stop.cancelled() => {}
    }
    // Sending ends by itself, with what was acknowledged recorded; comparing has nothing to record.
    tokio::time::timeout(GRACE, working).await.unwrap_or(Ok(JobEnd::Stopped))
}

async fn work(job: Job) -> Result<JobEnd, JobError> {
    let record = job.shared.record();
    let request = request_of(&record.job)?;
    let destination = resolve(&request.dest, &[], &[], &record.name).map_err(JobError::Other)?;
    if request.watch {
        return sync_watch::run(&job, &request, &destination).await;
    }
    let Some(passed) = pass(&job, &request, &destination, None).await? else { return Ok(JobEnd::Stopped) };
    match passed.trouble() {
        None => Ok(JobEnd::Complete),
        Some(words) => Err(JobError::Other(format!("{words}; all else is done, run it again for the rest"))),
    }
}

/// How a pass ended.
pub(super) struct Passed {
    /// What it did; none: the source is what it was.
    pub(super) did: Option<Totals>,
    /// The source as it was seen last.
    pub(super) scanned: Scanned,
    /// What could not be done there.
    left: Vec<String>,
    /// Time that looking at both took, without what was sent.
    pub(super) looked: Duration,
}

impl Passed {
    /// Nothing was done, on purpose.
    pub(super) fn looked_at(scanned: Scanned, looked: Duration) -> Self {
        Self { did: None, scanned, left: Vec::new(), looked }
    }

    /// What is not as it should be, in words.
    pub(super) fn trouble(&self) -> Option<String> {
        let unreadable = self.scanned.tree.skipped.iter().filter(|skipped| skipped.unreadable);
        let unreadable: Vec<String> = unreadable.map(|s| format!("{}: {}", s.path, s.why)).collect();
        let told = |what: &str, all: &[String]| {
            let first = all.iter().take(TOLD).map(|words| printable(words)).collect::<Vec<_>>().join("; ");
            let more = all.len().saturating_sub(TOLD);
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            (!all.is_empty()).then(|| format!("{what}{first}{more}"))
        };
        let parts =
            [told("not everything could be done: ", &self.left), told("not everything can be read: ", &unreadable)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Looks at both and does what there is to do, several times if it must. `before`: what the source was when it was equal;
/// if it still is, nobody is asked. None: stopped.
pub(super) async fn pass(
    job: &Job,
    request: &SyncRequest,
    destination: &Destination,
    before: Option<&Scanned>,
) -> Result<Option<Passed>, JobError> {
    let phase = |phase: Phase, words: &str| {
        job.shared.update(|row| {
            row.state = TransferState::Checking;
            PhaseRow::rest(&mut row.phases);
            PhaseRow::at(phase, 0, 0).put(&mut row.phases);
            row.reason = words.into();
        });
    };
    let (mut left, mut did, mut reached, mut looked) = (Vec::new(), Totals::default(), None, Duration::ZERO);
    for look in 1.. {
        if before.is_none() {
            phase(Phase::Scanning, "looking at the source");
        }
        let began = Instant::now();
        let scanned = scan_source(request).await?;
        if before.is_some_and(|before| before.is_same(&scanned)) {
            return Ok(Some(Passed { did: None, scanned, left, looked: began.elapsed() }));
        }
        if reached.is_none() {
            phase(Phase::Comparing, "asking which paths answer");
            let found = Receiver::find(&job.services, request, destination).await?;
            let shown = Arc::new(Shown::new(job, found.names.clone()));
            reached = Some((found, shown));
        }
        let Some((receiver, shown)) = &reached else { continue };
        let Seen { scanned, plan } = compare(request, &receiver.client, scanned, phase).await?;
        looked += began.elapsed();
        shown.planned(&plan, receiver.client.bytes.load(Ordering::Relaxed));
        tell(job, &scanned, &plan);
        did += plan.totals;
        let now = if plan.totals.is_nothing() {
            Some(Vec::new())
        } else if scanned.is_file {
            sync_file::carry_out(job, request, receiver, shown, &scanned, &plan).await?
        } else {
            carry_out(job, request, receiver, shown, &scanned, &plan).await?
        };
        let Some(mut now) = now else { return Ok(None) };
        now.extend(held_up(&scanned, &plan));
        shown.compared(receiver.client.bytes.load(Ordering::Relaxed));
        for words in now.iter().take(20) {
            tracing::warn!(transfer = job.shared.id.0, "not done yet: {}", printable(words));
        }
        let is_over = now.is_empty() || now == left || look == LOOKS;
        left = now;
        if is_over {
            let (state, id) = (job.services.state.clone(), job.shared.id);
            blocking(move || Ok(state.forget_push(id)?)).await?;
            shown.over(left.is_empty());
            return Ok(Some(Passed { did: Some(did), scanned, left, looked }));
        }
    }
    Ok(None)
}

/// What is here and does not arrive, because of what stands there.
fn held_up(scanned: &Scanned, plan: &Plan) -> impl Iterator<Item = String> {
    plan.items.iter().filter_map(|item| match &item.act {
        Act::Leave { why } if scanned.tree.get(&item.path).is_some() => Some(format!("{}: {why}", item.path)),
        _ => None,
    })
}

fn tell(job: &Job, scanned: &Scanned, plan: &Plan) {
    for skipped in scanned.tree.skipped.iter().take(100) {
        tracing::warn!(transfer = job.shared.id.0, path = %printable(&skipped.path), why = %skipped.why, "not synced");
    }
    for item in &plan.items {
        if let Act::Leave { why } = &item.act {
            tracing::warn!(transfer = job.shared.id.0, path = %printable(&item.path), why, "left as it is there");
        }
    }
}

/// Carries a plan out; what could not be done, in words. None: stopped.
async fn carry_out(
    job: &Job,
    request: &SyncRequest,
    receiver: &Receiver,
    shown: &Arc<Shown>,
    scanned: &Scanned,
    plan: &Plan,
) -> Result<Option<Vec<String>>, JobError> {
    let steps = plan.steps(&scanned.tree);
    let (sync, client) = (key()?, &receiver.client);
    job.shared.update(|row| {
        row.state = TransferState::Running;
        row.reason.clear();
    });
    failpoint::step("sync:planned");
    let mut failed = client.apply(&sync, steps.before, Vec::new()).await?;
    failpoint::step("sync:prepared");
    for mut round in steps.rounds {
        if !round.bases.is_empty() {
            failed.extend(client.apply(&sync, std::mem::take(&mut round.before), Vec::new()).await?);
            let Some(done) = sync_delta::send(job, request, receiver, shown, scanned, &round).await? else {
                return Ok(None);
            };
            round.files.retain(|path| !done.contains(path));
        }
        if round.files.is_empty() {
            failed.extend(client.apply(&sync, round.before, Vec::new()).await?);
            continue;
        }
        match send(job, request, receiver, shown, scanned, &round).await {
            Ok(None) => return Ok(None),
            Ok(Some(Sent { upload, spoiled })) => {
                failpoint::step("sync:sent");
                failed.extend(client.apply(&sync, round.after(&upload, &spoiled), vec![upload]).await?);
                failed.extend(spoiled.into_values());
            }
            // It is looked at again.
            Err(JobError::Push(PushError::Source(error @ ReadError::Changed { .. }))) => failed.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    job.shared.update(|row| {
        row.reason = "putting names, modes and times in order there".into();
        PhaseRow::rest(&mut row.phases);
        PhaseRow::at(Phase::Settling, 0, 0).put(&mut row.phases);
    });
    failed.extend(client.apply(&sync, steps.after, Vec::new()).await?);
    failpoint::step("sync:placed");
    if failed.is_empty() {
        failed.extend(client.apply(&sync, steps.delete, Vec::new()).await?);
    } else if !steps.delete.is_empty() {
        tracing::warn!(transfer = job.shared.id.0, "nothing is deleted there before all else is done");
    }
    failpoint::step("sync:deleted");
    failed.extend(client.apply(&sync, steps.last, vec![sync.clone()]).await?);
    Ok(Some(failed))
}
