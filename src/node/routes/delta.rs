//! `/delta/…`: a file that is here in an older version is changed into a newer one. `docs/PROTOCOL.md`, "Delta".

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::upload::{CAME, Incoming, problem, sender};
use crate::chunks::{ChunkWriter, Chunks};
use crate::delta::asks::{self, MAX_BYTES};
use crate::delta::hashes::{BlockHashes, StrongHash};
use crate::delta::packed::unpack;
use crate::delta::refine::{Ask, Refiner, first_block_length};
use crate::delta::signature::sign;
use crate::delta::signature_wire::Writer;
use crate::failpoint;
use crate::node::problem::Problem;
use crate::node::server::Shared;
use crate::node::signatures::{Key, LONGEST};
use crate::store::Version;
use crate::throttle;
use crate::upload::{PatchRequest, PatchedFile, Policy};

/// Bytes of the file that is here.
pub const SIZE: HeaderName = HeaderName::from_static("skep-size");
/// When who met a node at work may come back.
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// What changed so lately may change again without a trace: its signature is not kept.
const TICK_NS: i128 = 1_000_000_000;
/// Longest time for a list of blocks.
const LONGEST_ASKING: Duration = Duration::from_secs(60);

/// The query of the first signature.
#[derive(Debug, Deserialize)]
pub struct First {
    /// Bytes of the new file: with more positions to compare, hashes must be longer.
    source_size: Option<u64>,
    /// Bytes of a block; by the file's size if none.
    block_length: Option<u32>,
    /// See [`Hashed`].
    strong: Option<String>,
}

/// What whoever asks for signatures would have as their strong hash.
#[derive(Debug, Deserialize)]
pub struct Hashed {
    /// `xxh3`; anything else is SHA-256.
    strong: Option<String>,
}

/// The query of a delta.
#[derive(Debug, Deserialize)]
pub struct Applied {
    size: u64,
    basis: Option<String>,
    #[serde(default)]
    policy: Option<Policy>,
    mode: Option<u32>,
    mtime: Option<jiff::Timestamp>,
}

/// The signature of all of the file.
pub async fn signature(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    query: Result<Query<First>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(first) = query.map_err(|error| Problem::bad_request(error.to_string()))?;
    let slot = slot(&shared.signings)?;
    let (file, version) = shared.old_file(path).await?;
    let length = first.block_length.unwrap_or_else(|| first_block_length(version.size));
    let mut refiner = Refiner::new(first.source_size.unwrap_or(version.size), version.size);
    let ask = refiner.first(length).map_err(|error| Problem::bad_request(error.to_string()))?;
    let strong = shared.strong(first.strong.as_deref());
    let key = Key { version, block_length: length, strong_length: ask.strong_length, strong_hash: strong };
    if let Some(signature) = shared.signatures.get(&key) {
        return Ok(answer(&version, shared.paced(futures_util::stream::iter([Ok(signature)]))));
    }
    let (writer, body) = ChunkWriter::new();
    let cache = shared.signatures.clone();
    tokio::task::spawn_blocking(move || {
        let _slot = slot;
        let mut copy = Copy { to: writer, kept: Some(Vec::new()) };
        let result = written(&file, &version, &[ask], strong, &mut copy);
        let settled = jiff::Timestamp::now().as_nanosecond() - version.changed_ns() > TICK_NS;
        if let (Ok(()), true, Some(kept)) = (&result, settled, copy.kept) {
            cache.put(key, kept.into());
        }
        copy.to.finish(result);
        failpoint::step("delta:signed");
    });
    Ok(answer(&version, shared.paced(body)))
}

/// Signatures of some stretches, in a further round.
pub async fn signatures(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    query: Result<Query<Hashed>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(Hashed { strong }) = query.map_err(|error| Problem::bad_request(error.to_string()))?;
    let strong = shared.strong(strong.as_deref());
    let slot = slot(&shared.signings)?;
    let (head, body) = request.into_parts();
    let (file, version) = shared.old_file(path).await?;
    if tag(&head.headers)? != version.tag() {
        return Err(changed());
    }
    let mut asked = Vec::new();
    let mut body = Incoming::new(body, &shared, shared.uploads()?.clone());
    let reading = async {
        while let Some(chunk) = body.next().await? {
            if asked.len() + chunk.len() > MAX_BYTES {
                return Err(Problem::too_large(format!("a list of blocks has at most {MAX_BYTES} bytes")));
            }
            asked.extend_from_slice(&chunk);
        }
        Ok(())
    };
    let slow = |_| Problem::bad_request(format!("the list of blocks did not come within {LONGEST_ASKING:?}"));
    tokio::time::timeout(LONGEST_ASKING, reading).await.map_err(slow)??;
    let asks = asks::read(&asked, version.size).map_err(|error| Problem::bad_request(error.to_string()))?;
    let (mut writer, body) = ChunkWriter::new();
    tokio::task::spawn_blocking(move || {
        let _slot = slot;
        let result = written(&file, &version, &asks, strong, &mut writer);
        writer.finish(result);
    });
    Ok(answer(&version, shared.paced(body)))
}

/// Whether a delta of that file is at work: for who waits for the answer to one, and wonders whether it got lost.
pub async fn applying(State(shared): State<Arc<Shared>>, Path(path): Path<String>) -> Result<Response, Problem> {
    let Some(came) = shared.uploads()?.applying(&path).map_err(problem)? else {
        return Err(Problem::not_found("no delta of that file is at work"));
    };
    Ok([(header::CACHE_CONTROL, "no-store".to_owned()), (CAME, came.to_string())].into_response())
}

