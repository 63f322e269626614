//! Dialogs over the panes.

use skep_engine::control::TransferId;
use skep_engine::control::link::{ClassChoice, LinkClass};

use super::form::Form;
use super::input::Input;
use super::looks::ThemesView;
use super::place::PlaceView;
use super::probe::ProbeView;
use crate::console::action::{Action, Entry, TABLE};
use crate::console::effect::{Effect, PreviewKey};
use crate::console::panes::PaneId;

/// A dialog. The topmost has all keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// Keys and what they do.
    Help(HelpView),
    /// Actions by name.
    Palette(Palette),
    /// A question before something that cannot be undone.
    Confirm(Confirm),
    /// Fields to fill in.
    Form(Box<Form>),
    /// The filter of a pane, being typed.
    Filter(FilterEdit),
    /// Banned peers.
    Bans(BansView),
    /// Themes to choose from.
    Themes(ThemesView),
    /// Nodes to switch to.
    Targets(TargetsView),
    /// Classes that a link can be set to.
    Classes(ClassesView),
    /// A link being measured.
    Probe(Box<ProbeView>),
    /// Where a key belongs.
    Place(Box<PlaceView>),
}

/// Help on screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelpView {
    /// For this pane first.
    pub pane: PaneId,
    /// First line on screen.
    pub top: usize,
}

/// The list of bans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BansView {
    /// The selected ban.
    pub at: usize,
}

/// The list of nodes to switch to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetsView {
    /// The selected node.
    pub at: usize,
}

/// The classes that a link can be set to: first what is measured, then each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassesView {
    /// Of which link.
    pub endpoint: String,
    /// The selected one.
    pub at: usize,
}

impl ClassesView {
    /// How many there are to choose from: unknown is nothing to set a link to.
    pub const COUNT: usize = LinkClass::ALL.len();

    /// Place of a class.
    pub fn place(class: LinkClass) -> usize {
        LinkClass::ALL.iter().position(|known| *known == class).unwrap_or(0)
    }

    /// The choice at a place.
    pub fn choice_at(place: usize) -> ClassChoice {
        match LinkClass::ALL.get(place) {
            None | Some(LinkClass::Unknown) => ClassChoice::Auto,
            Some(class) => ClassChoice::Fixed(*class),
        }
    }

    /// The selected choice.
    pub fn choice(&self) -> ClassChoice {
        Self::choice_at(self.at)
    }
}

/// A filter being typed; it works while it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterEdit {
    /// Of which pane.
    pub pane: PaneId,
    /// As far as typed.
    pub input: Input,
    /// What it was before, for Esc.
    pub before: String,
}

/// Actions by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Palette {
    /// What was typed.
    pub input: Input,
    /// Index among the matches.
    pub at: usize,
}

impl Palette {
    /// Actions that match what was typed, best first; dialogs' own keys are left out.
    pub fn matches(&self) -> Vec<&'static Entry> {
        use crate::console::action::Scope;
        let wanted = self.input.text().trim().to_lowercase();
        let shown = |e: &&Entry| {
            !matches!(e.scope, Scope::Dialog | Scope::Bans | Scope::List | Scope::Replay)
                && !matches!(e.action, Action::Palette | Action::Back)
                && (!e.is_hidden() || (cfg!(debug_assertions) && wanted.contains("panic")))
        };
        let mut found: Vec<(u8, &Entry)> =
            TABLE.iter().filter(shown).filter_map(|e| rank(e, &wanted).map(|r| (r, e))).collect();
        // Equally good: the plainer one first. With nothing typed the order of the table stands.
        found.sort_by_key(|(rank, e)| (*rank, if wanted.is_empty() { 0 } else { e.id.len() }));
        found.into_iter().map(|(_, e)| e).collect()
    }
}

/// How well an action matches: 0 best, none not at all.
fn rank(entry: &Entry, wanted: &str) -> Option<u8> {
    if wanted.is_empty() || entry.title.starts_with(wanted) {
        return Some(0);
    }
    if entry.id.split(['.', '-']).any(|part| part.starts_with(wanted)) {
        return Some(1);
    }
    if entry.title.contains(wanted) || entry.id.contains(wanted) {
        return Some(2);
    }
    let doc = entry.doc.to_lowercase();
    wanted.split_whitespace().all(|word| doc.contains(word) || entry.id.contains(word)).then_some(3)
}

/// What stands behind a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    /// The question.
    pub title: String,
    /// What will happen, a line each.
    pub lines: Vec<String>,
    /// Carried out on Enter.
    pub yes: Vec<Effect>,
    /// The transfers it is about.
    pub ids: Vec<TransferId>,
    /// Carried out instead when this word was typed: for what loses data.
    pub typed: Option<TypedAnswer>,
    /// What is still being found out: it becomes the last line.
    pub awaits: Option<PreviewKey>,
}

/// A stronger answer that has to be typed.
#[derive(Debug, Clone, PartialEq)]
pub struct TypedAnswer {
    /// The word.
    pub word: &'static str,
    /// What it does, in words.
    pub doc: &'static str,
    /// What Enter does without the word, and with it.
    pub answers: [&'static str; 2],
    /// As far as typed.
    pub input: Input,
    /// Carried out.
    pub effects: Vec<Effect>,
}

impl TypedAnswer {
    /// True once the word stands there.
    pub fn is_given(&self) -> bool {
        self.input.text().trim().eq_ignore_ascii_case(self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_palette_finds_by_title_id_and_doc() {
        let first = |text: &str| {
            let palette = Palette { input: Input::new(text), at: 0 };
            palette.matches().first().map(|e| e.id)
        };
        assert_eq!(first("pause"), Some("transfer.pause"));
        assert_eq!(first("ban"), Some("bans"));
        assert_eq!(first("digests"), Some("transfer.verify"));
        assert_eq!(first("rate limits node"), Some("node.limit"));
        assert_eq!(first("zzz"), None);
        assert!(Palette::default().matches().len() > 20);
    }
}
