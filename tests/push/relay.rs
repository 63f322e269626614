//! An endpoint of its own that leads to another: a path that can be cut and mended, for everybody or for who
//! comes from one address, and that can lose answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Who gets through.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    Fully,
    No,
    Without(IpAddr),
}

impl Open {
    fn admits(self, from: IpAddr) -> bool {
        match self {
            Self::Fully => true,
            Self::No => false,
            Self::Without(other) => other != from,
        }
    }
}

/// A relay.
pub struct Relay {
    pub address: SocketAddr,
    open: watch::Sender<Open>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// Bytes towards the receiver.
    carried: u64,
    /// What every chunk waits on its way, as on a long line.
    delay: Duration,
    /// Breaks connections that begin as HTTP/2.
    only_http1: bool,
    /// How many did.
    http2: u32,
    /// Answers that are lost: to requests that begin so, this many.
    loses: Vec<(&'static str, u32)>,
}

impl Relay {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = watch::Sender::new(Open::Fully);
        let inner = Arc::<Mutex<Inner>>::default();
        let (state, shared) = (open.subscribe(), inner.clone());
        tokio::spawn(async move {
            while let Ok((from, peer)) = listener.accept().await {
                if state.borrow().admits(peer.ip()) {
                    tokio::spawn(carry(from, peer.ip(), target, state.clone(), shared.clone()));
                }
            }
        });
        Self { address, open, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A long line; with `only_http1` it ends at a proxy that knows nothing else.
    pub async fn far(target: SocketAddr, only_http1: bool) -> Self {
        Self::away(target, Duration::from_millis(5), only_http1).await
    }

    /// The same with a line so long that others have answered twice by then.
    pub async fn farther(target: SocketAddr, only_http1: bool) -> Self {
        Self::away(target, Duration::from_millis(400), only_http1).await
    }

    async fn away(target: SocketAddr, delay: Duration, only_http1: bool) -> Self {
        let relay = Self::to(target).await;
        let mut inner = relay.inner.lock().unwrap();
        (inner.delay, inner.only_http1) = (delay, only_http1);
        drop(inner);
        relay
    }

    /// Connections that began as HTTP/2 (RFC 9113, 3.4).
    pub fn http2(&self) -> u32 {
        self.inner.lock().unwrap().http2
    }

    pub fn carried(&self) -> u64 {
        self.inner.lock().unwrap().carried
    }

    /// Breaks what is connected and lets nobody through any more.
    pub fn cut(&self) {
        self.open.send_replace(Open::No);
    }

    /// The same for who comes from this address: the interface that has it went away.
    pub fn cut_from(&self, address: IpAddr) {
        self.open.send_replace(Open::Without(address));
    }

    /// Lets everybody through again.
    pub fn mend(&self) {
        self.open.send_replace(Open::Fully);
    }

    /// Resets the connection in place of the next `count` answers to requests that begin so.
    pub fn lose_answers(&self, to: &'static str, count: u32) {
        self.inner.lock().unwrap().loses.push((to, count));
    }

    /// Answers that are still to be lost.
    pub fn left_to_lose(&self) -> u32 {
        self.inner.lock().unwrap().loses.iter().map(|(_, left)| left).sum()
    }
}

impl Inner {
    /// Whether the answer to a request is to be lost, once more.
    fn loses(&mut self, request: &[u8]) -> bool {
        match self.loses.iter_mut().find(|(to, left)| *left > 0 && request.starts_with(to.as_bytes())) {
            Some((_, left)) => {
                *left -= 1;
                true
            }
            None => false,
        }
    }
}

async fn carry(
    from: TcpStream,
    peer: IpAddr,
    target: SocketAddr,
    mut state: watch::Receiver<Open>,
    inner: Arc<Mutex<Inner>>,
) {
    let Ok(to) = TcpStream::connect(target).await else { return };
    // What is still on its way is lost with the connection.
    from.set_zero_linger().unwrap();
    let (from_read, from_write) = from.into_split();
    let (to_read, to_write) = to.into_split();
    // Requests follow one another: each begins a chunk.
    let request = Mutex::new(Vec::new());
    tokio::select! {
        () = up(from_read, to_write, &request, &inner) => {}
        () = down(to_read, from_write, &request, &inner) => {}
        _ = state.wait_for(|open| !open.admits(peer)) => {}
    }
}

async fn up(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, request: &Mutex<Vec<u8>>, inner: &Mutex<Inner>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let delay = {
            let mut inner = inner.lock().unwrap();
            inner.carried += n as u64;
            if buffer.starts_with(b"PRI * HTTP/2.0") && n < buffer.len() {
                inner.http2 += 1;
                if inner.only_http1 {
                    return;
                }
            }
            inner.delay
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if [&b"PUT "[..], b"POST ", b"HEAD ", b"GET ", b"DELETE "].iter().any(|method| buffer.starts_with(method)) {
            *request.lock().unwrap() = buffer[..n.min(64)].to_vec();
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
}

async fn down(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, request: &Mutex<Vec<u8>>, inner: &Mutex<Inner>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        // An answer comes when its request was received to the last byte.
        let is_lost = inner.lock().unwrap().loses(&request.lock().unwrap());
        if is_lost || to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
}
