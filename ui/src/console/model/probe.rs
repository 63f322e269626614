//! The probe dialog: an endpoint is typed or picked, measured, and watched from then on or not.

use skep_engine::control::link::{Measurement, ProbeReport};
use skep_engine::control::{PeerState, Snapshot};

use super::Model;
use super::input::Input;
use super::links::authority;
use crate::host::with_scheme;

/// Endpoints that are proposed.
const MAX_PROPOSED: usize = 50;
/// Samples that are listed.
const MAX_SAMPLES: usize = 8;
/// A probe takes no longer, ms.
pub const LIMIT_MS: u64 = 5_000;

/// How far it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// An endpoint is typed or picked.
    Choosing,
    /// It is measured.
    Running {
        /// The number that the answer bears.
        number: u64,
        /// Since when, ms since the console started.
        since_ms: u64,
    },
    /// What it is like.
    Verdict(Box<ProbeReport>),
    /// It could not be measured, and why.
    Failed(String),
}

/// An endpoint that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Its URL.
    pub url: String,
    /// What it is.
    pub note: &'static str,
}

/// The dialog.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeView {
    /// What was typed.
    pub input: Input,
    /// Endpoints that are known here.
    proposed: Vec<Proposed>,
    /// Those that contain what was typed, by their place.
    pub shown: Vec<usize>,
    /// The chosen one among those shown; none while the text alone counts.
    pub at: Option<usize>,
    /// Enter was pressed on something wrong.
    pub refused: bool,
    /// What is or was measured: a URL.
    pub endpoint: String,
    /// How far it is.
    pub stage: Stage,
    /// When the newest probe began, ms since the epoch.
    pub started_ms: u64,
    /// What was measured, newest last.
    pub samples: Vec<Measurement>,
    /// When it is measured again while the dialog stays open, ms since the console started; none: not at all.
    pub again_ms: Option<u64>,
    /// The number of a measurement that goes on behind the verdict.
    pub repeated: Option<u64>,
}

impl ProbeView {
    /// A dialog that proposes what the node knows; the endpoint that is looked at stands in the field already.
    pub fn new(model: &Model) -> Self {
        let looked_at = match model.focus {
            super::PaneId::Link => model.link().map(|link| link.endpoint.clone()),
            super::PaneId::Pieces => model.pieces.selected.clone(),
            super::PaneId::Paths => model.paths.selected.as_deref().map(|path| with_scheme(authority(path))),
            super::PaneId::Queue => model.queue.row(&model.snapshot.queue).map(|row| row.target.clone()),
            super::PaneId::Nodes => model.nodes.row(&model.snapshot.pool).map(|row| row.endpoint.clone()),
            super::PaneId::Transfers | super::PaneId::Log => model.selected().map(|row| row.dest.clone()),
        };
        let looked_at = looked_at.filter(|text| !text.is_empty());
        let mut view = Self {
            input: Input::proposing(looked_at.as_deref().unwrap_or_default()),
            proposed: proposed(&model.snapshot),
            shown: Vec::new(),
            at: None,
            refused: false,
            endpoint: String::new(),
            stage: Stage::Choosing,
            started_ms: 0,
            samples: Vec::new(),
            again_ms: None,
            repeated: None,
        };
        view.narrow();
        view
    }

    /// Shows what contains the text, or everything while that is only proposed.
    pub fn narrow(&mut self) {
        let typed = if self.input.is_proposed() { "" } else { self.input.text().trim() };
        let fits = |p: &Proposed| p.url.contains(typed) && p.url != typed;
        let shown = self.proposed.iter().enumerate().filter(|(_, p)| fits(p)).map(|(at, _)| at);
        (self.shown, self.at) = (shown.collect(), None);
    }

    /// Those that are shown.
    pub fn shown(&self) -> impl Iterator<Item = &Proposed> {
        self.shown.iter().filter_map(|at| self.proposed.get(*at))
    }

    /// Moves the choice; above the first there is none.
    pub fn move_by(&mut self, lines: isize) {
        let Some(last) = self.shown.len().checked_sub(1) else { return };
        self.at = match self.at {
            None if lines > 0 => Some(0),
            None => None,
            Some(0) if lines < 0 => None,
            Some(at) => Some(at.saturating_add_signed(lines).min(last)),
        };
    }

