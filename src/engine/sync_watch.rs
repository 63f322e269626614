//! A sync that goes on for good: a pass whenever something changed, now and then to be sure, and again when a receiver that
//! was away is back.

use std::time::{Duration, Instant};

use super::adapt::{Adapt, Following};
use super::queueing::tell_behind;
use super::strategy::{Job, JobEnd, JobError};
use super::sync_job::{Passed, pass};
use crate::clock::unix_ms;
use crate::content::name::{counted, printable};
use crate::control::sync::WatchRow;
use crate::control::{SyncRequest, TransferState};
use crate::push::PushError;
use crate::push::paths::Destination;
use crate::push::wire::WireError;
use crate::sync::debounce::Debounce;
use crate::sync::scan::Scanned;
use crate::sync::watch::{Cover, Told, Watcher};

/// Both ends are compared so often though nothing is told to have changed: the receiver's tree may have.
const SURE: Duration = Duration::from_secs(600);
/// The same where not every folder can be watched, and after something went wrong here.
const UNSURE: Duration = Duration::from_secs(15);

/// How often the link is looked at while something waits for it.
const LINK: Duration = Duration::from_secs(1);
/// Where looks are so far apart it is said.
const SLOW: Duration = Duration::from_secs(5);

/// While what is told to have changed has not been looked at.
const CHANGED: &str = "something changed: it is looked at soon";

/// What woke it.
enum Woken {
    Stop,
    /// Something changed here.
    Changed,
    /// It is time to be sure.
    Time,
}

struct Watch<'a> {
    job: &'a Job,
    request: &'a SyncRequest,
    watcher: Watcher,
    changes: Debounce,
    /// What the source was when both were equal.
    equal: Option<Scanned>,
    cover: Cover,
    shown: WatchRow,
    /// Passes in a row that the receiver could not be reached for.
    away: u32,
    link: Following,
    /// Only what is critical goes now: what the receiver was told that it lacks, in files and bytes.
    held_back: Option<(u64, u64)>,
}

/// Works until it is stopped, or refused.
pub(super) async fn run(job: &Job, request: &SyncRequest, destination: &Destination) -> Result<JobEnd, JobError> {
    let is_file = request.path.is_file();
    let top = request.path.parent().filter(|_| is_file).unwrap_or(&request.path);
    let mut watch = Watch {
        job,
        request,
        watcher: Watcher::new(top),
        changes: Debounce::default(),
        equal: None,
        cover: Cover::default(),
        shown: job.shared.row().watch.unwrap_or_default(),
        away: 0,
        link: Following::new(Adapt::of(&job.services, &request.dest)),
        held_back: None,
    };
    let mut sure = true;
    loop {
        watch.changes.on_look(Instant::now());
        watch.held_back = None;
        let before = watch.equal.as_ref().filter(|_| !sure);
        let passed = match watch.keeps_back() {
            Some(_) => watch.hold_back(destination).await,
            None => pass(job, request, destination, before).await,
        };
        let looked = passed.as_ref().ok().and_then(Option::as_ref).map_or(Duration::ZERO, |passed| passed.looked);
        watch.changes.on_looked(Instant::now(), looked);
        let rest = match passed {
            Ok(None) => return Ok(JobEnd::Stopped),
            Ok(Some(passed)) => watch.passed(passed).await,
            Err(error) => watch.failed(error)?,
        };
        // Others may move bytes while it waits.
        job.give_back_place();
        watch.rests();
        match watch.wait(rest).await {
            Woken::Stop => return Ok(JobEnd::Stopped),
            Woken::Changed => sure = watch.away > 0,
            Woken::Time => sure = true,
        }
    }
}

