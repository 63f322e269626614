//! The dialog that says where a key belongs: a key and how many replicas of it, and what both balancers answer.

use std::sync::Arc;

use skep_engine::control::pool::{MAX_NODES, Placement, PoolView};

use super::Model;
use super::input::Input;

/// Replicas, unless told otherwise.
const REPLICAS: &str = "3";

/// What a balancer answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Placed {
    /// It was not asked.
    #[default]
    Nothing,
    /// The nodes, and why.
    There(Box<Placement>),
    /// It has no answer, and why.
    Failed(String),
}

/// The dialog.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceView {
    /// The key.
    pub key: Input,
    /// How many different nodes, as typed.
    pub replicas: Input,
    /// The second field takes the keys.
    pub at_replicas: bool,
    /// By the ring.
    pub ring: Placed,
    /// By how the nodes are: one draw.
    pub resource: Placed,
    /// The number of the newest question.
    pub number: u64,
    /// It is not answered yet.
    pub open: bool,
    /// The pool as it was when that was asked.
    pool: Arc<PoolView>,
}

impl PlaceView {
    /// A dialog; the content of the selected transfer stands in it as the key.
    pub fn new(model: &Model) -> Self {
        let link = model.selected().and_then(|row| row.link.as_deref()).unwrap_or_default();
        let id = link.rsplit_once('/').map_or("", |(_, id)| id);
        Self {
            key: Input::proposing(id),
            replicas: Input::proposing(REPLICAS),
            at_replicas: false,
            ring: Placed::default(),
            resource: Placed::default(),
            number: 0,
            open: false,
            pool: model.snapshot.pool.clone(),
        }
    }

    /// The field that takes keys.
    pub fn field_mut(&mut self) -> &mut Input {
        if self.at_replicas { &mut self.replicas } else { &mut self.key }
    }

    /// What would be asked: the key and how many; none while there is no key.
    ///
    /// # Errors
    /// What is wrong with the number, in words.
    pub fn question(&self) -> Result<Option<(String, u32)>, &'static str> {
        let count = self.replicas.text().trim().parse::<u32>().ok();
        let count = count.filter(|count| (1..=MAX_NODES as u32).contains(count)).ok_or("1 to 4096 of them")?;
        let key = self.key.text();
        Ok((!key.is_empty()).then(|| (key.to_owned(), count)))
    }

    /// Takes note of the pool; true if the ring may have another answer now.
    pub fn watch(&mut self, pool: &Arc<PoolView>) -> bool {
        if Arc::ptr_eq(pool, &self.pool) {
            return false;
        }
        let ring = |pool: &PoolView| {
            let nodes = pool.nodes.iter().filter(|row| row.available);
            nodes.map(|row| (row.name.clone(), row.draining, row.weight.to_bits(), row.holds)).collect::<Vec<_>>()
        };
        let is_new = ring(pool) != ring(&self.pool);
        self.pool = pool.clone();
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::control::pool::PoolNodeRow;

    fn view() -> PlaceView {
        PlaceView::new(&Model::new(super::super::Settings::default(), Default::default(), "slate", Default::default()))
    }

    #[test]
    fn the_question_is_judged_while_it_is_typed() {
        let mut view = view();
        assert_eq!(view.question(), Ok(None), "no key yet");
        view.key = Input::new("two words ");
        assert_eq!(view.question(), Ok(Some(("two words ".into(), 3))), "blanks are part of a key");
        for wrong in ["", "0", "-1", "x", "4097", "99999999999"] {
            view.replicas = Input::new(wrong);
            assert!(view.question().is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_is_asked_again_when_the_ring_is_another_one() {
        let mut view = view();
        let pool = |cpu: f64, draining| {
            let mut row = PoolNodeRow { name: "a".into(), available: true, draining, ..PoolNodeRow::default() };
            row.score.cpu = cpu;
            Arc::new(PoolView { nodes: vec![Arc::new(row)], ..PoolView::default() })
        };
        assert!(view.watch(&pool(0.1, false)));
        assert!(!view.watch(&pool(0.2, false)), "that changes nothing on the ring");
        assert!(view.watch(&pool(0.2, true)));
    }
}
