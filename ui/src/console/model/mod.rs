//! What is on screen: the newest snapshot, and everything the operator did to the view.
//!
//! The model changes only in `reduce`, and only by events; drawing reads it. It holds no socket, no
//! clock and no terminal, so that every state of the console can be made in a test.

pub mod files;
pub mod filter;
pub mod form;
pub mod history;
pub mod input;
pub mod link;
pub mod links;
pub mod log;
pub mod looks;
pub mod nodes;
pub mod overlay;
pub mod paths;
pub mod pieces;
pub mod place;
pub mod probe;
pub mod queue;
pub mod sort;
pub mod toast;
pub mod transfers;
pub mod travel;
pub mod undo;
pub mod wish;

use std::sync::Arc;

use jiff::tz::TimeZone;
use skep_engine::control::link::LinkRow;
use skep_engine::control::{Connection, Snapshot, TransferDetail, TransferRow};

use super::action::Scope;
use super::glyphs::{Charset, GlyphChoice};
use super::keymap::{Key, Keymap};
use super::panes::PaneId;
use super::targets::Target;
use super::theme::{Depth, Theme, ThemeSpec, builtin, builtin_names};
use looks::ThemeChoice;
use overlay::Overlay;

/// A moment as the driver passes it in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the console started: for durations.
    pub mono_ms: u64,
    /// Milliseconds since the Unix epoch: for what is said to people.
    pub wall_ms: u64,
}

/// What does not change while the console runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the node is: `embedded` or a URL.
    pub target: String,
    /// The node ends with the console.
    pub embedded: bool,
    /// Nothing may be changed from here.
    pub read_only: bool,
    /// The node and its data are gone for good once the console ends: the demo.
    pub fleeting: bool,
    /// A recording is shown, no node.
    pub replay: bool,
    /// What is shown is recorded.
    pub recorded: bool,
    /// Nodes that the console can be switched to.
    pub targets: Vec<Target>,
    /// Which of them is shown.
    pub target_at: usize,
    /// The operator's home folder, for `~/`.
    pub home: Option<String>,
    /// The folder that the console was started in, with a `/` at its end.
    pub current: Option<String>,
    /// Where transfers land unless told otherwise; the node's root if none.
    pub default_dir: Option<String>,
    /// For clocks.
    pub zone: TimeZone,
    /// Colours of the terminal.
    pub depth: Depth,
    /// Characters that the terminal shows.
    pub charset: Charset,
    /// Themes to choose from; never empty.
    pub themes: Vec<ThemeSpec>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            target: "embedded".to_owned(),
            embedded: true,
            read_only: false,
            fleeting: false,
            replay: false,
            recorded: false,
            targets: Vec::new(),
            target_at: 0,
            home: None,
            current: None,
            default_dir: None,
            zone: TimeZone::UTC,
            depth: Depth::True,
            charset: Charset::Unicode,
            themes: builtin_names().filter_map(builtin).collect(),
        }
    }
}

/// What the console itself costs, over the last seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Frames per second, times ten.
    pub fps_x10: u32,
    /// Bytes per second written to the terminal.
    pub bytes_per_s: u64,
    /// CPU time per time, in thousandths of a core.
    pub cpu_permille: u32,
    /// How many times slower than usual data is drawn, because the terminal or the line is slow.
    pub slowdown: u32,
}

/// Layers of the panes, in the order of their discriminants.
const LAYERS: [[Scope; 4]; PaneId::ALL.len()] = {
    let mut layers = [[Scope::Replay, Scope::Global, Scope::List, Scope::Global]; PaneId::ALL.len()];
    let mut at = 0;
    while at < PaneId::ALL.len() {
        layers[at][1] = Scope::Pane(PaneId::ALL[at]);
        at += 1;
    }
    layers
};

/// Everything on screen.
#[derive(Debug, Clone)]
pub struct Model {
    /// What does not change.
    pub settings: Settings,
    /// The newest snapshot.
    pub snapshot: Arc<Snapshot>,
    /// When the newest snapshot came; none before the first.
    pub received: Option<Moment>,
    /// Live or lost.
    pub connection: Connection,
    /// The moment of the last event.
    pub now: Moment,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The list of transfers.
    pub transfers: transfers::TransferList,
    /// The map and the peers.
    pub pieces: pieces::PiecesView,
    /// Its files, in place of its peers.
    pub files: files::FilesView,
    /// The paths of the selected push.
    pub paths: paths::PathsView,
    /// The links that are watched.
    pub links: links::LinksView,
    /// What waits.
    pub queue: queue::QueueList,
    /// The nodes of the pool.
    pub nodes: nodes::NodesView,
    /// The log.
    pub log: log::LogView,
    /// The pane that has the keys.
    pub focus: PaneId,
    /// The pane that has the whole screen.
    pub expanded: Option<PaneId>,
    /// Probes so far: the number of the newest.
    pub probes: u64,
    /// Questions where a key belongs so far: the number of the newest.
    pub placed: u64,
    /// Dialogs, the topmost last.
    pub overlays: Vec<Overlay>,
    /// Short messages.
    pub toasts: toast::Toasts,
    /// What was asked of the engine and is not a fact yet.
    pub wishes: wish::Wishes,
    /// What was done and can be taken back.
    pub undo: undo::History,
    /// Panes that are hidden.
    pub hidden: Vec<PaneId>,
    /// Rates of the last minutes.
    history: history::History,
    /// Where in time the console looks.
    pub travel: travel::Travel,
    /// Keys.
    pub keymap: Arc<Keymap>,
    /// Keys of a chord so far, and when the last was pressed.
    pub chord: (Vec<Key>, u64),
    /// The theme chosen.
    pub theme_choice: ThemeChoice,
    /// The terminal's ground is light, as far as is known.
    pub light_ground: bool,
    /// The theme, resolved.
    pub theme: Arc<Theme>,
    /// Glyphs chosen.
    pub glyph_choice: GlyphChoice,
    /// Slow drawing asked for.
    pub eco: bool,
    /// The terminal has the operator's eyes.
    pub terminal_focused: bool,
    /// The console's own cost.
    pub cost: Cost,
}

