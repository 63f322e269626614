//! A connection's socket with eyes on it: counts bytes, notes when a client begins a request, and
//! fails when a client stops taking what it asked for.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::caps::Permit;
use super::config::Limits;
use super::metrics::Metrics;
use super::outlet::{Next, Outlet};

/// What one connection does, shared between its socket, its requests and its watchdog.
#[derive(Debug)]
pub struct Activity {
    start: Instant,
    /// Requests whose answers have not been sent whole.
    running: AtomicU32,
    /// Milliseconds since `start` when it last became idle ...
    idle_since: AtomicU64,
    /// ... and when bytes came after that; `NEVER` if none did.
    first_byte: AtomicU64,
    /// Requests so far.
    requests: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Activity {
    /// A connection accepted now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            running: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            first_byte: AtomicU64::new(NEVER),
            requests: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Counts a request in until the guard, which travels with the answer's body, is dropped.
    pub fn request(self: &Arc<Self>) -> RequestGuard {
        self.running.fetch_add(1, Ordering::AcqRel);
        self.requests.fetch_add(1, Ordering::Relaxed);
        RequestGuard(self.clone())
    }

    fn got_bytes(&self) {
        if self.running.load(Ordering::Acquire) == 0 && self.first_byte.load(Ordering::Relaxed) == NEVER {
            self.first_byte.store(self.now(), Ordering::Relaxed);
        }
    }

    /// When to look again; `None`: the time for a request's head, or for being idle, is over. Nobody
    /// rings when a request begins, so it is found out at most one header timeout late.
    pub fn look_again(&self, limits: &Limits) -> Option<Instant> {
        let now = self.now();
        if self.running.load(Ordering::Acquire) > 0 {
            return Some(Instant::now() + limits.header_timeout);
        }
        let first_byte = self.first_byte.load(Ordering::Relaxed);
        let idle_since = self.idle_since.load(Ordering::Relaxed);
        let deadline = if first_byte != NEVER {
            first_byte + limits.header_timeout.as_millis() as u64
        } else if self.requests.load(Ordering::Relaxed) == 0 {
            limits.header_timeout.as_millis() as u64
        } else {
            idle_since + limits.idle_timeout.as_millis() as u64
        };
        let deadline = self.start + Duration::from_millis(deadline.max(now));
        let now = self.start + Duration::from_millis(now);
        (deadline > now).then(|| deadline.min(now + limits.header_timeout))
    }
}

/// A request under way.
#[derive(Debug)]
pub struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.idle_since.store(activity.now(), Ordering::Relaxed);
        activity.first_byte.store(NEVER, Ordering::Relaxed);
        activity.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A [`TcpStream`] under watch. Holds the connection's permit, so that an upgraded connection
/// (WebSocket) counts for as long as it lives.
#[derive(Debug)]
pub struct WatchedIo {
    stream: TcpStream,
    outlet: Outlet,
    activity: Arc<Activity>,
    metrics: Arc<Metrics>,
    stall_timeout: Duration,
    /// Runs while a write waits for the client.
    stalled: Pin<Box<Sleep>>,
    waiting: bool,
    _permit: Permit,
}

impl WatchedIo {
    /// Watches `stream`, which also sends the regions that are queued in `outlet`.
    pub fn new(
        stream: TcpStream,
        outlet: Outlet,
        activity: Arc<Activity>,
        metrics: Arc<Metrics>,
        stall_timeout: Duration,
        permit: Permit,
    ) -> Self {
        let stalled = Box::pin(tokio::time::sleep(stall_timeout));
        Self { stream, outlet, activity, metrics, stall_timeout, stalled, waiting: false, _permit: permit }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let send = || self.outlet.send(bufs, |region| region.send(&self.stream));
            match self.stream.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// After a write: any progress stops the clock, the first wait starts it.
    fn wrote(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(result) => {
                self.waiting = false;
                if let Ok(count) = result {
                    self.metrics.wire_up.inc_by(count as u64);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                if !self.waiting {
                    self.waiting = true;
                    let deadline = Instant::now() + self.stall_timeout;
                    self.stalled.as_mut().reset(deadline);
                }
                ready!(self.stalled.as_mut().poll(cx));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
            }
        }
    }
}

impl AsyncRead for WatchedIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let count = buf.filled().len() - before;
        if count > 0 {
            this.metrics.wire_down.inc_by(count as u64);
            this.activity.got_bytes();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = match Outlet::next(bufs) {
            Next::Memory(count) => Pin::new(&mut this.stream).poll_write_vectored(cx, &bufs[..count]),
            Next::Region => this.poll_send(cx, bufs),
        };
        this.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
