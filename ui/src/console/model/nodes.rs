//! Where the operator is among the nodes of the pool, what they are narrowed to, their order, and what was asked of them.

use std::cmp::Ordering;
use std::sync::Arc;

use skep_engine::control::pool::{PoolNodeRow, PoolView};

use super::filter::Filter;
use super::transfers::scroll;

/// What was asked and is no fact by then is not counted on any more.
const PATIENCE_MS: u64 = 5_000;
/// An order by figures that move is made anew no more often than this, so that rows do not jump under the operator's eyes.
const ORDER_HOLDS_MS: u64 = 3_000;

/// By what the nodes are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NodeSort {
    /// Name.
    #[default]
    Name,
    /// State: what needs a look first.
    State,
    /// Score, highest first.
    Score,
    /// CPU in use, highest first.
    Cpu,
    /// Share of the ring, largest first.
    Ring,
    /// Bytes held, most first.
    Held,
}

impl NodeSort {
    const ALL: [Self; 6] = [Self::Name, Self::State, Self::Score, Self::Cpu, Self::Ring, Self::Held];

    /// The next criterion.
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// Its word on screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Score => "score",
            Self::Cpu => "CPU",
            Self::Ring => "share of the ring",
            Self::Held => "bytes held",
        }
    }

    /// Compares two rows; equal ones go by name.
    fn compare(self, a: &PoolNodeRow, b: &PoolNodeRow) -> Ordering {
        let cpu = |row: &PoolNodeRow| row.figures.filter(|_| row.available).map_or(-1.0, |f| f.cpu_percent);
        let by = match self {
            Self::Name => Ordering::Equal,
            Self::State => a.state().cmp(&b.state()),
            Self::Score => b.score.total.total_cmp(&a.score.total),
            Self::Cpu => cpu(b).total_cmp(&cpu(a)),
            Self::Ring => b.ring_share.total_cmp(&a.ring_share),
            Self::Held => b.held_bytes.cmp(&a.held_bytes),
        };
        by.then_with(|| a.name.cmp(&b.name))
    }
}

/// A drain, or its end, that was asked for, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    name: Arc<str>,
    drained: bool,
    since_ms: u64,
}

/// The Nodes pane's view.
#[derive(Debug, Clone, Default)]
pub struct NodesView {
    /// The selected node, by its name.
    pub selected: Option<Arc<str>>,
    /// First row on screen.
    pub top: usize,
    /// What it is narrowed to.
    pub filter: Filter,
    /// By what they are sorted.
    pub sort: NodeSort,
    /// The other way round.
    pub reversed: bool,
    /// Rows that match, by their place in the snapshot.
    pub rows: Vec<usize>,
    /// A node that was just added: it is selected as soon as its row comes.
    pub awaited: Option<String>,
    /// Where the selected one stood among the rows.
    at: usize,
    /// The order of the rows, by name, and when it was made.
    order: (Vec<Arc<str>>, u64),
    asked: Vec<Asked>,
}

impl NodesView {
    /// Makes the rows anew; `resort`: also an order that still holds. Where the selected one went, the one in its place is selected.
    pub fn refresh(&mut self, pool: &PoolView, now_ms: u64, resort: bool) {
        if let Some(name) = &self.awaited
            && let Some(row) = pool.nodes.iter().find(|row| *row.name == **name)
        {
            (self.selected, self.awaited) = (Some(row.name.clone()), None);
        }
        let filter = &self.filter;
        let fits = |row: &PoolNodeRow| {
            filter.is_empty()
                || filter.matches(&[&row.name, &row.endpoint, row.state().name(), row.known.name(), &row.why])
        };
        let fitting = pool.nodes.iter().enumerate().filter(|(_, row)| fits(row)).map(|(at, _)| at);
        let mut rows: Vec<usize> = fitting.collect();
        let holds = !resort && now_ms.saturating_sub(self.order.1) < ORDER_HOLDS_MS;
        let known = |at: &usize| self.order.0.iter().position(|name| *name == pool.nodes[*at].name);
        if self.sort != NodeSort::Name
            && holds
            && rows.len() == self.order.0.len()
            && rows.iter().all(|at| known(at).is_some())
        {
            rows.sort_by_cached_key(known);
        } else {
            let (sort, reversed) = (self.sort, self.reversed);
            rows.sort_by(|a, b| {
                let by = sort.compare(&pool.nodes[*a], &pool.nodes[*b]);
                if reversed { by.reverse() } else { by }
            });
            self.order = (rows.iter().map(|at| pool.nodes[*at].name.clone()).collect(), now_ms);
        }
        self.rows = rows;
        match self.place(pool) {
            Some(place) => self.at = place,
            None => self.select(pool, self.at),
        }
    }

