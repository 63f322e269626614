//! What is shown of the paths of a push, what can be chosen for each, and what a push would do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a path of a push stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathState {
    /// The transfer does not run: nothing is known of it now.
    #[default]
    Idle,
    /// Works its share.
    Healthy,
    /// Far behind the best: keeps no share of its own, helps out.
    Degraded,
    /// Does not answer; probed again.
    Dead,
    /// A probe is under way.
    Probing,
    /// The operator took it out.
    Disabled,
}

/// One path of a push. Its score and the terms behind it are explained in [`crate::push::score`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathRow {
    /// Endpoint, and what it leaves by: names it within its transfer.
    pub path: String,
    /// The interface or address that it leaves by; none: the system chooses.
    pub via: Option<String>,
    /// How it stands.
    pub state: PathState,
    /// The operator's weight, if one was set; else 1.
    pub weight: Option<f64>,
    /// When it is probed again while it is dead, ms since the epoch.
    pub probe_at_ms: Option<u64>,
    /// Median round trip in milliseconds.
    pub latency_ms: f64,
    /// Bytes per second that leave over it; what it was last while the transfer does not run.
    pub rate: u64,
    /// Failures over attempts.
    pub error_rate: f64,
    /// 0.5 T − 0.3 L − 0.2 E.
    pub score: f64,
    /// T, L and E.
    pub terms: (f64, f64, f64),
    /// Share of what is to be sent.
    pub share: f64,
    /// Bytes assigned: queued, under way, and done.
    pub assigned: u64,
    /// Bytes acknowledged.
    pub bytes: u64,
    /// Segments queued.
    pub queued: u32,
    /// Segments under way.
    pub active: u32,
    /// Segments that may be under way.
    pub window: u32,
    /// Segments acknowledged.
    pub done: u32,
    /// What there is to say: the last error.
    pub note: String,
}

impl PathRow {
    /// As it is while the transfer does not run: what it did stays.
    pub fn rest(&mut self) {
        if self.state != PathState::Disabled {
            self.state = PathState::Idle;
        }
        (self.share, self.queued, self.active, self.window) = (0.0, 0, 0, 0);
        (self.assigned, self.probe_at_ms) = (self.bytes, None);
    }

    /// Shows what was chosen for it.
    pub fn choose(&mut self, choice: PathChoice) {
        self.weight = (choice.weight != 1.0).then_some(choice.weight);
        match (choice.enabled, self.state) {
            (false, _) => self.state = PathState::Disabled,
            (true, PathState::Disabled) => self.state = PathState::Idle,
            (true, _) => {}
        }
    }
}

/// What a delta is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeltaPhase {
    /// Asks what is there.
    #[default]
    Signatures,
    /// Looks for it in the new file.
    Matching,
    /// Sends what was not found.
    Sending,
    /// The receiver finishes the new file.
    Patching,
}

/// A push that sends what changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeltaRow {
    /// What it does now.
    pub phase: DeltaPhase,
    /// Rounds of signatures so far.
    pub rounds: u32,
    /// Bytes of the new file that are in the old one.
    pub matched: u64,
    /// Bytes of the new file that are to be sent.
    pub literal: u64,
    /// Bytes of the new file that were sent.
    pub sent: u64,
    /// Of the file's bytes, how many percent did not go over the wire, everything counted both ways; once it is done.
    pub savings_percent: Option<f64>,
}

/// A change of a push's plan. Paths are places in the row's list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathChange {
    /// When, ms since the epoch.
    pub at_ms: u64,
    /// The path that it is about, if one.
    pub path: Option<u32>,
    /// Why, in words that follow the path's name.
    pub why: String,
    /// Segments that moved.
    pub moved: u32,
    /// Paths that have fewer to send by it.
    pub from: Vec<u32>,
    /// Paths that have more to send by it.
    pub to: Vec<u32>,
}

/// What an operator chose for a path.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathChoice {
    /// It may work.
    pub enabled: bool,
    /// How much, beside the others: [`crate::push::plan::WEIGHTS`].
    pub weight: f64,
}

impl Default for PathChoice {
    fn default() -> Self {
        Self { enabled: true, weight: 1.0 }
    }
}

/// What was chosen for which path; others are as they come.
pub type PathChoices = BTreeMap<String, PathChoice>;

/// A way that a push would take, as it was probed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathPreview {
    /// Endpoint, and what it leaves by.
    pub path: String,
    /// The interface or address that it leaves by; none: the system chooses.
    pub via: Option<String>,
    /// Median round trip in microseconds; none: it does not answer.
    pub latency_us: Option<u64>,
    /// Why it does not answer; empty if it does.
    pub error: String,
}

/// A way out of the node's machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfaceRow {
    /// As the system calls it: what `via` takes on Linux.
    pub name: String,
    /// Its addresses: what `via` takes everywhere.
    pub addresses: Vec<String>,
}
