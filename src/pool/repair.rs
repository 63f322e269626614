//! Which lost copies this node makes again, and when. Pure: every node decides for itself, from what gossip tells all of them.
//!
//! A content has as many copies as it was sent with. Where fewer are left on nodes that are there and in use, the nodes that
//! the ring names for it and that have none take their turn, in the ring's order: as many as copies are missing. Each waits
//! before it begins, since most nodes that go come back: who is back in time has cost nothing. A few at a time, those with the
//! fewest copies left first. A node whose turn it is may not be able to (its disk is full): when a copy has been missing for
//! much longer than it takes to make one, it is the next node's turn, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control::Rate;

/// How repairs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepairSettings {
    /// A copy is made again when it has been missing for so many ms.
    pub after_ms: u64,
    /// So many at once.
    pub at_once: usize,
    /// Bytes per second that they may take together.
    pub budget: Rate,
}

impl Default for RepairSettings {
    fn default() -> Self {
        Self { after_ms: 60_000, at_once: 2, budget: Some(64 << 20) }
    }
}

/// The longest wait after copies that failed, in times of the usual one.
const MOST_WAITS: u32 = 64;
/// After so many waits, and so many times the time that the copy takes at the budget, it is the next node's turn, too.
const TURN_WAITS: u64 = 10;
const TURN_COPIES: u64 = 3;

/// A content that this node may have to hold, and does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanting {
    /// Its id.
    pub content: String,
    /// Its name, for people.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Copies that there shall be.
    pub replicas: u32,
    /// Copies that are there, on nodes in use.
    pub live: u32,
    /// Who has one, drained or not: name and endpoint.
    pub from: Vec<(Arc<str>, String)>,
    /// Who may have one that gossip has no room to tell of: to be asked before a copy is begun.
    pub untold: Vec<(Arc<str>, String)>,
    /// How many other nodes without one come before this one.
    pub turn: u32,
}

impl RepairSettings {
    /// How long nodes get for a copy of so many bytes before the next one tries, too (ms).
    fn turn_ms(&self, bytes: u64) -> u64 {
        let each = self.budget.map_or(u64::MAX, |budget| (budget / self.at_once.max(1) as u64).max(1));
        let copy = bytes.saturating_mul(1_000) / each;
        self.after_ms.saturating_mul(TURN_WAITS).saturating_add(copy.saturating_mul(TURN_COPIES)).max(1)
    }
}

impl Wanting {
    /// It is this node's turn when it has been missing for so many ms.
    fn is_due(&self, lacking_ms: u64, settings: &RepairSettings) -> bool {
        let late = lacking_ms / settings.turn_ms(self.bytes);
        u64::from(self.turn) < u64::from(self.replicas.saturating_sub(self.live)).saturating_add(late)
    }

    /// All copies are there.
    fn is_enough(&self) -> bool {
        self.live >= self.replicas
    }

    /// Nobody has it whose copy could be copied.
    pub fn is_lost(&self) -> bool {
        self.from.is_empty()
    }
}

/// How one copy stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Missing {
    /// When it was seen to be missing.
    lacking: u64,
    /// When the wait for the next try began: not before its turn was here.
    since: u64,
    failures: u32,
    is_running: bool,
}

/// What to do now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// Copies to begin, by content.
    pub start: Vec<String>,
    /// Copies that are not needed any more.
    pub stop: Vec<String>,
}

/// The repairs of one node.
#[derive(Debug, Default)]
pub struct Repairs {
    missing: BTreeMap<String, Missing>,
}

