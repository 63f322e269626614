//! What all downloads and uploads of a node share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

use super::bans::{self, Ban, BanList};
use super::catalog::Catalog;
use super::choker::ChokerConfig;
use super::client::Client;
use super::leech::LeechConfig;
use crate::clock::unix_ms;
use crate::control::BanRow;

/// Node-wide services of the swarm.
#[derive(Debug)]
pub struct Swarm {
    /// Asks other nodes.
    pub client: Arc<Client>,
    /// What this node has.
    pub catalog: Arc<Catalog>,
    /// Whom it does not talk to.
    pub bans: Arc<Bans>,
    /// Where others reach it; none: it only fetches.
    pub endpoint: Option<String>,
    /// How it fetches.
    pub leech: LeechConfig,
    /// How it serves.
    pub choker: ChokerConfig,
    /// Pieces that came and did not match their digest.
    pub(crate) hash_failures: AtomicU64,
}

impl Swarm {
    /// Pieces that came and did not match their digest, since the start.
    pub fn hash_failures(&self) -> u64 {
        self.hash_failures.load(Ordering::Relaxed)
    }
}

/// The ban list, and a bell for whoever keeps it on the disk.
#[derive(Debug)]
pub struct Bans {
    list: Mutex<BanList>,
    /// Rung on every change; one ring waiting is enough.
    changed: mpsc::Sender<()>,
    /// Counts the changes, for those who ask peers.
    changes: watch::Sender<u64>,
}

/// Nobody is banned, and nobody keeps it on a disk.
impl Default for Bans {
    fn default() -> Self {
        Self::new(Vec::new(), mpsc::channel(1).0)
    }
}

impl Bans {
    /// With the bans that were kept. `changed` (capacity 1 is enough) is rung on every change.
    pub fn new(kept: Vec<BanRow>, changed: mpsc::Sender<()>) -> Self {
        let kept = kept.into_iter().map(|row| Ban {
            peer: row.peer,
            reason: row.reason,
            since_unix_ms: row.since_ms,
            until_unix_ms: row.until_ms,
        });
        Self { list: Mutex::new(BanList::restore(kept, unix_ms())), changed, changes: watch::Sender::new(0) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut BanList) -> T) -> T {
        act(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bans a peer by its endpoint URL.
    pub fn ban(&self, endpoint: &str, reason: &str) {
        tracing::warn!("{endpoint} is banned: {reason}");
        self.with(|list| list.ban(endpoint, reason, bans::DEFAULT, unix_ms()));
        self.tell();
    }

    fn tell(&self) {
        let _ = self.changed.try_send(());
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Wakes whenever somebody was banned or a ban was lifted; a ban that just runs out wakes nobody.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Is this endpoint banned now?
    pub fn is_banned(&self, endpoint: &str) -> bool {
        self.with(|list| list.is_banned(endpoint, unix_ms()))
    }

    /// Forgets a ban; false if there was none.
    pub fn lift(&self, peer: &str) -> bool {
        let lifted = self.with(|list| list.lift(peer)).is_some();
        self.tell();
        lifted
    }

    /// Bans in force.
    pub fn rows(&self) -> Vec<BanRow> {
        self.with(|list| {
            list.expire(unix_ms());
            let row = |ban: &Ban| BanRow {
                peer: ban.peer.clone(),
                reason: ban.reason.clone(),
                since_ms: ban.since_unix_ms,
                until_ms: ban.until_unix_ms,
            };
            list.iter().map(row).collect()
        })
    }
}
