//! Making a tree at another node equal to one here: look at both, plan, send what is missing, change the rest.
//! What is left after one pass (the source changed, an answer was lost) the next one finds.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::future::join_all;

use super::commands::{Core, internal, new_record, queued};
use super::fetch_job::blocking;
use super::send_job::{all_of, digests_of};
use super::strategy::{Job, JobEnd, JobError, Strategy};
use super::transfer::Order;
use crate::content::name::{escape, printable};
use crate::content::{Digest, FileEntry, FileStamp, Place, ReadError, Reader, Scan};
use crate::control::sync::{MAX_ITEMS, SyncPlan};
use crate::control::{
    BoxFuture, CommandError, CommandErrorKind, PathRow, PathState, Reply, SyncRequest, TransferId, TransferState,
};
use crate::push::drive::{Drive, Ledger, Progress, SendEnd};
use crate::push::paths::{Destination, resolve};
use crate::push::plan::Standing;
use crate::push::wire::{Opened, Wire, WireError};
use crate::push::{PushError, common, in_flight, retry, segment_for};
use crate::store::{JobRecord, Phase, PushRecord, State};
use crate::swarm::Flow;
use crate::sync::client::{Client, ClientError, StopOnDrop};
use crate::sync::plan::{Draft, Options, Plan, Round};
use crate::sync::rules::Rules;
use crate::sync::scan::{Scanned, Side, scan};
use crate::upload::staged;

/// A tree that changes under the sync is looked at again this often.
const PASSES: u32 = 3;
/// What a sync that is stopped gets to record.
const GRACE: Duration = Duration::from_secs(1);
/// An upload that the receiver forgets is begun again this often.
const REOPENED: u32 = 3;

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
            ClientError::Wire(error) => PushError::from(error).into(),
            error => Self::Other(error.to_string()),
        }
    }
}

fn other(error: impl std::fmt::Display) -> JobError {
    JobError::Other(error.to_string())
}

fn key() -> Result<String, JobError> {
    let mut key = [0; 16];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| JobError::Other(format!("no random bytes: {e}")))?;
    Ok(HEXLOWER.encode(&key))
}

/// The receiver, and the ways there.
struct Ways {
    wires: Vec<Arc<Wire>>,
    latencies: Vec<Option<Duration>>,
    names: Vec<String>,
    client: Client,
}

impl Ways {
    /// Asks all paths whether they answer.
    async fn find(destination: &Destination, headers: &reqwest::header::HeaderMap) -> Result<Self, JobError> {
        let wire = |path| Wire::new(path, headers.clone()).map(Arc::new);
        let wires: Vec<Arc<Wire>> =
            destination.paths.iter().map(wire).collect::<Result<_, _>>().map_err(PushError::from)?;
        let mut failures = 0;
        loop {
            let found = join_all(wires.iter().map(|wire| wire.probe(None))).await;
            let latencies: Vec<Option<Duration>> = found.iter().map(|f| f.as_ref().ok().copied()).collect();
            let best = (0..wires.len()).filter(|n| latencies[*n].is_some()).min_by_key(|n| latencies[*n]);
            if let Some(best) = best {
                let names = destination.paths.iter().map(|path| printable(&path.to_string())).collect();
                let client = Client::new(wires[best].clone(), destination.target.clone());
                return Ok(Self { wires, latencies, names, client });
            }
            failures += 1;
            let error = found.into_iter().find_map(Result::err).unwrap_or(WireError::Unknown);
            let worth_it = matches!(error, WireError::Broken(_) | WireError::Busy(_));
            match retry::wait(failures, None, fastrand::f64()).filter(|_| worth_it) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(PushError::from(error).into()),
            }
        }
    }
}

/// Both trees as they are, and what is to be done.
struct Seen {
    scanned: Scanned,
    plan: Plan,
}

