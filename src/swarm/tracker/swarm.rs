//! The peers of one content in a tracker.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

/// A peer in the table.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) endpoint: Box<str>,
    /// None: complete, or too large to be kept.
    pub(super) bitmap: Option<Box<[u8]>>,
    pub(super) complete: bool,
    pub(super) source: IpAddr,
    pub(super) seen: Instant,
}

impl Listed {
    /// Memory it takes, the shares of both tables included.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * self.endpoint.len() + self.bitmap.as_ref().map_or(0, |b| b.len()) + 128
    }
}

/// One content.
#[derive(Debug)]
pub(super) struct Swarm {
    /// Who announced it first.
    pub(super) founder: IpAddr,
    /// The last announce.
    pub(super) seen: Instant,
    peers: Vec<Listed>,
    index: HashMap<Box<str>, usize>,
    sources: HashMap<IpAddr, usize>,
}

impl Swarm {
    /// Memory of an empty one.
    pub(super) const BYTES: usize = 512;

    pub(super) fn new(founder: IpAddr, now: Instant) -> Self {
        let (peers, index, sources) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { founder, seen: now, peers, index, sources }
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Listed> {
        self.peers.iter()
    }

    pub(super) fn bytes(&self) -> usize {
        Self::BYTES + self.peers.iter().map(Listed::bytes).sum::<usize>()
    }

    pub(super) fn count_of(&self, source: IpAddr) -> usize {
        self.sources.get(&source).copied().unwrap_or(0)
    }

    /// Adds a peer that is not in it.
    pub(super) fn insert(&mut self, peer: Listed) {
        self.index.insert(peer.endpoint.clone(), self.peers.len());
        *self.sources.entry(peer.source).or_default() += 1;
        self.peers.push(peer);
    }

    /// Removes a peer; the bytes that frees.
    pub(super) fn remove(&mut self, endpoint: &str) -> usize {
        match self.index.get(endpoint) {
            Some(at) => self.remove_at(*at),
            None => 0,
        }
    }

    fn remove_at(&mut self, at: usize) -> usize {
        let peer = self.peers.swap_remove(at);
        self.index.remove(&peer.endpoint);
        if let Some(moved) = self.peers.get(at) {
            self.index.insert(moved.endpoint.clone(), at);
        }
        if let Some(count) = self.sources.get_mut(&peer.source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&peer.source);
            }
        }
        peer.bytes()
    }

    /// Removes the peer unseen longest, of one source or of any, if `may` be; the bytes that frees.
    pub(super) fn remove_oldest(&mut self, source: Option<IpAddr>, may: impl Fn(Instant) -> bool) -> usize {
        let theirs = |peer: &Listed| source.is_none_or(|source| peer.source == source);
        let oldest = self.peers.iter().enumerate().filter(|(_, peer)| theirs(peer)).min_by_key(|(_, peer)| peer.seen);
        match oldest {
            Some((at, peer)) if may(peer.seen) => self.remove_at(at),
            _ => 0,
        }
    }

    /// Removes all whose time is over; the bytes that frees.
    pub(super) fn expire(&mut self, over: impl Fn(Instant) -> bool) -> usize {
        let (mut at, mut freed) = (0, 0);
        while let Some(peer) = self.peers.get(at) {
            if over(peer.seen) {
                freed += self.remove_at(at);
            } else {
                at += 1;
            }
        }
        freed
    }

    /// At most `count` peers at random, without the one at `but`.
    pub(super) fn sample(
        &self,
        count: usize,
        but: Option<&str>,
        rng: &mut fastrand::Rng,
    ) -> impl Iterator<Item = &Listed> {
        let mut order: Vec<usize> = (0..self.peers.len()).collect();
        // The first `count + 1` of a shuffle: one of them may be the peer that asks.
        for at in 0..order.len().min(count + 1) {
            order.swap(at, rng.usize(at..self.peers.len()));
        }
        let others = order.into_iter().map(|at| &self.peers[at]).filter(move |peer| Some(&*peer.endpoint) != but);
        others.take(count)
    }
}
