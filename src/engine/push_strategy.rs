//! Systems 2 and 3 as strategies: over all paths at once, or over one.

use super::send_job;
use super::strategy::{Job, JobEnd, JobError, Strategy};
use crate::control::{BoxFuture, SendStrategy};
use crate::store::{JobRecord, SendRecord};

pub(super) const MULTIPATH: &str = "transit-multipath-parallel";
pub(super) const CHUNKED: &str = "transit-chunked-resumable";

/// `transit-multipath-parallel`: needs at least two paths that answer.
pub(super) struct MultipathStrategy;

/// `transit-chunked-resumable`: one path.
pub(super) struct ChunkedStrategy;

pub(super) fn push_of(job: &JobRecord) -> Result<&SendRecord, String> {
    match job {
        JobRecord::Send(send) => Ok(send),
        JobRecord::Fetch(_) | JobRecord::Share(_) | JobRecord::Sync(_) => Err("it pushes, this is none".into()),
    }
}

pub(super) fn answering(send: &SendRecord) -> String {
    match (send.paths, send.answering) {
        (0 | 1, _) => "there is one path".into(),
        (all, None) => format!("{all} paths, not probed yet"),
        (all, Some(1)) => format!("1 of {all} paths answers"),
        (all, Some(0)) => format!("none of {all} paths answers"),
        (all, Some(some)) => format!("{some} of {all} paths answer"),
    }
}

impl Strategy for MultipathStrategy {
    fn id(&self) -> &'static str {
        MULTIPATH
    }

    fn name(&self) -> &'static str {
        "Multi-path transfer"
    }

    fn capabilities(&self) -> &'static [&'static str] {
        &["multi-path", "streaming", "resumable", "http", "https"]
    }

    fn availability(&self, job: &JobRecord) -> Result<(), String> {
        let send = push_of(job)?;
        match (send.request.strategy, send.answering) {
            (SendStrategy::Chunked, _) => Err("chunked was asked for".into()),
            (_, Some(2..)) => Ok(()),
            // Paths may come back: what goes over all of them waits for that.
            (_, Some(0)) if send.paths > 1 && send.begun => Ok(()),
            _ => Err(answering(send)),
        }
    }

    fn why(&self, job: &JobRecord) -> String {
        push_of(job).map(answering).unwrap_or_default()
    }

    fn start(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        Box::pin(send_job::run(job, true))
    }

    /// What was recorded is found again by [`send_job`] itself: both begin alike.
    fn resume(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        self.start(job)
    }
}

impl Strategy for ChunkedStrategy {
    fn id(&self) -> &'static str {
        CHUNKED
    }

    fn name(&self) -> &'static str {
        "Chunked resumable transfer"
    }

    fn capabilities(&self) -> &'static [&'static str] {
        &["streaming", "resumable", "http", "https"]
    }

    fn availability(&self, job: &JobRecord) -> Result<(), String> {
        push_of(job).map(|_| ())
    }

    fn why(&self, job: &JobRecord) -> String {
        let Ok(send) = push_of(job) else { return String::new() };
        match send.request.strategy {
            SendStrategy::Chunked => "asked for".into(),
            SendStrategy::Auto | SendStrategy::Delta => answering(send),
            SendStrategy::Multipath => format!("{}: an ordinary transfer over one", answering(send)),
        }
    }

    fn start(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        Box::pin(send_job::run(job, false))
    }

    /// What was recorded is found again by [`send_job`] itself: both begin alike.
    fn resume(&self, job: Job) -> BoxFuture<'static, Result<JobEnd, JobError>> {
        self.start(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::SendRequest;

    #[test]
    fn the_paths_that_answer_decide() {
        let job = |strategy, paths, answering| {
            JobRecord::Send(SendRecord {
                request: SendRequest { strategy, ..SendRequest::default() },
                paths,
                answering,
                begun: answering == Some(0),
                ..SendRecord::default()
            })
        };
        use SendStrategy as S;
        for (job, multipath, why) in [
            (job(S::Auto, 1, Some(1)), false, "there is one path"),
            (job(S::Auto, 3, Some(1)), false, "1 of 3 paths answers"),
            (job(S::Auto, 3, Some(2)), true, "2 of 3 paths answer"),
            (job(S::Chunked, 3, Some(3)), false, "asked for"),
            (job(S::Multipath, 3, Some(1)), false, "1 of 3 paths answers: an ordinary transfer over one"),
            (job(S::Multipath, 3, Some(0)), true, "none of 3 paths answers"),
            (job(S::Auto, 3, Some(0)), true, "none of 3 paths answers"),
        ] {
            assert_eq!(MultipathStrategy.availability(&job).is_ok(), multipath, "{job:?}");
            assert!(ChunkedStrategy.availability(&job).is_ok());
            let chosen: &dyn Strategy = if multipath { &MultipathStrategy } else { &ChunkedStrategy };
            assert_eq!(chosen.why(&job), why);
        }
    }
}
