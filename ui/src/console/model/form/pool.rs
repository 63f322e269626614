//! A pool as the destination of a push: `pool:NAME`, and behind it how many copies and who chooses the nodes.

use skep_engine::control::pool::{Balancer, PoolView};

use super::proposals::Proposal;

/// A pool, and how a push goes to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToPool {
    /// `pool:NAME`.
    pub pool: String,
    /// Copies; none: as many as usual.
    pub replicas: Option<u32>,
    /// Who says on which nodes; none: the pool's own balancer.
    pub balancer: Option<Balancer>,
}

impl ToPool {
    /// What to say below the field.
    pub(super) fn remark(&self) -> String {
        let copies = match self.replicas {
            Some(1) => "1 copy on a node of this pool".to_owned(),
            copies => format!("{} copies on nodes of this pool, sent once", copies.unwrap_or(2)),
        };
        match self.balancer {
            Some(balancer) => format!("{copies}; {} chooses them", balancer.word()),
            None => format!("{copies}; behind it a number, resource-aware, consistent-hash"),
        }
    }
}

/// What stands in the field, in any order behind the pool; none: it is a node's address.
pub(super) fn to_pool(text: &str) -> Option<Result<ToPool, String>> {
    let mut words = text.split_whitespace();
    let pool = words.next().filter(|word| word.starts_with("pool:"))?;
    let wrong = "pool:NAME, behind it a number of copies if not 2, and resource-aware or consistent-hash";
    let mut to = ToPool { pool: pool.to_owned(), replicas: None, balancer: None };
    for word in words {
        let balancer = Balancer::ALL.into_iter().find(|balancer| balancer.word() == word);
        match (word.parse(), balancer) {
            (Ok(replicas @ 1..), _) if to.replicas.is_none() => to.replicas = Some(replicas),
            (_, Some(_)) if to.balancer.is_none() => to.balancer = balancer,
            _ => return Some(Err(wrong.to_owned())),
        }
    }
    Some(if pool == "pool:" { Err(wrong.to_owned()) } else { Ok(to) })
}

/// What could stand in the field: the pool, then who chooses its nodes.
pub(super) fn proposed(typed: &str, pool: &PoolView) -> Vec<Proposal> {
    let name = format!("pool:{}", pool.name);
    if pool.nodes.is_empty() || pool.name.is_empty() {
        return Vec::new();
    }
    let Some(behind) = typed.strip_prefix(&name).filter(|rest| rest.is_empty() || rest.starts_with(' ')) else {
        let there = pool.nodes.iter().filter(|row| row.available).count();
        let note = format!("{there} of {} nodes there; {} chooses", pool.nodes.len(), pool.balancer.word());
        return Vec::from_iter(name.contains(typed.trim()).then_some(Proposal { text: name, note }));
    };
    // A number is whole as it stands; the beginning of a word is completed.
    let (before, begun) = match behind.rsplit_once(' ') {
        Some((before, last)) if last.parse::<u32>().is_err() => (before, last),
        _ => (behind, ""),
    };
    if Balancer::ALL.iter().any(|balancer| before.split_whitespace().any(|word| word == balancer.word())) {
        return Vec::new();
    }
    let fits = Balancer::ALL.into_iter().filter(|it| it.word().starts_with(begun) && it.word() != begun);
    let one = |balancer: Balancer| {
        let note = match balancer {
            Balancer::ConsistentHash => "by the key alone: where the ring puts it",
            Balancer::ResourceAware => "by how the nodes are: the best ones now",
        };
        let words: Vec<&str> = before.split_whitespace().chain([balancer.word()]).collect();
        Proposal { text: format!("{name} {}", words.join(" ")), note: note.to_owned() }
    };
    fits.map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use skep_engine::control::pool::PoolNodeRow;

    use super::*;

    #[test]
    fn copies_and_balancer_stand_behind_the_pool_in_any_order() {
        let to = |text| to_pool(text).map(|to| to.map(|to| (to.replicas, to.balancer)));
        let (ring, health) = (Some(Balancer::ConsistentHash), Some(Balancer::ResourceAware));
        assert_eq!(to("http://h:1/"), None);
        assert_eq!(to("pool:x"), Some(Ok((None, None))));
        assert_eq!(to("pool:x 3"), Some(Ok((Some(3), None))));
        assert_eq!(to("pool:x 3 resource-aware"), Some(Ok((Some(3), health))));
        assert_eq!(to("pool:x  consistent-hash 1"), Some(Ok((Some(1), ring))));
        for wrong in [
            "pool:",
            "pool: 3",
            "pool:x 0",
            "pool:x 3 4",
            "pool:x -1",
            "pool:x resource",
            "pool:x resource-aware consistent-hash",
        ] {
            assert!(to_pool(wrong).unwrap().is_err(), "{wrong}");
        }
        let said = |text| to_pool(text).unwrap().unwrap().remark();
        assert_eq!(
            said("pool:x 3 resource-aware"),
            "3 copies on nodes of this pool, sent once; resource-aware chooses them"
        );
        assert!(said("pool:x").starts_with("2 copies on nodes of this pool, sent once; behind it a number"));
        assert!(said("pool:x 1").starts_with("1 copy on a node"));
    }

    #[test]
    fn the_pool_is_proposed_and_then_who_chooses_its_nodes() {
        let row = |available| Arc::new(PoolNodeRow { available, ..PoolNodeRow::default() });
        let pool = PoolView { name: "default".into(), nodes: vec![row(true), row(false)], ..PoolView::default() };
        let shown = |typed: &str| -> Vec<String> { proposed(typed, &pool).into_iter().map(|it| it.text).collect() };
        for typed in ["", "po", "pool:", "pool:def"] {
            assert_eq!(shown(typed), ["pool:default"], "{typed:?}");
        }
        assert_eq!(proposed("", &pool)[0].note, "1 of 2 nodes there; consistent-hash chooses");
        assert_eq!(shown("http://h"), [""; 0]);
        assert_eq!(shown("pool:other "), [""; 0]);
        assert_eq!(shown("pool:default"), ["pool:default consistent-hash", "pool:default resource-aware"]);
        assert_eq!(shown("pool:default 3"), ["pool:default 3 consistent-hash", "pool:default 3 resource-aware"]);
        assert_eq!(shown("pool:default 3 r"), ["pool:default 3 resource-aware"]);
        assert_eq!(shown("pool:default re"), ["pool:default resource-aware"]);
        assert_eq!(shown("pool:default resource-aware"), [""; 0]);
        assert_eq!(shown("pool:default resource-aware 3"), [""; 0]);
        assert_eq!(proposed("", &PoolView::default()), []);
    }
}
