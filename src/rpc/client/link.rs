//! Holds the WebSocket to a node and gets it back when it breaks.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, header};
use jsonrpsee::client_transport::ws::{Url, WsHandshakeError, WsTransportClientBuilder};
use jsonrpsee::core::ClientError;
use jsonrpsee::core::client::async_client::{ClientBuilder, PingConfig};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::CALL_TIMEOUT;
use super::target::{RemoteError, Target};
use crate::control::Connection;
use crate::rpc::{MAX_REQUEST, MAX_RESPONSE};

/// The library's client.
pub(super) type Client = jsonrpsee::core::client::async_client::Client;

/// For the name look-up and the TCP handshake, and again for the WebSocket handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Notifications that wait for their view. It takes them at once; if not, it subscribes anew.
const MAX_WAITING: usize = 32;

/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A connection that lasted so long was a good one: the next pause is short again.
const LASTED: Duration = Duration::from_secs(10);

/// How the connection stands.
#[derive(Debug, Clone)]
pub(super) enum Link {
    /// The first attempt is under way.
    Connecting,
    /// There is one.
    Up(Arc<Client>),
    /// There is none.
    Down { error: RemoteError, attempts: u32, retry_at_ms: u64 },
}

/// What a view shows before the first attempt has ended.
pub(super) fn connecting() -> Connection {
    Connection::Lost { error: "connecting".into(), attempts: 0, retry_at_ms: 0 }
}

/// Connects, waits for the end, pauses, and again; for ever.
pub(super) async fn supervise(target: Target, state: watch::Sender<Link>) {
    let mut rng = fastrand::Rng::new();
    let mut attempts = 0;
    loop {
        let error = match dial(&target).await {
            Ok(client) => {
                let client = Arc::new(client);
                let since = Instant::now();
                tracing::debug!(target = %target.shown(), "connected");
                state.send_replace(Link::Up(Arc::clone(&client)));
                let error = client.on_disconnect().await;
                if since.elapsed() >= LASTED {
                    attempts = 0;
                }
                target.unreachable(lost(&error))
            }
            Err(error) => error,
        };
        attempts += 1;
        let pause = pause_before(attempts, &mut rng);
        let retry_at_ms = unix_ms().saturating_add(pause.as_millis() as u64);
        tracing::debug!(target = %target.shown(), %error, attempts, "not connected");
        state.send_replace(Link::Down { error, attempts, retry_at_ms });
        tokio::time::sleep(pause).await;
    }
}

/// Doubles from 0.5 s to 15 s; a random half of it is taken off, so that the viewers of a node that
/// comes back do not come all at once.
fn pause_before(attempt: u32, rng: &mut fastrand::Rng) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    doubled.mul_f64(0.5 + rng.f64() / 2.0).max(FIRST_PAUSE / 2)
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A TCP connection to the node.
pub(super) async fn tcp(target: &Target) -> Result<TcpStream, RemoteError> {
    let connecting = TcpStream::connect((target.host.as_str(), target.port));
    let stream = match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return Err(target.unreachable(format!("cannot connect ({error}); is the node running?")));
        }
        Err(_) => return Err(target.unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
    };
    // Calls are small and wait for their answer. Failing only makes it slower.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn dial(target: &Target) -> Result<Client, RemoteError> {
    let stream = tcp(target).await?;
    let mut headers = HeaderMap::new();
    if let Some(value) = target.authorization().and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(header::AUTHORIZATION, value);
    }
    let ping = PingConfig::new()
        .ping_interval(Duration::from_secs(10))
        .inactive_limit(Duration::from_secs(30))
        .max_failures(1);
    let url = Url::parse(&target.websocket_url()).map_err(|error| target.unreachable(error.to_string()))?;
    let (sender, receiver) = WsTransportClientBuilder::default()
        .set_headers(headers)
        .max_request_size(MAX_REQUEST)
        .max_response_size(MAX_RESPONSE)
        .connection_timeout(CONNECT_TIMEOUT)
        .build_with_stream(url, stream)
        .await
        .map_err(|error| rejected(target, &error))?;
    Ok(ClientBuilder::default()
        .max_buffer_capacity_per_subscription(MAX_WAITING)
        .request_timeout(CALL_TIMEOUT)
        .enable_ws_ping(ping)
        .build_with_tokio(sender, receiver))
}

/// A failed handshake in words.
fn rejected(target: &Target, error: &WsHandshakeError) -> RemoteError {
    match error {
        WsHandshakeError::Rejected { status_code: 401 | 403 } => target.refused(),
        WsHandshakeError::Rejected { status_code: 429 } => {
            target.unreachable("too many viewers are connected to the node; close one")
        }
        WsHandshakeError::Rejected { status_code: 404 } => {
            target.unreachable("no control route there; is it a skep node?")
        }
        WsHandshakeError::Rejected { status_code } | WsHandshakeError::Redirected { status_code, .. } => {
            target.unreachable(format!("answers with status {status_code}; is it a skep node?"))
        }
        WsHandshakeError::Timeout(_) => target.unreachable("accepts connections but does not answer"),
        error => target.unreachable(format!("no WebSocket ({error}); is it a skep node?")),
    }
}

/// The end of a connection in words.
fn lost(error: &ClientError) -> String {
    match error {
        ClientError::RestartNeeded(cause) => lost(cause),
        error => format!("connection lost ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_15_seconds_and_differ() {
        let mut rng = fastrand::Rng::with_seed(7);
        for attempt in 1..200 {
            let pause = pause_before(attempt, &mut rng);
            assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST_PAUSE, "{attempt}: {pause:?}");
        }
        assert!(pause_before(1, &mut rng) <= FIRST_PAUSE);
        let late: std::collections::HashSet<_> = (0..10).map(|_| pause_before(50, &mut rng)).collect();
        assert!(late.len() > 5 && late.iter().all(|pause| *pause >= LONGEST_PAUSE / 2));
    }
}
