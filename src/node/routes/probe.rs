//! `/probe`: latency (HEAD), a source (GET) and a sink (POST) of bytes that mean nothing.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, body};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::node::problem::Problem;
use crate::node::server::Shared;

/// Most bytes either way.
const MAX_BYTES: u64 = 64 << 20;
/// Bytes sent unless asked otherwise.
const DEFAULT_BYTES: u64 = 64 << 10;

/// Noise, so that nothing on the way can compress it; the same for all, as nobody looks at it.
static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut noise = vec![0; 256 << 10];
    fastrand::Rng::with_seed(7070).fill(&mut noise);
    noise.into()
});

/// Says that the answer is a probe's, and not that of something in between which answers whatever is asked.
const PROBE: HeaderName = HeaderName::from_static("skep-probe");

/// `?bytes=`
#[derive(Debug, Deserialize)]
pub struct Amount {
    bytes: Option<u64>,
}

/// What the sink says.
#[derive(Debug, Serialize)]
struct Sunk {
    bytes: u64,
    duration_s: f64,
}

pub async fn head() -> impl IntoResponse {
    [(PROBE, "1")]
}

pub async fn source(
    State(shared): State<Arc<Shared>>,
    amount: Result<Query<Amount>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(amount) = amount.map_err(|error| Problem::bad_request(error.to_string()))?;
    let bytes = amount.bytes.unwrap_or(DEFAULT_BYTES);
    if bytes > MAX_BYTES {
        return Err(Problem::bad_request(format!("a probe has at most {MAX_BYTES} bytes")));
    }
    let slot = shared.slot(&shared.bodies)?;
    let chunks = stream::unfold((bytes, slot), |(left, slot)| async move {
        let chunk = NOISE.slice(..NOISE.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let rest = left - chunk.len() as u64;
        (!chunk.is_empty()).then_some((Ok::<_, std::convert::Infallible>(chunk), (rest, slot)))
    });
    let mut response = Body::from_stream(chunks).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PROBE, HeaderValue::from_static("1"));
    Ok(response)
}

pub async fn sink(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let _slot = shared.slot(&shared.bodies)?;
    let start = Instant::now();
    let mut bytes = 0u64;
    let mut chunks: body::BodyDataStream = request.into_body().into_data_stream();
    loop {
        let chunk = tokio::time::timeout(shared.config.limits.stall_timeout, chunks.next())
            .await
            .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "Request timeout", "the body stalled"))?;
        match chunk {
            Some(Ok(chunk)) => bytes += chunk.len() as u64,
            Some(Err(_)) => return Err(Problem::bad_request("the body broke off")),
            None => break,
        }
        if bytes > MAX_BYTES {
            return Err(Problem::too_large(format!("a probe has at most {MAX_BYTES} bytes")));
        }
    }
    let sunk = Sunk { bytes, duration_s: start.elapsed().as_secs_f64() };
    Ok(([(PROBE, "1")], Json(sunk)).into_response())
}
