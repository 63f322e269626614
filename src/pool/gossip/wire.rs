//! Sealed datagrams as the gossip crate's transport: what goes out is packed and thinned, what comes is looked through.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Deserializable as _, Serializable as _};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::roster::Roster;
use super::{Datagrams, FORGET, pace};
use crate::pool::seal::{Opened, Refusal, Sealer};

/// Shortest time between two warnings of datagrams that are refused, and of nodes for which there is no room.
const WARNED: Duration = Duration::from_secs(60);
/// Longest message, unpacked: what the crate takes for one datagram.
const MAX_MESSAGE: usize = 65_535;
/// Shorter ones are one datagram anyway.
const PACKED_FROM: usize = 512;
/// What a packed message begins with (RFC 8878); one that is not begins with the crate's own mark.
const PACKED: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// As fast as packing gets; digests are half zeros.
const LEVEL: i32 = 1;

/// Where datagrams go.
pub trait Out: Send + Sync + std::fmt::Debug + 'static {
    /// Sends one, or drops it.
    ///
    /// # Errors
    /// It was dropped.
    fn put(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()>;
}

impl Out for UdpSocket {
    fn put(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let to = match to.ip() {
            // It takes IPv6 addresses only, where those of IPv4 are mapped.
            IpAddr::V4(ip) if self.local_addr()?.is_ipv6() => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        };
        self.try_send_to(datagram, to).map(drop)
    }
}

/// Both ways of one node.
pub(super) struct Wire {
    out: Arc<dyn Out>,
    inbox: tokio::sync::Mutex<mpsc::Receiver<(SocketAddr, bytes::Bytes)>>,
    sealer: Mutex<Sealer>,
    warned: Mutex<Option<Instant>>,
}

impl Wire {
    pub(super) fn new(secret: &[u8], Datagrams { out, inbox }: Datagrams) -> Result<Self, String> {
        let mut session = [0; 16];
        match rustix::rand::getrandom(&mut session, rustix::rand::GetRandomFlags::empty()) {
            Ok(16) => {}
            _ => return Err("the system gives no random bytes".to_owned()),
        }
        let sealer = Sealer::new(secret, session).ok_or("the cipher does not work")?;
        let (inbox, sealer) = (tokio::sync::Mutex::new(inbox), Mutex::new(sealer));
        Ok(Self { out, inbox, sealer, warned: Mutex::default() })
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
                Opened::Message(message) => match unpacked(message) {
                    Some(message) => return Some((from, message)),
                    None => tracing::debug!(target: "pool", "{from} sent what cannot be unpacked"),
                },
                Opened::Reply(reply) => reply.iter().for_each(|datagram| self.put(from, datagram)),
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
        if let Err(error) = self.out.put(to, datagram) {
            tracing::trace!(target: "pool", "no datagram to {to}: {error}");
        }
    }

    fn is_time_to_warn(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = warned.is_none_or(|at| at.elapsed() >= WARNED);
        if is_time {
            *warned = Some(Instant::now());
        }
        is_time
    }

    fn refused(&self, from: SocketAddr, why: Refusal) {
        if why == Refusal::Key && self.is_time_to_warn() {
            tracing::warn!(target: "pool", "{from} gossips with another key, or somebody forges it: nodes of a pool share one token");
        } else {
            tracing::debug!(target: "pool", "a datagram from {from} is dropped: {why:?}");
        }
    }
}

/// Smaller, if that can be had.
fn packed(message: Vec<u8>) -> Vec<u8> {
    if message.len() < PACKED_FROM {
        return message;
    }
    match zstd::bulk::compress(&message, LEVEL) {
        Ok(packed) if packed.len() < message.len() => packed,
        _ => message,
    }
}

fn unpacked(message: Vec<u8>) -> Option<Vec<u8>> {
    if message.starts_with(&PACKED) { zstd::bulk::decompress(&message, MAX_MESSAGE).ok() } else { Some(message) }
}

/// The transport, and its one socket.
pub(super) struct Sealed(pub Arc<Wire>);

struct Mouth {
    wire: Arc<Wire>,
    roster: Roster,
    began: Instant,
}

#[async_trait]
impl Transport for Sealed {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let roster = Roster::new(FORGET.as_millis() as u64);
        Ok(Box::new(Mouth { wire: self.0.clone(), roster, began: Instant::now() }))
    }
}

#[async_trait]
impl Socket for Mouth {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let is_first = matches!(message, ChitchatMessage::Syn { .. });
        let bytes = packed(message.serialize_to_vec());
        // Whom the exchange would be with makes no difference, so that those who are gone and those to join get their share.
        if !is_first || fastrand::f64() < pace::part(bytes.len()) {
            self.wire.send(to, &bytes);
        }
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        loop {
            let (from, mut message) = self.wire.message().await.ok_or_else(|| anyhow!("the node's socket is gone"))?;
            if !self.roster.admit(&mut message, self.began.elapsed().as_millis() as u64) {
                tracing::debug!(target: "pool", "{from} sent what is no gossip");
                continue;
            }
            let turned_away = self.roster.turned_away();
            if turned_away > 0 && self.wire.is_time_to_warn() {
                tracing::warn!(target: "pool", "{from} gossips of {turned_away} nodes for which there is no room: a pool has about a thousand");
            }
            match ChitchatMessage::deserialize(&mut &message[..]) {
                Ok(message) => return Ok((from, message)),
                Err(error) => tracing::debug!(target: "pool", "{from} sent what is no gossip: {error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_packed_where_that_helps_and_never_unpacked_without_end() {
        let zeros = vec![0; 60_000];
        assert!(packed(zeros.clone()).len() < 1_000);
        assert_eq!(unpacked(packed(zeros.clone())), Some(zeros));
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(1..)).take(4_000).collect();
        assert_eq!(unpacked(packed(noise.clone())), Some(noise));
        assert_eq!(unpacked(packed(b"short".to_vec())), Some(b"short".to_vec()));
        let bomb = zstd::bulk::compress(&vec![0; 10_000_000], LEVEL).unwrap();
        assert!(bomb.starts_with(&PACKED) && bomb.len() < 10_000);
        assert_eq!(unpacked(bomb), None);
        assert_eq!(unpacked(PACKED.to_vec()), None);
    }
}
