//! What a list is narrowed to.
//!
//! ```text
//! ubuntu -beta state:running rate>10M size<1G peers=0 "two words" -name:x
//! ```
//! All terms must match; `-` turns one round; letter case does not matter. Words look into name,
//! strategy and reason; `field:text` into one field; `field>number` compares.

use skep_engine::control::TransferRow;

use super::link::amount;

/// A parsed filter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    text: String,
    terms: Vec<(bool, Term)>,
    error: Option<FilterError>,
}

/// What is wrong with a filter, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// Place of the first wrong character, counted from 1.
    pub at: usize,
    /// What is wrong, with what would be right.
    pub message: String,
}

/// A list that is narrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Transfers: words and fields.
    Transfers,
    /// Lines of the log: words alone.
    Lines,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    /// Any of the texts contains it.
    Word(String),
    /// A field's text contains it; a state's word starts with it.
    Text(TextField, String),
    /// A field's number compares so.
    Number(NumberField, Compare, f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextField {
    Name,
    State,
    Via,
    Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NumberField {
    Size,
    Left,
    Done,
    Rate,
    Down,
    Up,
    Eta,
    Peers,
    Seeds,
    Priority,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Less,
    LessOrSame,
    Same,
    MoreOrSame,
    More,
}

const TEXTS: [(&str, TextField); 4] =
    [("name", TextField::Name), ("state", TextField::State), ("via", TextField::Via), ("why", TextField::Why)];
const NUMBERS: [(&str, NumberField); 10] = [
    ("size", NumberField::Size),
    ("left", NumberField::Left),
    ("done", NumberField::Done),
    ("rate", NumberField::Rate),
    ("down", NumberField::Down),
    ("up", NumberField::Up),
    ("eta", NumberField::Eta),
    ("peers", NumberField::Peers),
    ("seeds", NumberField::Seeds),
    ("priority", NumberField::Priority),
];
/// Longest first: `>=` is not `>` and `=…`.
const COMPARISONS: [(&str, Compare); 6] = [
    (">=", Compare::MoreOrSame),
    ("<=", Compare::LessOrSame),
    (">", Compare::More),
    ("<", Compare::Less),
    ("=", Compare::Same),
    (":", Compare::Same),
];

impl Filter {
    /// Parses what was typed. Terms that cannot be understood match everything, and the first of
    /// them is the error.
    pub fn parse(text: &str, subject: Subject) -> Self {
        let mut filter = Self { text: text.trim().to_owned(), ..Self::default() };
        for (at, word) in words(text) {
            let (turned, rest) = match word.strip_prefix('-') {
                Some(rest) if !rest.is_empty() => (true, rest),
                _ => (false, word),
            };
            match term(rest, subject) {
                Ok(Some(term)) => filter.terms.push((turned, term)),
                Ok(None) => {}
                Err((offset, message)) => {
                    let at = at + usize::from(turned) + offset + 1;
                    filter.error.get_or_insert(FilterError { at, message });
                }
            }
        }
        filter
    }

    /// As typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is wrong with it.
    pub fn error(&self) -> Option<&FilterError> {
        self.error.as_ref()
    }

    /// True if everything matches.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.error.is_none()
    }

    /// Does a line with these texts match?
    pub fn matches(&self, texts: &[&str]) -> bool {
        self.terms.iter().all(|(turned, term)| match term {
            Term::Word(word) => texts.iter().any(|text| contains(text, word)) != *turned,
            _ => true,
        })
    }

    /// Does a transfer that is shown with this state match?
    pub fn matches_row(&self, row: &TransferRow, state: &str) -> bool {
        self.terms.iter().all(|(turned, term)| {
            let found = match term {
                Term::Word(word) => [&row.name, &row.strategy, &row.reason].iter().any(|text| contains(text, word)),
                Term::Text(TextField::State, start) => {
                    state.get(..start.len()).is_some_and(|s| s.eq_ignore_ascii_case(start))
                }
                Term::Text(TextField::Name, part) => contains(&row.name, part),
                Term::Text(TextField::Via, part) => contains(&row.strategy, part),
                Term::Text(TextField::Why, part) => {
                    contains(&row.reason, part) || row.error.as_deref().is_some_and(|e| contains(e, part))
                }
                Term::Number(field, compare, wanted) => {
                    number(*field, row).is_some_and(|value| compare.holds(value, *wanted))
                }
            };
            found != *turned
        })
    }
}

impl Compare {
    fn holds(self, value: f64, wanted: f64) -> bool {
        match self {
            Self::Less => value < wanted,
            Self::LessOrSame => value <= wanted,
            Self::Same => (value - wanted).abs() < 0.5,
            Self::MoreOrSame => value >= wanted,
            Self::More => value > wanted,
        }
    }
}

/// A row's number: bytes, bytes per second, seconds, percent or a count; none where it has none.
fn number(field: NumberField, row: &TransferRow) -> Option<f64> {
    let count = |value: u64| Some(value as f64);
    match field {
        NumberField::Size => count(row.size),
        NumberField::Left => count(row.size.saturating_sub(row.done)),
        NumberField::Done => (row.size > 0).then(|| row.done as f64 * 100.0 / row.size as f64),
        NumberField::Rate => count(row.rate_down.saturating_add(row.rate_up)),
        NumberField::Down => count(row.rate_down),
        NumberField::Up => count(row.rate_up),
        NumberField::Eta => row.eta_s.and_then(count),
        NumberField::Peers => count(row.peers.into()),
        NumberField::Seeds => count(row.seeds.into()),
        NumberField::Priority => Some(row.priority.into()),
    }
}

/// Words with their places in characters; quotes hold blanks together.
fn words(text: &str) -> Vec<(usize, &str)> {
    let (mut words, mut start, mut quoted) = (Vec::new(), None, false);
    for (place, (at, c)) in text.char_indices().enumerate() {
        quoted ^= c == '"';
        match start {
            None if !c.is_whitespace() => start = Some((place, at)),
            Some((first, from)) if c.is_whitespace() && !quoted => {
                words.push((first, &text[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    words.extend(start.map(|(first, from)| (first, &text[from..])));
    words
}

/// A term; none for one that says nothing yet. The error has its place within the word.
fn term(word: &str, subject: Subject) -> Result<Option<Term>, (usize, String)> {
    let plain = |text: &str| {
        let text = text.replace('"', "").to_lowercase();
        Ok((!text.is_empty()).then_some(Term::Word(text)))
    };
    let Some((key, compare, value)) = split(word).filter(|_| subject == Subject::Transfers) else { return plain(word) };
    let lower = key.to_ascii_lowercase();
    let behind = word.len() - value.len();
    if let Some((_, field)) = TEXTS.iter().find(|(name, _)| *name == lower) {
        if compare != Compare::Same {
            return Err((key.len(), format!("{key} is text: write {key}:part")));
        }
        let value = value.replace('"', "").to_lowercase();
        return Ok((!value.is_empty()).then_some(Term::Text(*field, value)));
    }
    let Some((_, field)) = NUMBERS.iter().find(|(name, _)| *name == lower) else {
        let names: Vec<&str> = TEXTS.iter().map(|t| t.0).chain(NUMBERS.iter().map(|n| n.0)).collect();
        return Err((0, format!("there is no {key}; there are {}", names.join(", "))));
    };
    match value.strip_suffix('%').map_or_else(|| amount(value), amount) {
        Some(value) => Ok(Some(Term::Number(*field, compare, value))),
        None if value.is_empty() => Err((behind, format!("a number is missing: {key}>10M"))),
        None => Err((behind, format!("{value:?} is no number: write 10, 10M, 1.5G, 5m or 50%"))),
    }
}

/// `key`, comparison and value; none for a plain word (`10.0.0.7:7070`, `skep://…`, `"a:b"`).
fn split(word: &str) -> Option<(&str, Compare, &str)> {
    let end = word.find(|c: char| !c.is_ascii_alphabetic()).filter(|end| *end > 0)?;
    let (key, rest) = word.split_at(end);
    if rest.starts_with("://") {
        return None;
    }
    let (sign, compare) = COMPARISONS.iter().find(|(sign, _)| rest.starts_with(sign))?;
    Some((key, *compare, &rest[sign.len()..]))
}

/// Does `text` contain `word` (lowercase), whatever its case? Allocates only beyond ASCII.
fn contains(text: &str, word: &str) -> bool {
    if text.is_ascii() {
        word.is_empty() || text.as_bytes().windows(word.len()).any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
    } else {
        text.to_lowercase().contains(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row() -> TransferRow {
        TransferRow {
            name: "Ubuntu-26.04 desktop.iso".into(),
            strategy: "transit-p2p-swarm".into(),
            reason: "limited to 5 MB/s".into(),
            size: 4_000_000_000,
            done: 1_000_000_000,
            rate_down: 12_000_000,
            eta_s: Some(250),
            peers: 3,
            priority: -2,
            ..TransferRow::default()
        }
    }

    #[test]
    fn terms_and_what_they_match() {
        let cases = [
            ("", true),
            ("  ubuntu state:run ", true),
            ("ubuntu state:paused", false),
            ("debian", false),
            ("-debian", true),
            ("-name:ubuntu", false),
            ("\"04 desk\"", true),
            ("name:\"04 desk\" via:swarm", true),
            ("why:limited", true),
            ("rate>10M", true),
            ("rate>12M", false),
            ("rate>=12M", true),
            ("size<4G", false),
            ("size<=4G size>3.9G", true),
            ("left=3G", true),
            ("done>25%", false),
            ("done=25", true),
            ("peers=0", false),
            ("-peers=0", true),
            ("eta<5m", true),
            ("eta<4m", false),
            ("priority<0", true),
            ("priority=-2", true),
            ("STATE:Running", true),
            ("10.0.0.7:7070", false),
            ("-", true),
            ("name:", true),
        ];
        for (text, expected) in cases {
            let filter = Filter::parse(text, Subject::Transfers);
            assert_eq!(filter.error(), None, "{text}");
            // A lone dash is a word, and the name has one.
            assert_eq!(filter.matches_row(&row(), "RUNNING"), expected, "{text}");
        }
    }

    #[test]
    fn errors_have_a_place_and_leave_the_rest_alone() {
        let cases = [
            ("ubuntu sise>5", 8, "there is no sise"),
            ("size>", 6, "a number is missing"),
            ("size>big", 6, "\"big\" is no number"),
            ("-size>big", 7, "no number"),
            ("ärger rate<x", 12, "no number"),
            ("name>5", 5, "name is text"),
        ];
        for (text, at, said) in cases {
            let filter = Filter::parse(text, Subject::Transfers);
            let error = filter.error().unwrap();
            assert!(error.at == at && error.message.contains(said), "{text}: {error:?}");
        }
        assert!(!Filter::parse("debian size>big", Subject::Transfers).matches_row(&row(), "RUNNING"));
    }

    #[test]
    fn lines_are_narrowed_by_words_alone() {
        let filter = Filter::parse("size>big -warn 10.0.0.7:70", Subject::Lines);
        assert_eq!(filter.error(), None);
        assert!(filter.matches(&["size>big at 10.0.0.7:7070"]));
        assert!(!filter.matches(&["size>big at 10.0.0.7:7070", "WARN"]));
        assert!(Filter::parse("ÄRGER", Subject::Lines).matches(&["großer ärger"]));
        assert!(!Filter::parse("longer-than-the-name", Subject::Lines).matches(&["x"]));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC*") {
            let filter = Filter::parse(&text, Subject::Transfers);
            let _ = filter.matches_row(&row(), "RUNNING");
            if let Some(error) = filter.error() {
                prop_assert!(error.at >= 1 && error.at <= text.chars().count() + 1, "{error:?}");
            }
        }
    }
}