    /// Puts the chosen one into the field.
    pub fn take_chosen(&mut self) {
        let chosen = self.at.and_then(|at| self.shown().nth(at)).map(|proposed| proposed.url.clone());
        if let Some(url) = chosen {
            self.input = Input::new(&url);
            self.at = None;
        }
    }

    /// The typed endpoint as a URL.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn url(&self) -> Result<String, &'static str> {
        url(self.input.text())
    }

    /// Notes what was measured, once.
    pub fn note(&mut self, measured: &Measurement) {
        if measured.measured_at < self.started_ms.saturating_sub(1_000)
            || self.samples.iter().any(|known| known.measured_at == measured.measured_at)
        {
            return;
        }
        if self.samples.len() == MAX_SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push(*measured);
    }

    /// Takes what a monitor of the same endpoint measures meanwhile.
    pub fn watch(&mut self, snapshot: &Snapshot) {
        if matches!(self.stage, Stage::Choosing) {
            return;
        }
        let same = |endpoint: &str| authority(endpoint) == authority(&self.endpoint);
        if let Some(link) = snapshot.links.iter().find(|link| same(&link.endpoint)) {
            let newest = link.newest;
            self.note(&newest);
        }
    }
}

/// A typed endpoint as a URL.
///
/// # Errors
/// What is wrong with it, in words.
pub fn url(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Err("HOST:PORT or the URL of a node");
    }
    let url = with_scheme(text);
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !matches!(scheme, "http" | "https") {
        return Err("a node is reached by http:// or https:// only");
    }
    let at = authority(&url);
    let port = at.rsplit_once(':').map(|(_, port)| port).filter(|_| !at.ends_with(']'));
    if at.is_empty() || at.starts_with(':') || text.contains(char::is_whitespace) {
        return Err("the host is missing: HOST:PORT");
    }
    if port.is_some_and(|port| port.parse::<u16>().unwrap_or(0) == 0) {
        return Err("the port is no number from 1 to 65535");
    }
    Ok(url)
}

/// Endpoints that the node knows: links that are watched, ways of pushes, peers.
fn proposed(snapshot: &Snapshot) -> Vec<Proposed> {
    let mut all: Vec<Proposed> = Vec::new();
    let mut add = |url: String, note| {
        let known = all.iter().any(|proposed: &Proposed| authority(&proposed.url) == authority(&url));
        if !known && all.len() < MAX_PROPOSED && !authority(&url).is_empty() {
            all.push(Proposed { url, note });
        }
    };
    for link in &snapshot.links {
        add(link.endpoint.clone(), "watched");
    }
    for row in snapshot.transfers.iter().rev() {
        for path in &row.paths {
            add(with_scheme(authority(&path.path)), "a path of a push");
        }
        if !row.dest.is_empty() {
            add(with_scheme(authority(&row.dest)), "where a push went");
        }
    }
    for row in &snapshot.queue.rows {
        add(with_scheme(authority(&row.target)), "something waits for it");
    }
    for peer in snapshot.details.values().flat_map(|detail| &detail.peers) {
        if peer.state != PeerState::Banned && !peer.mirror {
            add(peer.endpoint.clone(), "a peer");
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str) -> ProbeView {
        let model = Model::new(super::super::Settings::default(), Default::default(), "slate", Default::default());
        ProbeView { input: Input::new(text), ..ProbeView::new(&model) }
    }

    #[test]
    fn what_is_typed_is_judged() {
        for (text, url) in [
            ("van-42:7070", "http://van-42:7070"),
            (" https://h/x ", "https://h/x"),
            ("http://[::1]:7070/", "http://[::1]:7070/"),
            ("http://[::1]/", "http://[::1]/"),
        ] {
            assert_eq!(view(text).url().as_deref(), Ok(url), "{text}");
        }
        for wrong in ["", "skep://h:1/ab", "h:0", "h:99999", "http://", "two words", ":7070"] {
            assert!(view(wrong).url().is_err(), "{wrong}");
        }
    }

    #[test]
    fn samples_are_noted_once_since_the_probe_began() {
        let mut view = view("a:1");
        view.started_ms = 10_000;
        for at in [3_000, 10_500, 10_500, 11_500] {
            view.note(&Measurement { measured_at: at, ..Measurement::default() });
        }
        assert_eq!(view.samples.iter().map(|s| s.measured_at).collect::<Vec<_>>(), [10_500, 11_500]);
    }
}
