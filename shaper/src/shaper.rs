//! A shaped way to a target: what is started, changed and dropped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::link::Link;
use crate::profile::{Profile, Way};
use crate::{datagrams, streams};

/// Attempts to get the same port number for TCP and UDP.
const ATTEMPTS: usize = 16;

/// What has passed so far, of connections and datagrams, without headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Bytes from those who connect to the target.
    pub up: u64,
    /// Bytes back.
    pub down: u64,
}

/// Something that happens to a link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// It becomes another kind of link.
    Become(Profile),
    /// Nothing gets through any more.
    Cut,
    /// Everything does again.
    Uncut,
    /// All its connections break.
    Reset,
}

/// A shaped way to a target. It ends, with its connections, when this is dropped.
pub struct Shaper {
    link: Arc<Link>,
    addr: SocketAddr,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Shaper {
    /// Listens on a free port of loopback, TCP and UDP, and relays to `target`. `seed` decides jitter and losses.
    ///
    /// # Errors
    /// No socket.
    pub async fn start(target: SocketAddr, profile: Profile, seed: u64) -> io::Result<Self> {
        let (listener, socket) = bind(profile.window()).await?;
        let addr = listener.local_addr()?;
        let stop = CancellationToken::new();
        let link = Arc::new(Link::new(profile, seed, stop.child_token()));
        let tcp = streams::serve(listener, target, profile.window(), Arc::clone(&link));
        tokio::spawn(stop.clone().run_until_cancelled_owned(tcp));
        let udp = datagrams::serve(socket, target, Arc::clone(&link), stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(udp));
        Ok(Self { link, addr, _guard: stop.clone().drop_guard(), stop })
    }

    /// Where to connect instead of the target.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where to connect instead of the target, for HTTP: without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Becomes another link, at once and for connections that exist.
    pub fn set(&self, profile: Profile) {
        self.link.set(profile);
    }

    /// Nothing gets through any more, silently: connections stay and hear nothing.
    pub fn cut(&self) {
        self.link.set_cut(true);
    }

    /// Everything gets through again, of connections what waited first.
    pub fn uncut(&self) {
        self.link.set_cut(false);
    }

    /// Cut for so long. A cut or an end of it in between is overruled when the time is over.
    pub fn stall(&self, time: Duration) {
        self.cut();
        self.play(vec![(time, Step::Uncut)]);
    }

    /// Datagrams are dropped, as many a firewall does, or not any more; connections go on.
    pub fn block_udp(&self, blocks: bool) {
        self.link.blocks_udp.store(blocks, Ordering::Relaxed);
    }

    /// Breaks all connections, as pulling a plug and putting it back does.
    pub fn reset(&self) {
        self.link.replace_connections(self.stop.child_token());
    }

    /// Lets things happen, each so long after now; ordered by time. It runs by itself and ends with the link.
    pub fn play(&self, steps: Vec<(Duration, Step)>) {
        let (link, stop, begun) = (Arc::clone(&self.link), self.stop.clone(), Instant::now());
        let ends = self.stop.clone();
        let playing = async move {
            for (at, step) in steps {
                tokio::time::sleep_until((begun + at).into()).await;
                match step {
                    Step::Become(profile) => link.set(profile),
                    Step::Cut => link.set_cut(true),
                    Step::Uncut => link.set_cut(false),
                    Step::Reset => link.replace_connections(stop.child_token()),
                }
            }
        };
        tokio::spawn(ends.run_until_cancelled_owned(playing));
    }

    /// What has passed so far.
    pub fn passed(&self) -> Passed {
        Passed { up: self.link.passed(Way::Up), down: self.link.passed(Way::Down) }
    }
}

/// Both on the same port number; `window` is the listener's receive buffer.
async fn bind(window: u32) -> io::Result<(TcpListener, UdpSocket)> {
    let mut refused = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let socket = TcpSocket::new_v4()?;
        // Accepted sockets inherit it. Failing only makes the link deeper than it should be.
        let _ = socket.set_recv_buffer_size(window);
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = socket.listen(128)?;
        match UdpSocket::bind(listener.local_addr()?).await {
            Ok(udp) => return Ok((listener, udp)),
            // Free for one and taken for the other: another number.
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::line::Outages;

    /// Sends back all that it gets, on every connection, and every datagram.
    async fn echo() -> SocketAddr {
        let (listener, socket) = bind(1 << 16).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 2048];
            while let Ok((size, from)) = socket.recv_from(&mut packet).await {
                let _ = socket.send_to(&packet[..size], from).await;
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                    let _ = write.shutdown().await;
                });
            }
        });
        addr
    }

    async fn connected(shaper: &Shaper) -> TcpStream {
        TcpStream::connect(shaper.addr()).await.unwrap()
    }

    async fn within<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(60), future).await.expect("waited in vain")
    }

    #[tokio::test]
    async fn bytes_come_through_unchanged_and_the_end_too() {
        for profile in [Profile::IDEAL, Profile::FIBER, Profile::BROADBAND] {
            let shaper = Shaper::start(echo().await, profile, 1).await.unwrap();
            let sent: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
            let (mut read, mut write) = connected(&shaper).await.into_split();
            let data = sent.clone();
            let sending = tokio::spawn(async move {
                write.write_all(&data).await.unwrap();
                write.shutdown().await.unwrap();
            });
            let mut got = Vec::new();
            within(read.read_to_end(&mut got)).await.unwrap();
            sending.await.unwrap();
            assert_eq!(got, sent, "{}", profile.name);
            assert_eq!(shaper.passed(), Passed { up: 200_000, down: 200_000 });
        }
    }

    #[tokio::test]
    async fn a_round_trip_takes_its_time() {
        let shaper = Shaper::start(echo().await, Profile::SATELLITE, 1).await.unwrap();
        let mut stream = connected(&shaper).await;
        let asked = Instant::now();
        stream.write_all(b"?").await.unwrap();
        within(stream.read_u8()).await.unwrap();
        assert!(asked.elapsed() >= 2 * Profile::SATELLITE.delay);
    }

    #[tokio::test]
    async fn cut_is_silent_and_uncut_brings_everything() {
        let shaper = Shaper::start(echo().await, Profile::IDEAL, 1).await.unwrap();
        let mut stream = connected(&shaper).await;
        stream.write_all(b"a").await.unwrap();
        assert_eq!(within(stream.read_u8()).await.unwrap(), b'a');
        shaper.cut();
        stream.write_all(b"b").await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
        assert!(silence.is_err() && shaper.passed().up == 1, "cut, and yet {silence:?}");
        shaper.uncut();
        assert_eq!(within(stream.read_u8()).await.unwrap(), b'b');
        shaper.stall(Duration::from_millis(30));
        stream.write_all(b"c").await.unwrap();
        assert_eq!(within(stream.read_u8()).await.unwrap(), b'c', "a stall ends by itself");
    }

    #[tokio::test]
    async fn a_link_can_become_another() {
        let shaper = Shaper::start(echo().await, Profile { up: 1, ..Profile::IDEAL }, 1).await.unwrap();
        let mut stream = connected(&shaper).await;
        // At a byte per second the second chunk would take most of an hour.
        stream.write_all(b"a").await.unwrap();
        within(stream.read_u8()).await.unwrap();
        shaper.set(Profile::IDEAL);
        stream.write_all(&[7; 3_000]).await.unwrap();
        within(stream.read_exact(&mut [0; 3_000])).await.unwrap();
        assert_eq!(Profile::named("mobile"), Some(Profile::MOBILE));
    }

    #[tokio::test]
    async fn connections_end_by_reset_and_with_the_shaper() {
        let shaper = Shaper::start(echo().await, Profile::IDEAL, 1).await.unwrap();
        let mut old = connected(&shaper).await;
        old.write_all(b"a").await.unwrap();
        within(old.read_u8()).await.unwrap();
        shaper.reset();
        assert!(within(old.read_u8()).await.is_err());
        let mut new = connected(&shaper).await;
        new.write_all(b"b").await.unwrap();
        assert_eq!(within(new.read_u8()).await.unwrap(), b'b', "the link itself is fine");
        drop(shaper);
        assert!(within(new.read_u8()).await.is_err());
    }

    #[tokio::test]
    async fn a_target_that_is_gone_ends_the_connection() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let shaper = Shaper::start(free, Profile::IDEAL, 1).await.unwrap();
        assert!(within(connected(&shaper).await.read_u8()).await.is_err());
    }

    /// A datagram socket at one end, and a way to ask and get the answer.
    async fn asker(shaper: &Shaper) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(shaper.addr()).await.unwrap();
        socket
    }

    /// Numbers that came back of those sent, until one of `last` is there.
    async fn echoes(socket: &UdpSocket, numbers: std::ops::Range<u8>, last: u8) -> Vec<u8> {
        for number in numbers {
            socket.send(&[number]).await.unwrap();
        }
        let (mut got, mut packet) = (Vec::new(), [0; 16]);
        while got.last() != Some(&last) {
            let size = within(socket.recv(&mut packet)).await.unwrap();
            assert_eq!(size, 1);
            got.push(packet[0]);
        }
        got
    }

    #[tokio::test]
    async fn datagrams_come_back_after_the_round_trip() {
        let shaper = Shaper::start(echo().await, Profile::BROADBAND, 1).await.unwrap();
        let (one, other) = (asker(&shaper).await, asker(&shaper).await);
        let asked = Instant::now();
        assert_eq!(echoes(&one, 0..10, 9).await, (0..10).collect::<Vec<_>>());
        assert!(asked.elapsed() >= 2 * Profile::BROADBAND.delay);
        assert_eq!(echoes(&other, 50..52, 51).await, [50, 51], "everybody gets their own");
        assert_eq!(shaper.passed(), Passed { up: 12, down: 12 });
    }

    #[tokio::test]
    async fn datagrams_are_lost_by_the_seed_and_by_a_firewall() {
        let mut came = Vec::new();
        for seed in [5, 5, 6] {
            let lossy = Profile { loss: 30.0, ..Profile::IDEAL };
            let shaper = Shaper::start(echo().await, lossy, seed).await.unwrap();
            let socket = asker(&shaper).await;
            for number in 0..60 {
                socket.send(&[number]).await.unwrap();
            }
            let (mut got, mut packet) = (Vec::new(), [0; 16]);
            // They stay in order: whatever of 60 comes back, nothing of those before comes after it.
            while packet[0] < 60 {
                socket.send(&[60]).await.unwrap();
                while packet[0] < 60
                    && let Ok(size) = tokio::time::timeout(Duration::from_millis(20), socket.recv(&mut packet)).await
                {
                    assert_eq!(size.unwrap(), 1);
                    got.push(packet[0]);
                }
            }
            got.pop();
            came.push(got);
        }
        assert_eq!(came[0], came[1]);
        assert_ne!(came[0], came[2]);
        assert!((12..48).contains(&came[0].len()), "lost both ways: {came:?}");
        let shaper = Shaper::start(echo().await, Profile::IDEAL, 1).await.unwrap();
        let socket = asker(&shaper).await;
        shaper.block_udp(true);
        for _ in 0..20 {
            socket.send(&[1]).await.unwrap();
        }
        let mut stream = connected(&shaper).await;
        stream.write_all(b"a").await.unwrap();
        assert_eq!(within(stream.read_u8()).await.unwrap(), b'a', "connections go on");
        shaper.block_udp(false);
        // Of the blocked ones those that were not read yet may get through now; the last one does.
        echoes(&socket, 7..8, 7).await;
    }

    #[tokio::test]
    async fn a_link_lives_through_what_is_played() {
        let shaper = Shaper::start(echo().await, Profile::IDEAL, 1).await.unwrap();
        let mut stream = connected(&shaper).await;
        shaper.cut();
        stream.write_all(b"a").await.unwrap();
        let ms = Duration::from_millis;
        shaper.play(vec![(ms(20), Step::Become(Profile::BROADBAND)), (ms(40), Step::Uncut), (ms(200), Step::Reset)]);
        let asked = Instant::now();
        assert_eq!(within(stream.read_u8()).await.unwrap(), b'a');
        assert!(asked.elapsed() >= ms(39), "cut until then");
        assert!(within(stream.read_u8()).await.is_err(), "and broken in the end");
    }

    #[tokio::test]
    async fn outages_are_over_by_themselves() {
        let outages = Outages { works: Duration::from_millis(2), breaks: Duration::from_millis(60) };
        let profile = Profile { outages: Some(outages), ..Profile::IDEAL };
        let shaper = Shaper::start(echo().await, profile, 1).await.unwrap();
        let mut stream = connected(&shaper).await;
        let mut longest = Duration::ZERO;
        while longest < Duration::from_millis(50) {
            let asked = Instant::now();
            stream.write_all(b"a").await.unwrap();
            assert_eq!(within(stream.read_u8()).await.unwrap(), b'a');
            longest = longest.max(asked.elapsed());
        }
    }
}
