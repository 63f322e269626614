//! The thread that writes and reads a recording, and the handle that the console holds.
//!
//! Everything that touches the disk happens here, off the threads that draw and talk. Snapshots that come
//! faster than they can be written are left out, never queued.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use skep_engine::control::{Focus, Snapshot};
use skep_engine::rpc::delta::Encoder;
use tokio::sync::oneshot;

use super::pace::Pace;
use super::tape::{EXTENSION, PARTS, make_room};
use super::{Recorded, RecordingError, RecordingOptions, Seek, Tape, format};
use crate::console::model::Moment;

/// Jobs that may wait.
const QUEUE: usize = 8;
/// Moments from one whole snapshot to the next.
const GROUP: u32 = 60;

enum Job {
    Note { snapshot: Arc<Snapshot>, focus: Focus, at: Moment },
    Seek { seek: Seek, answer: oneshot::Sender<Result<Recorded, String>> },
    Save { path: PathBuf, answer: oneshot::Sender<Result<u64, String>> },
}

/// A recording that goes on, or a file that is played. The thread ends with the handle.
#[derive(Debug)]
pub struct Recorder {
    jobs: SyncSender<Job>,
    trouble: Arc<Mutex<Option<String>>>,
    ended: oneshot::Receiver<()>,
}

impl Recorder {
    /// Records into a folder. `started_ms` (ms since the epoch) is what the files are called by.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(options: RecordingOptions, started_ms: u64) -> Result<Self, RecordingError> {
        let session = format!("{started_ms:013}-{}", std::process::id());
        Self::spawn(Tape::default(), Some(Writer::new(options, session)))
    }

    /// Plays a file.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn replay(tape: Tape) -> Result<Self, RecordingError> {
        Self::spawn(tape, None)
    }

    fn spawn(mut tape: Tape, mut writer: Option<Writer>) -> Result<Self, RecordingError> {
        let (jobs, receiver) = sync_channel(QUEUE);
        let trouble = Arc::new(Mutex::new(None));
        let told = Arc::clone(&trouble);
        let (end, ended) = oneshot::channel();
        let run = move || {
            work(&mut tape, &mut writer, &receiver, &told);
            // Nobody may wait for it.
            let _ = end.send(());
        };
        let spawned = thread::Builder::new().name("recording".into()).spawn(run);
        spawned.map_err(RecordingError::io("cannot start the thread of the recording"))?;
        Ok(Self { jobs, trouble, ended })
    }

    /// Notes what is shown now; left out if it is not time for a moment yet.
    pub fn note(&self, snapshot: Arc<Snapshot>, focus: Focus, at: Moment) {
        // Full or gone: this moment is not recorded.
        let _ = self.jobs.try_send(Job::Note { snapshot, focus, at });
    }

    /// Asks for a moment.
    pub fn seek(&self, seek: Seek) -> impl Future<Output = Result<Recorded, String>> + use<> {
        let (answer, receiver) = oneshot::channel();
        ask(self.jobs.try_send(Job::Seek { seek, answer }), receiver)
    }

    /// Copies the recording into a new file; gives its size.
    pub fn save(&self, path: PathBuf) -> impl Future<Output = Result<u64, String>> + use<> {
        let (answer, receiver) = oneshot::channel();
        ask(self.jobs.try_send(Job::Save { path, answer }), receiver)
    }

    /// Waits until everything noted so far is on disk.
    pub async fn close(self) {
        drop(self.jobs);
        // An end without a word is an end, too.
        let _ = self.ended.await;
    }

    /// What went wrong since the last call.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn ask<T>(
    sent: Result<(), TrySendError<Job>>,
    answer: oneshot::Receiver<Result<T, String>>,
) -> Result<T, String> {
    match sent {
        Ok(()) => answer.await.unwrap_or_else(|_| Err("the recording has ended".to_owned())),
        Err(_) => Err("the disk of the recording is too slow".to_owned()),
    }
}

fn work(tape: &mut Tape, writer: &mut Option<Writer>, jobs: &Receiver<Job>, trouble: &Mutex<Option<String>>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Note { snapshot, focus, at } => {
                let Some(active) = writer else { continue };
                if let Err(error) = active.note(tape, &snapshot, focus, at) {
                    let text = format!("nothing is recorded any more: {error}");
                    *trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
                    *writer = None;
                }
            }
            // Whoever asked may have left: then nobody wants to know.
            Job::Seek { seek, answer } => {
                let result = if tape.is_empty() {
                    Err("nothing is recorded yet".to_owned())
                } else {
                    tape.seek(seek).map_err(|e| e.to_string())
                };
                let _ = answer.send(result);
            }
            Job::Save { path, answer } => {
                let result = if tape.is_empty() {
                    Err("nothing is recorded yet".to_owned())
                } else {
                    tape.save(&path).map_err(|e| e.to_string())
                };
                let _ = answer.send(result);
            }
        }
    }
}

/// The side that writes.
struct Writer {
    options: RecordingOptions,
    session: String,
    pace: Pace,
    encoder: Encoder,
    /// Moments since the last whole snapshot.
    since_key: u32,
    files: u32,
}

impl Writer {
    fn new(options: RecordingOptions, session: String) -> Self {
        // All but the file that is being written are there when the oldest goes.
        let pace = Pace::new(options.max_bytes / PARTS * (PARTS - 1));
        Self { options, session, pace, encoder: Encoder::default(), since_key: 0, files: 0 }
    }

    fn note(&mut self, tape: &mut Tape, snapshot: &Snapshot, focus: Focus, at: Moment) -> Result<(), RecordingError> {
        if !self.pace.is_due(at.mono_ms) {
            return Ok(());
        }
        // A clock that was put back must not lead to moments out of order.
        let time_ms = at.wall_ms.max(tape.last_ms().unwrap_or(0));
        let fresh = self.files == 0 || tape.last_file_bytes() >= self.options.max_bytes / PARTS;
        if fresh || self.since_key >= GROUP {
            self.encoder = Encoder::default();
            self.since_key = 0;
        }
        let frame = format::encode(&mut self.encoder, snapshot, focus, time_ms)?;
        let bytes = frame.as_ref().map_or(0, |frame| frame.len() as u64);
        self.pace.wrote(at.mono_ms, bytes);
        let Some(frame) = frame else { return Ok(()) };
        if bytes > self.options.max_bytes / 2 {
            return Err(RecordingError::Large("one moment takes more than half of what all may take"));
        }
        if fresh {
            self.begin(tape)?;
        }
        tape.append(&frame)?;
        tape.trim(self.options.max_bytes);
        self.since_key += 1;
        Ok(())
    }

    fn begin(&mut self, tape: &mut Tape) -> Result<(), RecordingError> {
        let path = self.options.dir.join(format!("{}.{:05}.{EXTENSION}", self.session, self.files));
        tape.begin(&path)?;
        self.files += 1;
        make_room(&self.options.dir, self.options.max_bytes);
        Ok(())
    }
}