async fn look(request: &SyncRequest, client: &Client, phase: impl Fn(&str)) -> Result<Seen, JobError> {
    phase("looking at the source");
    let (path, rules, stop) = (request.path.clone(), Rules::first(request.rules.clone()), StopOnDrop::default());
    let stopped = stop.0.clone();
    let scanned = blocking(move || {
        let failed = |e: std::io::Error| JobError::Other(format!("cannot read {path:?}: {e}"));
        let top = std::fs::File::open(&path).map_err(failed)?;
        scan(&top, rules, Side::Source, &stopped).map_err(other)
    })
    .await?;
    phase("comparing with the receiver");
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
            phase("comparing contents: what is there already is not sent");
            client.answers(&request.path, &questions).await?
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
    job.shared.update(|row| {
        row.state = TransferState::Checking;
        row.reason = "asking which paths answer".into();
    });
    let ways = Ways::find(&destination, job.services.swarm.client.node_headers()).await?;
    let shown = Arc::new(Shown::new(&job, ways.names.clone()));
    let mut trouble = Vec::new();
    for _ in 0..PASSES {
        let phase = |words: &str| {
            job.shared.update(|row| {
                row.state = TransferState::Checking;
                row.reason = words.into();
            });
        };
        let Seen { scanned, plan } = look(&request, &ways.client, phase).await?;
        shown.planned(&plan, ways.client.bytes.load(Ordering::Relaxed));
        tell(&job, &scanned, &plan);
        if plan.totals.is_nothing() {
            trouble.clear();
            break;
        }
        let Some(left) = carry_out(&job, &request, &ways, &shown, &scanned, &plan).await? else {
            return Ok(JobEnd::Stopped);
        };
        shown.compared(ways.client.bytes.load(Ordering::Relaxed));
        if left.is_empty() || left == trouble {
            trouble = left;
            break;
        }
        for words in left.iter().take(20) {
            tracing::warn!(transfer = job.shared.id.0, "not done yet: {}", printable(words));
        }
        trouble = left;
    }
    let (state, id) = (job.services.state.clone(), job.shared.id);
    blocking(move || Ok(state.forget_push(id)?)).await?;
    shown.over();
    match trouble.first() {
        None => Ok(JobEnd::Complete),
        Some(first) => {
            let more = if trouble.len() > 1 { format!(" (and {} more)", trouble.len() - 1) } else { String::new() };
            Err(JobError::Other(format!(
                "not everything could be done there: {}{more}; what was done stays, run it again",
                printable(first)
            )))
        }
    }
}

fn tell(job: &Job, scanned: &Scanned, plan: &Plan) {
    for skipped in scanned.tree.skipped.iter().take(100) {
        tracing::warn!(transfer = job.shared.id.0, path = %printable(&skipped.path), why = %skipped.why, "not synced");
    }
    for item in &plan.items {
        if let crate::sync::plan::Act::Leave { why } = &item.act {
            tracing::warn!(transfer = job.shared.id.0, path = %printable(&item.path), why, "left as it is there");
        }
    }
}

