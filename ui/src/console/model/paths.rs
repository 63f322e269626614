//! Where the operator is among the paths of the selected push, and what each path carried lately.

use std::collections::BTreeMap;

use skep_engine::control::{PathRow, PathState, Snapshot, TransferId, TransferRow, TransferState};

use super::history::History;
use super::transfers::scroll;

/// Pushes whose paths have a history.
const MAX_PUSHES: usize = 32;
/// What was asked of a path and is no fact by then is not counted on any more.
const PATIENCE_MS: u64 = 3_000;
/// A recording that jumps so far leaves what paths carried before behind.
const JUMP_MS: u64 = 60_000;

/// Weights in the order of the keys that raise and lower them; 1 is usual.
const STEPS: [f64; 7] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// The weight a step above or below this one; none at the end of the scale.
pub fn next_weight(weight: f64, up: bool) -> Option<f64> {
    if up {
        STEPS.into_iter().find(|step| *step > weight + 1e-9)
    } else {
        STEPS.into_iter().rev().find(|step| *step < weight - 1e-9)
    }
}

/// Whether a path works, and its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Set {
    /// It works.
    pub enabled: bool,
    /// 1 is usual.
    pub weight: f64,
}

impl Set {
    fn of(path: &PathRow) -> Self {
        Self { enabled: path.state != PathState::Disabled, weight: path.weight.unwrap_or(1.0) }
    }
}

/// What was asked of a path: the next key goes on from there, though no snapshot shows it yet.
#[derive(Debug, Clone)]
struct Asked {
    id: TransferId,
    path: String,
    set: Set,
    since_ms: u64,
}

/// The Paths pane's view of the selected transfer.
#[derive(Debug, Clone, Default)]
pub struct PathsView {
    /// Of which transfer the selection is.
    of: Option<TransferId>,
    /// The selected path, by its name.
    pub selected: Option<String>,
    /// First path on screen.
    pub top: usize,
    /// What each path of each running push carried.
    histories: BTreeMap<TransferId, BTreeMap<String, History>>,
    /// Moment of the newest sample, ms since the epoch.
    noted_ms: u64,
    asked: Vec<Asked>,
}

impl PathsView {
    /// Brings the selection up to date with the selected transfer: there is one where there are paths.
    pub fn refresh(&mut self, row: Option<&TransferRow>) {
        let id = row.map(|row| row.id);
        if self.of != id {
            (self.of, self.selected, self.top) = (id, None, 0);
        }
        let paths = row.map_or(&[][..], |row| &row.paths);
        if self.place(paths).is_none() {
            self.selected = paths.first().map(|path| path.path.clone());
        }
    }

    /// Notes what the paths carried at a moment of a recording. Back in time, or far on, begins anew.
    pub fn note_past(&mut self, snapshot: &Snapshot) {
        if snapshot.time_ms < self.noted_ms || snapshot.time_ms > self.noted_ms.saturating_add(JUMP_MS) {
            self.histories.clear();
        }
        self.note(snapshot);
    }

    /// How a path will be set once what was asked of it is a fact.
    pub fn set(&self, id: TransferId, path: &PathRow) -> Set {
        let asked = self.asked.iter().find(|asked| asked.id == id && asked.path == path.path);
        asked.map_or_else(|| Set::of(path), |asked| asked.set)
    }

    /// Something is asked of a path; how it was set before that.
    pub fn ask(
        &mut self,
        (id, path): (TransferId, &PathRow),
        enabled: Option<bool>,
        weight: Option<f64>,
        now_ms: u64,
    ) -> Set {
        let before = self.set(id, path);
        self.asked.retain(|asked| asked.id != id || asked.path != path.path);
        let set = Set { enabled: enabled.unwrap_or(before.enabled), weight: weight.unwrap_or(before.weight) };
        self.asked.push(Asked { id, path: path.path.clone(), set, since_ms: now_ms });
        before
    }

    /// What was asked of these was refused.
    pub fn refused(&mut self, ids: &[TransferId]) {
        self.asked.retain(|asked| !ids.contains(&asked.id));
    }

