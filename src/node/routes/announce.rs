//! `POST /swarm/announce`: the tracker.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, body};

use crate::node::peer::Ends;
use crate::node::problem::Problem;
use crate::node::server::Shared;
use crate::swarm::announce::{Announce, AnnounceEvent, AnnouncedPeer};
use crate::swarm::bans::host_port;

/// Largest announce: a bitmap of 2^21 pieces in base64 takes 350 KB.
const MAX_BODY: usize = 1 << 20;

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
    let mut reply =
        catalog.announce(&announce, ends.source()).map_err(|error| Problem::bad_request(error.to_string()))?;
    if matches!(announce.event, AnnounceEvent::Completed | AnnounceEvent::Stopped)
        && let (Some(held), Some(endpoint)) = (catalog.get(&announce.content_id), &announce.endpoint)
    {
        // It wants nothing more of us: its upload slot is free for those who wait.
        held.gone(&host_port(endpoint));
    }
    let own = format!("http://{host}");
    if let Some(held) = catalog.get(&announce.content_id)
        && announce.endpoint.as_deref().is_none_or(|endpoint| endpoint.trim_end_matches('/') != own)
    {
        let have = held.have();
        if have.count() > 0 || have.is_full() {
            reply.peers.retain(|peer| peer.endpoint != own);
            // Its bitmap is one request away.
            let own = AnnouncedPeer { endpoint: own, bitmap: None, last_seen_s: 0, complete: have.is_full() };
            reply.peers.insert(0, own);
        }
    }
    Ok(Json(reply).into_response())
}
