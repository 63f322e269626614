//! The list of a folder inside a form: what is typed behind the last `/` narrows it.
//!
//! The text of the field stays the truth; the list shows what could follow, and taking an entry only
//! changes the text. Reading the folder is an effect: nothing here touches a disk.

use std::sync::Arc;

/// An entry of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// It is a folder, or a link to one.
    pub folder: bool,
    /// Bytes of a file.
    pub size: u64,
    /// When it was changed last, ms since the epoch; 0 if unknown.
    pub modified_ms: u64,
}

/// A folder as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// Somebody reads it.
    Reading,
    /// What it holds, folders first, then by name.
    Read {
        /// Entries.
        entries: Arc<Vec<Entry>>,
        /// Entries that were left out: too many, or names that are not text.
        omitted: usize,
    },
    /// It cannot be read, and why.
    Failed(String),
}

/// Which entries are of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Folders to put something into.
    Folders,
    /// Anything.
    All,
    /// Manifests and Metalinks, and folders on the way to them.
    Manifests,
}

impl Wanted {
    fn takes(self, entry: &Entry) -> bool {
        let described = |name: &str| {
            let name = name.to_ascii_lowercase();
            [".json", ".meta4", ".metalink", ".xml"].iter().any(|end| name.ends_with(end))
        };
        entry.folder
            || match self {
                Self::Folders => false,
                Self::All => true,
                Self::Manifests => described(&entry.name),
            }
    }
}

/// A folder on screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// The folder, a whole path that ends with `/`.
    pub dir: String,
    /// What is in it.
    pub listing: Listing,
    /// Indices of the entries that match, in order.
    pub shown: Vec<usize>,
    /// The chosen one among those shown; none while the text alone counts.
    pub at: Option<usize>,
    /// Names that start with a dot are shown.
    pub hidden: bool,
    wanted: Wanted,
    filter: String,
}

impl Browser {
    /// A folder that is to be read.
    pub fn new(dir: String, wanted: Wanted, hidden: bool) -> Self {
        Self { dir, listing: Listing::Reading, shown: Vec::new(), at: None, hidden, wanted, filter: String::new() }
    }

    /// Takes what was read.
    pub fn take(&mut self, listing: Listing) {
        self.listing = listing;
        self.refresh();
    }

    /// Narrows the list to names that contain this.
    pub fn narrow(&mut self, filter: &str) {
        if self.filter != filter {
            filter.clone_into(&mut self.filter);
            self.refresh();
        }
    }

    /// Shows names that start with a dot, or not.
    pub fn toggle_hidden(&mut self) {
        self.hidden = !self.hidden;
        self.refresh();
    }

    /// All entries read.
    pub fn entries(&self) -> &[Entry] {
        match &self.listing {
            Listing::Read { entries, .. } => entries,
            _ => &[],
        }
    }

    fn refresh(&mut self) {
        self.at = None;
        let wanted = self.filter.to_lowercase();
        let hidden = self.hidden || wanted.starts_with('.');
        let matches = |entry: &Entry| {
            (hidden || !entry.name.starts_with('.'))
                && self.wanted.takes(entry)
                && entry.name.to_lowercase().contains(&wanted)
        };
        self.shown = (0..self.entries().len()).filter(|at| matches(&self.entries()[*at])).collect();
    }

    /// Moves the choice; above the first there is none.
    pub fn move_by(&mut self, lines: isize) {
        let last = self.shown.len().saturating_sub(1);
        self.at = match self.at {
            _ if self.shown.is_empty() => None,
            None if lines > 0 => Some((lines as usize - 1).min(last)),
            Some(at) if at.saturating_add_signed(lines) == at && lines < 0 => None,
            Some(0) if lines < 0 => None,
            Some(at) => Some(at.saturating_add_signed(lines).min(last)),
            None => None,
        };
    }

    /// The chosen entry.
    pub fn chosen(&self) -> Option<&Entry> {
        self.entries().get(*self.shown.get(self.at?)?)
    }

