//! What the Nodes pane says: looks of states, and what is worked out once for all rows.

use std::sync::Arc;

use skep_engine::control::pool::{NodeState, PoolNodeRow, PoolView};

use super::status::Status;
use crate::console::theme::Token;

/// The tokens of CPU, memory, connections, latency in a score.
pub const TERMS: [Token; 4] = [Token::Running, Token::Seeding, Token::Down, Token::Up];

/// A state as it is shown.
pub fn look(state: NodeState) -> Status {
    let status = |glyph, token| Status { word: state.name(), glyph, token };
    match state {
        NodeState::Gone => status(|g| g.error, Token::Error),
        NodeState::Excluded => status(|g| g.failed, Token::Warn),
        NodeState::Drained => status(|g| g.paused, Token::Paused),
        NodeState::Stale => status(|g| g.queued, Token::Muted),
        NodeState::New => status(|g| g.busy, Token::Waiting),
        NodeState::Ok => status(|g| g.done, Token::Done),
    }
}

/// What a figure means beside the limit that excludes.
pub fn load(figure: f64, limit: f64) -> Token {
    if figure > limit {
        Token::Error
    } else if figure > limit * 0.8 {
        Token::Warn
    } else {
        Token::BarFill
    }
}

/// What there is to say of a node's state, in a sentence.
pub fn why(row: &PoolNodeRow) -> &str {
    match (&*row.why, row.state()) {
        ("", NodeState::Ok) => "nothing keeps it from being chosen",
        ("", _) => "no reason is given",
        (why, _) => why,
    }
}

/// Of the whole pool.
#[derive(Debug, Default)]
pub struct Whole {
    /// Nodes that are there.
    pub there: usize,
    /// The largest share of anything, as bars have it.
    pub top_share: f64,
    /// Something was chosen of late.
    pub some_chosen: bool,
    of: Option<Arc<PoolView>>,
}

impl Whole {
    /// Brings it up to date.
    pub fn update(&mut self, pool: &Arc<PoolView>) {
        if self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, pool)) {
            return;
        }
        self.there = pool.nodes.iter().filter(|row| row.available).count();
        let shares = pool.nodes.iter().flat_map(|row| [row.ring_share, row.chance, row.chosen]);
        self.top_share = shares.filter(|share| share.is_finite()).fold(0.0, f64::max);
        self.some_chosen = pool.nodes.iter().any(|row| row.chosen > 0.0);
        self.of = Some(Arc::clone(pool));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_differ_by_glyph_alone() {
        use crate::console::glyphs::{Charset, GlyphChoice};
        let all =
            [NodeState::Gone, NodeState::Excluded, NodeState::Drained, NodeState::Stale, NodeState::New, NodeState::Ok];
        for choice in GlyphChoice::ALL {
            let set = choice.set(Charset::Unicode);
            let glyphs: std::collections::BTreeSet<_> = all.iter().map(|state| (look(*state).glyph)(set)).collect();
            assert_eq!(glyphs.len(), all.len(), "{}", choice.name());
        }
    }

    #[test]
    fn figures_near_their_limit_stand_out() {
        assert_eq!([load(10.0, 90.0), load(80.0, 90.0), load(91.0, 90.0)], [Token::BarFill, Token::Warn, Token::Error]);
    }
}
