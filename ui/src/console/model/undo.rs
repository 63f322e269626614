//! What can be taken back: the commands of the last minutes, each with what undoes it.
//!
//! A step is made from the command and the snapshot at the moment it was given, so that undoing
//! brings back what was, not what is usual.

use std::collections::VecDeque;

use skep_engine::control::link::{ClassChoice, LinkChangeRequest};
use skep_engine::control::pool::PoolNode;
use skep_engine::control::queue::QueueMove;
use skep_engine::control::{Command, Snapshot, TransferId, TransferState};

use super::links::authority;
use super::paths::Set;
use crate::console::effect::Told;

/// Steps that are kept.
const MAX_STEPS: usize = 50;

/// A command that was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What was done, in words: `pausing ubuntu.iso`.
    pub what: String,
    /// What takes it back; empty if nothing does.
    pub back: Vec<Command>,
    told: Told,
    ids: Vec<TransferId>,
}

/// Steps, the newest last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History(VecDeque<Step>);

impl History {
    /// Notes a command that is about to be sent.
    pub fn note(&mut self, command: &Command, told: Told, snapshot: &Snapshot) {
        if let Some(step) = step(command, told, snapshot) {
            self.push(step);
        }
    }

    /// Notes a command about a path that was set like this before.
    pub fn note_path(&mut self, command: &Command, told: Told, before: Set) {
        let Command::SetPath { id, path, enabled, weight } = command else { return };
        let what = match enabled {
            Some(false) => format!("disabling {path}"),
            Some(true) => format!("enabling {path}"),
            None => format!("the weight of {path}"),
        };
        let back = Command::SetPath {
            id: *id,
            path: path.clone(),
            enabled: enabled.map(|_| before.enabled),
            weight: weight.map(|_| before.weight),
        };
        self.push(Step { what, back: vec![back], told, ids: vec![*id] });
    }

    fn push(&mut self, step: Step) {
        if self.0.len() >= MAX_STEPS {
            self.0.pop_front();
        }
        self.0.push_back(step);
    }

    /// Forgets a command that was refused: there is nothing to take back.
    pub fn refused(&mut self, told: Told, ids: &[TransferId]) {
        if let Some(at) = self.0.iter().rposition(|step| step.told == told && step.ids == ids) {
            self.0.remove(at);
        }
    }

    /// A node was listed that said its name itself: from now on that can be taken back.
    pub fn listed(&mut self, told: Told, name: &str) {
        if let Some(step) = self.0.iter_mut().rev().find(|step| step.told == told).filter(|step| step.back.is_empty()) {
            step.back = vec![Command::PoolRemove { name: name.to_owned() }];
        }
    }

    /// The newest step, which is forgotten.
    pub fn take(&mut self) -> Option<Step> {
        self.0.pop_back()
    }

