//! What a viewer sees of a book.

use std::sync::Arc;

use super::Book;
use crate::control::pool::{Known, PoolNodeRow, PoolView};

/// Figures move all the time; what nobody can see of that must not cost a message.
fn rounded(value: f64, step: f64) -> f64 {
    (value * step).round() / step
}

impl Book {
    /// The pool now. `gossip`: the address of gossip, if there is any. Rows that are as they were in `before` are those.
    pub fn view(&self, gossip: Option<String>, before: &PoolView, now: u64) -> PoolView {
        let chances = self.resource.chances(now, |name| self.entries.get(name).is_some_and(|entry| entry.available));
        let chances: std::collections::BTreeMap<_, _> = chances.into_iter().collect();
        let shares = self.hashed.ring().shares();
        let chosen = self.resource.shares_chosen();
        let mut old = before.nodes.iter().peekable();
        let row = |(name, entry): (&Arc<str>, &super::Entry)| {
            let standing = self.resource.standing(name, now).unwrap_or_default();
            let health = self.resource.health(name);
            let report = health.and_then(|health| health.report());
            let known = match (entry.member.is_some(), entry.listed.is_some()) {
                _ if *name == self.own => Known::Own,
                (true, true) => Known::Both,
                (true, false) => Known::Gossip,
                (false, _) => Known::Listed,
            };
            let holds = entry.member.as_ref().map(|member| &member.holds);
            let mut score = standing.score;
            for term in
                [&mut score.cpu, &mut score.memory, &mut score.connections, &mut score.latency, &mut score.total]
            {
                *term = rounded(*term, 1e3);
            }
            let row = PoolNodeRow {
                name: name.clone(),
                endpoint: entry.endpoint().to_owned(),
                known,
                weight: entry.weight(),
                available: entry.available,
                draining: standing.drained,
                excluded: standing.excluded.clone().filter(|_| entry.available),
                excluded_ms: entry.excluded_at.filter(|_| entry.available && standing.excluded.is_some()),
                stale: standing.stale,
                figures: report.map(|(figures, _)| *figures),
                reported_ms: report.map(|(_, at)| at),
                latency_ms: rounded(standing.latency_ms, 10.0),
                score,
                slow_start: rounded(standing.slow_start, 100.0),
                chance: rounded(chances.get(name).copied().unwrap_or(0.0), 1e3),
                chosen: rounded(chosen.get(name).copied().unwrap_or(0.0), 1e3),
                ring_share: rounded(shares.get(name).copied().unwrap_or(0.0), 1e4),
                holds: holds.map_or(0, |holds| holds.len() as u64),
                held_bytes: holds.map_or(0, |holds| holds.values().fold(0, |sum, one| sum.saturating_add(one.bytes))),
                why: self.why(name, entry, &standing),
            };
            while old.next_if(|old| old.name < row.name).is_some() {}
            match old.next_if(|old| old.name == row.name) {
                Some(old) if **old == row => old.clone(),
                _ => Arc::new(row),
            }
        };
        let nodes = self.entries.iter().map(row).collect();
        PoolView {
            name: self.name.clone(),
            balancer: self.balancer,
            gossip,
            limits: self.resource.limits(),
            nodes,
            moves: before.moves.clone(),
        }
    }

    fn why(&self, name: &str, entry: &super::Entry, standing: &crate::pool::resource::Standing) -> String {
        let mut words = Vec::new();
        if let Some((first, other)) = self.twice.get(name) {
            words.push(format!("{first} and {other} have the same name: the second is left out"));
        }
        if !entry.available {
            words.push(if entry.why.is_empty() {
                "not heard of".to_owned()
            } else {
                format!("no answer: {}", entry.why)
            });
        }
        if let Some(says) = &entry.says {
            words.push(format!("calls itself {says}"));
        }
        if standing.drained {
            words.push(match self.drained_at(name) {
                Some(at) if !self.drained.contains(name) => format!("drained at {at}"),
                _ => "drained".to_owned(),
            });
        }
        match &standing.excluded {
            Some(why) if entry.available => words.push(why.clone()),
            _ if standing.stale && entry.available => words.push("no report of late: counts half".to_owned()),
            _ => {}
        }
        if entry.available && standing.slow_start < 1.0 {
            words.push(format!("new here: {:.0} % of its score counts", standing.slow_start * 100.0));
        }
        words.join("; ")
    }
}