impl Repairs {
    /// What to do about what is `wanting` now (ms of a clock that does not go back).
    ///
    /// A copy that is being made is made to its end, whatever others do meanwhile, unless all copies are seen to be there: to be
    /// told nothing of a content is no such sign.
    pub fn tick(&mut self, wanting: &[Wanting], settings: &RepairSettings, now: u64) -> Steps {
        for it in wanting.iter().filter(|it| !it.is_enough()) {
            let new = Missing { lacking: now, since: now, failures: 0, is_running: false };
            self.missing.entry(it.content.clone()).or_insert(new);
        }
        let by_content: BTreeMap<&str, &Wanting> = wanting.iter().map(|it| (it.content.as_str(), it)).collect();
        let mut steps = Steps::default();
        self.missing.retain(|content, missing| {
            let it = by_content.get(content.as_str());
            let is_enough = it.is_some_and(|it| it.is_enough());
            if missing.is_running {
                if is_enough {
                    steps.stop.push(content.clone());
                }
                return !is_enough;
            }
            let Some(it) = it else { return false };
            if !it.is_due(now.saturating_sub(missing.lacking), settings) {
                (missing.since, missing.failures) = (now, 0);
            }
            !is_enough
        });
        let due = self.due(wanting, settings, now).into_iter();
        let running = self.missing.values().filter(|missing| missing.is_running).count();
        let mut ready: Vec<&Wanting> =
            due.filter(|it| !it.is_lost() && self.waits(&it.content, settings, now) == Some(0)).collect();
        // The likeliest to be lost first; of these the soonest done.
        ready.sort_by(|a, b| (a.live, a.bytes, &a.content).cmp(&(b.live, b.bytes, &b.content)));
        for it in ready.into_iter().take(settings.at_once.saturating_sub(running)) {
            if let Some(missing) = self.missing.get_mut(&it.content) {
                missing.is_running = true;
                steps.start.push(it.content.clone());
            }
        }
        steps
    }