impl Watch<'_> {
    /// A pass has ended: how long to rest unless something changes.
    async fn passed(&mut self, passed: Passed) -> Duration {
        let trouble = passed.trouble();
        if self.away > 0 {
            tracing::info!(transfer = self.job.shared.id.0, "the receiver answers again");
        }
        (self.away, self.shown.away) = (0, None);
        if let Some(did) = passed.did
            && (self.shown.passes == 0
                || !did.is_nothing()
                || trouble.as_deref().unwrap_or_default() != self.shown.trouble)
        {
            self.shown.passes += 1;
            (self.shown.at_ms, self.shown.last) = (unix_ms(), did);
            self.shown.trouble = trouble.clone().unwrap_or_default();
        }
        let scanned = self.covers(passed.scanned).await;
        self.equal = scanned.filter(|_| trouble.is_none() && self.held_back.is_none());
        if self.cover.partial || trouble.is_some() { UNSURE } else { SURE }
    }

    /// A pass broke off.
    ///
    /// # Errors
    /// Trying again is of no use.
    fn failed(&mut self, error: JobError) -> Result<Duration, JobError> {
        let words = printable(&error.to_string());
        match error {
            JobError::Push(PushError::Wire { error: WireError::Broken(_) | WireError::Busy(_), .. }) => {
                self.away += 1;
                tracing::warn!(transfer = self.job.shared.id.0, error = %words, "the receiver is away");
                self.shown.away = Some(words);
                Ok(self.job.services.pace.probe_pause(self.away, fastrand::f64()))
            }
            error if error.is_refusal() => Err(error),
            _ => {
                tracing::warn!(transfer = self.job.shared.id.0, error = %words, "a pass broke off");
                if self.shown.trouble != words || self.shown.passes == 0 {
                    self.shown.passes += 1;
                    (self.shown.at_ms, self.shown.last) = (unix_ms(), Default::default());
                    self.shown.trouble = words;
                }
                self.equal = None;
                Ok(UNSURE)
            }
        }
    }

    /// Watches what was seen. What is new may have changed since: that is one more change.
    async fn covers(&mut self, scanned: Scanned) -> Option<Scanned> {
        let mut watcher = std::mem::replace(&mut self.watcher, Watcher::blind(&self.request.path));
        let covering = tokio::task::spawn_blocking(move || {
            let cover = watcher.cover(scanned.tree.folders.keys().map(String::as_str));
            (watcher, cover, scanned)
        });
        // Should that break off, nothing is told any more: it looks again and again.
        let Ok((watcher, cover, scanned)) = covering.await else {
            self.cover.partial = true;
            return None;
        };
        (self.watcher, self.cover) = (watcher, cover);
        if self.cover.news {
            self.changes.on_change(Instant::now());
        }
        self.shown.folders = self.cover.folders;
        Some(scanned)
    }

    /// Why nothing but a summary goes now.
    fn keeps_back(&self) -> Option<&'static str> {
        self.link.adapt().keeps_back(self.request.priority.unwrap_or_default())
    }

    /// Nobody waits for these: the receiver is told what it lacks.
    async fn hold_back(&mut self, destination: &Destination) -> Result<Option<Passed>, JobError> {
        let began = Instant::now();
        let (told, scanned) = tell_behind(&self.job.services, self.request, destination).await?;
        self.held_back = Some(told.unwrap_or_default());
        Ok(Some(Passed::looked_at(scanned, began.elapsed())))
    }

    /// The least time between two looks that the link asks for.
    fn interval(&self) -> Duration {
        self.link.adapt().interval().map_or(Duration::ZERO, |(interval, _)| interval)
    }

    /// What is said while something that changed waits to be looked at.
    fn waits(&self) -> String {
        match self.link.adapt().interval().filter(|(interval, _)| *interval >= SLOW) {
            Some((interval, class)) => format!(
                "something changed: it is looked at when it is time (the link is {}: every {} s)",
                class.name(),
                interval.as_secs()
            ),
            None => CHANGED.into(),
        }
    }

    fn rests(&self) {
        let over = self.link.now(&self.job.shared, self.link.literals());
        let reason = match (&self.shown.away, self.shown.trouble.as_str()) {
            (Some(error), _) => format!("the receiver is away, it is tried again: {error}"),
            (None, _) if self.held_back.is_some_and(|(files, _)| files > 0) => {
                let (files, bytes) = self.held_back.unwrap_or_default();
                let (files, why) =
                    (counted(files, "file", "files"), self.keeps_back().unwrap_or("the link is better now"));
                format!("{why}: {files}, {bytes} bytes, held back; the receiver knows")
            }
            (None, "") if self.changes.due(Duration::ZERO).is_some() => self.waits(),
            (None, "") if self.cover.partial => "equal; not every folder can be watched: looks again every 15 s".into(),
            (None, "") => format!("equal; watches {}", counted(self.shown.folders, "folder", "folders")),
            (None, trouble) => trouble.to_owned(),
        };
        self.job.shared.update(|row| {
            row.state = TransferState::Running;
            row.reason = reason;
            (row.rate_up, row.smooth_up, row.eta_s) = (0, 0, None);
            row.watch = Some(self.shown.clone());
            row.over = over;
        });
    }

    async fn wait(&mut self, rest: Duration) -> Woken {
        let until = Instant::now() + rest;
        let stop = self.job.stop.clone();
        loop {
            // Somebody who is away is not asked sooner because something changed here.
            let due = self.changes.due(self.interval()).filter(|_| self.away == 0);
            let next = due.map_or(until, |due| due.min(until));
            // What the link asks for may be another thing by then.
            let wakes = next.min(Instant::now() + LINK);
            tokio::select! {
                () = stop.cancelled() => return Woken::Stop,
                () = tokio::time::sleep_until(wakes.into()) => {
                    if self.held_back.is_some() && self.keeps_back().is_none() {
                        return Woken::Time;
                    }
                    if wakes == next {
                        return if due.is_some_and(|due| due <= until) { Woken::Changed } else { Woken::Time };
                    }
                    let over = self.link.now(&self.job.shared, self.link.literals());
                    if over != self.job.shared.row().over {
                        self.rests();
                    }
                }
                told = self.watcher.changed() => match told {
                    Ok(Told::Changed) => {
                        let is_first = self.changes.due(Duration::ZERO).is_none();
                        if is_first && self.away == 0 && self.shown.trouble.is_empty() {
                            let reason = self.waits();
                            self.job.shared.update(|row| row.reason = reason);
                        }
                        self.changes.on_change(Instant::now());
                    }
                    Ok(Told::Overflow) => {
                        tracing::info!(transfer = self.job.shared.id.0, "more changed than the system can tell: everything is looked at");
                        self.changes.on_change(Instant::now());
                    }
                    Err(error) => {
                        tracing::warn!(transfer = self.job.shared.id.0, %error, "changes are told no more");
                        self.watcher = Watcher::blind(&self.request.path);
                        self.cover.partial = true;
                        return Woken::Time;
                    }
                },
            }
        }
    }
}
