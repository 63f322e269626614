//! A relay on loopback that makes the way to a node as slow as a real link: real sockets, real
//! bytes, only later.
//!
//! It ends TCP on both sides, so congestion control does not see the link: rate, delay, jitter and
//! queueing are what a program sees, loss shows only as what it costs. For packets and loss there
//! are network namespaces; this one needs no privileges and runs anywhere.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::pipe::{Line, Pipe, Shape};

/// Connections at a time; further ones wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 256;

/// For connecting to the target.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a link is like. `up` is from those who connect to the target, `down` the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// For people.
    pub name: &'static str,
    /// Bytes per second up; 0 is unlimited.
    pub up: u64,
    /// Bytes per second down; 0 is unlimited.
    pub down: u64,
    /// One way; a round trip takes twice as long.
    pub delay: Duration,
    /// Standard deviation of the delay.
    pub jitter: Duration,
    /// What the bottleneck queues before senders have to wait.
    pub queue: Duration,
}

/// Megabits per second in bytes per second.
const fn mbit(rate: f64) -> u64 {
    (rate * 125_000.0) as u64
}

impl Profile {
    /// Nothing in the way.
    pub const IDEAL: Self = Self::new("ideal", 0.0, 0.0, 0, 0, 0);
    /// 500/500 Mbit/s to the home, server in the same city.
    pub const FIBER: Self = Self::new("fiber", 500.0, 500.0, 1, 0, 20);
    /// Cable or VDSL, 50/10 Mbit/s, 20 ms round trip.
    pub const BROADBAND: Self = Self::new("broadband", 10.0, 50.0, 10, 0, 80);
    /// A fair 4G cell: 5 Mbit/s, 80 ms round trip that wavers.
    pub const MOBILE: Self = Self::new("mobile", 5.0, 5.0, 40, 14, 300);
    /// Narrow-band geostationary: 0.8 Mbit/s; one hop is at least 558 ms there and back (RFC 2488,
    /// section 2).
    pub const SATELLITE: Self = Self::new("satellite", 0.8, 0.8, 300, 0, 600);

    /// All of them.
    pub const ALL: [Self; 5] = [Self::IDEAL, Self::FIBER, Self::BROADBAND, Self::MOBILE, Self::SATELLITE];

    /// Rates in Mbit/s, times in ms.
    const fn new(name: &'static str, up: f64, down: f64, delay: u64, jitter: u64, queue: u64) -> Self {
        Self {
            name,
            up: mbit(up),
            down: mbit(down),
            delay: Duration::from_millis(delay),
            jitter: Duration::from_millis(jitter),
            queue: Duration::from_millis(queue),
        }
    }

    /// The profile of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    fn shape(&self, way: Way) -> Shape {
        let rate = match way {
            Way::Up => self.up,
            Way::Down => self.down,
        };
        Shape { rate, delay: self.delay, jitter: self.jitter, queue: self.queue }
    }

    /// Bytes that a sender may have on the way: what the link and its queue hold. The kernel's own
    /// buffers would hold megabytes, and a sender believe they had arrived.
    fn window(&self) -> u32 {
        let rate = if self.up == 0 || self.down == 0 { u64::MAX } else { self.up.max(self.down) };
        let time = (self.delay + self.queue).as_secs_f64();
        (rate as f64 * time).clamp(64.0 * 1024.0, 4.0 * 1024.0 * 1024.0) as u32
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Up,
    Down,
}

/// What has passed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Bytes from those who connect to the target.
    pub up: u64,
    /// Bytes back.
    pub down: u64,
}

/// A shaped way to a target. It ends, with its connections, when this is dropped.
pub struct Shaper {
    link: Arc<Link>,
    addr: SocketAddr,
    stop: CancellationToken,
    _guard: DropGuard,
}

struct Link {
    up: Mutex<Line>,
    down: Mutex<Line>,
    passed: [AtomicU64; 2],
    /// Grows with every change from outside, so that sleepers look again.
    changes: watch::Sender<u64>,
    /// Cancelled, and a new one made, to drop all connections.
    connections: Mutex<CancellationToken>,
    seed: u64,
}

