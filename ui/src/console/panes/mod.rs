//! The panes of the dashboard. A pane draws itself on a canvas from what is derived already, and
//! its actions stand in the table under its scope; it holds no state and does no work.

pub mod footer;
pub mod header;
pub mod link;
pub mod log;
pub mod nodes;
pub mod paths;
pub mod pieces;
pub mod queue;
pub mod tiny;
pub mod transfers;

use ratatui::layout::Rect;

use super::derive::Derived;
use super::model::Model;
use super::widgets::Canvas;

/// Which pane. The number is its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PaneId {
    /// The list of transfers.
    Transfers,
    /// Pieces and peers of the selected one.
    Pieces,
    /// Paths of the selected push.
    Paths,
    /// Links that are watched.
    Link,
    /// What waits for its turn or its link.
    Queue,
    /// The nodes of the pool.
    Nodes,
    /// The node's log.
    Log,
}

impl PaneId {
    /// All panes, from top to bottom.
    pub const ALL: [Self; 7] =
        [Self::Transfers, Self::Pieces, Self::Paths, Self::Link, Self::Queue, Self::Nodes, Self::Log];

    /// The digit that focuses it.
    pub const fn number(self) -> u8 {
        match self {
            Self::Transfers => 1,
            Self::Pieces => 2,
            Self::Paths => 3,
            Self::Link => 4,
            Self::Queue => 5,
            Self::Nodes => 6,
            Self::Log => 7,
        }
    }

    /// Its name in key files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Pieces => "pieces",
            Self::Paths => "paths",
            Self::Link => "link",
            Self::Queue => "queue",
            Self::Nodes => "nodes",
            Self::Log => "log",
        }
    }

    /// Its name on screen.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Transfers => "Transfers",
            Self::Pieces => "Pieces",
            Self::Paths => "Paths",
            Self::Link => "Link",
            Self::Queue => "Queue",
            Self::Nodes => "Nodes",
            Self::Log => "Log",
        }
    }

    /// Its name on its border, with its key.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Transfers => "1 Transfers",
            Self::Pieces => "2 Pieces",
            Self::Paths => "3 Paths",
            Self::Link => "4 Link",
            Self::Queue => "5 Queue",
            Self::Nodes => "6 Nodes",
            Self::Log => "7 Log",
        }
    }
}

/// What a pane may look at while it draws.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What is on screen.
    pub model: &'a Model,
    /// What was computed for this frame.
    pub derived: &'a Derived,
}

/// Something that fills an area.
pub trait Pane: Sync {
    /// Which it is.
    fn id(&self) -> PaneId;

    /// Draws border and content. The area may be of any size, also empty.
    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, context: Context<'_>);

    /// Lines of a list that fit into a pane of this height: what a page is.
    fn page(&self, height: u16) -> usize;
}

/// The pane of an id.
pub fn pane(id: PaneId) -> &'static dyn Pane {
    match id {
        PaneId::Transfers => &transfers::Transfers,
        PaneId::Pieces => &pieces::Pieces,
        PaneId::Paths => &paths::Paths,
        PaneId::Link => &link::Link,
        PaneId::Queue => &queue::Queue,
        PaneId::Nodes => &nodes::Nodes,
        PaneId::Log => &log::Log,
    }
}