    /// True if nothing was done yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a command does and what takes it back; none for what changes nothing.
fn step(command: &Command, told: Told, snapshot: &Snapshot) -> Option<Step> {
    let row = |id: TransferId| snapshot.transfers.iter().find(|row| row.id == id);
    let called = |ids: &[TransferId]| match ids {
        [one] => row(*one).map_or_else(|| format!("#{one}"), |row| row.name.clone()),
        many => format!("{} transfers", many.len()),
    };
    let made = |what: String, ids: &[TransferId], back| Some(Step { what, back, told, ids: ids.to_vec() });
    match command {
        Command::Pause { ids } => {
            made(format!("pausing {}", called(ids)), ids, vec![Command::Resume { ids: ids.clone() }])
        }
        Command::Resume { ids } => {
            // What had failed was not paused before: there is no way back to that.
            let failed = |id: &TransferId| row(*id).is_some_and(|row| row.state == TransferState::Failed);
            let paused: Vec<TransferId> = ids.iter().copied().filter(|id| !failed(id)).collect();
            if paused.is_empty() {
                return made(format!("retrying {}", called(ids)), ids, Vec::new());
            }
            made(format!("resuming {}", called(&paused)), ids, vec![Command::Pause { ids: paused }])
        }
        Command::Limit { id, up, down } => {
            let (old_up, old_down) = match id {
                None => (snapshot.node.limit_up, snapshot.node.limit_down),
                Some(id) => row(*id).map(|row| (row.limit_up, row.limit_down))?,
            };
            let back = Command::Limit { id: *id, up: up.map(|_| old_up), down: down.map(|_| old_down) };
            let ids: Vec<TransferId> = id.iter().copied().collect();
            let of = if ids.is_empty() { "the node".to_owned() } else { called(&ids) };
            made(format!("the limits of {of}"), &ids, vec![back])
        }
        Command::Prioritise { ids, .. } => {
            let mut back: Vec<Command> = Vec::new();
            for id in ids {
                let old = row(*id)?.priority;
                let same = back.iter_mut().find_map(|command| match command {
                    Command::Prioritise { ids, priority } if *priority == old => Some(ids),
                    _ => None,
                });
                match same {
                    Some(ids) => ids.push(*id),
                    None => back.push(Command::Prioritise { ids: vec![*id], priority: old }),
                }
            }
            made(format!("the priority of {}", called(ids)), ids, back)
        }
        Command::Move { id, up } => {
            made(format!("moving {}", called(&[*id])), &[*id], vec![Command::Move { id: *id, up: !up }])
        }
        Command::Ban { peer } => made(format!("the ban of {peer}"), &[], vec![Command::Unban { peer: peer.clone() }]),
        Command::Unban { peer } => {
            made(format!("lifting the ban of {peer}"), &[], vec![Command::Ban { peer: peer.clone() }])
        }
        Command::Drain { on } => {
            let what = if *on { "draining the node" } else { "ending the drain" };
            made(what.to_owned(), &[], vec![Command::Drain { on: !on }])
        }
        Command::SetLink(change) => {
            let link = snapshot.links.iter().find(|link| link.endpoint == change.endpoint)?;
            let class = if link.forced { ClassChoice::Fixed(link.class) } else { ClassChoice::Auto };
            let back = LinkChangeRequest {
                endpoint: change.endpoint.clone(),
                class: change.class.map(|_| class),
                metered: change.metered.map(|_| link.metered),
            };
            let what = if change.class.is_some() { "the class" } else { "what bytes cost" };
            made(format!("{what} of {}", authority(&change.endpoint)), &[], vec![Command::SetLink(back)])
        }
        Command::StopMonitor { endpoint } => {
            let mut back = vec![Command::StartMonitor { endpoint: endpoint.clone() }];
            // What was said of it is forgotten with it.
            if let Some(link) = snapshot.links.iter().find(|link| link.endpoint == *endpoint)
                && (link.forced || link.metered)
            {
                let class = link.forced.then_some(ClassChoice::Fixed(link.class));
                let metered = link.metered.then_some(true);
                back.push(Command::SetLink(LinkChangeRequest { endpoint: endpoint.clone(), class, metered }));
            }
            made(format!("no longer watching {}", authority(endpoint)), &[], back)
        }
        Command::StartMonitor { endpoint } => {
            let back = Command::StopMonitor { endpoint: endpoint.clone() };
            made(format!("watching {}", authority(endpoint)), &[], vec![back])
        }
        Command::SetClass { ids: operations, .. } => {
            let rows = || snapshot.queue.rows.iter().filter(|row| operations.contains(&row.id));
            let name = rows().next().map_or_else(String::new, |row| row.name.clone());
            let back = rows().map(|row| Command::SetClass { ids: vec![row.id], class: row.class });
            made(format!("the class of {name}"), &[], back.collect())
        }
        Command::MoveQueued { id, to: to @ (QueueMove::Up | QueueMove::Down) } => {
            let back = if *to == QueueMove::Up { QueueMove::Down } else { QueueMove::Up };
            made("the move in the queue".to_owned(), &[], vec![Command::MoveQueued { id: *id, to: back }])
        }
        Command::PoolDrain { name, on } => {
            let what = if *on { "draining" } else { "taking into use" };
            let back = Command::PoolDrain { name: name.clone(), on: !on };
            made(format!("{what} {name}"), &[], vec![back])
        }
        Command::SetBalancer { .. } => {
            let back = Command::SetBalancer { balancer: snapshot.pool.balancer };
            made("the balancer".to_owned(), &[], vec![back])
        }
        Command::PoolAdd(node) => {
            // Without a name it cannot be taken back until that is known: see `History::listed`.
            let old = snapshot.pool.nodes.iter().find(|row| *row.name == *node.name && row.is_listed());
            let back = match old {
                Some(row) => Some(Command::PoolAdd(PoolNode { weight: Some(row.weight), ..node.clone() })),
                None if node.name.is_empty() => None,
                None => Some(Command::PoolRemove { name: node.name.clone() }),
            };
            let name = if node.name.is_empty() { authority(&node.endpoint) } else { &node.name };
            made(format!("listing {name}"), &[], Vec::from_iter(back))
        }
        Command::PoolRemove { name } => {
            let row = snapshot.pool.nodes.iter().find(|row| *row.name == **name)?;
            let node = PoolNode { name: name.clone(), endpoint: row.endpoint.clone(), weight: Some(row.weight) };
            let drained = row.draining.then(|| Command::PoolDrain { name: name.clone(), on: true });
            let back = std::iter::once(Command::PoolAdd(node)).chain(drained).collect();
            made(format!("taking {name} off the list"), &[], back)
        }
        Command::PurgeQueue(_) => made("taking out of the queue".to_owned(), &[], Vec::new()),
        Command::Cancel { ids } => made(format!("cancelling {}", called(ids)), ids, Vec::new()),
        Command::Remove { ids, .. } => made(format!("removing {}", called(ids)), ids, Vec::new()),
        Command::Verify { .. }
        | Command::Add(_)
        | Command::Share(_)
        | Command::Send(_)
        | Command::Sync(_)
        | Command::PreviewSync(_)
        | Command::Preview(_)
        | Command::PreviewShare(_)
        | Command::PreviewSend(_)
        | Command::Interfaces
        // See `History::note_path`.
        | Command::SetPath { .. }
        | Command::Probe(_)
        | Command::LinkHistory { .. }
        | Command::Enqueue { .. }
        | Command::MoveQueued { .. }
        | Command::RetryQueued { .. }
        | Command::Place { .. }
        | Command::PreviewPool { .. }
        | Command::SetLogLevel { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::control::{NodeRow, TransferRow};
    use std::sync::Arc;

    fn snapshot() -> Snapshot {
        let row = |id, state, priority| {
            Arc::new(TransferRow {
                id: TransferId(id),
                name: format!("t{id}"),
                state,
                priority,
                limit_down: Some(7),
                ..TransferRow::default()
            })
        };
        let node = NodeRow { limit_up: Some(3), ..NodeRow::default() };
        let transfers =
            vec![row(1, TransferState::Running, 0), row(2, TransferState::Failed, 2), row(3, TransferState::Paused, 2)];
        Snapshot { node: Arc::new(node), transfers, ..Snapshot::default() }
    }

    fn ids(list: &[u64]) -> Vec<TransferId> {
        list.iter().copied().map(TransferId).collect()
    }

    #[test]
    fn what_takes_back_what() {
        let limit = |id, up, down| Command::Limit { id, up, down };
        let peer = || "10.0.0.7:7070".to_owned();
        let priority = |list: &[u64], priority| Command::Prioritise { ids: ids(list), priority };
        let cases = [
            (Command::Pause { ids: ids(&[1]) }, "pausing t1", vec![Command::Resume { ids: ids(&[1]) }]),
            (Command::Resume { ids: ids(&[2, 3]) }, "resuming t3", vec![Command::Pause { ids: ids(&[3]) }]),
            (Command::Resume { ids: ids(&[2]) }, "retrying t2", vec![]),
            (limit(None, Some(None), None), "the limits of the node", vec![limit(None, Some(Some(3)), None)]),
            (
                limit(Some(TransferId(1)), Some(Some(9)), Some(None)),
                "the limits of t1",
                vec![limit(Some(TransferId(1)), Some(None), Some(Some(7)))],
            ),
            (priority(&[1, 2, 3], 1), "the priority of 3 transfers", vec![priority(&[1], 0), priority(&[2, 3], 2)]),
            (
                Command::Move { id: TransferId(1), up: true },
                "moving t1",
                vec![Command::Move { id: TransferId(1), up: false }],
            ),
            (Command::Unban { peer: peer() }, "lifting the ban of 10.0.0.7:7070", vec![Command::Ban { peer: peer() }]),
            (Command::Drain { on: true }, "draining the node", vec![Command::Drain { on: false }]),
            (Command::Ban { peer: peer() }, "the ban of 10.0.0.7:7070", vec![Command::Unban { peer: peer() }]),
            (Command::Cancel { ids: ids(&[1]) }, "cancelling t1", vec![]),
            (Command::Remove { ids: ids(&[1, 2]), data: true }, "removing 2 transfers", vec![]),
        ];
        for (command, what, back) in cases {
            let mut history = History::default();
            history.note(&command, "x", &snapshot());
            let step = history.take().unwrap();
            assert_eq!((step.what.as_str(), step.back), (what, back), "{command:?}");
        }
    }

    #[test]
    fn it_is_bounded_and_forgets_what_was_refused() {
        let mut history = History::default();
        for _ in 0..200 {
            history.note(&Command::Pause { ids: ids(&[1]) }, "pause", &snapshot());
        }
        assert_eq!(history.0.len(), MAX_STEPS);
        let mut history = History::default();
        history.note(&Command::Pause { ids: ids(&[1]) }, "pause", &snapshot());
        history.note(&Command::Cancel { ids: ids(&[3]) }, "cancel", &snapshot());
        history.refused("pause", &ids(&[1]));
        assert_eq!(history.take().map(|step| step.what).as_deref(), Some("cancelling t3"));
        assert!(history.is_empty());
    }
}
