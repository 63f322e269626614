//! What the console asks the world to do. `reduce` says it, the driver does it.

use std::path::PathBuf;

use skep_engine::control::link::ProbeRequest;
use skep_engine::control::{AddTransfer, Command, Focus};

use super::recording::Seek;

/// Words for what a command does: `pause`, `add`. For the message when it is refused or done.
pub type Told = &'static str;

/// Which preview: what it is of, and where that would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewKey {
    /// The link or path, as typed.
    pub what: String,
    /// The folder, as typed.
    pub dir: String,
}

impl std::fmt::Display for PreviewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// A preview that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviewAsk {
    /// Which.
    pub key: PreviewKey,
    /// How to get it.
    pub from: PreviewFrom,
}

/// How to get a preview.
#[derive(Debug, Clone, PartialEq)]
pub enum PreviewFrom {
    /// By this command.
    Command(Command),
    /// By a document that is read where the console runs.
    File(PathBuf, AddTransfer),
}

/// Something to be done outside the model.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a command to the engine.
    Command {
        /// The command.
        command: Command,
        /// What it does, in a word.
        told: Told,
    },
    /// Read a manifest or Metalink file where the console runs, and add what it describes.
    AddFile {
        /// The file.
        path: PathBuf,
        /// Everything else about the transfer.
        add: AddTransfer,
    },
    /// Read what a folder holds where the console runs.
    ListFolder(PathBuf),
    /// Find out what adding or sharing these would do. Those asked for before and not answered yet
    /// need no answer any more.
    Preview(Vec<PreviewAsk>),
    /// Measure the link to an endpoint.
    Probe {
        /// The number that the answer bears.
        number: u64,
        /// Of which.
        request: ProbeRequest,
    },
    /// Ask both balancers where a key belongs. Questions asked before and not answered yet need no answer any more.
    Place {
        /// The number that the answer bears.
        number: u64,
        /// The key.
        key: String,
        /// So many different nodes.
        replicas: u32,
    },
    /// Ask what the monitor of a link remembers.
    LinkHistory {
        /// The link's endpoint.
        endpoint: String,
        /// Of the last so many seconds.
        window_s: u64,
    },
    /// Tell the engine what is looked at.
    SetFocus(Focus),
    /// Read a moment of the recording.
    Seek {
        /// The number that the answer bears.
        number: u64,
        /// Which moment.
        seek: Seek,
    },
    /// Copy the recording into a file.
    SaveRecording,
    /// Show another node: one of the targets.
    Switch(usize),
    /// Put text on the operator's clipboard (OSC 52).
    Copy(String),
    /// Write the screen to files with this name, without extension.
    Export(String),
    /// Draw everything anew.
    Redraw,
    /// Back to the shell until it wakes us.
    Suspend,
    /// Leave the console.
    Quit,
    /// Panic on purpose (debug builds only).
    Panic,
}

impl Effect {
    /// A command with its word.
    pub const fn command(command: Command, told: Told) -> Self {
        Self::Command { command, told }
    }
}
