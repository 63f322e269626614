//! The recording of what is shown, or the one that is played.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use skep_engine::control::{Focus, Snapshot};

use crate::console::event::Event;
use crate::console::model::Moment;
use crate::console::recording::tape::EXTENSION;
use crate::console::recording::{Recorder, RecordingError, RecordingOptions, Seek, Tape};

/// How long the last moments may take to reach the disk.
const CLOSING: Duration = Duration::from_secs(1);

/// The recorder, if there is one.
pub(super) struct Time {
    options: Option<RecordingOptions>,
    recorder: Option<Recorder>,
}

impl Time {
    pub(super) fn new(options: Option<RecordingOptions>) -> Self {
        Self { options, recorder: None }
    }

    /// Begins a new recording.
    pub(super) fn start(&mut self, now_ms: u64) -> Result<(), RecordingError> {
        self.recorder = None;
        self.recorder = self.options.clone().map(|options| Recorder::start(options, now_ms)).transpose()?;
        Ok(())
    }

    /// Plays a file from now on.
    pub(super) fn replay(&mut self, tape: Tape) {
        self.options = None;
        self.recorder = Recorder::replay(tape).ok();
    }

    pub(super) fn is_on(&self) -> bool {
        self.recorder.is_some()
    }

    /// Ends it; a disk that does not answer holds nobody up.
    pub(super) async fn close(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            let _ = tokio::time::timeout(CLOSING, recorder.close()).await;
        }
    }

    pub(super) fn note(&self, snapshot: Arc<Snapshot>, focus: Focus, now: Moment) {
        // Before its first snapshot a node has nothing to tell.
        if let Some(recorder) = self.recorder.as_ref().filter(|_| snapshot.generation > 0) {
            recorder.note(snapshot, focus, now);
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.recorder.as_ref()?.trouble()
    }

    pub(super) fn seek(&self, number: u64, seek: Seek) -> impl Future<Output = Event> + use<> {
        let answer = self.recorder.as_ref().map(|recorder| recorder.seek(seek));
        async move {
            let result = match answer {
                Some(answer) => answer.await,
                None => Err("nothing is recorded".to_owned()),
            };
            Event::Recorded { number, result }
        }
    }

    /// Copies the recording into the current folder.
    pub(super) fn save(&self, node: &str, now_ms: u64) -> impl Future<Output = Event> + use<> {
        let path = std::env::current_dir().map(|dir| dir.join(file_name(node, now_ms)));
        let path = path.map_err(|error| format!("there is no current folder: {error}"));
        let answer = path.and_then(|path| {
            let recorder = self.recorder.as_ref().ok_or("nothing is recorded")?;
            Ok((path.clone(), recorder.save(path)))
        });
        async move {
            let saved: Result<(PathBuf, u64), String> = async {
                let (path, answer) = answer?;
                Ok((path, answer.await?))
            }
            .await;
            Event::Saved(saved)
        }
    }
}

/// `skep-NODE-20260314-120344.skeprec`, of characters that no shell minds.
fn file_name(node: &str, now_ms: u64) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
    let node: String = node.chars().filter(plain).take(32).collect();
    let moment = i64::try_from(now_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    let time = moment.to_zoned(TimeZone::system()).strftime("%Y%m%d-%H%M%S").to_string();
    format!("skep-{node}-{time}.{EXTENSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain() {
        let name = file_name("../hive 1\u{1b}[2J;rm", 1_773_489_824_000);
        assert!(name.starts_with("skep-hive12Jrm-2026") && name.ends_with(".skeprec"), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)), "{name}");
    }
}
