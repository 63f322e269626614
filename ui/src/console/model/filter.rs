//! What a list is narrowed to: words, and `state:word`.

/// A parsed filter. All its terms must match; letter case does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    /// Any of the texts contains it.
    Word(String),
    /// The state's word starts with it.
    State(String),
}

impl Filter {
    /// Parses what was typed; every text is a filter.
    pub fn parse(text: &str) -> Self {
        let terms = text
            .split_whitespace()
            .map(|word| {
                let word = word.to_lowercase();
                match word.strip_prefix("state:") {
                    Some(state) => Term::State(state.to_owned()),
                    None => Term::Word(word),
                }
            })
            .collect();
        Self { text: text.trim().to_owned(), terms }
    }

    /// As typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if everything matches.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Does a line with these texts and this state match?
    pub fn matches(&self, texts: &[&str], state: &str) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Word(word) => texts.iter().any(|t| contains(t, word)),
            Term::State(prefix) => state.get(..prefix.len()).is_some_and(|s| s.eq_ignore_ascii_case(prefix)),
        })
    }
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

    #[test]
    fn all_terms_must_match() {
        let filter = Filter::parse("  Ubuntu state:run ");
        assert!(filter.matches(&["ubuntu-24.04.iso"], "RUNNING"));
        assert!(!filter.matches(&["ubuntu-24.04.iso"], "PAUSED"));
        assert!(!filter.matches(&["debian.iso"], "RUNNING"));
        assert!(Filter::parse("").matches(&["x"], "DONE"));
        assert!(Filter::parse("ÄRGER").matches(&["großer ärger"], "DONE"));
        assert!(!Filter::parse("longer-than-the-name").matches(&["x"], "DONE"));
    }
}
