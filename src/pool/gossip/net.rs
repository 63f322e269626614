//! A network in memory for nodes that gossip, for tests and for the figures of large pools: no latency, and it counts.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Datagrams, Out};

/// As many datagrams wait as at a node's socket.
const WAITS: usize = 1_024;
/// Headers of a datagram: UDP and IPv4.
const HEADERS: u64 = 28;

type Sender = mpsc::Sender<(SocketAddr, Bytes)>;
type Cut = Box<dyn Fn(SocketAddr, SocketAddr) -> bool + Send>;

#[derive(Default)]
pub struct Net {
    ports: Mutex<HashMap<SocketAddr, Sender>>,
    /// Says which datagrams are lost, by where from and where to.
    cut: Mutex<Option<Cut>>,
    bytes: AtomicU64,
    datagrams: AtomicU64,
    lost: AtomicU64,
}

impl Net {
    /// A node's socket; who had that address before is gone.
    pub fn open(self: &Arc<Self>, at: SocketAddr) -> Datagrams {
        let (sender, inbox) = mpsc::channel(WAITS);
        self.ports.lock().unwrap().insert(at, sender);
        Datagrams { out: Arc::new(Port { net: self.clone(), at }), inbox }
    }

    pub fn close(&self, at: SocketAddr) {
        self.ports.lock().unwrap().remove(&at);
    }

    pub fn cut(&self, is_lost: impl Fn(SocketAddr, SocketAddr) -> bool + Send + 'static) {
        *self.cut.lock().unwrap() = Some(Box::new(is_lost));
    }

    /// Bytes and datagrams sent so far, and those of them that a full queue dropped.
    pub fn sent(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.bytes), read(&self.datagrams), read(&self.lost))
    }

    pub fn send(&self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        self.bytes.fetch_add(datagram.len() as u64 + HEADERS, Ordering::Relaxed);
        self.datagrams.fetch_add(1, Ordering::Relaxed);
        if self.cut.lock().unwrap().as_ref().is_some_and(|is_lost| is_lost(from, to)) {
            return;
        }
        let Some(port) = self.ports.lock().unwrap().get(&to).cloned() else { return };
        if port.try_send((from, Bytes::copy_from_slice(datagram))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Port {
    net: Arc<Net>,
    at: SocketAddr,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Out for Port {
    fn put(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.net.send(self.at, to, datagram);
        Ok(())
    }
}