impl Shaper {
    /// Listens on a free port of loopback and relays to `target`. `seed` decides the jitter.
    ///
    /// # Errors
    /// No socket.
    pub async fn start(target: SocketAddr, profile: Profile, seed: u64) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Accepted sockets inherit it. Failing only makes the link deeper than it should be.
        let _ = socket.set_recv_buffer_size(profile.window());
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = socket.listen(128)?;
        let addr = listener.local_addr()?;
        let (now, stop) = (Instant::now(), CancellationToken::new());
        let link = Arc::new(Link {
            up: Mutex::new(Line::new(profile.shape(Way::Up), now)),
            down: Mutex::new(Line::new(profile.shape(Way::Down), now)),
            passed: [AtomicU64::new(0), AtomicU64::new(0)],
            changes: watch::Sender::new(0),
            connections: Mutex::new(stop.child_token()),
            seed,
        });
        let serving = serve(listener, target, profile.window(), Arc::clone(&link));
        tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
        Ok(Self { link, addr, _guard: stop.clone().drop_guard(), stop })
    }

    /// Where to connect instead of the target.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Becomes another link, at once and for connections that exist.
    pub fn set(&self, profile: Profile) {
        lock(&self.link.up).reshape(profile.shape(Way::Up));
        lock(&self.link.down).reshape(profile.shape(Way::Down));
        self.link.changed();
    }

    /// Nothing gets through any more, silently: connections stay and hear nothing.
    pub fn cut(&self) {
        self.link.set_cut(true);
    }

    /// Everything gets through again, what waited first.
    pub fn uncut(&self) {
        self.link.set_cut(false);
    }

    /// Cut for so long. A cut or an end of it in between is overruled when the time is over.
    pub fn stall(&self, time: Duration) {
        self.cut();
        let (link, stop) = (Arc::clone(&self.link), self.stop.clone());
        tokio::spawn(async move {
            if stop.run_until_cancelled(tokio::time::sleep(time)).await.is_some() {
                link.set_cut(false);
            }
        });
    }

    /// Breaks all connections, as pulling a plug and putting it back does.
    pub fn reset(&self) {
        std::mem::replace(&mut *lock(&self.link.connections), self.stop.child_token()).cancel();
    }

    /// What has passed so far.
    pub fn passed(&self) -> Passed {
        let of = |way: Way| self.link.passed[way as usize].load(Ordering::Relaxed);
        Passed { up: of(Way::Up), down: of(Way::Down) }
    }
}

impl Link {
    fn line(&self, way: Way) -> MutexGuard<'_, Line> {
        match way {
            Way::Up => lock(&self.up),
            Way::Down => lock(&self.down),
        }
    }

    fn set_cut(&self, cut: bool) {
        lock(&self.up).set_cut(cut);
        lock(&self.down).set_cut(cut);
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Arithmetic only happens under it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, target: SocketAddr, window: u32, link: Arc<Link>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for number in 0u64.. {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let near = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of descriptors: others have to close some first.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (alive, link) = (lock(&link.connections).clone(), Arc::clone(&link));
        tokio::spawn(async move {
            alive.run_until_cancelled(relay(near, target, window, &link, number)).await;
            drop(place);
        });
    }
}

/// One connection. Its end on one side becomes the end on the other; an error ends both.
async fn relay(near: TcpStream, target: SocketAddr, window: u32, link: &Link, number: u64) {
    let Ok(Ok(far)) = tokio::time::timeout(CONNECT_TIMEOUT, connect(target, window)).await else { return };
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let seed = link.seed.wrapping_add(number.wrapping_mul(2));
    let up = pump(near_read, far_write, link, Way::Up, seed);
    let down = pump(far_read, near_write, link, Way::Down, seed.wrapping_add(1));
    // Whoever failed, failed both.
    let _ = tokio::try_join!(up, down);
}

async fn connect(target: SocketAddr, window: u32) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let _ = socket.set_recv_buffer_size(window);
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Moves bytes one way until the end of the stream has arrived.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, link: &Link, way: Way, seed: u64) -> io::Result<()> {
    let mut changes = link.changes.subscribe();
    let mut pipe = Pipe::new(seed, Instant::now());
    let mut buffer = vec![0; 64 << 10];
    let mut ended = false;
    loop {
        loop {
            let arrived = pipe.pop(&link.line(way), Instant::now());
            let Some(chunk) = arrived else { break };
            if chunk.is_empty() {
                return to.shutdown().await;
            }
            link.passed[way as usize].fetch_add(chunk.len() as u64, Ordering::Relaxed);
            to.write_all(&chunk).await?;
        }
        let (room, wake) = {
            let (mut line, now) = (link.line(way), Instant::now());
            (if ended { 0 } else { pipe.room(&mut line, now) }, pipe.wake_at(&line, now))
        };
        let asleep = async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = from.read(&mut buffer[..room]), if room > 0 => {
                let read = read?;
                ended = read == 0;
                pipe.push(&mut link.line(way), buffer[..read].to_vec(), Instant::now());
            }
            () = asleep => {}
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Sends back all that it gets, on every connection.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
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
}