/// Carries a plan out; what could not be done, in words. None: stopped.
async fn carry_out(
    job: &Job,
    request: &SyncRequest,
    ways: &Ways,
    shown: &Arc<Shown>,
    scanned: &Scanned,
    plan: &Plan,
) -> Result<Option<Vec<String>>, JobError> {
    let steps = plan.steps(&scanned.tree);
    let (sync, client) = (key()?, &ways.client);
    job.shared.update(|row| {
        row.state = TransferState::Running;
        row.reason.clear();
    });
    let mut failed = client.apply(&sync, steps.before, Vec::new()).await?;
    for round in &steps.rounds {
        match send(job, request, ways, shown, scanned, round).await {
            Ok(None) => return Ok(None),
            Ok(Some(upload)) => failed.extend(client.apply(&sync, round.after(&upload), vec![upload]).await?),
            // It is looked at again.
            Err(JobError::Push(PushError::Source(error @ ReadError::Changed { .. }))) => failed.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    job.shared.update(|row| row.reason = "putting names, modes and times in order there".into());
    failed.extend(client.apply(&sync, steps.after, Vec::new()).await?);
    if failed.is_empty() {
        failed.extend(client.apply(&sync, steps.delete, Vec::new()).await?);
    } else if !steps.delete.is_empty() {
        tracing::warn!(transfer = job.shared.id.0, "nothing is deleted there before all else is done");
    }
    failed.extend(client.apply(&sync, steps.last, vec![sync.clone()]).await?);
    Ok(Some(failed))
}

/// Sends the files of a round; the name of the upload that holds them. None: stopped.
async fn send(
    job: &Job,
    request: &SyncRequest,
    ways: &Ways,
    shown: &Arc<Shown>,
    scanned: &Scanned,
    round: &Round,
) -> Result<Option<String>, JobError> {
    let push = recorded(job, scanned, round).await?;
    for _ in 0..REOPENED {
        let opened = open(ways, &push).await?;
        if opened.segment_length != push.segment {
            return Err(JobError::Other(
                "the receiver knows this upload with other segments: cancel and sync again".into(),
            ));
        }
        let reader = reader(&request.path, &push).await?;
        let digests = digests_of(job, reader.layout().piece_count()).await?;
        let opened = if opened.state == "done" { all_of(&reader, opened) } else { opened };
        shown.begins(&push);
        let common = common(push.upload.clone(), reader, job.shared.limits.up.clone());
        let mut drive = Drive::new(
            common,
            ways.wires.clone(),
            &ways.latencies,
            digests,
            &opened,
            shown.clone(),
            job.stop.clone(),
            in_flight(push.segment),
            ways.wires.len() == 1,
        );
        let end = async {
            if drive.run().await? == SendEnd::Stopped {
                return Ok(false);
            }
            // Files are compared with what the scan saw whenever they are read: none is looked at again.
            Ok::<bool, PushError>(drive.assemble().await?.is_some())
        };
        match end.await {
            Err(PushError::Wire(WireError::Unknown)) => {}
            Err(error) => return Err(error.into()),
            Ok(false) => return Ok(None),
            Ok(true) => {
                shown.ends(&push);
                return Ok(Some(push.upload));
            }
        }
    }
    Err(JobError::Other("the receiver forgets the upload again and again".into()))
}

/// What a round sends, as an upload of its own; the one that was under way when the sync was stopped, if it is
/// the same.
async fn recorded(job: &Job, scanned: &Scanned, round: &Round) -> Result<PushRecord, JobError> {
    let mut push = PushRecord { upload: key()?, tree: true, ..PushRecord::default() };
    for path in &round.files {
        let Some(entry) = scanned.tree.get(path) else { continue };
        let mtime_ns = i128::from(entry.mtime.0) * 1_000_000_000 + i128::from(entry.mtime.1);
        let stamp = FileStamp { size: entry.size(), mtime_ns, inode: entry.inode, device: entry.device };
        let file =
            FileEntry { mode: entry.mode, mtime: stamp.mtime(), path: path.clone(), size: entry.size(), symlink: None };
        push.bytes += file.size;
        push.files.push(file);
        push.stamps.push(stamp);
    }
    push.count = push.files.len() as u64;
    push.segment = segment_for(push.bytes, 1);
    let (state, id) = (job.services.state.clone(), job.shared.id);
    blocking(move || {
        if let Some(before) = state.push(id)? {
            let is_same = (&before.files, &before.stamps, before.segment) == (&push.files, &push.stamps, push.segment);
            if is_same && !before.upload.is_empty() {
                return Ok(before);
            }
        }
        push.target = staged(&push.upload);
        state.put_push(id, &push)?;
        Ok(push)
    })
    .await
}

async fn reader(top: &Path, push: &PushRecord) -> Result<Reader, JobError> {
    let (path, push) = (top.to_owned(), push.clone());
    blocking(move || {
        let place = Place::open(&path).map_err(|e| JobError::Other(format!("cannot read {path:?}: {e}")))?;
        let PushRecord { files, stamps, segment, .. } = push;
        let found = Scan { path, place, name: "new".into(), tree: true, files, stamps, skipped: Vec::new() };
        Reader::new(found, segment).map_err(other)
    })
    .await
}

async fn open(ways: &Ways, push: &PushRecord) -> Result<Opened, JobError> {
    let body = serde_json::json!({
        "version": 1,
        "path": push.target,
        "policy": "overwrite",
        "size": push.bytes,
        "segment_length": push.segment,
        "files": push.files,
    });
    let body = Bytes::from(body.to_string());
    let mut failures = 0;
    loop {
        let (error, asked) = match ways.client.wire.open(&push.upload, body.clone()).await {
            Ok(opened) => return Ok(opened),
            Err(WireError::Busy(asked)) => (WireError::Busy(asked), asked),
            Err(error @ WireError::Broken(_)) => (error, None),
            Err(error) => return Err(PushError::from(error).into()),
        };
        failures += 1;
        match retry::wait(failures, asked, fastrand::f64()) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(PushError::from(error).into()),
        }
    }
}

/// Shows what a sync does, and keeps what it achieves.
struct Shown {
    id: TransferId,
    state: Arc<State>,
    shared: Arc<super::shared::Shared>,
    paths: Vec<String>,
    before: (u64, u64, f64),
    started: Instant,
    flow: Mutex<Flow>,
    sums: Mutex<Sums>,
}

/// Bytes of uploads that are over, of the one that runs, and of everything else.
#[derive(Default)]
struct Sums {
    done: u64,
    sent: u64,
    wire: u64,
    now: (u64, u64),
    asked: u64,
}

impl Shown {
    fn new(job: &Job, paths: Vec<String>) -> Self {
        let (row, started) = (job.shared.row(), Instant::now());
        Self {
            id: job.shared.id,
            state: job.services.state.clone(),
            shared: job.shared.clone(),
            paths,
            before: (row.bytes_up, row.wire_bytes, row.duration_s),
            started,
            flow: Mutex::new(Flow::new(started)),
            sums: Mutex::default(),
        }
    }

    fn sums(&self) -> std::sync::MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn planned(&self, plan: &Plan, asked: u64) {
        let (mut sums, totals) = (self.sums(), plan.totals);
        (sums.done, sums.asked) = (0, asked);
        drop(sums);
        self.shared.update(|row| {
            (row.size, row.done) = (totals.send_bytes, 0);
            row.files = totals.entries;
            // What a later pass finds is on top of what the first one did.
            row.sync = Some(row.sync.filter(|_| totals.is_nothing()).unwrap_or(totals));
        });
        self.compared(asked);
    }

    fn compared(&self, asked: u64) {
        let mut sums = self.sums();
        sums.asked = asked;
        let wire = self.before.1 + sums.wire + sums.asked;
        drop(sums);
        self.shared.update(|row| {
            row.wire_bytes = wire;
            row.duration_s = self.before.2 + self.started.elapsed().as_secs_f64();
        });
    }

    fn begins(&self, push: &PushRecord) {
        self.sums().now = (0, 0);
        self.shared.update(|row| row.pieces = push.bytes.div_ceil(push.segment) as u32);
    }

    fn ends(&self, push: &PushRecord) {
        let mut sums = self.sums();
        let (sent, wire) = std::mem::take(&mut sums.now);
        sums.done += push.bytes;
        (sums.sent, sums.wire) = (sums.sent + sent, sums.wire + wire);
        let done = sums.done;
        drop(sums);
        self.shared.update(|row| row.done = done);
    }

    fn over(&self) {
        self.shared.update(|row| {
            row.done = row.size;
            row.pieces_done = row.pieces;
            row.verified = true;
            row.duration_s = self.before.2 + self.started.elapsed().as_secs_f64();
        });
    }
}

impl Ledger for Shown {
    fn record(&self, segments: &[(u32, Digest)]) -> Result<(), String> {
        self.state.put_sent(self.id, segments).map_err(|e| e.to_string())
    }

    fn wants_pieces(&self) -> bool {
        false
    }

    fn show(&self, p: Progress) {
        let mut sums = self.sums();
        sums.now = (p.sent, p.wire);
        let (done, sent, wire) = (sums.done + p.held, sums.sent + p.sent, sums.wire + p.wire + sums.asked);
        drop(sums);
        let now = Instant::now();
        let (rate, smooth) = {
            let mut flow = self.flow.lock().unwrap_or_else(PoisonError::into_inner);
            let news = sent.saturating_sub(flow.total());
            flow.add(news, now);
            (flow.now(now), flow.smooth(now))
        };
        let paths = self.paths.iter().zip(&p.paths).map(|(name, path)| PathRow {
            path: name.clone(),
            state: match path.view.standing {
                Standing::Healthy => PathState::Healthy,
                Standing::Degraded => PathState::Degraded,
                Standing::Dead { .. } => PathState::Dead,
                _ => PathState::Probing,
            },
            latency_ms: path.view.latency_ms,
            rate: path.view.rate as u64,
            share: path.view.share,
            bytes: path.bytes,
            active: path.view.active,
            note: printable(&path.note),
            ..PathRow::default()
        });
        let paths: Vec<PathRow> = paths.collect();
        self.shared.update(|row| {
            (row.done, row.pieces_done) = (done, p.segments);
            (row.rate_up, row.smooth_up) = (rate, smooth);
            row.bytes_up = self.before.0 + sent;
            row.wire_bytes = self.before.1 + wire;
            row.duration_s = self.before.2 + self.started.elapsed().as_secs_f64();
            let left = row.size.saturating_sub(done);
            row.eta_s = (smooth > 0 && left > 0).then(|| left / smooth);
            row.paths = paths;
        });
    }
}

fn refused(kind: CommandErrorKind, message: impl Into<String>) -> CommandError {
    CommandError::new(kind, message)
}

/// The request with its path as the system knows it, the source's name, and where it goes.
async fn checked(request: SyncRequest) -> Result<(SyncRequest, String, Destination), CommandError> {
    let given = request.path.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let path = std::fs::canonicalize(&given)?;
        let is_folder = path.is_dir();
        Ok::<_, std::io::Error>((path, is_folder))
    });
    let (path, is_folder) = looked
        .await
        .map_err(|e| refused(CommandErrorKind::Internal, e.to_string()))?
        .map_err(|e| refused(CommandErrorKind::NotFound, format!("cannot sync {:?}: {e}", request.path)))?;
    if !is_folder {
        let words = format!("{path:?} is no folder: send a file with `skep send --if-taken overwrite`");
        return Err(refused(CommandErrorKind::Invalid, words));
    }
    let Some(name) = path.file_name().map(escape) else {
        return Err(refused(
            CommandErrorKind::Invalid,
            "the whole file system (/) cannot be synced; choose a folder in it",
        ));
    };
    Rules::first(request.rules.clone()).check().map_err(|e| refused(CommandErrorKind::Invalid, e.to_string()))?;
    let found = resolve(&request.dest, &[], &[], &name).map_err(|e| refused(CommandErrorKind::Invalid, e))?;
    Ok((SyncRequest { path, ..request }, name, found))
}

