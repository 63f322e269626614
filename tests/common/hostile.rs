//! Peers that do what no peer should.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::stream;
use skep_engine::content::{Bitmap, Manifest};

/// What a hostile peer does when it is asked for a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vice {
    /// One bit is wrong.
    Corrupts,
    /// Claims to have everything, has nothing.
    LiesAboutBitmap,
    /// More bytes than the piece has, without a length.
    TooMuch,
    /// Fewer bytes than it promised.
    TooLittle,
    /// Half of it, then silence for ever.
    Stalls,
    /// 500, at once, always.
    ErrorsAtOnce,
    /// A bitmap of the wrong length.
    BadBitmap,
    /// 503 for ever.
    AlwaysChoked,
}

pub struct Hostile {
    pub addr: SocketAddr,
    pub asked: Arc<AtomicU64>,
}

impl Hostile {
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

/// One content, and what the peer does to who asks for it.
#[derive(Clone)]
struct Ctx {
    vice: Vice,
    manifest: Arc<Manifest>,
    data: Arc<Vec<u8>>,
    asked: Arc<AtomicU64>,
}

/// Contents by their id.
type Contents = Arc<HashMap<String, Ctx>>;

/// Serves `manifest`'s content with a vice, until the runtime ends.
pub async fn serve(vice: Vice, manifest: Manifest, data: Vec<u8>) -> Hostile {
    serve_all(vec![(vice, manifest, data)]).await
}

/// Serves several contents, each with a vice of its own.
pub async fn serve_all(contents: Vec<(Vice, Manifest, Vec<u8>)>) -> Hostile {
    let asked = Arc::new(AtomicU64::new(0));
    let ctx = |(vice, manifest, data): (Vice, Manifest, Vec<u8>)| {
        let id = manifest.id().to_string();
        (id, Ctx { vice, manifest: Arc::new(manifest), data: Arc::new(data), asked: asked.clone() })
    };
    let contents: Contents = Arc::new(contents.into_iter().map(ctx).collect());
    let router = Router::new()
        .route("/health", get(health))
        .route("/swarm/announce", post(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/swarm/manifest/{id}", get(manifest))
        .route("/swarm/bitmap/{id}", get(bitmap))
        .route("/swarm/piece/{id}/{index}", get(piece))
        .with_state(contents);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Hostile { addr, asked }
}

/// A node that could not be better.
async fn health() -> Response {
    let report =
        r#"{"name":"liar","cpu_percent":0,"memory_percent":0,"active_connections":0,"average_latency_ms":0.1}"#;
    report.into_response()
}

/// Takes connections and says nothing; with `head`, only the beginning of an answer.
pub async fn mute(head: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
            open.push(stream);
        }
    });
    addr
}

async fn manifest(State(contents): State<Contents>, Path(id): Path<String>) -> Response {
    match contents.get(&id) {
        Some(ctx) => ctx.manifest.to_json().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn bitmap(State(contents): State<Contents>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(ctx) = contents.get(&id) else { return StatusCode::NOT_FOUND.into_response() };
    if headers.contains_key("if-none-match") {
        std::future::pending::<()>().await;
    }
    let mut bytes = Bitmap::full(ctx.manifest.piece_count()).as_bytes().to_vec();
    if ctx.vice == Vice::BadBitmap {
        bytes.extend([0xff; 100]);
    }
    ([("etag", "\"1\""), ("skep-choke", "unchoked")], bytes).into_response()
}

async fn piece(
    State(contents): State<Contents>,
    Path((id, index)): Path<(String, u32)>,
    Query(query): Query<HashMap<String, u32>>,
) -> Response {
    let Some(ctx) = contents.get(&id) else { return StatusCode::NOT_FOUND.into_response() };
    ctx.asked.fetch_add(1, Ordering::Relaxed);
    let length = ctx.manifest.piece_length as usize;
    let count = query.get("count").copied().unwrap_or(1) as usize;
    let start = index as usize * length;
    let end = (start + count * length).min(ctx.data.len());
    let mut body = ctx.data[start..end].to_vec();
    match ctx.vice {
        Vice::Corrupts => {
            let middle = body.len() / 2;
            body[middle] ^= 1;
            body.into_response()
        }
        Vice::LiesAboutBitmap => StatusCode::NOT_FOUND.into_response(),
        Vice::TooMuch => {
            body.extend([0; 100_000]);
            Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from(body))])).into_response()
        }
        Vice::TooLittle => {
            body.truncate(body.len() / 2);
            Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from(body))])).into_response()
        }
        Vice::Stalls => {
            let half = Bytes::from(body[..body.len() / 2].to_vec());
            let then = stream::unfold(Some(half), |half| async move {
                match half {
                    Some(half) => Some((Ok::<_, std::io::Error>(half), None)),
                    None => std::future::pending().await,
                }
            });
            Response::builder().header("content-length", body.len()).body(Body::from_stream(then)).unwrap()
        }
        Vice::ErrorsAtOnce => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Vice::BadBitmap => body.into_response(),
        Vice::AlwaysChoked => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")]).into_response(),
    }
}