    /// Those of what is `wanting` that are made here, or will be.
    pub fn made_here<'a>(&self, wanting: &'a [Wanting], settings: &RepairSettings, now: u64) -> Vec<&'a Wanting> {
        let of = |it: &Wanting| self.missing.get(&it.content).copied().unwrap_or_default();
        let is_here = |it: &Wanting, missing: Missing| {
            missing.is_running || it.is_due(now.saturating_sub(missing.lacking), settings)
        };
        wanting.iter().filter(|it| is_here(it, of(it))).collect()
    }

    /// Those of what is `wanting` whose turn it is here.
    fn due<'a>(&self, wanting: &'a [Wanting], settings: &RepairSettings, now: u64) -> Vec<&'a Wanting> {
        let lacking = |it: &Wanting| self.missing.get(&it.content).map_or(0, |it| now.saturating_sub(it.lacking));
        wanting.iter().filter(|it| it.is_due(lacking(it), settings)).collect()
    }

    /// A copy did not come about: it is tried again, later each time.
    pub fn on_failed(&mut self, content: &str, now: u64) {
        if let Some(missing) = self.missing.get_mut(content) {
            missing.failures = missing.failures.saturating_add(1);
            (missing.since, missing.is_running) = (now, false);
        }
    }

    /// A copy is there.
    pub fn on_done(&mut self, content: &str) {
        self.missing.remove(content);
    }

    /// Copies that are being made.
    pub fn running(&self) -> impl Iterator<Item = &str> {
        self.missing.iter().filter(|(_, missing)| missing.is_running).map(|(content, _)| content.as_str())
    }

    /// Ms until a copy may be begun; none: it is being made, or is not missing.
    pub fn waits(&self, content: &str, settings: &RepairSettings, now: u64) -> Option<u64> {
        let missing = self.missing.get(content).filter(|missing| !missing.is_running)?;
        let times = 1u32.checked_shl(missing.failures).unwrap_or(MOST_WAITS).min(MOST_WAITS);
        let due = missing.since.saturating_add(settings.after_ms.saturating_mul(u64::from(times)));
        Some(due.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: RepairSettings = RepairSettings { after_ms: 1_000, at_once: 2, budget: None };

    fn wanting(content: &str, live: u32, turn: u32) -> Wanting {
        let from = (0..live).map(|n| (format!("n{n}").into(), format!("http://n{n}"))).collect();
        Wanting { content: content.into(), bytes: 10, replicas: 3, live, from, turn, ..Wanting::default() }
    }

    #[test]
    fn who_is_back_in_time_costs_nothing() {
        let mut repairs = Repairs::default();
        let lost = [wanting("a", 2, 0)];
        assert_eq!(repairs.tick(&lost, &SETTINGS, 0), Steps::default());
        assert_eq!(repairs.tick(&lost, &SETTINGS, 999), Steps::default());
        // It came back, and went again: the wait begins anew.
        assert_eq!(repairs.tick(&[], &SETTINGS, 999), Steps::default());
        assert_eq!(repairs.tick(&lost, &SETTINGS, 1_600), Steps::default());
        assert_eq!(repairs.tick(&lost, &SETTINGS, 2_599), Steps::default());
        assert_eq!(repairs.tick(&lost, &SETTINGS, 2_600).start, ["a"]);
        assert_eq!(repairs.tick(&lost, &SETTINGS, 9_000), Steps::default(), "once");
        // Nobody tells of it any more, or it is somebody else's turn now: what was begun is no less needed.
        assert_eq!(repairs.tick(&[], &SETTINGS, 9_000), Steps::default());
        assert_eq!(repairs.tick(&[wanting("a", 2, u32::MAX)], &SETTINGS, 9_000), Steps::default());
        assert_eq!(repairs.running().collect::<Vec<_>>(), ["a"]);
        // Back while the copy is being made: it is not needed.
        assert_eq!(repairs.tick(&[wanting("a", 3, 0)], &SETTINGS, 9_001).stop, ["a"]);
        assert_eq!(repairs.running().count(), 0);
    }

    #[test]
    fn only_as_many_nodes_as_copies_are_missing() {
        let starts = |turn| {
            let (mut repairs, lost) = (Repairs::default(), [wanting("a", 1, turn)]);
            repairs.tick(&lost, &SETTINGS, 0);
            repairs.tick(&lost, &SETTINGS, 5_000).start.len()
        };
        assert_eq!([0, 1, 2, 3].map(starts), [1, 1, 0, 0]);
    }

    #[test]
    fn who_cannot_make_a_copy_is_not_waited_for_forever() {
        let (mut repairs, lost) = (Repairs::default(), [wanting("a", 2, 1)]);
        assert_eq!(repairs.tick(&lost, &SETTINGS, 0), Steps::default());
        assert_eq!(repairs.tick(&lost, &SETTINGS, 9_999), Steps::default(), "the other one's turn");
        assert_eq!(repairs.tick(&lost, &SETTINGS, 10_000), Steps::default(), "it is still waited for the usual time");
        assert_eq!(repairs.tick(&lost, &SETTINGS, 10_999).start, ["a"]);
        // The other one could, after all.
        assert_eq!(repairs.tick(&[wanting("a", 3, 1)], &SETTINGS, 11_000).stop, ["a"]);
        // What is large is given the time that it takes: 3,000 bytes at 100 a second each.
        let settings = RepairSettings { budget: Some(200), ..SETTINGS };
        let large = [Wanting { bytes: 3_000, ..wanting("b", 2, 1) }];
        repairs.tick(&large, &settings, 20_000);
        assert_eq!(repairs.tick(&large, &settings, 119_999), Steps::default());
        assert_eq!(repairs.tick(&large, &settings, 120_998), Steps::default());
        assert_eq!(repairs.tick(&large, &settings, 120_999).start, ["b"]);
    }

    #[test]
    fn the_likeliest_to_be_lost_come_first_and_few_at_once() {
        let mut repairs = Repairs::default();
        let lost = [wanting("a", 2, 0), wanting("b", 1, 0), wanting("c", 2, 0), wanting("d", 0, 0)];
        repairs.tick(&lost, &SETTINGS, 0);
        assert_eq!(repairs.tick(&lost, &SETTINGS, 1_000).start, ["b", "a"], "of d there is nothing left to copy");
        assert_eq!(repairs.tick(&lost[..], &SETTINGS, 1_100).start, [""; 0]);
        // One of them is done.
        repairs.on_done("b");
        assert_eq!(repairs.tick(&[lost[0].clone(), lost[2].clone()], &SETTINGS, 1_200).start, ["c"]);
    }

    #[test]
    fn what_fails_is_tried_later_each_time() {
        let (mut repairs, lost) = (Repairs::default(), [wanting("a", 1, 0)]);
        repairs.tick(&lost, &SETTINGS, 0);
        assert_eq!(repairs.tick(&lost, &SETTINGS, 1_000).start, ["a"]);
        repairs.on_failed("a", 1_000);
        assert_eq!(repairs.waits("a", &SETTINGS, 1_000), Some(2_000));
        assert_eq!(repairs.tick(&lost, &SETTINGS, 2_999), Steps::default());
        assert_eq!(repairs.tick(&lost, &SETTINGS, 3_000).start, ["a"]);
        repairs.on_failed("a", 3_000);
        assert_eq!(repairs.waits("a", &SETTINGS, 3_000), Some(4_000));
        for _ in 0..40 {
            repairs.on_failed("a", 3_000);
        }
        assert_eq!(repairs.waits("a", &SETTINGS, 3_000), Some(64_000));
    }
}
