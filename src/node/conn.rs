//! One connection, from accept to close.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Version;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::caps::Permit;
use super::config::Limits;
use super::io::{Activity, RequestGuard, WatchedIo};
use super::metrics::Metrics;
use super::outlet::Outlet;
use super::peer::Ends;

/// What hyper may hold of a connection: request heads and bodies come in buffers of at most this,
/// and a chunk of this size that goes out is written before the next is asked for, so that a body
/// needs no more than two (one here, one being read).
const BUFFER: usize = 256 << 10;
/// Longest frame of a body that comes by HTTP/2: the least that its rules allow, 16 KiB, would cost a write
/// for so little.
const MAX_FRAME: u32 = 256 << 10;
/// Bytes of one body, and of all bodies of a connection, that may come by HTTP/2 before they are read: the
/// bandwidth-delay product of 600 Mbit/s and 100 ms.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// Most bytes of headers (HTTP/2).
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// Requests at once on an HTTP/2 connection.
const MAX_STREAMS: u32 = 64;

/// What every connection is served with.
#[derive(Debug, Clone)]
pub struct Serving {
    /// The routes.
    pub router: Router,
    /// Caps and timeouts.
    pub limits: Arc<Limits>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Finish what runs, begin nothing.
    pub drain: CancellationToken,
    /// Stop at once.
    pub cut: CancellationToken,
}

impl Serving {
    /// Serves a connection until it ends.
    pub async fn serve(self, stream: TcpStream, ends: Ends, permit: Permit) {
        // Small answers must not wait for acknowledgements of earlier ones.
        let _ = stream.set_nodelay(true);
        let activity = Activity::new();
        let outlet = Outlet::default();
        let io = WatchedIo::new(
            stream,
            outlet.clone(),
            activity.clone(),
            self.metrics.clone(),
            self.limits.stall_timeout,
            permit,
        );
        let router = self.router;
        let service = {
            let activity = activity.clone();
            service_fn(move |request: Request<Incoming>| {
                let guard = activity.request();
                let mut router = router.clone();
                let outlet = (request.version() < Version::HTTP_2).then(|| outlet.clone());
                async move {
                    let mut request = request.map(Body::new);
                    request.extensions_mut().insert(ends);
                    if let Some(outlet) = outlet {
                        request.extensions_mut().insert(outlet);
                    }
                    let response: Response = match router.call(request).await {
                        Ok(response) => response,
                        Err(never) => match never {},
                    };
                    Ok::<_, Infallible>(response.map(|body| Tracked { body, _guard: guard }))
                }
            })
        };
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            // Never gathers buffers by copying them: the outlet knows its own by their address.
            .writev(true)
            .timer(TokioTimer::new())
            // Done by the watchdog below, which also knows idle connections from half requests.
            .header_read_timeout(None)
            .max_headers(MAX_HEADERS)
            .max_buf_size(BUFFER)
            .half_close(false)
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_send_buf_size(BUFFER)
            // What others push comes in frames that are worth hashing and writing, and in a window of a fixed
            // size: one that grows with the pings' round trips lags behind a connection that opens up.
            .max_frame_size(MAX_FRAME)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(Some(self.limits.stall_timeout))
            .keep_alive_timeout(self.limits.stall_timeout);
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(io), service));
        let mut draining = false;
        loop {
            let Some(look) = activity.look_again(&self.limits) else {
                tracing::debug!(target: "node", peer = %ends.remote, "connection closed: no request in time");
                return;
            };
            tokio::select! {
                // Errors are the client's business: it went away or sent rubbish.
                _ = connection.as_mut() => return,
                () = tokio::time::sleep_until(look) => {}
                () = self.drain.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.cut.cancelled() => return,
            }
        }
    }
}

/// A response body that ends its request when it is dropped.
struct Tracked {
    body: Body,
    _guard: RequestGuard,
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
