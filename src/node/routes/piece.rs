//! `GET /swarm/piece/{id}/{index}`: one piece, or a run of them.

use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use crate::node::body::{SendError, Sender};
use crate::node::digest;
use crate::node::outlet::Outlet;
use crate::node::peer::{Ends, SKEP_PEER};
use crate::node::problem::Problem;
use crate::node::server::Shared;
use crate::swarm::{Admission, Held};

/// Most pieces in one answer ...
const MAX_COUNT: u32 = 64;
/// ... and most bytes, unless the first piece alone is longer.
const MAX_RUN_BYTES: u64 = 16 << 20;
/// How many pieces an answer carries.
const SKEP_COUNT: HeaderName = HeaderName::from_static("skep-count");

/// `?count=`: how many pieces from the first on are wanted.
#[derive(Debug, Deserialize)]
pub struct Run {
    count: Option<u32>,
}

/// Answers with the piece and as many of the following ones as are asked for, here, and fit;
/// `Skep-Count` tells how many. A single piece carries its `Repr-Digest` (RFC 9530).
pub async fn piece(
    State(shared): State<Arc<Shared>>,
    Extension(ends): Extension<Ends>,
    outlet: Option<Extension<Outlet>>,
    Path((id, index)): Path<(String, String)>,
    query: Result<Query<Run>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let held = shared.held(&id)?;
    let Query(run) = query.map_err(|error| Problem::bad_request(error.to_string()))?;
    let pieces = held.layout().piece_count();
    let index: u32 = index.parse().map_err(|_| Problem::bad_request("the piece index is not a number"))?;
    if index >= pieces {
        return Err(Problem::out_of_range(format!("there is no piece {index}: the content has {pieces}")));
    }
    let count = run_length(&held, index, run.count.unwrap_or(1));
    if count == 0 {
        return Err(Problem::not_here(format!("piece {index} is not here yet")));
    }
    let peer = ends.peer(&headers);
    if shared.services.bans.is_banned(&peer) {
        return Err(Problem::banned());
    }
    if let Admission::Choked { retry_after } = held.admit(&peer) {
        shared.metrics.choked.inc();
        return Err(Problem::choked(retry_after));
    }
    // Whoever is no peer of the swarm could not ask elsewhere.
    let count = if headers.contains_key(SKEP_PEER) { held.grant(&peer, index, count) } else { count };
    if count == 0 {
        return Err(Problem::elsewhere(index));
    }
    let means = shared.means(false, outlet)?;
    let layout = held.layout();
    let bytes = layout.piece(index).start..layout.piece(index + count - 1).end;
    let digest = (count == 1).then(|| held.manifest().pieces.get(index as usize).copied()).flatten();
    let sender = Sender::open(held, peer, bytes.clone(), count, means).await.map_err(gone)?;
    let mut response = sender.into_body().into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    fields.insert(header::CONTENT_LENGTH, (bytes.end - bytes.start).into());
    fields.insert(SKEP_COUNT, count.into());
    if let Some(value) = digest.and_then(|digest| digest::write(&digest)) {
        fields.insert(super::REPR_DIGEST, value);
    }
    Ok(response)
}

/// How many of `wanted` pieces from `first` on can be sent in one answer.
fn run_length(held: &Held, first: u32, wanted: u32) -> u32 {
    let have = held.have();
    let layout = held.layout();
    let start = layout.piece(first).start;
    let last = first.saturating_add(wanted.clamp(1, MAX_COUNT)).min(layout.piece_count());
    let fits = |piece: &u32| *piece == first || layout.piece(*piece).end - start <= MAX_RUN_BYTES;
    (first..last).take_while(|piece| have.get(*piece) && fits(piece)).count() as u32
}

/// A file that cannot be read: its pieces have been withdrawn, so they are not here.
pub fn gone(error: SendError) -> Problem {
    match error {
        // The path on this machine's disk is nobody's business.
        SendError::Files(_) => Problem::not_here("the file can no longer be read; its pieces have been withdrawn"),
        SendError::OutOfStep => Problem::internal(error.to_string()),
        SendError::Stopping => Problem::busy("this node is stopping", super::BUSY_RETRY),
    }
}
