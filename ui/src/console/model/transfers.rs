//! The list of transfers: which rows, in which order, and where the operator is in it.

use std::collections::{BTreeSet, HashMap};

use skep_engine::control::{Snapshot, TransferId};

use super::filter::Filter;
use super::sort::SortKey;
use super::wish::Wishes;
use crate::console::derive::status;

/// How long an order by something volatile stands before it is made anew.
const RESORT_MS: u64 = 3_000;

/// A row of the list: a transfer and its place in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub id: TransferId,
    /// Index into the snapshot's transfers.
    pub at: usize,
}

/// The list of transfers. Selection and marks go by id, never by place.
#[derive(Debug, Clone, Default)]
pub struct TransferList {
    /// The selected transfer.
    pub selected: Option<TransferId>,
    /// Marked transfers.
    pub marked: BTreeSet<TransferId>,
    /// By what it is sorted.
    pub sort: SortKey,
    /// Turned round.
    pub reversed: bool,
    /// What it is narrowed to.
    pub filter: Filter,
    /// Rows that match, in order.
    pub rows: Vec<Row>,
    /// First row on screen.
    pub top: usize,
    /// A transfer that was just added: it is selected as soon as its row comes.
    pub awaited: Option<TransferId>,
    /// What is selected and marked stays so, whether or not there is a row for it: the rows are of a
    /// moment that has passed.
    pub hold: bool,
    /// When the order was made.
    sorted_ms: u64,
}

impl TransferList {
    /// Makes the rows anew from a snapshot. The order by something volatile is kept for a while
    /// unless `resort` asks for it: new rows go to the end, rows that left leave no gap.
    pub fn refresh(&mut self, snapshot: &Snapshot, wishes: &Wishes, now_ms: u64, resort: bool) {
        let due = resort || !self.sort.is_volatile() || now_ms.saturating_sub(self.sorted_ms) >= RESORT_MS;
        let place = self.place();
        let all = snapshot.transfers.iter().enumerate();
        let mut rows: Vec<Row> = all
            .filter(|(_, row)| {
                self.filter.is_empty() || {
                    let word = status::of(row, wishes.of(row.id)).word;
                    self.filter.matches_row(row, word)
                }
            })
            .map(|(at, row)| Row { id: row.id, at })
            .collect();
        if due {
            self.sorted_ms = now_ms;
            rows.sort_by(|a, b| {
                let order = self.sort.compare(&snapshot.transfers[a.at], &snapshot.transfers[b.at]);
                if self.reversed { order.reverse() } else { order }
            });
        } else {
            let known: HashMap<TransferId, usize> = self.rows.iter().enumerate().map(|(n, r)| (r.id, n)).collect();
            rows.sort_by_key(|r| known.get(&r.id).copied().unwrap_or(usize::MAX));
        }
        self.rows = rows;
        if self.hold {
            return;
        }
        let alive = |id: &TransferId| snapshot.transfers.iter().any(|t| t.id == *id);
        if !self.marked.is_empty() {
            self.marked.retain(&alive);
        }
        if let Some(id) = self.awaited
            && alive(&id)
        {
            self.awaited = None;
            if self.rows.iter().any(|r| r.id == id) {
                self.selected = Some(id);
            }
        }
        if self.place().is_none() {
            let near = place.unwrap_or(0).min(self.rows.len().saturating_sub(1));
            self.selected = self.rows.get(near).map(|r| r.id);
        }
    }

    /// Forgets the transfers of one node; how they are sorted and filtered stays.
    pub fn change_node(&mut self) {
        self.selected = None;
        self.marked.clear();
        self.rows.clear();
        self.top = 0;
        self.awaited = None;
        self.hold = false;
    }

    /// Place of the selected transfer among the rows.
    pub fn place(&self) -> Option<usize> {
        let id = self.selected?;
        self.rows.iter().position(|r| r.id == id)
    }

    /// Selects the row at a place, or the last.
    pub fn select(&mut self, place: usize) {
        self.selected = self.rows.get(place.min(self.rows.len().saturating_sub(1))).map(|r| r.id);
    }

    /// Moves the selection by some rows.
    pub fn move_by(&mut self, rows: isize) {
        let place = self.place().unwrap_or(0);
        self.select(place.saturating_add_signed(rows));
    }

    /// Scrolls so that the selected row is among `page` rows on screen.
    pub fn keep_in_sight(&mut self, page: usize) {
        self.top = scroll(self.top, self.place().unwrap_or(0), self.rows.len(), page);
    }

    /// What an action goes to: the marked, else the selected.
    pub fn targets(&self) -> Vec<TransferId> {
        if self.marked.is_empty() { self.selected.into_iter().collect() } else { self.marked.iter().copied().collect() }
    }
}

/// The first row on screen so that `at` of `len` rows is among `page`.
pub fn scroll(top: usize, at: usize, len: usize, page: usize) -> usize {
    let page = page.max(1);
    let top = top.min(len.saturating_sub(page));
    if at < top {
        at
    } else if at >= top + page {
        at + 1 - page
    } else {
        top
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use skep_engine::control::{TransferRow, TransferState};
    use std::sync::Arc;

    fn snapshot(rates: &[(u64, u64)]) -> Snapshot {
        let transfers = rates
            .iter()
            .map(|(id, rate)| {
                Arc::new(TransferRow {
                    id: TransferId(*id),
                    name: format!("t{id}"),
                    smooth_down: *rate,
                    state: TransferState::Running,
                    ..TransferRow::default()
                })
            })
            .collect();
        Snapshot { transfers, ..Snapshot::default() }
    }

    fn ids(list: &TransferList) -> Vec<u64> {
        list.rows.iter().map(|r| r.id.0).collect()
    }

    #[test]
    fn rows_do_not_jump_while_rates_wobble() {
        let mut list = TransferList { sort: SortKey::Rate, ..TransferList::default() };
        let wishes = Wishes::default();
        list.refresh(&snapshot(&[(1, 10), (2, 20)]), &wishes, 10_000, true);
        assert_eq!(ids(&list), [2, 1]);
        list.refresh(&snapshot(&[(1, 30), (2, 20), (3, 99)]), &wishes, 10_250, false);
        assert_eq!(ids(&list), [2, 1, 3], "kept, the new one last");
        list.refresh(&snapshot(&[(1, 30), (2, 20), (3, 99)]), &wishes, 13_000, false);
        assert_eq!(ids(&list), [3, 1, 2], "after a while");
    }

    #[test]
    fn the_selection_follows_its_transfer_and_survives_its_end() {
        let mut list = TransferList::default();
        let wishes = Wishes::default();
        list.refresh(&snapshot(&[(1, 0), (2, 0), (3, 0)]), &wishes, 0, false);
        assert_eq!(list.selected, Some(TransferId(1)));
        list.select(1);
        list.refresh(&snapshot(&[(2, 0), (3, 0)]), &wishes, 0, false);
        assert_eq!(list.selected, Some(TransferId(2)));
        list.refresh(&snapshot(&[(3, 0)]), &wishes, 0, false);
        assert_eq!(list.selected, Some(TransferId(3)));
        list.refresh(&snapshot(&[]), &wishes, 0, false);
        assert_eq!(list.selected, None);
    }

    proptest! {
        #[test]
        fn scrolling_keeps_the_row_in_sight(top in 0usize..100, at in 0usize..100, extra in 1usize..100, page in 0usize..50) {
            let len = at + extra;
            let top = scroll(top, at, len, page);
            prop_assert!(top <= at && at < top + page.max(1));
        }
    }
}
