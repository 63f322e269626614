//! Forms: a few fields, judged while they are typed, a folder's list under a path, and a summary of
//! what Enter will do.

mod asking;
mod browser;
mod node;
pub mod plan;
mod pool;
mod proposals;
mod purge;
mod remark;
mod send;
mod summary;
mod sync;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use skep_engine::control::pool::{Moves, PoolView};
use skep_engine::control::queue::QueueView;
use skep_engine::control::{CommandError, CommandErrorKind, InterfaceRow, Preview, SyncPlan, TransferId};

use super::input::Input;
use super::link::{Typed, judge};
use crate::console::effect::{Effect, PreviewAsk, PreviewKey};
use crate::console::widgets::format::Limit;

pub use browser::{Browser, Entry, Listing, Wanted};
pub use proposals::{Proposal, Proposals};
pub use summary::{Line, Tone, accept_word, lines as summary};

/// What a form is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Fetch something.
    Add,
    /// Make a path available.
    Share,
    /// Push a path to another node.
    Send,
    /// Keep a folder at another node equal to one here.
    Sync,
    /// Rate limits of transfers, or of the node.
    Limit,
    /// Take operations out of the queue.
    Purge,
    /// Put a node on the pool's list.
    Node,
}

/// Which field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKey {
    /// Link, URL or path of a manifest.
    Link,
    /// Target folder.
    Folder,
    /// Order of pieces.
    Order,
    /// Goes on serving when complete.
    Seed,
    /// Path to share or to send.
    Path,
    /// Where to send it.
    Dest,
    /// Further addresses of the receiver.
    More,
    /// What to leave by.
    Via,
    /// Over one path or several.
    Way,
    /// What if the name is taken at the receiver.
    Taken,
    /// What only the receiver has is deleted there.
    Delete,
    /// What is left out.
    Except,
    /// How files are compared.
    Compare,
    /// It does not end.
    Watch,
    /// Class of operations.
    Class,
    /// Endpoint that operations wait for.
    Target,
    /// Least time that operations have waited.
    Older,
    /// Endpoint of a node.
    Url,
    /// Name of a node.
    Name,
    /// Weight of a node.
    Weight,
    /// Limit down.
    Down,
    /// Limit up.
    Up,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A line of text.
    Text(Input),
    /// One of some words.
    Choice(&'static [&'static str], usize),
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Which.
    pub key: FieldKey,
    /// Its label.
    pub label: &'static str,
    /// What it holds.
    pub value: Value,
}

/// What is known of something the form would add, share or send.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// The node was asked.
    Asked,
    /// What it would be.
    Known(Box<Preview>),
    /// What a sync would do.
    Plan(Box<plan::PlanView>),
    /// What would follow in the pool.
    Moves(Moves),
    /// Not known now, and why: it may be known later.
    Away(String),
    /// Nothing, and why.
    Failed(String),
}

impl Seen {
    fn known(&self) -> Option<&Preview> {
        match self {
            Self::Known(preview) => Some(preview),
            _ => None,
        }
    }
}

/// Where paths of the form lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The operator's home folder, for `~/`.
    pub home: Option<String>,
    /// The folder that looking for a path starts in, with a `/` at its end.
    pub current: Option<String>,
    /// The node's folders can be listed from here: it runs on this machine.
    pub here: bool,
}

/// A form on screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// What for.
    pub purpose: Purpose,
    /// Its title.
    pub title: String,
    /// Its fields.
    pub fields: Vec<Field>,
    /// The field that takes keys.
    pub at: usize,
    /// The folder behind the path in that field.
    pub browser: Option<Browser>,
    /// What the field that takes keys could hold, where that can be proposed.
    pub proposals: Proposals,
    /// What is known of what it would add, share or send.
    pub seen: Vec<(PreviewKey, Seen)>,
    /// First line on screen of what a sync would do.
    pub top: usize,
    /// Enter was pressed on something wrong: say so louder.
    pub refused: bool,
    places: Places,
    /// Whose limits; the node's if empty.
    limited: Vec<TransferId>,
    /// The queue that is purged, and when it was so.
    queue: (Arc<QueueView>, u64),
    /// The pool that a node is added to, or that something may be sent to.
    pool: Arc<PoolView>,
}

const ORDERS: &[&str] = &["rarest", "sequential", "random"];
const YES_NO: &[&str] = &["yes", "no"];

impl Form {
    fn new(purpose: Purpose, title: String, fields: Vec<Field>, places: Places) -> Self {
        Self {
            purpose,
            title,
            fields,
            at: 0,
            browser: None,
            proposals: Proposals::default(),
            seen: Vec::new(),
            top: 0,
            refused: false,
            places,
            limited: Vec::new(),
            queue: Default::default(),
            pool: Arc::default(),
        }
    }

    /// The add form.
    pub fn add(default_dir: Option<&str>, places: Places) -> Self {
        let text = |key, label, start: &str| Field { key, label, value: Value::Text(Input::new(start)) };
        let fields = vec![
            text(FieldKey::Link, "Link", ""),
            text(FieldKey::Folder, "Into", default_dir.unwrap_or_default()),
            Field { key: FieldKey::Order, label: "Order", value: Value::Choice(ORDERS, 0) },
            Field { key: FieldKey::Seed, label: "Serve", value: Value::Choice(YES_NO, 0) },
        ];
        Self::new(Purpose::Add, "Add a transfer".to_owned(), fields, places)
    }

