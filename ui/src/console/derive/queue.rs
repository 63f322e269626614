//! What the Queue pane says: looks of states, and what is kept for which endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_engine::control::queue::{QueueState, QueueView};

use super::status::Status;
use crate::console::theme::Token;

/// A state as it is shown.
pub fn state(state: QueueState) -> Status {
    let status = |glyph, token| Status { word: state.name(), glyph, token };
    match state {
        QueueState::Running => status(|g| g.running, Token::Running),
        QueueState::Waiting => status(|g| g.queued, Token::Waiting),
        QueueState::Stored => status(|g| g.stalled, Token::Paused),
        QueueState::Summary => status(|g| g.wish, Token::Wish),
        QueueState::Paused => status(|g| g.paused, Token::Paused),
        QueueState::Retrying => status(|g| g.busy, Token::Warn),
        QueueState::Parked => status(|g| g.error, Token::Error),
    }
}

/// What is kept for an endpoint until its link is back or better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The endpoint.
    pub target: String,
    /// Operations.
    pub count: u64,
    /// Their bytes, as far as known.
    pub bytes: u64,
}

/// What is kept, by endpoint; the most first.
#[derive(Debug, Default)]
pub struct Outbox {
    /// By endpoint.
    pub kept: Vec<Kept>,
    of: Option<Arc<QueueView>>,
}

impl Outbox {
    /// Brings it up to date.
    pub fn update(&mut self, queue: &Arc<QueueView>) {
        if self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, queue)) {
            return;
        }
        self.of = Some(Arc::clone(queue));
        let mut by: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for row in queue.rows.iter().filter(|row| matches!(row.state, QueueState::Stored | QueueState::Summary)) {
            let (count, bytes) = by.entry(&row.target).or_default();
            (*count, *bytes) = (*count + 1, bytes.saturating_add(row.bytes));
        }
        self.kept =
            by.into_iter().map(|(target, (count, bytes))| Kept { target: target.into(), count, bytes }).collect();
        self.kept.sort_by_key(|kept| std::cmp::Reverse(kept.count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::control::queue::QueueRow;

    #[test]
    fn what_is_kept_is_counted_by_endpoint() {
        let row = |target: &str, state, bytes| {
            Arc::new(QueueRow { target: target.into(), state, bytes, ..QueueRow::default() })
        };
        let rows = vec![
            row("a:1", QueueState::Stored, 5),
            row("b:1", QueueState::Stored, 1),
            row("b:1", QueueState::Summary, 2),
            row("c:1", QueueState::Waiting, 9),
        ];
        let mut outbox = Outbox::default();
        outbox.update(&Arc::new(QueueView { rows, ..QueueView::default() }));
        let kept = |target: &str, count, bytes| Kept { target: target.into(), count, bytes };
        assert_eq!(outbox.kept, [kept("b:1", 2, 3), kept("a:1", 1, 5)]);
    }
}
