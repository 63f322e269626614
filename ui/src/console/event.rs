//! What happens to the console.

use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::MouseEvent;
use skep_engine::control::{CommandError, Connection, Reply, Snapshot, TransferId};

use super::effect::Told;
use super::keymap::Key;
use super::model::Cost;
use super::model::form::PathFact;

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
    /// A command was accepted or refused.
    Answer {
        /// What the operator was told it would do.
        told: Told,
        /// The transfers it went to.
        ids: Vec<TransferId>,
        /// What came of it.
        result: Result<Reply, CommandError>,
    },
    /// A path was looked up.
    PathFact(PathBuf, PathFact),
    /// What the console cost lately.
    Cost(Cost),
    /// Time passed: toasts go, chords end, the clock moves.
    Tick,
    /// Something outside the model went wrong, in words.
    Trouble(String),
}