    /// The share form.
    pub fn share(places: Places) -> Self {
        let path = Field { key: FieldKey::Path, label: "Path", value: Value::Text(Input::default()) };
        Self::new(Purpose::Share, "Share a file or folder".to_owned(), vec![path], places)
    }

    /// The form of rate limits.
    pub fn limit(ids: Vec<TransferId>, name: &str, down: Option<u64>, up: Option<u64>) -> Self {
        let field = |key, label, value| {
            let text = Limit(value, "unlimited").to_string();
            Field { key, label, value: Value::Text(Input::proposing(&text)) }
        };
        let fields = vec![field(FieldKey::Down, "Down", down), field(FieldKey::Up, "Up", up)];
        let title = format!("Rate limits of {name}");
        Self { limited: ids, ..Self::new(Purpose::Limit, title, fields, Places::default()) }
    }

    /// The text of a field.
    pub fn text(&self, key: FieldKey) -> &str {
        let value = self.fields.iter().find(|f| f.key == key).map(|f| &f.value);
        match value {
            Some(Value::Text(input)) => input.text().trim(),
            Some(Value::Choice(words, at)) => words.get(*at).copied().unwrap_or_default(),
            None => "",
        }
    }

    /// The field that takes keys.
    pub fn field_mut(&mut self) -> Option<&mut Field> {
        self.fields.get_mut(self.at)
    }

    /// Goes to the next or previous field.
    pub fn go(&mut self, back: bool) {
        let count = self.fields.len();
        self.at = if back { self.at + count - 1 } else { self.at + 1 } % count;
    }

    /// The links in the form, each once: a paste may bring several.
    pub fn links(&self) -> Vec<&str> {
        let text = self.text(FieldKey::Link);
        let mut links: Vec<&str> = Vec::new();
        // A path may have blanks in it, a link cannot.
        let words: Vec<&str> = if text.contains("://") {
            text.split_whitespace().collect()
        } else {
            Vec::from_iter((!text.is_empty()).then_some(text))
        };
        for word in words {
            if !links.contains(&word) {
                links.push(word);
            }
        }
        links
    }

    /// A path with `~/` made the home folder.
    fn expanded(&self, text: &str) -> String {
        match (text.strip_prefix("~/"), &self.places.home) {
            (Some(rest), Some(home)) => format!("{}/{rest}", home.trim_end_matches('/')),
            _ => text.to_owned(),
        }
    }

    /// The typed path up to its last `/`, what stands behind it, and which entries could follow;
    /// none where the field that takes keys has no path that can be listed from here.
    fn browsed(&self) -> Option<(String, String, Wanted)> {
        let key = self.fields.get(self.at)?.key;
        let text = self.text(key);
        let wanted = match key {
            FieldKey::Link if judge(text) == Ok(Typed::Path) => Wanted::Manifests,
            FieldKey::Folder if self.places.here && !text.is_empty() => Wanted::Folders,
            FieldKey::Path if self.places.here && self.purpose == Purpose::Sync => Wanted::Folders,
            FieldKey::Path if self.places.here => Wanted::All,
            _ => return None,
        };
        let (dir, name) = match text.rfind('/') {
            Some(at) => text.split_at(at + 1),
            None if text.is_empty() => (self.start(), ""),
            None => ("", text),
        };
        Some((dir.to_owned(), name.to_owned(), wanted))
    }

    /// Where looking for a path starts.
    fn start(&self) -> &str {
        let home = if self.places.home.is_some() { "~/" } else { "/" };
        self.places.current.as_deref().unwrap_or(home)
    }

    /// Brings list and summary up to date with what is typed, and says what has to be found out.
    pub fn update(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        match self.fields.get(self.at).map(|field| field.key) {
            Some(key @ (FieldKey::Dest | FieldKey::Target | FieldKey::Url)) => {
                let typed = self.text(key).to_owned();
                let pool = if self.purpose == Purpose::Send { pool::proposed(&typed, &self.pool) } else { Vec::new() };
                self.proposals.show_dests(&typed, pool);
            }
            // A blank at its end counts: another word follows.
            Some(FieldKey::Via) => {
                let typed = self.line().to_owned();
                self.proposals.show_vias(&typed);
            }
            _ => self.proposals.hide(),
        }
        match self.browsed() {
            None => self.browser = None,
            Some((dir, name, wanted)) => {
                let dir = if dir.is_empty() { "./".to_owned() } else { self.expanded(&dir) };
                let hidden = self.browser.as_ref().is_some_and(|browser| browser.hidden);
                match &mut self.browser {
                    Some(browser) if browser.dir == dir => browser.narrow(&name),
                    browser => {
                        effects.push(Effect::ListFolder(PathBuf::from(&dir)));
                        browser.insert(Browser::new(dir, wanted, hidden)).narrow(&name);
                    }
                }
            }
        }
        let asks = self.asks();
        let mut news = false;
        let mut before = std::mem::take(&mut self.seen);
        for ask in &asks {
            let known = before.iter().position(|(key, _)| *key == ask.key).map(|at| before.swap_remove(at));
            news |= known.is_none();
            self.seen.push(known.unwrap_or_else(|| (ask.key.clone(), Seen::Asked)));
        }
        if news {
            self.top = 0;
            let open = |ask: &PreviewAsk| self.seen.iter().any(|(key, seen)| *key == ask.key && *seen == Seen::Asked);
            effects.push(Effect::Preview(asks.into_iter().filter(open).collect()));
        }
        effects
    }

