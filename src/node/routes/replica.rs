//! `/replica/{content}`: a copy of a content for the pool. See [`crate::pool::replica`].

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::upload::{CAME, Incoming, sender};
use crate::content::ContentId;
use crate::control::CommandErrorKind;
use crate::node::problem::Problem;
use crate::node::segment::{Coding, SegmentHead};
use crate::node::server::Shared;
use crate::node::unpack::Unpacker;
use crate::pool::replica::{ReplicaOrder, ReplicaState, ReplicaStatus, Replicas};
use crate::swarm::Held;
use crate::upload::UploadError;

/// When a sender that came too early may come back.
const EARLY_RETRY: Duration = Duration::from_millis(500);

/// `?held=0`: without the pieces.
#[derive(Debug, Deserialize)]
pub struct Detail {
    held: Option<u8>,
}

fn content(id: &str) -> Result<ContentId, Problem> {
    id.parse().map_err(|error| Problem::bad_request(format!("the content id is none: {error}")))
}

impl Shared {
    fn replicas(&self) -> Result<&Arc<dyn Replicas>, Problem> {
        self.services.replicas.get().ok_or_else(|| Problem::not_found("this node keeps no copies for a pool"))
    }

    fn replica(&self, id: &ContentId, held: bool) -> Result<ReplicaStatus, Problem> {
        let none = || Problem::not_found(format!("no copy of {id} is wanted here"));
        self.replicas()?.status(id, held).ok_or_else(none)
    }
}

pub async fn begin(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (replicas, id) = (shared.replicas()?.clone(), content(&id)?);
    let parse = |json| ReplicaOrder::from_reader(json).map_err(UploadError::Bad);
    let order = shared.document(request.into_body(), parse).await?;
    if order.manifest.id() != id {
        return Err(Problem::bad_request(format!("the manifest is that of {}, not of {id}", order.manifest.id())));
    }
    replicas.begin(order).await.map_err(|error| match error.kind {
        CommandErrorKind::Invalid => Problem::bad_request(error.message),
        CommandErrorKind::Internal => Problem::internal(error.message),
        _ => Problem::conflict(error.message),
    })?;
    Ok(Json(shared.replica(&id, true)?).into_response())
}

pub async fn status(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    detail: Result<Query<Detail>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(detail) = detail.map_err(|error| Problem::bad_request(error.to_string()))?;
    let id = content(&id)?;
    let status = shared.replica(&id, detail.held != Some(0))?;
    let came = shared.services.catalog.get(&id).map_or(0, |held| held.came());
    let heads = [(header::CACHE_CONTROL, "no-store".into()), (CAME, came.to_string())];
    Ok((heads, Json(status)).into_response())
}

pub async fn remove(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let id = content(&id)?;
    let dropped = shared.replicas()?.drop_partial(id).await;
    dropped.map(|()| StatusCode::NO_CONTENT).map_err(|error| Problem::conflict(error.message))
}

/// Takes one piece. What its head says is checked before a byte of it is read.
pub async fn piece(
    State(shared): State<Arc<Shared>>,
    Path((id, piece)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let id = content(&id)?;
    let slot = shared.slot(&shared.bodies)?;
    let (head, body) = request.into_parts();
    let mut body = Incoming::new(body, &shared, shared.uploads()?.clone());
    let result = receive(&shared, &id, &piece, &head, &mut body).await;
    if !(head.headers.contains_key(header::EXPECT) && result.is_err()) {
        body.leave(slot);
    }
    result?;
    Ok(Json(serde_json::json!({})).into_response())
}

async fn receive(
    shared: &Arc<Shared>,
    id: &ContentId,
    piece: &str,
    head: &Parts,
    body: &mut Incoming,
) -> Result<(), Problem> {
    shared.replicas()?;
    let Some(held) = shared.services.catalog.get(id) else { return Err(refused(shared, id)) };
    let piece: u32 = piece.parse().map_err(|_| Problem::bad_request("the piece's index is not a number"))?;
    let head_of = SegmentHead::of(&head.headers)?;
    let manifest = held.manifest();
    let Some(digest) = manifest.pieces.get(piece as usize) else {
        return Err(Problem::bad_request(format!("there is no piece {piece}: it has {}", manifest.piece_count())));
    };
    if head_of.bytes != held.layout().piece(piece) || head_of.size != manifest.size() {
        return Err(Problem::bad_request(format!(
            "piece {piece} is {:?} of {}",
            held.layout().piece(piece),
            manifest.size()
        )));
    }
    if head_of.digest != *digest {
        return Err(mismatch(piece));
    }
    if held.has(piece) {
        return Ok(());
    }
    let length = (head_of.bytes.end - head_of.bytes.start) as usize;
    // It is in memory as a whole until it is written: so much of that at once for all who give.
    let kib = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX);
    let _room = shared.given.clone().acquire_many_owned(kib).await.map_err(|_| Problem::internal("the node stops"))?;
    let bytes = match head_of.coding {
        Coding::Zeros => vec![0; length],
        Coding::Plain => plain(&held, body, length).await?,
        Coding::Packed => unpacked(&held, body, length, piece).await?,
    };
    let (bytes, got) = hashed(bytes).await?;
    if bytes.len() != length || got != digest.0 {
        return Err(mismatch(piece));
    }
    let given = held.give(piece, bytes, sender(head)).await;
    given.map_err(|_| refused(shared, id))
}

/// Why a piece is not taken: who asks comes back, or does not.
fn refused(shared: &Shared, id: &ContentId) -> Problem {
    match shared.replica(id, false) {
        Err(problem) => problem,
        Ok(ReplicaStatus { state: ReplicaState::Failed | ReplicaState::Stopped, error, .. }) => {
            let why = error.unwrap_or_else(|| "its operator stopped it".into());
            Problem::conflict(format!("this copy takes no pieces: {why}"))
        }
        Ok(_) => Problem::busy("this copy takes no pieces now", EARLY_RETRY),
    }
}

/// Hashing a large piece takes a while.
async fn hashed(bytes: Vec<u8>) -> Result<(Vec<u8>, [u8; 32]), Problem> {
    let hashing = tokio::task::spawn_blocking(move || {
        let digest = Sha256::digest(&bytes).into();
        (bytes, digest)
    });
    hashing.await.map_err(|_| Problem::internal("the piece cannot be hashed"))
}

fn mismatch(piece: u32) -> Problem {
    let detail = format!("piece {piece} is not what its digest says");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "digest-mismatch", "Digest mismatch", detail)
}

async fn plain(held: &Held, body: &mut Incoming, length: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length
        && let Some(chunk) = body.next().await?
    {
        held.on_came(chunk.len() as u64);
        bytes.extend_from_slice(&chunk[..chunk.len().min(length - bytes.len())]);
    }
    Ok(bytes)
}

/// However much it claims to be, no more than the piece is made of it.
async fn unpacked(held: &Held, body: &mut Incoming, length: usize, piece: u32) -> Result<Vec<u8>, Problem> {
    let mut unpacker = Unpacker::new().map_err(|error| Problem::internal(error.to_string()))?;
    let mut bytes = Vec::with_capacity(length);
    while let Some(chunk) = body.next().await? {
        held.on_came(chunk.len() as u64);
        let mut rest = &chunk[..];
        while let Some(more) = unpacker.next(&mut rest).map_err(|_| mismatch(piece))? {
            if more.len() > length - bytes.len() {
                return Err(mismatch(piece));
            }
            bytes.extend_from_slice(more);
            tokio::task::yield_now().await;
        }
    }
    Ok(bytes)
}
