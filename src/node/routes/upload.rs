//! `/upload/{transfer}`: others push files and trees to this node, segment by segment.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};

use crate::chunks::Chunks;
use crate::content::manifest::MAX_PIECE_LENGTH;
use crate::node::peer::Ends;
use crate::node::problem::Problem;
use crate::node::segment::{Coding, SegmentHead};
use crate::node::server::Shared;
use crate::node::unpack::Unpacker;
use crate::throttle;
use crate::upload::{Begun, Description, Opened, STREAM, SegmentWriter, UploadError, Uploads};

/// Bytes that came of an upload.
pub const CAME: HeaderName = HeaderName::from_static("skep-came");
static ZEROS: [u8; 128 << 10] = [0; 128 << 10];
/// Longest time for a description, so that nobody holds a place by dripping.
const LONGEST: Duration = Duration::from_secs(300);
/// When a sender that met a limit may come back.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// `?digests=1`
#[derive(Debug, Deserialize)]
pub struct Detail {
    digests: Option<u8>,
}

/// What a segment's sender hears.
#[derive(Debug, Serialize)]
struct Taken {
    /// Bytes of all segments that are here.
    held_bytes: u64,
    /// All of them would outlive a power cut.
    durable: bool,
}

pub async fn open(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let uploads = shared.uploads()?;
    if id.starts_with(STREAM) {
        return Err(Problem::bad_request(format!("names that begin with {STREAM:?} are given by this node")));
    }
    let mut description = shared.document(request.into_body(), Description::from_reader).await?;
    (description.metadata, description.part, description.deferred) = (None, false, false);
    let Opened { upload, new } = uploads.open(&id, description).await.map_err(problem)?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(upload.status(false))).into_response())
}

