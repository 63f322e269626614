//! System 4 as a strategy: what changed of a file, or all of it where that does not pay.

use super::delta_job::{self, Outcome};
use super::push_strategy::{CHUNKED, MULTIPATH, answering, push_of};
use super::send_job;
use super::strategy::{Job, JobEnd, JobError, Strategy};
use crate::content::name::printable;
use crate::control::{BoxFuture, OnTaken, SendStrategy};
use crate::store::JobRecord;

/// `transit-delta-differential`: a file that may take another one's place.
pub(super) struct DeltaStrategy;

pub(super) const DELTA: &str = "transit-delta-differential";

impl Strategy for DeltaStrategy {
    fn id(&self) -> &'static str {
        DELTA
    }

    fn name(&self) -> &'static str {
        "Delta transfer"
    }

    fn capabilities(&self) -> &'static [&'static str] {
        &["delta", "streaming", "http", "https"]
    }

    fn availability(&self, job: &JobRecord) -> Result<(), String> {
        let send = push_of(job)?;
        // Over no path at all nothing can be asked: that waits elsewhere.
        if send.answering == Some(0) {
            return Err(answering(send));
        }
        match (send.request.strategy, send.request.on_taken) {
            (SendStrategy::Delta, _) => Ok(()),
            (SendStrategy::Auto, OnTaken::Overwrite | OnTaken::KeepBoth) if send.request.path.is_file() => Ok(()),
            (SendStrategy::Auto, _) => Err("nothing there may be replaced, or it is a folder".into()),
            (SendStrategy::Chunked | SendStrategy::Multipath, _) => Err("another way was asked for".into()),
        }
    }

    fn why(&self, job: &JobRecord) -> String {
        match push_of(job).map(|send| send.request.strategy) {
            Ok(SendStrategy::Delta) => "asked for".into(),
            _ => "an older version may be there".into(),
        }
    }

    fn start(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        Box::pin(run(job))
    }

    /// A delta begins anew: what is there has changed little, and its signatures are still at hand there.
    fn resume(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        self.start(job)
    }
}

async fn run(job: Job) -> Result<JobEnd, JobError> {
    let why = match delta_job::run(&job).await? {
        Outcome::Complete => return Ok(JobEnd::Complete),
        Outcome::Stopped => return Ok(JobEnd::Stopped),
        Outcome::Full(why) => why,
    };
    let record = job.shared.record();
    let send = push_of(&record.job).map_err(JobError::Other)?;
    let all_paths = send.answering.is_some_and(|answering| answering > 1);
    let reason = printable(&format!("sent whole: {why}"));
    tracing::info!(transfer = job.shared.id.0, %reason, "no delta");
    job.shared.update(|row| {
        row.strategy = if all_paths { MULTIPATH } else { CHUNKED }.into();
        row.strategy_reason = reason;
        (row.delta, row.done) = (None, 0);
        row.phases.clear();
    });
    send_job::run(job, all_paths).await
}