    /// Takes what a folder holds, if it is still the one looked at.
    pub fn take_listing(&mut self, dir: &std::path::Path, listing: Listing) {
        if let Some(browser) = self.browser.as_mut().filter(|browser| std::path::Path::new(&browser.dir) == dir) {
            browser.take(listing);
        }
    }

    /// Takes what something would be, if it still stands in the form.
    pub fn take_preview(&mut self, of: &PreviewKey, found: Result<Box<Preview>, String>) {
        if let Some((_, seen)) = self.seen.iter_mut().find(|(key, _)| key == of) {
            *seen = match found {
                Ok(preview) => Seen::Known(preview),
                Err(why) => Seen::Failed(why),
            };
        }
    }

    /// Takes what a sync would do, if it still stands in the form.
    pub fn take_plan(&mut self, of: &PreviewKey, found: Result<Box<SyncPlan>, CommandError>) {
        use CommandErrorKind as Kind;
        if let Some((_, seen)) = self.seen.iter_mut().find(|(key, _)| key == of) {
            *seen = match found {
                Ok(plan) => Seen::Plan(Box::new(plan::PlanView::new(*plan))),
                Err(error) if matches!(error.kind, Kind::Unavailable | Kind::Refused) => Seen::Away(error.message),
                Err(error) => Seen::Failed(error.message),
            };
        }
    }

    /// Takes what the node can leave by.
    pub fn take_interfaces(&mut self, interfaces: &[InterfaceRow]) {
        self.proposals.take_interfaces(interfaces);
        // Reading nothing and asking nothing: only what is shown may change.
        if self.fields.get(self.at).is_some_and(|field| field.key == FieldKey::Via) {
            let typed = self.line().to_owned();
            self.proposals.show_vias(&typed);
        }
    }

    /// The text of the field that takes keys, blanks and all.
    fn line(&self) -> &str {
        match self.fields.get(self.at).map(|field| &field.value) {
            Some(Value::Text(input)) => input.text(),
            _ => "",
        }
    }

    /// Puts the chosen entry or proposal into the field; false if none is chosen.
    pub fn take_chosen(&mut self) -> bool {
        if let Some(proposal) = self.proposals.chosen() {
            // Where several may stand, the last word is completed and another may follow.
            let text = match self.fields.get(self.at).map(|field| field.key) {
                Some(FieldKey::Via) => format!("{}{} ", proposals::split(self.line()).0, proposal.text),
                _ => proposal.text.clone(),
            };
            self.set_text(&text);
            return true;
        }
        let Some((dir, ..)) = self.browsed() else { return false };
        let Some(entry) = self.browser.as_ref().and_then(Browser::chosen) else { return false };
        let text = format!("{dir}{}{}", entry.name, if entry.folder { "/" } else { "" });
        self.set_text(&text);
        true
    }

    /// Completes the path in the field; false if that adds nothing.
    pub fn complete(&mut self) -> bool {
        let Some((dir, ..)) = self.browsed() else { return false };
        let Some(name) = self.browser.as_ref().and_then(Browser::completion) else { return false };
        self.set_text(&format!("{dir}{name}"));
        true
    }

    /// From a folder to the one above it; false if the text does not end with a folder.
    pub fn go_up(&mut self) -> bool {
        let Some((dir, name, _)) = self.browsed() else { return false };
        let Some(Field { key, .. }) = self.fields.get(self.at) else { return false };
        if !name.is_empty() || self.text(*key).is_empty() {
            return false;
        }
        // The home folder has a folder above it as well.
        let whole = if dir == "~/" { self.expanded(&dir) } else { dir };
        let above = whole.trim_end_matches('/').rfind('/').map_or("", |at| &whole[..=at]);
        self.set_text(above);
        true
    }

    /// Starts to look for a path where the field that takes one is empty; false if it is not.
    pub fn start_browsing(&mut self) -> bool {
        let key = self.fields.get(self.at).map(|field| field.key);
        let empty = key.is_some_and(|key| self.text(key).is_empty());
        let starts = empty && matches!(key, Some(FieldKey::Link))
            || (empty && self.places.here && key == Some(FieldKey::Folder));
        if starts {
            let start = self.start().to_owned();
            self.set_text(&start);
        }
        starts
    }

    fn set_text(&mut self, text: &str) {
        if let Some(Field { value: Value::Text(input), .. }) = self.field_mut() {
            *input = Input::new(text);
        }
    }
}
