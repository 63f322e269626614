//! `/sync/…`: others keep a tree under this node's root equal to one of theirs.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::BUSY_RETRY;
use crate::clock::unix_ms;
use crate::delta::packed::pack;
use crate::node::peer::Ends;
use crate::node::problem::Problem;
use crate::node::server::Shared;
use crate::sync::client::StopOnDrop;
use crate::sync::receive::{SyncError, Trees};
use crate::sync::wire::{self, Apply, Compare, Tell, Told, WireError};
use crate::upload::UploadError;

/// Time that a request waits for others to be done.
const TURN: Duration = Duration::from_secs(30);
/// Shorter answers fit into a packet or two.
const WORTH_PACKING: usize = 1 << 10;

pub async fn compare(shared: State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let stop = StopOnDrop::default();
    let (stopped, behind) = (stop.0.clone(), shared.services.behind.clone());
    let compare = move |trees: &Trees, request: Compare| {
        let path = request.path.clone();
        let compared = trees.compare(request, &stopped)?;
        if let Some(behind) = behind.filter(|_| compared.same) {
            behind.settled(&path);
        }
        Ok(compared)
    };
    answer(shared, request, compare).await
}

pub async fn list(shared: State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    answer(shared, request, |trees, request| trees.list(&request)).await
}

pub async fn digests(shared: State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let stop = StopOnDrop::default();
    let stopped = stop.0.clone();
    answer(shared, request, move |trees, request| trees.digests(&request, &stopped)).await
}

/// Goes on to its end, whether or not somebody waits for it.
pub async fn apply(shared: State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let behind = shared.services.behind.clone();
    let apply = move |trees: &Trees, request: Apply| {
        let applied = trees.apply(&request)?;
        // A sync names itself with the last that it has done.
        let is_over = applied.failed.is_empty() && request.over.contains(&request.sync);
        if let Some(behind) = behind.filter(|_| is_over) {
            behind.settled(&request.path);
        }
        Ok(applied)
    };
    answer(shared, request, apply).await
}

/// A sender whose link takes only that says what is stale here.
pub async fn behind(shared: State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let from = request.extensions().get::<Ends>().map_or_else(|| "unknown".into(), |ends| ends.peer(request.headers()));
    let behind = shared.services.behind.clone().ok_or_else(|| Problem::not_found("this node takes no summaries"))?;
    let tell = move |_: &Trees, tell: Tell| behind.told(&tell, &from, unix_ms()).map(|()| Told {});
    answer(shared, request, tell).await
}

/// Reads a document, works on it off the async threads, answers with another.
async fn answer<Q: DeserializeOwned + Send + 'static, A: Serialize + Send + 'static>(
    State(shared): State<Arc<Shared>>,
    request: Request,
    work: impl FnOnce(&Trees, Q) -> Result<A, SyncError> + Send + 'static,
) -> Result<Response, Problem> {
    let accepted = request.headers().get(ACCEPT_ENCODING).and_then(|accepted| accepted.to_str().ok());
    let packs = accepted.is_some_and(|accepted| accepted.split(',').any(|coding| coding.trim() == "zstd"));
    let trees = shared.services.trees.clone().ok_or_else(|| Problem::not_found("this node takes no syncs"))?;
    let read = |body: crate::chunks::Chunks| {
        wire::read::<Q>(body).map_err(|error| match error {
            WireError::Bad(why) => UploadError::Bad(why),
            WireError::TooLarge => UploadError::TooLarge(error.to_string()),
        })
    };
    // Not one of those that documents are parsed with: hashing takes minutes.
    let turn = tokio::time::timeout(TURN, shared.syncs.clone().acquire_owned()).await;
    let Ok(Ok(permit)) = turn else {
        return Err(Problem::busy("this node works on as many syncs as it may", BUSY_RETRY));
    };
    let question = shared.document(request.into_body(), read).await?;
    let worked = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let answer = work(&trees, question).map_err(problem)?;
        document(&answer, packs).map_err(|error| Problem::internal(error.to_string()))
    });
    worked.await.map_err(|_| Problem::internal("the work broke off"))?
}

/// A list of a large folder is some ten times as long as what it says: where that is asked for, it is compressed.
fn document(answer: &impl Serialize, packs: bool) -> io::Result<Response> {
    let json = serde_json::to_vec(answer)?;
    let kind = (CONTENT_TYPE, "application/json");
    if !packs || json.len() < WORTH_PACKING {
        return Ok(([kind], json).into_response());
    }
    let mut packed = pack(Vec::new(), None)?;
    packed.write_all(&json)?;
    Ok(([kind, (CONTENT_ENCODING, "zstd")], packed.finish()?).into_response())
}

fn problem(error: SyncError) -> Problem {
    let detail = error.to_string();
    match error {
        SyncError::Bad(_) => Problem::bad_request(detail),
        SyncError::Stale => Problem::new(StatusCode::GONE, "stale", "Not kept any more", detail),
        SyncError::InTheWay(_) => Problem::conflict(detail),
        SyncError::Disk(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "disk", "Disk error", detail),
    }
}
