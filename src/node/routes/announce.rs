//! `POST /swarm/announce`: the tracker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::uri::Authority;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, body};

use crate::node::peer::Ends;
use crate::node::problem::Problem;
use crate::node::server::Shared;
use crate::swarm::Held;
use crate::swarm::announce::{Announce, AnnounceError, AnnounceEvent, AnnounceReply, AnnouncedPeer};

/// Largest announce: a bitmap of 2^21 pieces in base64 takes 350 KB.
const MAX_BODY: usize = 1 << 20;
/// When a source whose announce was not taken may try again: what is old is dropped meanwhile.
const REFUSED_RETRY: Duration = Duration::from_secs(60);

/// Takes an announce and answers with peers. This node comes first if it has any of the content.
pub async fn announce(
    State(shared): State<Arc<Shared>>,
    Extension(ends): Extension<Ends>,
    request: Request,
) -> Result<Response, Problem> {
    let host = ends.host(request.uri(), request.headers());
    let json = body::to_bytes(request.into_body(), MAX_BODY)
        .await
        .map_err(|_| Problem::too_large(format!("an announce has at most {MAX_BODY} bytes, all of which must come")))?;
    let announce: Announce =
        serde_json::from_slice(&json).map_err(|error| Problem::bad_request(format!("not an announce: {error}")))?;
    let catalog = &shared.services.catalog;
    let held = catalog.get(&announce.content_id);
    let mut reply = match catalog.announce(&announce, ends.source()) {
        Ok(reply) => reply,
        // Whoever is not listed can be told all the same where it is: here.
        Err(AnnounceError::Full | AnnounceError::TooMany(_)) if held.as_ref().is_some_and(|held| has_any(held)) => {
            AnnounceReply { interval_s: REFUSED_RETRY.as_secs(), peers: Vec::new() }
        }
        Err(error @ AnnounceError::TooMany(_)) => {
            return Err(Problem::too_many(error.to_string(), REFUSED_RETRY));
        }
        Err(error @ AnnounceError::Full) => return Err(Problem::busy(error.to_string(), REFUSED_RETRY)),
        Err(error) => return Err(Problem::bad_request(error.to_string())),
    };
    if matches!(announce.event, AnnounceEvent::Completed | AnnounceEvent::Stopped)
        && let (Some(held), Some(endpoint)) = (&held, &announce.endpoint)
    {
        // It wants nothing more of us: its upload slot is free for those who wait.
        held.gone(&ends.named(Some(endpoint)));
    }
    if !ends.source().is_loopback() {
        for peer in &mut reply.peers {
            seen_from_outside(&mut peer.endpoint, &host);
        }
    }
    let own = format!("http://{host}");
    if let Some(held) = held.filter(|held| has_any(held))
        && announce.endpoint.as_deref().is_none_or(|endpoint| endpoint.trim_end_matches('/') != own)
    {
        reply.peers.retain(|peer| peer.endpoint != own);
        // Its bitmap is one request away.
        let own = AnnouncedPeer { endpoint: own, bitmap: None, last_seen_s: 0, complete: held.have().is_full() };
        reply.peers.insert(0, own);
    }
    Ok(Json(reply).into_response())
}

/// Peers on this machine itself are known by loopback; from outside they are where this node is, which was
/// reached as `host`.
fn seen_from_outside(endpoint: &mut String, host: &str) {
    let Some((scheme, at)) = endpoint.split_once("://") else { return };
    let Some(at) = at.parse::<SocketAddr>().ok().filter(|at| at.ip().is_loopback()) else { return };
    if let Ok(authority) = host.parse::<Authority>() {
        *endpoint = format!("{scheme}://{}:{}", authority.host(), at.port());
    }
}

/// There is something to fetch of it here.
fn has_any(held: &Held) -> bool {
    let have = held.have();
    have.count() > 0 || have.is_full()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_beside_the_tracker_are_found_where_it_was_reached() {
        for (endpoint, host, seen) in [
            ("http://127.0.0.1:7071", "10.0.0.5:7070", "http://10.0.0.5:7071"),
            ("http://127.0.0.1:7071", "node.example", "http://node.example:7071"),
            ("https://[::1]:7071", "[fd00::5]:7070", "https://[fd00::5]:7071"),
            ("http://10.0.0.6:7071", "10.0.0.5:7070", "http://10.0.0.6:7071"),
        ] {
            let mut at = endpoint.to_owned();
            seen_from_outside(&mut at, host);
            assert_eq!(at, seen);
        }
    }
}
