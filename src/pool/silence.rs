//! Who is heard of: a member whose heartbeat has not grown for a while is not there. Pure: times are ms of this node's clock.
//!
//! A first heartbeat proves nothing, as others go on telling of who is gone; one that grows does.

use std::collections::HashMap;
use std::hash::Hash;

/// Time between two looks.
pub const LOOK_MS: u64 = 500;

#[derive(Debug)]
struct Heard {
    heartbeat: u64,
    /// When it grew last; none: not yet.
    grew: Option<u64>,
    seen: u64,
}

/// The heartbeats of all members.
#[derive(Debug)]
pub struct Silence<Id> {
    heard: HashMap<Id, Heard>,
    looks: u64,
}

impl<Id> Default for Silence<Id> {
    fn default() -> Self {
        Self { heard: HashMap::new(), looks: 0 }
    }
}

impl<Id: Clone + Eq + Hash> Silence<Id> {
    /// Takes the heartbeats as they are now; those that are there, in the same order: who was not silent for `silent_ms`.
    pub fn look(&mut self, heartbeats: impl IntoIterator<Item = (Id, u64)>, now: u64, silent_ms: u64) -> Vec<Id> {
        self.looks += 1;
        let mut there = Vec::new();
        for (id, heartbeat) in heartbeats {
            let heard = self.heard.entry(id.clone()).or_insert(Heard { heartbeat, grew: None, seen: 0 });
            heard.seen = self.looks;
            if heartbeat > heard.heartbeat {
                heard.heartbeat = heartbeat;
                heard.grew = Some(now);
            }
            if heard.grew.is_some_and(|grew| now.saturating_sub(grew) < silent_ms) {
                there.push(id);
            }
        }
        self.heard.retain(|_, heard| heard.seen == self.looks);
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_grows_is_there_and_who_is_silent_is_gone() {
        let mut silence = Silence::default();
        assert!(silence.look([("a", 5), ("b", 9)], 0, 3_000).is_empty(), "what others tell may be old");
        assert_eq!(silence.look([("a", 6), ("b", 9)], 500, 3_000), ["a"]);
        assert_eq!(silence.look([("a", 6), ("b", 10)], 3_499, 3_000), ["a", "b"]);
        assert_eq!(silence.look([("a", 6), ("b", 10)], 3_500, 3_000), ["b"], "three seconds of silence");
        assert_eq!(silence.look([("a", 7), ("b", 10)], 4_000, 3_000), ["a", "b"], "it is back at its first word");
        assert!(silence.look([], 4_500, 3_000).is_empty());
        assert!(silence.look([("a", 8)], 5_000, 3_000).is_empty(), "whoever was forgotten proves itself anew");
        // A heartbeat that goes back is a replayed one.
        assert!(silence.look([("a", 1)], 5_500, 3_000).is_empty());
    }
}