    /// The selected node.
    pub fn row<'a>(&self, pool: &'a PoolView) -> Option<&'a Arc<PoolNodeRow>> {
        let name = self.selected.as_ref()?;
        pool.nodes.iter().find(|row| row.name == *name)
    }

    /// Its place among the rows that match.
    pub fn place(&self, pool: &PoolView) -> Option<usize> {
        let name = self.selected.as_ref()?;
        self.rows.iter().position(|at| pool.nodes.get(*at).is_some_and(|row| row.name == *name))
    }

    /// Selects the row at a place, or the last.
    pub fn select(&mut self, pool: &PoolView, place: usize) {
        self.at = place.min(self.rows.len().saturating_sub(1));
        let at = self.rows.get(self.at);
        self.selected = at.and_then(|at| pool.nodes.get(*at)).map(|row| row.name.clone());
    }

    /// Moves the selection by some rows.
    pub fn move_by(&mut self, pool: &PoolView, rows: isize) {
        let place = self.place(pool).unwrap_or(0);
        self.select(pool, place.saturating_add_signed(rows));
    }

    /// Scrolls so that the selected row is among `page` rows on screen.
    pub fn keep_in_sight(&mut self, pool: &PoolView, page: usize) {
        self.top = scroll(self.top, self.place(pool).unwrap_or(0), self.rows.len(), page);
    }

    /// Whether a node will be drained once what was asked is a fact; none if nothing was.
    pub fn wish(&self, row: &PoolNodeRow) -> Option<bool> {
        self.asked.iter().find(|asked| asked.name == row.name).map(|asked| asked.drained)
    }

    /// It shall be drained, or in use again.
    pub fn ask(&mut self, name: &Arc<str>, drained: bool, now_ms: u64) {
        self.asked.retain(|asked| asked.name != *name);
        self.asked.push(Asked { name: name.clone(), drained, since_ms: now_ms });
    }

    /// Forgets what is a fact now, and what nothing came of.
    pub fn settle(&mut self, pool: &PoolView, now_ms: u64) {
        self.asked.retain(|asked| {
            let row = pool.nodes.iter().find(|row| row.name == asked.name);
            row.is_some_and(|row| row.draining != asked.drained) && now_ms.saturating_sub(asked.since_ms) < PATIENCE_MS
        });
    }

    /// What was asked was refused.
    pub fn refused(&mut self) {
        self.asked.clear();
    }

    /// Forgets the pool of one node; filter and order stay.
    pub fn change_node(&mut self) {
        let (filter, sort, reversed) = (std::mem::take(&mut self.filter), self.sort, self.reversed);
        *self = Self { filter, sort, reversed, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::Subject;
    use super::*;

    fn pool(nodes: &[(&str, f64)]) -> PoolView {
        let row = |(name, score): &(&str, f64)| {
            let mut row =
                PoolNodeRow { name: (*name).into(), available: true, slow_start: 1.0, ..PoolNodeRow::default() };
            row.score.total = *score;
            Arc::new(row)
        };
        PoolView { nodes: nodes.iter().map(row).collect(), ..PoolView::default() }
    }

    fn names(view: &NodesView, pool: &PoolView) -> Vec<String> {
        view.rows.iter().map(|at| pool.nodes[*at].name.to_string()).collect()
    }

    #[test]
    fn the_selection_follows_its_node_and_survives_its_end() {
        let mut view = NodesView::default();
        let all = pool(&[("a", 0.1), ("b", 0.9), ("c", 0.5)]);
        view.refresh(&all, 0, false);
        view.move_by(&all, 1);
        assert_eq!(view.selected.as_deref(), Some("b"));
        let less = pool(&[("a", 0.1), ("c", 0.5)]);
        view.refresh(&less, 0, false);
        assert_eq!(view.selected.as_deref(), Some("c"));
        view.awaited = Some("d".into());
        view.refresh(&pool(&[("a", 0.1), ("c", 0.5), ("d", 0.5)]), 0, false);
        assert_eq!((view.selected.as_deref(), view.awaited.is_none()), (Some("d"), true));
        view.filter = Filter::parse("ok -a", Subject::Lines);
        view.refresh(&less, 0, true);
        assert_eq!(names(&view, &less), ["c"]);
    }

    #[test]
    fn an_order_by_figures_holds_for_a_while() {
        let mut view = NodesView { sort: NodeSort::Score, ..NodesView::default() };
        let first = pool(&[("a", 0.1), ("b", 0.9), ("c", 0.5)]);
        view.refresh(&first, 10_000, true);
        assert_eq!(names(&view, &first), ["b", "c", "a"]);
        let later = pool(&[("a", 1.0), ("b", 0.9), ("c", 0.5)]);
        view.refresh(&later, 11_000, false);
        assert_eq!(names(&view, &later), ["b", "c", "a"], "rows do not jump");
        view.refresh(&later, 13_000, false);
        assert_eq!(names(&view, &later), ["a", "b", "c"]);
        view.reversed = true;
        view.refresh(&later, 13_000, true);
        assert_eq!(names(&view, &later), ["c", "b", "a"]);
    }

    #[test]
    fn a_wish_counts_until_it_is_a_fact_or_nothing_came_of_it() {
        let (mut view, mut all) = (NodesView::default(), pool(&[("a", 0.1)]));
        view.ask(&"a".into(), true, 0);
        view.settle(&all, 100);
        assert_eq!(view.wish(&all.nodes[0]), Some(true));
        view.settle(&all, PATIENCE_MS);
        assert_eq!(view.wish(&all.nodes[0]), None, "nothing came of it");
        view.ask(&"a".into(), true, 0);
        Arc::make_mut(&mut all.nodes[0]).draining = true;
        view.settle(&all, 100);
        assert_eq!(view.wish(&all.nodes[0]), None, "it is a fact");
    }
}