    /// What the typed name can be completed to: the only match, or what all that begin with it have
    /// in common; none if that adds nothing.
    pub fn completion(&self) -> Option<String> {
        if self.filter.is_empty() {
            return None;
        }
        let entries = || self.shown.iter().filter_map(|at| self.entries().get(*at));
        let whole = |entry: &Entry| if entry.folder { format!("{}/", entry.name) } else { entry.name.clone() };
        let starting: Vec<&Entry> = entries().filter(|entry| entry.name.starts_with(&self.filter)).collect();
        let completed = match starting.as_slice() {
            [] => match entries().collect::<Vec<_>>().as_slice() {
                [one] => whole(one),
                _ => return None,
            },
            [one] => whole(one),
            [first, rest @ ..] => {
                let mut common = first.name.as_str();
                for entry in rest {
                    let same = common.char_indices().zip(entry.name.chars()).take_while(|((_, a), b)| a == b);
                    let end = same.last().map_or(0, |((at, c), _)| at + c.len_utf8());
                    common = &common[..end];
                }
                common.to_owned()
            }
        };
        (completed != self.filter).then_some(completed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browser(names: &[&str], wanted: Wanted) -> Browser {
        let entry = |name: &&str| Entry {
            name: name.trim_end_matches('/').to_owned(),
            folder: name.ends_with('/'),
            ..Entry::default()
        };
        let mut browser = Browser::new("/srv/".into(), wanted, false);
        browser.take(Listing::Read { entries: Arc::new(names.iter().map(entry).collect()), omitted: 0 });
        browser
    }

    fn shown(browser: &Browser) -> Vec<&str> {
        browser.shown.iter().map(|at| browser.entries()[*at].name.as_str()).collect()
    }

    #[test]
    fn typing_narrows_and_dots_hide() {
        let names = ["data/", ".git/", "a.meta4", "notes.txt", "Data2.json"];
        let mut all = browser(&names, Wanted::All);
        assert_eq!(shown(&all), ["data", "a.meta4", "notes.txt", "Data2.json"]);
        all.narrow("DAT");
        assert_eq!(shown(&all), ["data", "Data2.json"]);
        all.narrow(".g");
        assert_eq!(shown(&all), [".git"], "a typed dot shows them");
        all.narrow("");
        all.toggle_hidden();
        assert_eq!(shown(&all).len(), 5);
        assert_eq!(shown(&browser(&names, Wanted::Folders)), ["data"]);
        assert_eq!(shown(&browser(&names, Wanted::Manifests)), ["data", "a.meta4", "Data2.json"]);
    }

    #[test]
    fn completion_as_in_a_shell() {
        let cases: &[(&[&str], &str, Option<&str>)] = &[
            (&["data/", "docs/"], "da", Some("data/")),
            (&["data1/", "data2/"], "d", Some("data")),
            (&["data1/", "data2/"], "data", None),
            (&["data/"], "data", Some("data/")),
            (&["ubuntu.iso"], "bun", Some("ubuntu.iso")),
            (&["a1", "b1"], "1", None),
            (&["only"], "", None),
            (&["ärger", "äpfel"], "ä", None),
            (&["größe1", "größe2"], "gr", Some("größe")),
        ];
        for (names, typed, expected) in cases {
            let mut browser = browser(names, Wanted::All);
            browser.narrow(typed);
            assert_eq!(browser.completion().as_deref(), *expected, "{names:?} {typed}");
        }
    }

    #[test]
    fn the_choice_leaves_the_list_at_its_top_only() {
        let mut list = browser(&["a", "b", "c"], Wanted::All);
        list.move_by(-1);
        assert_eq!(list.at, None);
        list.move_by(1);
        assert_eq!(list.chosen().map(|e| e.name.as_str()), Some("a"));
        list.move_by(10);
        assert_eq!(list.at, Some(2));
        list.move_by(-2);
        list.move_by(-1);
        assert_eq!(list.at, None);
        let mut none = browser(&[], Wanted::All);
        none.move_by(1);
        assert_eq!(none.at, None);
    }
}