    /// Forgets what is a fact now, and what nothing came of.
    pub fn settle(&mut self, snapshot: &Snapshot, now_ms: u64) {
        self.asked.retain(|asked| {
            let row = snapshot.transfers.iter().find(|row| row.id == asked.id);
            let path = row.and_then(|row| row.paths.iter().find(|path| path.path == asked.path));
            let is_open = path.is_some_and(|path| Set::of(path) != asked.set);
            is_open && now_ms.saturating_sub(asked.since_ms) < PATIENCE_MS
        });
    }

    /// Notes what the paths carry now; forgets pushes that are gone.
    pub fn note(&mut self, snapshot: &Snapshot) {
        self.noted_ms = snapshot.time_ms;
        let is_there = |id: &TransferId| snapshot.transfers.binary_search_by_key(id, |row| row.id).is_ok();
        self.histories.retain(|id, _| is_there(id));
        for row in snapshot.transfers.iter().filter(|row| !row.paths.is_empty()) {
            let known = self.histories.contains_key(&row.id);
            if row.state != TransferState::Running || (!known && self.histories.len() >= MAX_PUSHES) {
                continue;
            }
            let histories = self.histories.entry(row.id).or_default();
            histories.retain(|name, _| row.paths.iter().any(|path| path.path == *name));
            for path in &row.paths {
                // Looked up first: a name is copied once, not with every snapshot.
                if !histories.contains_key(&path.path) {
                    histories.insert(path.path.clone(), History::default());
                }
                if let Some(history) = histories.get_mut(&path.path) {
                    history.note(snapshot.time_ms, 0, rate(path));
                }
            }
        }
    }

    /// What a path carried.
    pub fn history(&self, id: TransferId, path: &str) -> Option<&History> {
        self.histories.get(&id)?.get(path)
    }

    /// Forgets everything: another node is shown.
    pub fn change_node(&mut self) {
        *self = Self::default();
    }

    /// Place of the selected path.
    pub fn place(&self, paths: &[PathRow]) -> Option<usize> {
        let name = self.selected.as_deref()?;
        paths.iter().position(|path| path.path == name)
    }

    /// Selects the path at a place, or the last.
    pub fn select(&mut self, paths: &[PathRow], place: usize) {
        self.selected = paths.get(place.min(paths.len().saturating_sub(1))).map(|path| path.path.clone());
    }

    /// Moves the selection by some rows.
    pub fn move_by(&mut self, paths: &[PathRow], rows: isize) {
        let place = self.place(paths).unwrap_or(0);
        self.select(paths, place.saturating_add_signed(rows));
    }

    /// Scrolls so that the selected path is among `page` rows on screen.
    pub fn keep_in_sight(&mut self, paths: &[PathRow], page: usize) {
        self.top = scroll(self.top, self.place(paths).unwrap_or(0), paths.len(), page);
    }
}

/// What leaves over a path now: what it was last does not count once it is out.
pub fn rate(path: &PathRow) -> u64 {
    match path.state {
        PathState::Idle | PathState::Disabled => 0,
        PathState::Healthy | PathState::Degraded | PathState::Dead | PathState::Probing => path.rate,
    }
}