/// Makes the new file of the old one and what comes.
pub async fn apply(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    query: Result<Query<Applied>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(wanted) = query.map_err(|error| Problem::bad_request(error.to_string()))?;
    let uploads = shared.uploads()?.clone();
    let (head, body) = request.into_parts();
    let mut body = Incoming::new(body, &shared, uploads.clone());
    let request = PatchRequest {
        path,
        basis: wanted.basis,
        policy: wanted.policy.unwrap_or(Policy::Overwrite),
        tag: tag(&head.headers)?,
        size: wanted.size,
        mode: wanted.mode,
        mtime: wanted.mtime,
        from: sender(&head),
    };
    let result = applied(&shared, request, packed(&head.headers)?, &mut body).await;
    if result.is_err() && !head.headers.contains_key(header::EXPECT) {
        body.leave(());
    }
    Ok((StatusCode::CREATED, Json(result?)).into_response())
}

async fn applied(
    shared: &Shared,
    request: PatchRequest,
    packed: bool,
    body: &mut Incoming,
) -> Result<PatchedFile, Problem> {
    let slot = slot(&shared.deltas)?;
    let uploads = shared.uploads()?;
    let patch = uploads.patch(request).await.map_err(problem)?;
    let (shown, old) = (patch.shown().clone(), patch.old());
    let (chunks, reader) = Chunks::new();
    let patching = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        if packed {
            let from = unpack(reader).map_err(|error| crate::upload::UploadError::Bad(error.to_string()))?;
            patch.apply(io::BufReader::with_capacity(64 << 10, from))
        } else {
            patch.apply(io::BufReader::with_capacity(64 << 10, reader))
        }
    });
    let fed = async {
        while let Some(chunk) = body.next().await? {
            uploads.came(chunk.len());
            shown.came(chunk.len());
            if chunks.send(chunk).await.is_err() {
                break;
            }
        }
        Ok::<(), Problem>(())
    };
    let fed = fed.await;
    // Broken off: the patch finds its instructions cut, and leaves nothing.
    drop(chunks);
    let patching = patching.await;
    // Its pages go with it, which takes a fifth of a second per GiB: nobody should wait for that.
    tokio::task::spawn_blocking(move || drop(old));
    let patched = patching.map_err(|_| Problem::internal("the delta cannot be applied"))?;
    fed?;
    patched.map_err(problem)
}

/// Writes signatures one after another. Blocks.
fn written(
    file: &File,
    version: &Version,
    asks: &[Ask],
    strong: StrongHash,
    out: &mut impl io::Write,
) -> io::Result<()> {
    for ask in asks {
        let mut writer = Writer::new(&mut *out, ask, strong)?;
        let hashes = BlockHashes::new(ask.blocks.length(), strong);
        sign(file, &ask.blocks, &hashes, ask.strong_length, 0, |hashed| writer.write(&hashed))?;
    }
    if Version::of(file)? == *version { Ok(()) } else { Err(io::Error::other("the file changed while it was hashed")) }
}

/// Keeps what is written, as long as it is short enough to be kept.
struct Copy {
    to: ChunkWriter,
    kept: Option<Vec<u8>>,
}

impl io::Write for Copy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        match &mut self.kept {
            Some(kept) if kept.len() + count <= LONGEST => kept.extend_from_slice(&bytes[..count]),
            kept => *kept = None,
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn answer(version: &Version, body: Body) -> Response {
    let mut headers = HeaderMap::new();
    let tag = HeaderValue::try_from(format!("\"{}\"", version.tag()));
    headers.extend(tag.ok().map(|tag| (header::ETAG, tag)));
    headers.insert(SIZE, version.size.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.skep.signature"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (headers, body).into_response()
}

/// The version that a request is about.
fn tag(headers: &HeaderMap) -> Result<String, Problem> {
    let tag = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    let tag = tag.and_then(|tag| tag.trim().strip_prefix('"')?.strip_suffix('"'));
    tag.map(str::to_owned).ok_or_else(|| {
        let detail = "this needs \"If-Match\" with the ETag of the signature";
        Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition-required", "Precondition required", detail)
    })
}

fn packed(headers: &HeaderMap) -> Result<bool, Problem> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None => Ok(false),
        Some(b"zstd") => Ok(true),
        Some(_) => {
            let detail = "instructions come as they are, or in one frame of zstd";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", "Unknown encoding", detail))
        }
    }
}

fn changed() -> Problem {
    let detail = "the file is not what it was when its signature was made: begin again";
    Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed", detail)
}

fn slot(slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    let busy = |_| Problem::busy("as many deltas are at work as may be", BUSY_RETRY);
    slots.clone().try_acquire_owned().map_err(busy)
}

impl Shared {
    async fn old_file(&self, path: String) -> Result<(File, Version), Problem> {
        let uploads = self.uploads()?.clone();
        let found = tokio::task::spawn_blocking(move || uploads.old_file(&path)).await;
        let found = found.map_err(|_| Problem::internal("the file cannot be looked at"))?;
        let (_, file, version) = found.map_err(problem)?;
        Ok((file, version))
    }

    /// What is to be hashed with; the fast one only with a seed that nobody could know before.
    fn strong(&self, wanted: Option<&str>) -> StrongHash {
        match (wanted, self.signatures.seed()) {
            (Some("xxh3"), Some(seed)) => StrongHash::Xxh3 { seed },
            _ => StrongHash::Sha256,
        }
    }

    /// A body under the node's upload limit.
    fn paced(&self, body: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
        let (up, metrics) = ([self.services.up.clone()], self.metrics.clone());
        Body::from_stream(body.then(move |chunk| {
            let (up, metrics) = (up.clone(), metrics.clone());
            async move {
                let chunk = chunk?;
                throttle::acquire(&up, chunk.len() as u64).await;
                metrics.bytes_up.inc_by(chunk.len() as u64);
                Ok::<Bytes, io::Error>(chunk)
            }
        }))
    }
}
