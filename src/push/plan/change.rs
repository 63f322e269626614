//! Changes of plan and their reasons: what people are told. Kept up to a number.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use super::{PathId, Plan};

/// Changes that are remembered.
pub const CHANGES: usize = 8;

/// Why the plan was changed. Its words follow the path's name, except for [`Why::Anew`].
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// A path joined.
    Added,
    /// The time for it came.
    Anew,
    /// Below half of the best score.
    Behind,
    /// It does not work any more, and how that showed.
    Dead(String),
    /// A dead one answers.
    Back,
    /// Somebody took it out.
    Disabled,
    /// Somebody let it work again.
    Enabled,
    /// Somebody gave it this weight.
    Weighed(f64),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added => f.write_str("was added"),
            Self::Anew => f.write_str("the shares are dealt anew"),
            Self::Behind => f.write_str("fell below half of the best score"),
            Self::Dead(how) => write!(f, "is dead: {how}"),
            Self::Back => f.write_str("answers again"),
            Self::Disabled => f.write_str("was disabled"),
            Self::Enabled => f.write_str("was enabled"),
            Self::Weighed(weight) => write!(f, "has the weight {weight}"),
        }
    }
}

/// A change of plan and its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// When.
    pub at: Instant,
    /// The path that it is about, if one.
    pub path: Option<PathId>,
    /// Why.
    pub why: Why,
    /// Segments that moved.
    pub moved: u32,
    /// Paths that have fewer to send by it.
    pub from: Vec<PathId>,
    /// Paths that have more to send by it.
    pub to: Vec<PathId>,
}

/// The last ones, the newest first.
#[derive(Debug, Default)]
pub(super) struct Changes(VecDeque<Change>);

impl Changes {
    /// Notes one. What happens by the clock is nothing where nothing moved. The same again takes the place of
    /// what was before, so that it pushes nothing else out.
    pub fn note(&mut self, change: Change) {
        if change.why == Why::Anew && change.moved == 0 {
            return;
        }
        // The clock's own change is no news once there is a newer one.
        if self.0.front().is_some_and(|last| last.why == Why::Anew) {
            self.0.pop_front();
        }
        self.0.retain(|old| (old.path, &old.why) != (change.path, &change.why));
        self.0.truncate(CHANGES - 1);
        self.0.push_front(change);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }
}

impl Plan {
    /// The last changes of plan, the newest first: at most [`CHANGES`].
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn change(seconds: u64, start: Instant, path: Option<PathId>, why: Why, moved: u32) -> Change {
        Change { at: start + Duration::from_secs(seconds), path, why, moved, from: vec![], to: vec![] }
    }

    #[test]
    fn the_last_ones_are_kept_and_routine_pushes_nothing_out() {
        let (mut changes, start) = (Changes::default(), Instant::now());
        changes.note(change(0, start, Some(1), Why::Disabled, 4));
        for at in 1..100 {
            changes.note(change(at, start, None, Why::Anew, at as u32 % 2));
        }
        let all: Vec<_> = changes.iter().map(|c| (c.why.clone(), c.moved, (c.at - start).as_secs())).collect();
        assert_eq!(all, [(Why::Anew, 1, 99), (Why::Disabled, 4, 0)]);
        changes.note(change(100, start, Some(2), Why::Behind, 3));
        changes.note(change(101, start, Some(2), Why::Behind, 5));
        changes.note(change(102, start, Some(3), Why::Behind, 1));
        changes.note(change(103, start, Some(2), Why::Behind, 6));
        let all: Vec<_> = changes.iter().map(|c| (c.path, c.moved)).collect();
        assert_eq!(all, [(Some(2), 6), (Some(3), 1), (Some(1), 4)], "the same again is one");
        for at in 0..50 {
            changes.note(change(200 + at, start, Some(at as usize), Why::Back, 0));
        }
        assert_eq!(changes.iter().count(), CHANGES);
        assert_eq!(changes.iter().next().and_then(|c| c.path), Some(49));
    }
}
