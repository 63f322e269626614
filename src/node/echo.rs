//! The echo of datagrams, on the port number that the server listens on: how others measure loss and round trips.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `SKPE` |
//! | 1 | `?` in a question, `!` in its echo |
//! | | whatever the asker put there, up to 128 bytes in all |
//!
//! The echo is the question with that one byte changed: never longer, so nothing is amplified, and never a question itself, so
//! two nodes whose addresses somebody forged do not answer one another for ever. Each source may ask so often, all together
//! so often; what is more is dropped without a word.
//!
//! Gossip shares the port: datagrams that begin as its do are handed on, unread (see [`pool::seal`](crate::pool::seal)).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::pool::gossip::Datagrams;
use crate::pool::seal;

/// What a question begins with.
pub const QUESTION: [u8; 5] = *b"SKPE?";
/// What its echo begins with.
pub const ECHO: [u8; 5] = *b"SKPE!";
/// Longest datagram that is answered.
pub const MAX_DATAGRAM: usize = 128;

/// Echoes a second for one source, and those it may have saved up.
const PER_SOURCE: f64 = 250.0;
/// The same for all.
const FOR_ALL: f64 = 5_000.0;
/// Sources are told apart by this many buckets: memory stays what it is, whoever asks.
const BUCKETS: usize = 256;
/// Pause after an error that is not about one datagram.
const PAUSE: Duration = Duration::from_millis(100);

/// Datagrams of gossip that may wait; what is more is dropped, as any router on the way may.
const GOSSIP_WAITS: usize = 1_024;

/// The socket that echoes.
#[derive(Debug)]
pub(super) struct Echo {
    socket: Arc<UdpSocket>,
    gossip: mpsc::Sender<(SocketAddr, Bytes)>,
    inbox: Option<mpsc::Receiver<(SocketAddr, Bytes)>>,
}

impl Echo {
    /// # Errors
    /// The port is taken for datagrams, or may not be had.
    pub(super) async fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind(addr).await?);
        let (gossip, inbox) = mpsc::channel(GOSSIP_WAITS);
        Ok(Self { socket, gossip, inbox: Some(inbox) })
    }

    /// Where gossip comes and goes; none if somebody has it already.
    pub(super) fn gossip(&mut self) -> Option<Datagrams> {
        Some(Datagrams { out: self.socket.clone(), inbox: self.inbox.take()? })
    }

    /// Answers until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut limits = Limits::new(Instant::now());
        // One byte more, to see which are too long.
        let mut datagram = [0; seal::MAX_DATAGRAM + 1];
        loop {
            let came = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                came = self.socket.recv_from(&mut datagram) => came,
            };
            match came {
                Ok((length, from)) if datagram[..length].starts_with(&seal::MAGIC) => {
                    if length <= seal::MAX_DATAGRAM {
                        let _ = self.gossip.try_send((from, Bytes::copy_from_slice(&datagram[..length])));
                    }
                }
                Ok((length, from)) => {
                    let Some(echo) = echo(&mut datagram[..length]) else { continue };
                    if limits.admit(from.ip(), Instant::now()) {
                        // A full queue drops it, as any router on the way may.
                        let _ = self.socket.try_send_to(echo, from);
                    }
                }
                // What an earlier echo met (nobody listens there any more) says nothing about this socket.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset) => {}
                Err(error) => {
                    tracing::debug!(target: "node", "cannot receive datagrams: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Makes a question its echo.
fn echo(datagram: &mut [u8]) -> Option<&[u8]> {
    if datagram.len() > MAX_DATAGRAM || !datagram.starts_with(&QUESTION) {
        return None;
    }
    datagram[..ECHO.len()].copy_from_slice(&ECHO);
    Some(datagram)
}

/// Who may be answered how often. Pure: time comes in.
struct Limits {
    all: Bucket,
    sources: [Bucket; BUCKETS],
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, rate: f64, now: Instant) -> bool {
        self.left = (self.left + now.saturating_duration_since(self.at).as_secs_f64() * rate).min(rate);
        self.at = now;
        let is_there = self.left >= 1.0;
        if is_there {
            self.left -= 1.0;
        }
        is_there
    }
}

impl Limits {
    fn new(now: Instant) -> Self {
        Self { all: Bucket { left: FOR_ALL, at: now }, sources: [Bucket { left: PER_SOURCE, at: now }; BUCKETS] }
    }

    fn admit(&mut self, from: IpAddr, now: Instant) -> bool {
        // Who has one IPv6 address has 2^64 of them.
        let place = match from.to_canonical() {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        let mixed = place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
        self.sources[mixed as usize % BUCKETS].take(PER_SOURCE, now) && self.all.take(FOR_ALL, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_as_long_as_its_question_and_is_no_question() {
        let mut question = *b"SKPE?12345678";
        assert_eq!(echo(&mut question), Some(&b"SKPE!12345678"[..]));
        assert_eq!(echo(&mut question), None, "an echo is not echoed");
        assert_eq!(echo(&mut [0; 20]), None);
        assert_eq!(echo(&mut []), None);
        let mut long = [b' '; MAX_DATAGRAM + 1];
        long[..QUESTION.len()].copy_from_slice(&QUESTION);
        assert_eq!(echo(&mut long), None);
    }

    #[test]
    fn a_source_has_its_share_and_gets_it_again() {
        let now = Instant::now();
        let mut limits = Limits::new(now);
        let ip = |last| IpAddr::from([10, 0, 0, last]);
        let admitted = |limits: &mut Limits, ip, now| (0..1000).filter(|_| limits.admit(ip, now)).count();
        assert_eq!(admitted(&mut limits, ip(1), now), 250);
        assert_eq!(admitted(&mut limits, ip(2), now), 250, "another one");
        assert_eq!(admitted(&mut limits, ip(1), now + Duration::from_secs(2)), 250);
        let everybody: usize =
            (0..=255).map(|last| admitted(&mut limits, ip(last), now + Duration::from_secs(4))).sum();
        assert_eq!(everybody, 5_000);
    }
}
