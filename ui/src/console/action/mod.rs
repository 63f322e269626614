//! Everything an operator can do, as data.
//!
//! One table ([`TABLE`]) feeds the keymap, the footer, the palette, the help and `skep keys`, so
//! that none of them can drift. What an action does stands in `reduce`.

mod table;

pub use table::TABLE;

use super::panes::PaneId;

/// Something an operator can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is documented by its line in the table")]
pub enum Action {
    Quit,
    Help,
    Palette,
    Back,
    FocusNext,
    FocusPrevious,
    Focus(PaneId),
    Expand,
    Filter,
    Theme,
    Glyphs,
    Eco,
    Export,
    Redraw,
    Suspend,
    Add,
    Share,
    Send,
    Sync,
    Bans,
    NodeLimit,
    Undo,
    HidePane,
    NextLayout,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    PauseResume,
    PauseAll,
    Drain,
    Cancel,
    Remove,
    Retry,
    Verify,
    Slower,
    Faster,
    Limit,
    Raise,
    Lower,
    MoveUp,
    MoveDown,
    Mark,
    MarkAll,
    Sort,
    SortReverse,
    CopyLink,
    Zoom,
    PanLeft,
    PanRight,
    Files,
    JumpToFile,
    BanPeer,
    TogglePath,
    Heavier,
    Lighter,
    UsualWeight,
    Probe,
    LinkClass,
    Metered,
    StopMonitor,
    ChartSpan,
    QueueUp,
    QueueDown,
    ClassUp,
    ClassDown,
    RetryQueued,
    Dequeue,
    Purge,
    PlaceKey,
    DrainNode,
    AddNode,
    RemoveNode,
    Balancer,
    SortNodes,
    SortNodesReverse,
    LogLevel,
    CopyLine,
    Accept,
    NextField,
    PreviousField,
    HiddenFiles,
    LiftBan,
    Earlier,
    Later,
    MuchEarlier,
    MuchLater,
    SaveRecording,
    Targets,
    Play,
    PlayFaster,
    PlaySlower,
    DebugPanic,
}

/// Where an action can be called: the layers of the keymap. Inner layers win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Everywhere but in a dialog.
    Global,
    /// In every list: panes and dialogs that scroll.
    List,
    /// In one pane.
    Pane(PaneId),
    /// In every dialog.
    Dialog,
    /// In the list of bans.
    Bans,
    /// While a recording is played: before all panes.
    Replay,
}

impl Scope {
    /// All scopes, in the order of help and documentation.
    pub const ALL: [Self; 12] = [
        Self::Global,
        Self::List,
        Self::Pane(PaneId::Transfers),
        Self::Pane(PaneId::Pieces),
        Self::Pane(PaneId::Paths),
        Self::Pane(PaneId::Link),
        Self::Pane(PaneId::Queue),
        Self::Pane(PaneId::Nodes),
        Self::Pane(PaneId::Log),
        Self::Dialog,
        Self::Bans,
        Self::Replay,
    ];

    /// Its name in the key file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::List => "list",
            Self::Pane(pane) => pane.name(),
            Self::Dialog => "dialog",
            Self::Bans => "bans",
            Self::Replay => "replay",
        }
    }

    /// Its heading in help.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Global => "Everywhere",
            Self::List => "Moving",
            Self::Pane(pane) => pane.title(),
            Self::Dialog => "In a dialog",
            Self::Bans => "Bans",
            Self::Replay => "Playing a recording",
        }
    }
}

/// What an action can destroy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Danger {
    /// Nothing: it changes what is on screen only.
    View,
    /// Nothing that another key would not bring back.
    Reversible,
    /// Work that was done: asks.
    LosesProgress,
    /// Data: asks for a word to be typed.
    LosesData,
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The action.
    pub action: Action,
    /// Its stable name, as in key files: `transfer.pause`.
    pub id: &'static str,
    /// A word or two for the footer and the palette.
    pub title: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Keys it is bound to unless a key file says otherwise.
    pub keys: &'static [&'static str],
    /// Where it works.
    pub scope: Scope,
    /// What it can destroy.
    pub danger: Danger,
    /// Place in the footer, small first; 0 is not shown there.
    pub footer: u8,
}

impl Entry {
    /// The line of an action.
    pub fn of(action: Action) -> Option<&'static Self> {
        TABLE.iter().find(|e| e.action == action)
    }

    /// The line of this id.
    pub fn by_id(id: &str) -> Option<&'static Self> {
        TABLE.iter().find(|e| e.id == id)
    }

    /// True if it is of no use to operators.
    pub fn is_hidden(&self) -> bool {
        matches!(self.action, Action::DebugPanic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_and_actions_are_unique_and_documented() {
        let mut ids = HashSet::new();
        let mut actions = HashSet::new();
        for entry in TABLE {
            assert!(ids.insert(entry.id), "{}", entry.id);
            assert!(actions.insert(entry.action), "{}", entry.id);
            assert!(entry.doc.ends_with('.') && entry.doc.len() > 5, "{}: {:?}", entry.id, entry.doc);
            assert!(entry.title.len() <= 14, "{}: {:?}", entry.id, entry.title);
            assert!(Scope::ALL.contains(&entry.scope));
            assert!(!entry.keys.is_empty() || entry.is_hidden(), "{} has no key", entry.id);
        }
    }
}
