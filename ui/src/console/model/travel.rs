//! Where in time the console looks: now, at a moment of its recording, or at a recording that is played.

use std::sync::Arc;

use skep_engine::control::Snapshot;

use super::history::History;
use super::wish::Wishes;
use crate::console::recording::Seek;

/// Speeds of a recording that is played.
const SPEEDS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Where in time the console looks.
#[derive(Debug, Clone, Default)]
pub struct Travel {
    /// The moment on screen; none: now.
    pub past: Option<Past>,
    /// How a recording is played.
    pub player: Player,
    /// The number of the request whose answer is awaited.
    awaited: Option<u64>,
    /// Requests so far.
    asked: u64,
    /// Steps that were pressed since then.
    more: Option<Seek>,
}

/// A moment that has passed, on screen.
#[derive(Debug, Clone)]
pub struct Past {
    /// When, ms since the epoch.
    pub time_ms: u64,
    /// The first moment of the recording.
    pub first_ms: u64,
    /// The last moment of the recording.
    pub last_ms: u64,
    /// Rates up to then.
    pub history: History,
    /// What belongs to now and comes back on return.
    pub live: Live,
}

/// What belongs to now while the past is on screen.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// The newest snapshot.
    pub snapshot: Arc<Snapshot>,
    /// What was asked of the engine and is not a fact yet.
    pub wishes: Wishes,
}

/// How a recording is played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Player {
    /// From which moment (ms since the epoch) and since when (ms since the console started); none:
    /// it stands still.
    pub since: Option<(u64, u64)>,
    /// Index into the speeds.
    speed: usize,
}

impl Player {
    /// How many times faster than it happened.
    pub fn speed(&self) -> u32 {
        SPEEDS[self.speed]
    }

    /// Goes to the next speed up or down, from where it is; false at the last.
    pub fn change_speed(&mut self, up: bool, at_ms: u64, mono_ms: u64) -> bool {
        let wanted = if up { self.speed + 1 } else { self.speed.wrapping_sub(1) };
        if wanted >= SPEEDS.len() {
            return false;
        }
        self.speed = wanted;
        if self.since.is_some() {
            self.since = Some((at_ms, mono_ms));
        }
        true
    }

    /// The moment (ms since the epoch) that is due.
    pub fn due_ms(&self, mono_ms: u64) -> Option<u64> {
        let (from_ms, since_ms) = self.since?;
        let passed = mono_ms.saturating_sub(since_ms).saturating_mul(self.speed().into());
        Some(from_ms.saturating_add(passed))
    }
}

impl Travel {
    /// Asks for a moment: gives what to ask now, or nothing if an answer is awaited; the steps are
    /// asked for then.
    pub fn ask(&mut self, seek: Seek) -> Option<(u64, Seek)> {
        if self.awaited.is_some() {
            let more = self.more.get_or_insert(Seek { from_ms: 0, ms: 0, moments: 0 });
            more.ms = more.ms.saturating_add(seek.ms);
            more.moments = more.moments.saturating_add(seek.moments);
            return None;
        }
        self.asked += 1;
        self.awaited = Some(self.asked);
        Some((self.asked, seek))
    }

    /// True while an answer is awaited.
    pub fn is_waiting(&self) -> bool {
        self.awaited.is_some()
    }

    /// An answer came: gives the steps pressed meanwhile (a seek of nothing if there were none), or none
    /// if nobody waits for it any more.
    pub fn answered(&mut self, number: u64) -> Option<Seek> {
        if self.awaited != Some(number) {
            return None;
        }
        self.awaited = None;
        Some(self.more.take().unwrap_or_default())
    }

    /// Back to now for good: the recording of another node begins.
    pub fn change_node(&mut self) {
        self.forget();
        self.past = None;
        self.player = Player::default();
    }

    /// Answers that are under way are of no use any more.
    pub fn forget(&mut self) {
        self.awaited = None;
        self.more = None;
    }
}
