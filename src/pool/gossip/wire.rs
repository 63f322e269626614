//! Sealed datagrams as the gossip crate's transport.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use async_trait::async_trait;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Deserializable as _, Serializable as _};
use tokio::sync::mpsc;

use super::Datagrams;
use crate::pool::seal::{Opened, Refusal, Sealer};

/// Shortest time between two warnings of datagrams that are refused.
const WARNED: Duration = Duration::from_secs(60);

/// Both ways of one node.
pub(super) struct Wire {
    socket: Arc<tokio::net::UdpSocket>,
    /// The socket takes IPv6 addresses only, where those of IPv4 are mapped.
    is_v6: bool,
    inbox: tokio::sync::Mutex<mpsc::Receiver<(SocketAddr, bytes::Bytes)>>,
    sealer: Mutex<Sealer>,
    warned: Mutex<Option<Instant>>,
}

impl Wire {
    pub(super) fn new(secret: &[u8], Datagrams { socket, inbox }: Datagrams) -> Result<Self, String> {
        let mut session = [0; 16];
        match rustix::rand::getrandom(&mut session, rustix::rand::GetRandomFlags::empty()) {
            Ok(16) => {}
            _ => return Err("the system gives no random bytes".to_owned()),
        }
        let is_v6 = socket.local_addr().map_err(|error| error.to_string())?.is_ipv6();
        let sealer = Sealer::new(secret, session).ok_or("the cipher does not work")?;
        let (inbox, sealer) = (tokio::sync::Mutex::new(inbox), Mutex::new(sealer));
        Ok(Self { socket, is_v6, inbox, sealer, warned: Mutex::default() })
    }

    fn sealer(&self) -> MutexGuard<'_, Sealer> {
        self.sealer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message; none once the node stops. May be dropped at any time.
    pub(super) async fn message(&self) -> Option<(SocketAddr, Vec<u8>)> {
        let mut inbox = self.inbox.lock().await;
        loop {
            let (from, datagram) = inbox.recv().await?;
            let from = SocketAddr::new(from.ip().to_canonical(), from.port());
            let opened = self.sealer().open(from, &datagram);
            match opened {
                Opened::Message(message) => return Some((from, message)),
                Opened::Reply(reply) => self.put(from, &reply),
                Opened::Nothing => {}
                Opened::Refused(why) => self.refused(from, why),
            }
        }
    }

    fn send(&self, to: SocketAddr, message: &[u8]) {
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        let sealed = self.sealer().seal(to, message);
        sealed.iter().for_each(|datagram| self.put(to, datagram));
    }

    /// A full queue drops it, as any router on the way may.
    fn put(&self, to: SocketAddr, datagram: &[u8]) {
        let to = match to.ip() {
            IpAddr::V4(ip) if self.is_v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        };
        if let Err(error) = self.socket.try_send_to(datagram, to) {
            tracing::trace!(target: "pool", "no datagram to {to}: {error}");
        }
    }

    fn refused(&self, from: SocketAddr, why: Refusal) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if why != Refusal::Key || warned.is_some_and(|at| at.elapsed() < WARNED) {
            tracing::debug!(target: "pool", "a datagram from {from} is dropped: {why:?}");
            return;
        }
        *warned = Some(Instant::now());
        tracing::warn!(target: "pool", "{from} gossips with another key, or somebody forges it: nodes of a pool share one token");
    }
}

/// The transport.
pub(super) struct Sealed(pub Arc<Wire>);

#[async_trait]
impl Transport for Sealed {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        Ok(Box::new(Self(self.0.clone())))
    }
}

#[async_trait]
impl Socket for Sealed {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        self.0.send(to, &message.serialize_to_vec());
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            let (from, message) = self.0.message().await.ok_or_else(|| anyhow!("the node's socket is gone"))?;
            match ChitchatMessage::deserialize(&mut &message[..]) {
                Ok(message) => return Ok((from, message)),
                Err(error) => tracing::debug!(target: "pool", "{from} sent what is no gossip: {error}"),
            }
        }
    }
}
