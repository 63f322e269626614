//! `GET /swarm/bitmap/{id}`: which pieces are here, with a way to wait for more.
//!
//! - Plain: the bitfield (BEP 3 order), `ETag: "GENERATION"`, `Skep-Pieces`, `Skep-Generation`,
//!   `Skep-Choke`.
//! - `If-None-Match: "GENERATION"`: 304 if nothing changed since; with `Prefer: wait=SECONDS`
//!   (RFC 7240) only after that long, 30 s at most. A change of the peer's own upload slot ends the
//!   wait too: then 304 with another `Skep-Choke`.
//! - with `Accept: application/vnd.skep.haves` besides: where it is known, just the new pieces'
//!   indices, 4 bytes each, big-endian, and `Skep-Delta: 1`; else the whole bitfield.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;

use crate::content::Bitmap;
use crate::node::peer::Ends;
use crate::node::problem::Problem;
use crate::node::server::Shared;
use crate::swarm::{Changes, Watch};

/// Media type of a list of new pieces.
const HAVES: &str = "application/vnd.skep.haves";
/// Longest wait.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A snapshot's bytes without a copy.
struct Shot(Arc<Bitmap>);

impl AsRef<[u8]> for Shot {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

pub async fn bitmap(
    State(shared): State<Arc<Shared>>,
    Extension(ends): Extension<Ends>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let held = shared.held(&id)?;
    let peer = ends.peer(&headers);
    let known = text(&headers, header::IF_NONE_MATCH).and_then(generation);
    let wait = text(&headers, HeaderName::from_static("prefer")).and_then(wait).unwrap_or_default();
    let watch = tokio::select! {
        watch = held.watch(known, &peer, wait.min(MAX_WAIT)) => watch,
        () = shared.drain.cancelled() => held.watch(known, &peer, Duration::ZERO).await,
    };
    let deltas = text(&headers, header::ACCEPT).is_some_and(|accept| accept.contains(HAVES));
    Ok(answer(watch, known, deltas))
}

fn answer(watch: Watch, known: Option<u64>, deltas: bool) -> Response {
    let pieces = watch.have.len();
    let mut response = match watch.changes {
        _ if known == Some(watch.generation) => StatusCode::NOT_MODIFIED.into_response(),
        Changes::Added(new) if deltas => {
            let bytes: Vec<u8> = new.iter().flat_map(|piece| piece.to_be_bytes()).collect();
            let mut response = bytes.into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(HAVES));
            response.headers_mut().insert(HeaderName::from_static("skep-delta"), HeaderValue::from_static("1"));
            response
        }
        _ => Bytes::from_owner(Shot(watch.have)).into_response(),
    };
    let fields = response.headers_mut();
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", watch.generation)) {
        fields.insert(header::ETAG, etag);
    }
    fields.insert(HeaderName::from_static("skep-pieces"), pieces.into());
    fields.insert(HeaderName::from_static("skep-generation"), watch.generation.into());
    if let Ok(slot) = HeaderValue::try_from(watch.slot.to_string()) {
        fields.insert(HeaderName::from_static("skep-choke"), slot);
    }
    response
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The generation in an entity tag.
fn generation(etag: &str) -> Option<u64> {
    etag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// The `wait` preference in seconds.
fn wait(prefer: &str) -> Option<Duration> {
    prefer.split([',', ';']).find_map(|item| {
        let (name, value) = item.split_once('=')?;
        let seconds: u32 = value.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then(|| Duration::from_secs(seconds.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_and_tags() {
        assert_eq!(wait("respond-async, Wait=20"), Some(Duration::from_secs(20)));
        assert_eq!(wait("wait=x"), None);
        assert_eq!(wait("handling=lenient"), None);
        assert_eq!(generation("\"17\""), Some(17));
        assert_eq!(generation("W/\"17\""), None);
        assert_eq!(generation("*"), None);
    }
}
