//! The state that all connections and flows of a shaped link share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::line::Line;
use crate::profile::{Profile, Way};

pub(crate) struct Link {
    up: Mutex<Line>,
    down: Mutex<Line>,
    passed: [AtomicU64; 2],
    /// Grows with every change from outside, so that sleepers look again.
    pub(crate) changes: watch::Sender<u64>,
    /// Cancelled, and a new one made, to drop all connections.
    connections: Mutex<CancellationToken>,
    /// Somebody on the way drops all datagrams.
    pub(crate) blocks_udp: AtomicBool,
    pub(crate) seed: u64,
}

impl Link {
    pub(crate) fn new(profile: Profile, seed: u64, connections: CancellationToken) -> Self {
        let now = Instant::now();
        Self {
            up: Mutex::new(Line::new(profile.shape(Way::Up), now)),
            down: Mutex::new(Line::new(profile.shape(Way::Down), now)),
            passed: [AtomicU64::new(0), AtomicU64::new(0)],
            changes: watch::Sender::new(0),
            connections: Mutex::new(connections),
            blocks_udp: AtomicBool::new(false),
            seed,
        }
    }

    pub(crate) fn line(&self, way: Way) -> MutexGuard<'_, Line> {
        match way {
            Way::Up => lock(&self.up),
            Way::Down => lock(&self.down),
        }
    }

    pub(crate) fn set(&self, profile: Profile) {
        let now = Instant::now();
        for way in [Way::Up, Way::Down] {
            self.line(way).reshape(profile.shape(way), now);
        }
        self.changed();
    }

    pub(crate) fn set_cut(&self, cut: bool) {
        for way in [Way::Up, Way::Down] {
            self.line(way).set_cut(cut);
        }
        self.changed();
    }

    /// Ends all connections; those to come live by the new token.
    pub(crate) fn replace_connections(&self, with: CancellationToken) {
        std::mem::replace(&mut *lock(&self.connections), with).cancel();
    }

    pub(crate) fn connections(&self) -> CancellationToken {
        lock(&self.connections).clone()
    }

    pub(crate) fn count(&self, way: Way, bytes: usize) {
        self.passed[way as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn passed(&self, way: Way) -> u64 {
        self.passed[way as usize].load(Ordering::Relaxed)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Arithmetic only happens under it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