impl Core {
    /// Makes a tree at another node equal to one here. The same path and destination, if that is not over,
    /// goes on as this request has it.
    pub(super) async fn sync(&self, request: SyncRequest) -> Result<Reply, CommandError> {
        let (request, name, _) = checked(request).await?;
        let _one_at_a_time = self.adding.lock().await;
        let is_it = |job: &JobRecord| matches!(job, JobRecord::Sync(sync) if (&sync.path, &sync.dest) == (&request.path, &request.dest));
        let again = self
            .lock()
            .values()
            .find(|handle| {
                let record = handle.shared.record();
                is_it(&record.job) && matches!(record.phase, Phase::Active | Phase::Paused | Phase::Failed)
            })
            .cloned();
        let Some(handle) = again else {
            let dir = request.path.parent().map(Into::into).unwrap_or_default();
            let job = JobRecord::Sync(request);
            let id = self.begin(|id| new_record(id, job, Phase::Active, None, name, dir)).await?;
            return Ok(Reply::Added { ids: vec![id], contents: vec![] });
        };
        let shared = &handle.shared;
        shared.limits.up[0].set(request.up);
        let changed = shared.change_record(|record| record.job = JobRecord::Sync(request));
        changed.await.map_err(|e| internal(&e))?;
        let is_settled = shared.row().state.is_settled();
        shared.update(queued);
        handle.send(if is_settled { Order::Resume } else { Order::Restart }).await?;
        Ok(Reply::Added { ids: vec![shared.id], contents: vec![] })
    }

