//! Files that are like something there: what changed of each is sent. What does not pay, or goes wrong, is sent whole with
//! the others.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use futures_util::StreamExt as _;

use super::strategy::{Job, JobError};
use super::sync_job::Receiver;
use super::sync_round::place_of;
use super::sync_shown::Shown;
use crate::content::name::printable;
use crate::content::{FileStamp, Place};
use crate::control::SyncRequest;
use crate::push::delta::{self, Event, Failed, Options, Source, Tell};
use crate::push::wire::WireError;
use crate::sync::entry::{Entry, join};
use crate::sync::plan::Round;
use crate::sync::scan::Scanned;

/// Smaller files are sent with the others: asking what is there would cost more than their bytes. So are sparse ones: holes
/// cost nothing there, and stay holes.
const SMALLEST: u64 = 64 << 10;
/// So many at once where the link does not say: each keeps a core of both ends busy.
const AT_ONCE: usize = 2;

/// What became of one file.
enum Became {
    /// It is there.
    Done(String),
    /// It is to be sent whole.
    Whole,
    Stopped,
    Failed(JobError),
}

/// What one file needs.
struct Wanted {
    path: String,
    basis: String,
    entry: Entry,
}

/// Sends what changed of a round's files, as far as that pays; those that are there now. None: stopped.
///
/// # Errors
/// The receiver refuses, or cannot be reached any more.
pub(super) async fn send(
    job: &Job,
    request: &SyncRequest,
    receiver: &Receiver,
    shown: &Arc<Shown>,
    scanned: &Scanned,
    round: &Round,
) -> Result<Option<BTreeSet<String>>, JobError> {
    let wanted: Vec<Wanted> = round
        .bases
        .iter()
        .filter(|(path, _)| !round.over_folder.contains(*path))
        .filter_map(|(path, basis)| {
            let entry = scanned.tree.get(path).filter(|entry| entry.size() >= SMALLEST && !entry.sparse)?.clone();
            Some(Wanted { path: path.clone(), basis: basis.clone(), entry })
        })
        .collect();
    let mut done = BTreeSet::new();
    if wanted.is_empty() {
        return Ok(Some(done));
    }
    let place = Arc::new(place_of(request, scanned).await?);
    let each = wanted.into_iter().map(|file| one(job, receiver, shown, &place, scanned.is_file, file));
    let all = futures_util::stream::iter(each).buffer_unordered(receiver.adapt.at_once().unwrap_or(AT_ONCE));
    let showing = shown.flowing();
    tokio::pin!(all, showing);
    loop {
        let became = tokio::select! {
            became = all.next() => became,
            () = &mut showing => None,
        };
        match became {
            None => return Ok(Some(done)),
            Some(Became::Done(path)) => drop(done.insert(path)),
            Some(Became::Whole) => {}
            Some(Became::Stopped) => return Ok(None),
            Some(Became::Failed(error)) => return Err(error),
        }
    }
}

async fn one(
    job: &Job,
    receiver: &Receiver,
    shown: &Arc<Shown>,
    place: &Arc<Place>,
    is_file: bool,
    file: Wanted,
) -> Became {
    // A tree of one file is that file.
    let there = |path: &str| if is_file { receiver.client.path.clone() } else { join(&receiver.client.path, path) };
    let source = match opened(place, &file).await {
        Ok(source) => Arc::new(source),
        // Sending it whole tells what is wrong.
        Err(_) => return Became::Whole,
    };
    let limits = receiver.client.wire.limits(&job.shared.limits.up);
    let (compress, level) = receiver.adapt.compress(None);
    let options = Options {
        basis: (file.basis != file.path).then(|| there(&file.basis)),
        policy: "overwrite",
        mode: file.entry.mode,
        mtime: source.mtime(),
        asked_for: receiver.adapt.spares_bytes(),
        compress,
        level,
        round_trip: receiver.nearest,
        rate: limits.iter().filter_map(|limit| limit.rate()).chain(receiver.adapt.rate()).min(),
        throttles: limits,
    };
    let (target, cost) = (there(&file.path), shown.deltas());
    let tell: Tell = Arc::new(|_: Event<'_>| ());
    let mut failures = 0;
    loop {
        let sent = delta::send(&source, &receiver.client.wire, &target, &options, cost, &tell, &job.stop).await;
        let error = match sent {
            Ok(patched) => {
                tracing::info!(
                    transfer = job.shared.id.0, path = %printable(&file.path), matched = patched.matched_bytes,
                    literal = patched.literal_bytes, "sent what changed"
                );
                shown.patched(patched.matched_bytes, patched.literal_bytes);
                return Became::Done(file.path);
            }
            Err(Failed::Stopped) => return Became::Stopped,
            Err(Failed::Wire(error @ (WireError::Busy(_) | WireError::Broken(_)))) => error,
            Err(Failed::Wire(error @ WireError::Refused(_))) => {
                return Became::Failed(receiver.client.wire.failed(error).into());
            }
            Err(why) => {
                tracing::debug!(transfer = job.shared.id.0, path = %printable(&file.path), ?why, "sent whole");
                return Became::Whole;
            }
        };
        failures += 1;
        let asked = if let WireError::Busy(asked) = &error { *asked } else { None };
        match job.services.pace.wait(failures, asked, fastrand::f64()) {
            Some(pause) => tokio::time::sleep(pause).await,
            // A node whose deltas are all taken takes whole files.
            None if matches!(error, WireError::Busy(_)) => return Became::Whole,
            None => return Became::Failed(receiver.client.wire.failed(error).into()),
        }
    }
}

/// The file as it was scanned.
async fn opened(place: &Arc<Place>, file: &Wanted) -> io::Result<Source> {
    let (place, path, entry) = (place.clone(), file.path.clone(), file.entry.clone());
    let open = move || {
        let name = crate::content::name::checked_path(&path).map_err(io::Error::other)?;
        let file = place.open_file(&name)?;
        if FileStamp::of(&file.metadata()?) != entry.stamp() {
            return Err(io::Error::other("it changed since it was scanned"));
        }
        Source::of(file)
    };
    tokio::task::spawn_blocking(open).await.map_err(io::Error::other)?
}
