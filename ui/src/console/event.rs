//! What happens to the console.

use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::MouseEvent;
use skep_engine::control::link::{LinkHistory, ProbeReport};
use skep_engine::control::pool::{Moves, Placement};
use skep_engine::control::{CommandError, Connection, Preview, Reply, Snapshot, SyncPlan, TransferId};

use super::effect::{PreviewKey, Told};
use super::keymap::Key;
use super::model::Cost;
use super::model::form::Listing;
use super::recording::Recorded;
use super::targets::TargetSettings;
use super::theme::ThemeSpec;

/// An event, as `reduce` takes it.
#[derive(Debug, Clone)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// The terminal has another size now.
    Resize(u16, u16),
    /// The terminal got or lost the operator's eyes.
    TerminalFocus(bool),
    /// A newer snapshot.
    Snapshot(Arc<Snapshot>),
    /// The connection to the node changed.
    Connection(Connection),
    /// A moment of the recording was read.
    Recorded {
        /// The number of the request.
        number: u64,
        /// The moment, or why it cannot be shown.
        result: Result<Recorded, String>,
    },
    /// A recording was opened instead of a node.
    Replay,
    /// The recording was copied to a file of so many bytes.
    Saved(Result<(PathBuf, u64), String>),
    /// Another node is shown from now on.
    Switched {
        /// Which of the targets.
        at: usize,
        /// How one stands to it.
        settings: TargetSettings,
    },
    /// Another node cannot be shown.
    NotSwitched(String),
    /// A command was accepted or refused.
    Answer {
        /// What the operator was told it would do.
        told: Told,
        /// The transfers it went to.
        ids: Vec<TransferId>,
        /// What came of it.
        result: Result<Reply, CommandError>,
    },
    /// The operator's theme files changed.
    Themes {
        /// All themes there are now.
        themes: Vec<ThemeSpec>,
        /// What is wrong with the files, in words.
        troubles: Vec<String>,
    },
    /// The terminal's ground is light, or it is dark.
    Ground {
        /// Light.
        light: bool,
    },
    /// The screen was written to files, of which this is the first, or could not be.
    Exported(Result<PathBuf, String>),
    /// A folder was read.
    Listing(PathBuf, Listing),
    /// What adding or sharing something would do, or why that cannot be told.
    Preview(PreviewKey, Result<Box<Preview>, String>),
    /// What a sync would do, or why that cannot be told.
    Plan(PreviewKey, Result<Box<SyncPlan>, CommandError>),
    /// What would follow in the pool, or why that cannot be told.
    Moves(PreviewKey, Result<Moves, CommandError>),
    /// Both balancers said where a key belongs, or why they cannot: the ring, then who looks at how nodes are.
    Placed {
        /// The number of the question.
        number: u64,
        /// The answers.
        answers: [Result<Box<Placement>, CommandError>; 2],
    },
    /// A probe is over.
    Probed {
        /// The number of the request.
        number: u64,
        /// What was found, or why it could not be measured.
        result: Result<Box<ProbeReport>, CommandError>,
    },
    /// What the monitor of a link remembers.
    LinkHistory {
        /// The link's endpoint.
        endpoint: String,
        /// Samples and changes.
        history: LinkHistory,
    },
    /// What the console cost lately.
    Cost(Cost),
    /// Time passed: toasts go, chords end, the clock moves.
    Tick,
    /// Something outside the model went wrong, in words.
    Trouble(String),
}
