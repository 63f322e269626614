//! UDP through a shaped link.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::link::Link;
use crate::packets::Packets;
use crate::profile::Way;

/// Senders at a time; what further ones send is lost.
const MAX_FLOWS: usize = 64;
/// A sender that was silent for so long is forgotten.
const IDLE: Duration = Duration::from_secs(30);
/// Datagrams of a flow that wait to be looked at; further ones are lost.
const WAITING: usize = 256;
/// Longest datagram.
const LONGEST: usize = 65_535;
/// After an error of the socket, before it is asked again.
const AFTER_ERROR: Duration = Duration::from_millis(10);

/// Receives for everybody; a flow is a task of its own.
pub(crate) async fn serve(socket: UdpSocket, target: SocketAddr, link: Arc<Link>, stop: CancellationToken) {
    let front = Arc::new(socket);
    let mut flows: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let (mut buffer, mut number) = (vec![0; LONGEST], 0u64);
    loop {
        let Ok((size, from)) = front.recv_from(&mut buffer).await else {
            // What is told of a datagram sent earlier, such as that nobody listens.
            tokio::time::sleep(AFTER_ERROR).await;
            continue;
        };
        if link.blocks_udp.load(Ordering::Relaxed) {
            continue;
        }
        flows.retain(|_, flow| !flow.is_closed());
        if !flows.contains_key(&from) && flows.len() < MAX_FLOWS {
            let (sender, receiver) = mpsc::channel(WAITING);
            let flow = Flow { front: Arc::clone(&front), from, target, link: Arc::clone(&link), number };
            tokio::spawn(stop.clone().run_until_cancelled_owned(flow.run(receiver)));
            flows.insert(from, sender);
            number += 1;
        }
        if let Some(flow) = flows.get(&from) {
            let _ = flow.try_send(buffer[..size].to_vec());
        }
    }
}

/// One sender and its way to the target and back.
struct Flow {
    front: Arc<UdpSocket>,
    from: SocketAddr,
    target: SocketAddr,
    link: Arc<Link>,
    number: u64,
}

impl Flow {
    /// Until it was idle for long, or there is no socket.
    async fn run(self, mut sent: mpsc::Receiver<Vec<u8>>) {
        let Ok(back) = self.connect().await else { return };
        // Not the seeds of connections.
        let seed = self.link.seed.wrapping_add(self.number.wrapping_mul(2)) ^ 0x0dd5_eed5;
        let now = Instant::now();
        let (mut up, mut down) = (Packets::new(seed, now), Packets::new(seed.wrapping_add(1), now));
        let (mut buffer, mut last) = (vec![0; LONGEST], now);
        loop {
            self.deliver(&mut up, &mut down, &back).await;
            let due = up.wake_at().into_iter().chain(down.wake_at()).min().unwrap_or(last + IDLE);
            tokio::select! {
                packet = sent.recv() => {
                    let Some(packet) = packet else { return };
                    last = Instant::now();
                    up.push(&mut self.link.line(Way::Up), packet, last);
                }
                got = back.recv(&mut buffer) => match got {
                    Ok(size) => {
                        last = Instant::now();
                        down.push(&mut self.link.line(Way::Down), buffer[..size].to_vec(), last);
                    }
                    Err(_) => tokio::time::sleep(AFTER_ERROR).await,
                },
                () = tokio::time::sleep_until(due.into()) => {
                    if up.wake_at().or(down.wake_at()).is_none() && last.elapsed() >= IDLE {
                        return;
                    }
                }
            }
        }
    }

    async fn connect(&self) -> io::Result<UdpSocket> {
        let any =
            if self.target.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(self.target).await?;
        Ok(socket)
    }

    /// Hands over what has arrived. What cannot be sent is lost, as elsewhere.
    async fn deliver(&self, up: &mut Packets, down: &mut Packets, back: &UdpSocket) {
        loop {
            let arrived = up.pop(&self.link.line(Way::Up), Instant::now());
            let Some(packet) = arrived else { break };
            if back.send(&packet).await.is_ok() {
                self.link.count(Way::Up, packet.len());
            }
        }
        loop {
            let arrived = down.pop(&self.link.line(Way::Down), Instant::now());
            let Some(packet) = arrived else { break };
            if self.front.send_to(&packet, self.from).await.is_ok() {
                self.link.count(Way::Down, packet.len());
            }
        }
    }
}