impl Model {
    /// A model before the first snapshot.
    pub fn new(settings: Settings, keymap: Keymap, theme: &str, glyphs: GlyphChoice) -> Self {
        let choice = ThemeChoice::from_name(theme);
        let spec = choice.resolve(&settings.themes, false).unwrap_or(&settings.themes[0]);
        let theme = Arc::new(Theme::resolve(spec, settings.depth));
        Self {
            settings,
            snapshot: Arc::default(),
            received: None,
            connection: Connection::Live,
            now: Moment::default(),
            size: (80, 24),
            transfers: transfers::TransferList::default(),
            pieces: pieces::PiecesView::default(),
            files: files::FilesView::default(),
            paths: paths::PathsView::default(),
            links: links::LinksView::default(),
            queue: queue::QueueList::default(),
            nodes: nodes::NodesView::default(),
            log: log::LogView::default(),
            focus: PaneId::Transfers,
            expanded: None,
            probes: 0,
            placed: 0,
            overlays: Vec::new(),
            toasts: toast::Toasts::default(),
            wishes: wish::Wishes::default(),
            undo: undo::History::default(),
            hidden: Vec::new(),
            history: history::History::default(),
            travel: travel::Travel::default(),
            keymap: Arc::new(keymap),
            chord: (Vec::new(), 0),
            theme_choice: choice,
            light_ground: false,
            theme,
            glyph_choice: glyphs,
            eco: false,
            terminal_focused: true,
            cost: Cost::default(),
        }
    }

    /// The row of the selected transfer.
    pub fn selected(&self) -> Option<&Arc<TransferRow>> {
        let id = self.transfers.selected?;
        self.snapshot.transfers.iter().find(|t| t.id == id)
    }

    /// Details of the selected transfer, once they came.
    pub fn detail(&self) -> Option<&Arc<TransferDetail>> {
        self.snapshot.details.get(&self.transfers.selected?)
    }

    /// The keymap layers that are active where the operator is, innermost first.
    pub fn layers(&self) -> &'static [Scope] {
        match (self.overlays.last(), self.focus) {
            (Some(Overlay::Bans(_)), _) => &[Scope::Bans, Scope::List, Scope::Dialog],
            (Some(Overlay::Help(_) | Overlay::Themes(_) | Overlay::Targets(_) | Overlay::Classes(_)), _) => {
                &[Scope::List, Scope::Dialog]
            }
            (Some(_), _) => &[Scope::Dialog],
            // A recording has its keys before those of the panes.
            (None, pane) => &LAYERS[pane as usize][usize::from(!self.settings.replay)..],
        }
    }

    /// The moment that is on screen, ms since the epoch: now, or one that has passed.
    pub fn moment_ms(&self) -> u64 {
        self.travel.past.as_ref().map_or(self.now.wall_ms, |past| past.time_ms)
    }

    /// The node's clock now, or at the moment on screen, ms since the epoch.
    pub fn node_now(&self) -> u64 {
        let since = match (&self.travel.past, self.received) {
            (None, Some(received)) => self.now.mono_ms.saturating_sub(received.mono_ms),
            _ => 0,
        };
        self.snapshot.time_ms.saturating_add(since)
    }

    /// The link whose row is selected.
    pub fn link(&self) -> Option<&Arc<LinkRow>> {
        self.snapshot.links.get(self.links.place(&self.snapshot.links)?)
    }

    /// Rates of the minutes before the moment on screen.
    pub fn history(&self) -> &history::History {
        self.travel.past.as_ref().map_or(&self.history, |past| &past.history)
    }

    /// Notes the rates of now.
    pub fn note_rates(&mut self, time_ms: u64, down: u64, up: u64) {
        self.history.note(time_ms, down, up);
    }

    /// What was asked of the engine, whatever moment is on screen.
    pub fn live_wishes(&mut self) -> &mut wish::Wishes {
        match &mut self.travel.past {
            Some(past) => &mut past.live.wishes,
            None => &mut self.wishes,
        }
    }

    /// Forgets what belongs to the node shown so far, because another one is shown now. Theme, sorting,
    /// layout and keys stay.
    pub fn change_node(&mut self) {
        self.snapshot = Arc::default();
        self.received = None;
        self.travel.change_node();
        self.undo = undo::History::default();
        self.wishes = wish::Wishes::default();
        self.history = history::History::default();
        self.transfers.change_node();
        self.pieces.clear();
        self.paths.change_node();
        self.links.change_node();
        self.queue.change_node();
        self.nodes.change_node();
        self.log.change_node();
    }

    /// Age in milliseconds of what is shown, if the connection is lost.
    pub fn data_age_ms(&self) -> Option<u64> {
        match self.connection {
            Connection::Live => None,
            Connection::Lost { .. } => Some(self.received.map_or(0, |m| self.now.mono_ms.saturating_sub(m.mono_ms))),
        }
    }
}