/// What paths are told apart by in few letters: what they leave by, where they lead, or both.
pub fn short_names(paths: &[PathRow]) -> Vec<&str> {
    let distinct = |names: &[&str]| {
        let mut sorted = names.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len() == names.len()
    };
    let vias: Vec<&str> = paths.iter().filter_map(|path| path.via.as_deref()).collect();
    if vias.len() == paths.len() && distinct(&vias) {
        return vias;
    }
    let endpoint = |path: &'_ PathRow| path.path.split(" via ").next().map_or(0, str::len);
    let endpoints: Vec<&str> = paths.iter().map(|path| &path.path[..endpoint(path)]).collect();
    if distinct(&endpoints) { endpoints } else { paths.iter().map(|path| path.path.as_str()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn paths(names: &[(&str, Option<&str>)]) -> Vec<PathRow> {
        let path = |(endpoint, via): &(&str, Option<&str>)| PathRow {
            path: via.map_or((*endpoint).to_owned(), |via| format!("{endpoint} via {via}")),
            via: via.map(ToOwned::to_owned),
            ..PathRow::default()
        };
        names.iter().map(path).collect()
    }

    #[test]
    fn names_are_as_short_as_they_may_be() {
        let cases: [(&[_], &[_]); 4] = [
            (&[("a:1", Some("eth0")), ("a:1", Some("eth1"))], &["eth0", "eth1"]),
            (&[("a:1", None), ("b:1", Some("eth0"))], &["a:1", "b:1"]),
            (&[("a:1", None), ("a:1", Some("eth0"))], &["a:1", "a:1 via eth0"]),
            (&[], &[]),
        ];
        for (given, short) in cases {
            assert_eq!(short_names(&paths(given)), short, "{given:?}");
        }
    }

    #[test]
    fn weights_go_by_steps_and_end() {
        assert_eq!((next_weight(1.0, true), next_weight(1.0, false)), (Some(2.0), Some(0.5)));
        assert_eq!((next_weight(10.0, true), next_weight(0.1, false)), (None, None));
        assert_eq!((next_weight(0.7, true), next_weight(0.7, false)), (Some(1.0), Some(0.5)));
    }

    #[test]
    fn a_path_is_selected_and_its_history_is_kept_while_its_push_is() {
        let row = |id, rate| {
            let mut paths = paths(&[("a:1", None), ("b:1", None)]);
            (paths[1].rate, paths[1].state) = (rate, PathState::Healthy);
            let state = TransferState::Running;
            Arc::new(TransferRow { id: TransferId(id), paths, state, ..TransferRow::default() })
        };
        let mut view = PathsView::default();
        for second in 1..4 {
            let transfers = vec![row(1, second * 10), row(2, 5)];
            view.note(&Snapshot { time_ms: second * 1_000, transfers, ..Snapshot::default() });
        }
        let carried = |view: &PathsView| view.history(TransferId(1), "b:1").map(|h| h.up().collect::<Vec<_>>());
        assert_eq!(carried(&view), Some(vec![10, 20, 30]));
        // In a recording one may go back, and far on: what is there then is all there is.
        let mut played = view.clone();
        for (time_ms, expected) in [(4_000, &[10, 20, 30, 1][..]), (2_000, &[1]), (3_000, &[1, 1]), (90_000, &[1])] {
            played.note_past(&Snapshot { time_ms, transfers: vec![row(1, 1)], ..Snapshot::default() });
            assert_eq!(carried(&played).unwrap(), expected, "{time_ms}");
        }
        view.note(&Snapshot { time_ms: 4_000, transfers: vec![row(2, 5)], ..Snapshot::default() });
        assert_eq!(carried(&view), None);
        let shown = row(2, 0);
        view.refresh(Some(&shown));
        assert_eq!(view.selected.as_deref(), Some("a:1"));
        view.move_by(&shown.paths, 5);
        view.refresh(Some(&shown));
        assert_eq!(view.place(&shown.paths), Some(1));
        view.refresh(None);
        assert_eq!(view.selected, None);
    }

    #[test]
    fn what_was_asked_counts_until_it_is_a_fact_or_nothing_came_of_it() {
        let mut path = paths(&[("a:1", None)]).remove(0);
        path.state = PathState::Healthy;
        let (id, mut view) = (TransferId(1), PathsView::default());
        let usual = Set { enabled: true, weight: 1.0 };
        assert_eq!(view.ask((id, &path), None, Some(2.0), 0), usual);
        assert_eq!(view.ask((id, &path), Some(false), None, 10), Set { weight: 2.0, ..usual }, "goes on from there");
        let shown = |path: &PathRow| {
            let row = TransferRow { id, paths: vec![path.clone()], ..TransferRow::default() };
            Snapshot { transfers: vec![Arc::new(row)], ..Snapshot::default() }
        };
        view.settle(&shown(&path), 100);
        assert_eq!(view.set(id, &path), Set { enabled: false, weight: 2.0 });
        let fact = PathRow { state: PathState::Disabled, weight: Some(2.0), ..path.clone() };
        let mut late = view.clone();
        view.settle(&shown(&fact), 200);
        assert_eq!(view.set(id, &path), usual, "what is shown counts again");
        late.settle(&shown(&path), 10 + PATIENCE_MS);
        assert_eq!(late.set(id, &path), usual, "nothing came of it");
    }
}
