//! What is let through: a level, directives per target, and always the spans that carry ids.

use std::str::FromStr;

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter};

use super::NODE_TARGET;

/// Longest filter that is taken, in bytes.
const MAX_FILTER: usize = 4_096;

/// A filter that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("log filter: {directive:?} is neither a level (off, error, warn, info, debug, trace) nor TARGET=LEVEL")]
pub struct FilterError {
    /// The part that is wrong.
    pub directive: String,
}

/// A parsed filter.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    targets: Targets,
    text: String,
}

impl Default for Gate {
    fn default() -> Self {
        Self { targets: Targets::new().with_default(LevelFilter::INFO), text: "info".into() }
    }
}

impl FromStr for Gate {
    type Err = FilterError;

    /// Stricter than the library's own parser, for which a misspelt level is the name of a target:
    /// it would turn everything else off without a word.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        let wrong = |directive: &str| FilterError { directive: directive.chars().take(80).collect() };
        if text.len() > MAX_FILTER {
            return Err(wrong(text));
        }
        let mut targets = Targets::new();
        let mut any = false;
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let (target, level) = match directive.split_once('=') {
                Some((target, level)) => (Some(target.trim()), level.trim()),
                None => (None, directive),
            };
            let level: LevelFilter = level.parse().map_err(|_| wrong(directive))?;
            targets = match target {
                Some("") => return Err(wrong(directive)),
                Some(target) => targets.with_target(target, level),
                None => targets.with_default(level),
            };
            any = true;
        }
        if any { Ok(Self { targets, text: text.trim().to_owned() }) } else { Err(wrong(text)) }
    }
}

impl Gate {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn lets_through(&self, metadata: &Metadata<'_>) -> bool {
        carries_ids(metadata) || self.targets.would_enable(metadata.target(), metadata.level())
    }
}

/// Spans that say whose line it is, and about what.
fn carries_ids(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && (metadata.target() == NODE_TARGET || metadata.fields().field("transfer").is_some())
}

impl<S> Filter<S> for Gate {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.lets_through(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.lets_through(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let highest = self.targets.iter().map(|(_, level)| level).chain(self.targets.default_level()).max();
        // Below this, spans that carry ids would be lost.
        highest.max(Some(LevelFilter::INFO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn filters_and_what_is_none() {
        let gate: Gate = "warn, skep_engine::swarm=debug".parse().unwrap();
        assert!(gate.targets.would_enable("skep_engine::swarm::picker", &Level::DEBUG));
        assert!(!gate.targets.would_enable("skep_engine::node", &Level::INFO));
        assert_eq!(gate.text(), "warn, skep_engine::swarm=debug");
        for text in ["", ",", "inof", "skep=loud", "=debug", &"x=info,".repeat(1_000)] {
            assert!(text.parse::<Gate>().is_err(), "{text}");
        }
        assert!("inof".parse::<Gate>().unwrap_err().to_string().contains("\"inof\""));
    }
}