    /// What [`Self::sync`] would do.
    pub(super) async fn preview_sync(&self, request: SyncRequest) -> Result<Reply, CommandError> {
        let (request, _, destination) = checked(request).await?;
        let failed = |error: JobError| {
            let kind = match &error {
                JobError::Push(PushError::Wire(WireError::Refused(_))) => CommandErrorKind::Refused,
                JobError::Push(PushError::Wire(_)) => CommandErrorKind::Unavailable,
                _ => CommandErrorKind::Conflict,
            };
            refused(kind, printable(&error.to_string()))
        };
        let ways = Ways::find(&destination, self.services.swarm.client.node_headers()).await.map_err(failed)?;
        let Seen { scanned, plan } = look(&request, &ways.client, |_| ()).await.map_err(failed)?;
        let count = plan.items.len();
        let skipped = scanned.tree.skipped.into_iter().take(MAX_ITEMS);
        let told = SyncPlan {
            to: printable(&destination.target),
            totals: plan.totals,
            items: plan.items.into_iter().take(MAX_ITEMS).collect(),
            more: count.saturating_sub(MAX_ITEMS) as u64,
            skipped: skipped.map(|s| (printable(&s.path), printable(&s.why))).collect(),
            wire_bytes: ways.client.bytes.load(Ordering::Relaxed),
        };
        Ok(Reply::SyncPlan(Box::new(told)))
    }
}
