//! Datagrams to a node's echo: round trips, and how many come back.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

use crate::node::echo::{ECHO, QUESTION};

/// Bytes of a question.
const SIZE: usize = 64;
/// Between two questions: far enough apart to meet different luck.
const SPACING: Duration = Duration::from_millis(5);

/// What came back.
#[derive(Debug, Clone, Default)]
pub(super) struct Echoed {
    /// Datagrams that left.
    pub sent: u32,
    /// Round trips of those that came back, ms.
    pub trips_ms: Vec<f64>,
}

/// Asks for echoes.
#[derive(Debug)]
pub(super) struct Asker {
    socket: UdpSocket,
    /// Tells our echoes from what others make up.
    secret: u64,
    next: u64,
}

impl Asker {
    /// # Errors
    /// No socket is to be had.
    pub(super) async fn new(to: SocketAddr, secret: u64) -> io::Result<Self> {
        let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        // Not connected: a node on all addresses may answer from another one than it was asked at.
        Ok(Self { socket: UdpSocket::bind((any, 0)).await?, secret, next: 0 })
    }

    /// Sends `count` questions and waits for their echoes, until `wait` after the last one. What cannot be sent at all
    /// counts as not sent.
    pub(super) async fn ask(&mut self, to: SocketAddr, count: u32, wait: Duration) -> Echoed {
        self.exchange(to, count, SPACING, wait, count).await
    }

    /// The same spread over `limit`, half of which is left for the last one, until one comes back: its round trip in ms.
    pub(super) async fn first(&mut self, to: SocketAddr, count: u32, limit: Duration) -> Option<f64> {
        let echoed = self.exchange(to, count, limit / 2 / count.max(1), limit / 2, 1).await;
        echoed.trips_ms.first().copied()
    }

    async fn exchange(&mut self, to: SocketAddr, count: u32, spacing: Duration, wait: Duration, enough: u32) -> Echoed {
        let first = self.next;
        self.next += u64::from(count);
        let mut sent: HashMap<u64, Instant> = HashMap::new();
        let mut echoed = Echoed::default();
        let mut buffer = [0; SIZE + 1];
        let mut due = tokio::time::Instant::now();
        let mut number = first;
        let mut end = due + wait;
        loop {
            let is_sending = number < self.next;
            tokio::select! {
                biased;
                came = self.socket.recv_from(&mut buffer) => {
                    let now = Instant::now();
                    let Ok((length, _)) = came else { continue };
                    // Once each: a datagram that was doubled on its way is one.
                    if let Some(at) = self.number(&buffer[..length]).and_then(|number| sent.remove(&number)) {
                        echoed.trips_ms.push((now - at).as_secs_f64() * 1e3);
                    }
                }
                () = tokio::time::sleep_until(due), if is_sending => {
                    let now = Instant::now();
                    if self.socket.try_send_to(&self.question(number), to).is_ok() {
                        sent.insert(number, now);
                        echoed.sent += 1;
                    }
                    number += 1;
                    due += spacing;
                    end = tokio::time::Instant::now() + wait;
                }
                () = tokio::time::sleep_until(end), if !is_sending => return echoed,
            }
            if (number == self.next && sent.is_empty()) || echoed.trips_ms.len() >= enough as usize {
                return echoed;
            }
        }
    }

    fn question(&self, number: u64) -> [u8; SIZE] {
        let mut question = [0; SIZE];
        question[..5].copy_from_slice(&QUESTION);
        question[8..16].copy_from_slice(&self.secret.to_le_bytes());
        question[16..24].copy_from_slice(&number.to_le_bytes());
        question
    }

    fn number(&self, echo: &[u8]) -> Option<u64> {
        let ours = echo.len() == SIZE && echo.starts_with(&ECHO) && echo[8..16] == self.secret.to_le_bytes();
        ours.then(|| u64::from_le_bytes(echo[16..24].try_into().unwrap_or_default()))
    }
}