/// Says whether such an upload would be taken.
pub async fn check(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Problem> {
    let uploads = shared.uploads()?;
    let mut description = shared.document(request.into_body(), Description::from_reader).await?;
    (description.metadata, description.part, description.deferred) = (None, false, false);
    let free = uploads.check(description).await.map_err(problem)?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok((no_store, Json(serde_json::json!({ "free": free }))).into_response())
}

pub async fn status(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    detail: Result<Query<Detail>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(detail) = detail.map_err(|error| Problem::bad_request(error.to_string()))?;
    let upload = shared.uploads()?.get(&id).map_err(problem)?;
    let no_store = [(header::CACHE_CONTROL, "no-store".into()), (CAME, upload.bytes_that_came().to_string())];
    Ok((no_store, Json(upload.status(detail.digests.is_some_and(|wanted| wanted != 0)))).into_response())
}

pub async fn remove(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    shared.uploads()?.remove(&id).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes one segment. What its head says is checked before a byte of it is written.
pub async fn segment(
    State(shared): State<Arc<Shared>>,
    Path((id, segment)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let uploads = shared.uploads()?.clone();
    let slot = shared.slot(&shared.bodies)?;
    let (head, body) = request.into_parts();
    let mut body = Incoming::new(body, &shared, uploads.clone());
    let result = receive(&uploads, &id, &segment, &head, &mut body).await;
    // Who waits for our leave to send is not sending.
    let waits = head.headers.contains_key(header::EXPECT);
    if !(waits && result.is_err()) {
        body.leave(slot);
    }
    let taken = result?;
    Ok(Json(taken).into_response())
}

async fn receive(
    uploads: &Uploads,
    id: &str,
    segment: &str,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Taken, Problem> {
    let upload = uploads.get(id).map_err(problem)?;
    let index: u32 = segment.parse().map_err(|_| Problem::bad_request("the segment's index is not a number"))?;
    let SegmentHead { bytes, size, coding, digest } = SegmentHead::of(&head.headers)?;
    if size != upload.size() {
        return Err(Problem::bad_request(format!("the upload has {} bytes, not {size}", upload.size())));
    }
    let whole = bytes.end - bytes.start;
    if let Begun::Write(writer) = upload.begin(index, &bytes, digest, &sender(head)).map_err(problem)? {
        match coding {
            Coding::Zeros => write_zeros(writer, whole).await?,
            Coding::Packed => write_packed(writer, index, body).await?,
            Coding::Plain => write(writer, body).await?,
        }
    }
    Ok(Taken { held_bytes: upload.held_bytes(), durable: upload.is_durable() })
}

/// Who sends, as the operator is shown it.
pub(super) fn sender(head: &Parts) -> Arc<str> {
    head.extensions.get::<Ends>().map_or_else(|| "unknown".into(), |ends| ends.peer(&head.headers))
}

async fn write(mut writer: Box<SegmentWriter>, body: &mut Incoming) -> Result<(), Problem> {
    let decided = writer.decided();
    tokio::pin!(decided);
    loop {
        let chunk = tokio::select! {
            biased;
            chunk = body.next() => chunk?,
            () = &mut decided => break,
        };
        let Some(chunk) = chunk else { break };
        if !writer.feed(&chunk).map_err(problem)? {
            break;
        }
    }
    writer.finish().await.map_err(problem)
}

/// The same of a body that is compressed. However much it claims to be, no more than the segment is made of it.
async fn write_packed(mut writer: Box<SegmentWriter>, segment: u32, body: &mut Incoming) -> Result<(), Problem> {
    let damaged = |error: io::Error| {
        let detail = format!("segment {segment} cannot be unpacked: {error}");
        problem(UploadError::Mismatch { detail, segments: vec![segment] })
    };
    let mut unpacker = Unpacker::new().map_err(|error| Problem::internal(error.to_string()))?;
    let decided = writer.decided();
    tokio::pin!(decided);
    'body: loop {
        let chunk = tokio::select! {
            biased;
            chunk = body.next() => chunk?,
            () = &mut decided => break,
        };
        let Some(chunk) = chunk else { break };
        let mut rest = &chunk[..];
        while let Some(bytes) = unpacker.next(&mut rest).map_err(damaged)? {
            if !writer.feed(bytes).map_err(problem)? {
                break 'body;
            }
            // A few bytes may become many.
            tokio::task::yield_now().await;
        }
    }
    writer.finish().await.map_err(problem)
}

async fn write_zeros(mut writer: Box<SegmentWriter>, mut left: u64) -> Result<(), Problem> {
    while left > 0 {
        let now = left.min(ZEROS.len() as u64);
        if !writer.feed(&ZEROS[..now as usize]).map_err(problem)? {
            break;
        }
        left -= now;
        // Nothing here waits for the network: others get their turn.
        tokio::task::yield_now().await;
    }
    writer.finish().await.map_err(problem)
}

/// A request's body, under the node's limit, which must not stall.
pub(super) struct Incoming {
    body: Body,
    stall: Duration,
    uploads: Arc<Uploads>,
    trailers: Option<HeaderMap>,
}

impl Incoming {
    pub(super) fn new(body: Body, shared: &Shared, uploads: Arc<Uploads>) -> Self {
        Self { body, stall: shared.config.limits.stall_timeout, uploads, trailers: None }
    }

    pub(super) async fn next(&mut self) -> Result<Option<bytes::Bytes>, Problem> {
        while let Some(frame) = frame(&mut self.body, self.stall).await? {
            match frame.into_data() {
                Ok(chunk) => {
                    throttle::acquire(self.uploads.down(), chunk.len() as u64).await;
                    return Ok(Some(chunk));
                }
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
        Ok(None)
    }

    /// The fields that came behind it.
    pub(super) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// Has the rest read by a task of its own, so far as a segment can be long: the answer, which need not wait
    /// for that, reaches a client that is still sending only if what it sends is read. `held` is let go then.
    pub(super) fn leave(mut self, held: impl Send + 'static) {
        if !self.body.is_end_stream() {
            tokio::spawn(async move {
                self.discard().await;
                drop(held);
            });
        }
    }

    async fn discard(&mut self) {
        let mut left = MAX_PIECE_LENGTH;
        while let Ok(Some(chunk)) = self.next().await {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                return;
            }
        }
    }
}

/// The next chunk of a body, or the fields behind it; none at its end.
async fn frame(body: &mut Body, stall: Duration) -> Result<Option<Frame<bytes::Bytes>>, Problem> {
    match tokio::time::timeout(stall, body.frame()).await {
        Ok(Some(Ok(frame))) => Ok(Some(frame)),
        Ok(Some(Err(_))) => Err(Problem::bad_request("the body broke off")),
        Ok(None) => Ok(None),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "Request timeout", "the body stalled")),
    }
}

impl Shared {
    pub(super) fn uploads(&self) -> Result<&Arc<Uploads>, Problem> {
        self.services.uploads.as_ref().ok_or_else(|| Problem::not_found("this node takes no uploads"))
    }

    /// Parses a large document while it comes, off the async threads.
    pub(super) async fn document<T: Send + 'static>(
        &self,
        mut body: Body,
        parse: impl FnOnce(Chunks) -> Result<T, UploadError> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = self.slot(&self.documents)?;
        let (chunks, reader) = Chunks::new();
        let parsing = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            parse(reader)
        });
        let stall = self.config.limits.stall_timeout;
        let feeding = async {
            // More than the parser wants to see is not read.
            while let Some(frame) = frame(&mut body, stall).await? {
                let Ok(chunk) = frame.into_data() else { break };
                if chunks.send(chunk).await.is_err() {
                    break;
                }
            }
            Ok::<(), Problem>(())
        };
        tokio::time::timeout(LONGEST, feeding)
            .await
            .map_err(|_| Problem::bad_request(format!("the document did not come within {LONGEST:?}")))??;
        drop(chunks);
        parsing.await.map_err(|_| Problem::internal("the document cannot be parsed"))?.map_err(problem)
    }
}

/// What a sender hears of an error.
pub(super) fn problem(error: UploadError) -> Problem {
    let detail = error.to_string();
    match error {
        UploadError::Bad(_) => Problem::bad_request(detail),
        UploadError::TooLarge(_) => Problem::too_large(detail),
        UploadError::Unknown | UploadError::Absent(_) => Problem::not_found(detail),
        UploadError::Changed(_) => Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed", detail),
        UploadError::Cancelled => Problem::new(StatusCode::FORBIDDEN, "cancelled", "Cancelled", detail),
        UploadError::Taken(_) => Problem::conflict(detail),
        UploadError::Conflict { status, .. } => Problem::conflict(detail)
            .with_member("transfer", &status.transfer)
            .with_member("size", status.size)
            .with_member("segment_length", status.segment_length)
            .with_member("held", &status.held)
            .with_member("state", status.state),
        UploadError::Incomplete(missing) => {
            Problem::new(StatusCode::CONFLICT, "incomplete", "Incomplete", detail).with_member("missing", missing)
        }
        UploadError::Mismatch { segments, .. } => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "digest-mismatch", "Digest mismatch", detail)
                .with_member("segments", segments)
        }
        UploadError::Quota(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "quota", "Over the quota", detail),
        UploadError::NoSpace(_) => Problem::new(StatusCode::INSUFFICIENT_STORAGE, "no-space", "No space", detail),
        UploadError::Locked(_) => Problem::new(StatusCode::LOCKED, "locked", "Locked", detail),
        UploadError::Busy(_) => Problem::busy(detail, BUSY_RETRY),
        UploadError::Disk(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "disk", "Disk error", detail),
    }
}
