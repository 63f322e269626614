//! Where the operator is in the queue, what it is narrowed to, and what was asked of it.

use std::sync::Arc;

use skep_engine::control::PriorityClass;
use skep_engine::control::queue::{QueueId, QueueRow, QueueView};

use super::filter::Filter;
use super::transfers::scroll;

/// What was asked and is no fact by then is not counted on any more.
const PATIENCE_MS: u64 = 3_000;

/// The word of a class on screen.
pub const fn class_name(class: PriorityClass) -> &'static str {
    match class {
        PriorityClass::Critical => "critical",
        PriorityClass::SchemaChange => "schema change",
        PriorityClass::High => "high",
        PriorityClass::Normal => "normal",
        PriorityClass::Analytics => "analytics",
        PriorityClass::Background => "background",
    }
}

/// The class above or below; none at the end.
pub fn next_class(class: PriorityClass, up: bool) -> Option<PriorityClass> {
    let at = if up { class.index().checked_sub(1)? } else { class.index() + 1 };
    PriorityClass::ALL.get(at).copied()
}

/// A class that was asked for, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    id: QueueId,
    class: PriorityClass,
    since_ms: u64,
}

/// The Queue pane's view.
#[derive(Debug, Clone, Default)]
pub struct QueueList {
    /// The selected operation.
    pub selected: Option<QueueId>,
    /// First row on screen.
    pub top: usize,
    /// What it is narrowed to.
    pub filter: Filter,
    /// Rows that match, by their place in the snapshot.
    pub rows: Vec<usize>,
    /// Where the selected one stood among them.
    at: usize,
    asked: Vec<Asked>,
}

impl QueueList {
    /// Makes the rows anew. Where the selected one went, the one in its place is selected.
    pub fn refresh(&mut self, queue: &QueueView) {
        self.rows.clear();
        let filter = &self.filter;
        let fits = |row: &QueueRow| {
            filter.is_empty()
                || filter.matches(&[
                    &row.name,
                    &row.dest,
                    &row.target,
                    &row.what,
                    class_name(row.class),
                    row.state.name(),
                    &row.why,
                ])
        };
        self.rows.extend(queue.rows.iter().enumerate().filter(|(_, row)| fits(row)).map(|(at, _)| at));
        match self.place(queue) {
            Some(place) => self.at = place,
            None => self.select(queue, self.at),
        }
    }

    /// The selected operation.
    pub fn row<'a>(&self, queue: &'a QueueView) -> Option<&'a Arc<QueueRow>> {
        let id = self.selected?;
        queue.rows.iter().find(|row| row.id == id)
    }

    /// Its place among the rows that match.
    pub fn place(&self, queue: &QueueView) -> Option<usize> {
        let id = self.selected?;
        self.rows.iter().position(|at| queue.rows.get(*at).is_some_and(|row| row.id == id))
    }

    /// Selects the row at a place, or the last.
    pub fn select(&mut self, queue: &QueueView, place: usize) {
        self.at = place.min(self.rows.len().saturating_sub(1));
        let at = self.rows.get(self.at);
        self.selected = at.and_then(|at| queue.rows.get(*at)).map(|row| row.id);
    }

    /// Moves the selection by some rows.
    pub fn move_by(&mut self, queue: &QueueView, rows: isize) {
        let place = self.place(queue).unwrap_or(0);
        self.select(queue, place.saturating_add_signed(rows));
    }

    /// Scrolls so that the selected row is among `page` rows on screen.
    pub fn keep_in_sight(&mut self, queue: &QueueView, page: usize) {
        self.top = scroll(self.top, self.place(queue).unwrap_or(0), self.rows.len(), page);
    }

    /// The class that an operation will have once what was asked is a fact.
    pub fn class(&self, row: &QueueRow) -> PriorityClass {
        self.asked.iter().find(|asked| asked.id == row.id).map_or(row.class, |asked| asked.class)
    }

    /// Another class is asked for.
    pub fn ask(&mut self, id: QueueId, class: PriorityClass, now_ms: u64) {
        self.asked.retain(|asked| asked.id != id);
        self.asked.push(Asked { id, class, since_ms: now_ms });
    }

    /// Forgets what is a fact now, and what nothing came of.
    pub fn settle(&mut self, queue: &QueueView, now_ms: u64) {
        self.asked.retain(|asked| {
            let row = queue.rows.iter().find(|row| row.id == asked.id);
            row.is_some_and(|row| row.class != asked.class) && now_ms.saturating_sub(asked.since_ms) < PATIENCE_MS
        });
    }

    /// What was asked was refused.
    pub fn refused(&mut self) {
        self.asked.clear();
    }

    /// Forgets the operations of one node; the filter stays.
    pub fn change_node(&mut self) {
        *self = Self { filter: std::mem::take(&mut self.filter), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::Subject;
    use super::*;

    fn row(id: u64, class: PriorityClass, target: &str) -> QueueRow {
        let (name, target) = (format!("item-{id}"), target.to_owned());
        QueueRow { id: QueueId(id), class, name, target, ..QueueRow::default() }
    }

    fn queue(ids: &[u64]) -> QueueView {
        let rows = ids.iter().map(|id| row(*id, PriorityClass::Normal, if id % 2 == 0 { "a:1" } else { "b:1" }));
        let rows = rows.map(Arc::new);
        QueueView { rows: rows.collect(), ..QueueView::default() }
    }

    #[test]
    fn the_selection_follows_its_operation_and_survives_its_end() {
        let mut list = QueueList::default();
        list.refresh(&queue(&[1, 2, 3]));
        list.move_by(&queue(&[1, 2, 3]), 1);
        list.refresh(&queue(&[2, 1, 3]));
        assert_eq!((list.selected, list.place(&queue(&[2, 1, 3]))), (Some(QueueId(2)), Some(0)));
        list.refresh(&queue(&[1, 3]));
        assert_eq!(list.selected, Some(QueueId(1)));
        list.filter = Filter::parse("b:1 -item-3", Subject::Lines);
        list.refresh(&queue(&[2, 3, 1]));
        assert_eq!((list.rows.as_slice(), list.selected), (&[2][..], Some(QueueId(1))));
        list.refresh(&queue(&[]));
        assert_eq!(list.selected, None);
    }

    #[test]
    fn classes_go_up_and_down_and_end() {
        assert_eq!(next_class(PriorityClass::High, true), Some(PriorityClass::SchemaChange));
        assert_eq!(next_class(PriorityClass::Critical, true), None);
        assert_eq!(next_class(PriorityClass::Background, false), None);
    }

    #[test]
    fn what_was_asked_counts_until_it_is_a_fact_or_nothing_came_of_it() {
        let (mut list, mut view) = (QueueList::default(), queue(&[1]));
        list.ask(QueueId(1), PriorityClass::High, 0);
        list.settle(&view, 100);
        assert_eq!(list.class(&view.rows[0]), PriorityClass::High);
        list.settle(&view, PATIENCE_MS);
        assert_eq!(list.class(&view.rows[0]), PriorityClass::Normal, "nothing came of it");
        list.ask(QueueId(1), PriorityClass::High, 0);
        Arc::make_mut(&mut view.rows[0]).class = PriorityClass::High;
        list.settle(&view, 100);
        assert!(list.asked.is_empty());
    }
}
