//! A receiver that does what a test tells it to: keeps everything in memory, counts, and can misbehave.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::{head, post, put};
use axum::{Json, Router};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Starts an endpoint that is quick to answer probes, and to refuse every segment with `status`; its address and
/// how many it refused.
pub async fn failing(status: StatusCode) -> (SocketAddr, Arc<AtomicU32>) {
    let refused = Arc::new(AtomicU32::new(0));
    let count = refused.clone();
    let refuse = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        problem(status, "refused", json!({}))
    };
    let app = Router::new()
        .route("/probe", head(|| async { [("skep-probe", "1")] }))
        .route("/upload/{transfer}", head(|| async { StatusCode::OK }))
        .route("/upload/{transfer}/{segment}", put(refuse));
    (served(app).await, refused)
}

pub async fn served(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// What a receiver knows and how it behaves.
#[derive(Default)]
pub struct Inner {
    pub description: Option<Value>,
    pub transfer: String,
    pub held: BTreeMap<u32, Bytes>,
    /// Every segment that was put, also again.
    pub puts: Vec<u32>,
    /// By which version of HTTP they came.
    pub versions: BTreeSet<String>,
    pub opened: u32,
    pub published: Option<Vec<u8>>,
    pub aborted: bool,
    /// So many puts are answered with this, first.
    pub refuse: Option<(u32, StatusCode, Option<u32>)>,
    /// Forgets these when it is asked to assemble, once.
    pub forgets: BTreeSet<u32>,
    /// Puts of segments from here on wait until the test lets them through.
    pub holds_back_from: Option<u32>,
    /// With so many segments here, further ones wait until the test lets them through.
    pub takes: Option<usize>,
    /// So many requests to assemble are lost after they were done.
    pub loses_answers: u32,
    /// Does not know the upload any more, once.
    pub expires: bool,
    /// Loses this one whenever it is asked to assemble.
    pub always_forgets: Option<u32>,
    /// Says at once that it holds everything.
    pub boasts: bool,
    /// Says that it holds these.
    pub says_held: Option<Vec<(u32, u32)>>,
    /// Says that it published other bytes than it got.
    pub lies: bool,
}

impl Inner {
    /// What was not finished is gone.
    pub fn expire(&mut self) {
        (self.description, self.held, self.transfer) = (None, BTreeMap::new(), String::new());
    }
}

#[derive(Clone, Default)]
pub struct Receiver {
    pub inner: Arc<Mutex<Inner>>,
    pub news: Arc<tokio::sync::Notify>,
}

fn problem(status: StatusCode, kind: &str, more: Value) -> Response {
    let mut body = json!({"type": format!("urn:skep:problem:{kind}"), "status": status.as_u16(), "detail": kind});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    (status, Json(body)).into_response()
}

impl Receiver {
    /// Starts serving; its address.
    pub async fn serve(&self) -> SocketAddr {
        let app = Router::new()
            .route("/probe", head(|| async { [("skep-probe", "1")] }))
            .route("/upload/{transfer}", post(open).head(known).delete(abort))
            .route("/upload/{transfer}/{segment}", put(segment))
            .route("/assemble/{transfer}", post(assemble))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone());
        served(app).await
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        let out = look(&mut self.inner.lock().unwrap());
        self.news.notify_waiters();
        out
    }

    /// It published just this file.
    #[track_caller]
    pub fn got(&self, file: &std::path::Path) {
        self.with(|r| assert!(r.published.as_deref() == Some(&std::fs::read(file).unwrap()[..])));
    }

    /// Waits until it is as wanted.
    pub async fn until(&self, wanted: impl Fn(&Inner) -> bool) {
        let wait = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if wanted(&self.inner.lock().unwrap()) {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.expect("the receiver never got there");
    }
}

fn ranges(held: &BTreeMap<u32, Bytes>) -> Vec<(u32, u32)> {
    held.keys().map(|segment| (*segment, segment + 1)).collect()
}

async fn open(State(r): State<Receiver>, Path(transfer): Path<String>, Json(body): Json<Value>) -> Response {
    r.with(|inner| {
        inner.opened += 1;
        let is_new = inner.description.is_none();
        if inner.description.as_ref().is_some_and(|known| *known != body) {
            return problem(StatusCode::CONFLICT, "conflict", json!({}));
        }
        let state = if inner.published.is_some() { "done" } else { "open" };
        let held = if inner.boasts { vec![(0, u32::MAX)] } else { ranges(&inner.held) };
        let held = inner.says_held.clone().unwrap_or(held);
        let answer = json!({"transfer": transfer, "size": body["size"], "segment_length": body["segment_length"], "held": held, "state": state});
        (inner.description, inner.transfer) = (Some(body), transfer);
        (if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(answer)).into_response()
    })
}

async fn known(State(r): State<Receiver>, Path(transfer): Path<String>) -> StatusCode {
    r.with(|inner| if inner.transfer == transfer { StatusCode::OK } else { StatusCode::NOT_FOUND })
}

async fn abort(State(r): State<Receiver>) -> StatusCode {
    r.with(|inner| inner.aborted = true);
    StatusCode::NO_CONTENT
}

async fn segment(
    State(r): State<Receiver>,
    Path((_, segment)): Path<(String, u32)>,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    r.until(|inner| {
        inner.holds_back_from.is_none_or(|from| segment < from)
            && inner.takes.is_none_or(|most| inner.held.len() < most)
    })
    .await;
    r.with(|inner| {
        if std::mem::take(&mut inner.expires) {
            inner.expire();
            return problem(StatusCode::NOT_FOUND, "not-found", json!({}));
        }
        if inner.description.is_none() {
            return problem(StatusCode::NOT_FOUND, "not-found", json!({}));
        }
        if let Some((left, status, after)) = &mut inner.refuse
            && *left > 0
        {
            *left -= 1;
            let mut answer = problem(*status, "refused", json!({}));
            if let Some(after) = after {
                answer.headers_mut().insert("retry-after", after.to_string().parse().unwrap());
            }
            return answer;
        }
        let digest = data_encoding::BASE64.encode(&Sha256::digest(&body));
        assert_eq!(headers["content-digest"].to_str().unwrap(), format!("sha-256=:{digest}:"));
        let description = inner.description.as_ref().unwrap();
        let start = u64::from(segment) * description["segment_length"].as_u64().unwrap();
        let range = format!("bytes {start}-{}/{}", start + body.len() as u64 - 1, description["size"]);
        assert_eq!(headers["content-range"].to_str().unwrap(), range);
        inner.puts.push(segment);
        inner.versions.insert(format!("{version:?}"));
        inner.held.insert(segment, body);
        Json(json!({"held_bytes": 0, "durable": true})).into_response()
    })
}

async fn assemble(State(r): State<Receiver>, Json(body): Json<Value>) -> Response {
    let digests: Vec<String> = serde_json::from_value(body["segments"].clone()).unwrap();
    r.with(|inner| {
        for forgotten in std::mem::take(&mut inner.forgets).into_iter().chain(inner.always_forgets) {
            inner.held.remove(&forgotten);
        }
        let missing: Vec<_> =
            (0..digests.len() as u32).filter(|s| !inner.held.contains_key(s)).map(|s| (s, s + 1)).collect();
        if !missing.is_empty() {
            return problem(StatusCode::CONFLICT, "incomplete", json!({"missing": missing}));
        }
        let mut sums = Sha256::new();
        for (segment, digest) in digests.iter().enumerate() {
            let found = Sha256::digest(&inner.held[&(segment as u32)]);
            assert_eq!(&HEXLOWER.encode(&found), digest);
            sums.update(found);
        }
        if inner.lies {
            sums.update("and more");
        }
        inner.published = Some(inner.held.values().flatten().copied().collect());
        if inner.loses_answers > 0 {
            inner.loses_answers -= 1;
            return problem(StatusCode::SERVICE_UNAVAILABLE, "lost", json!({}));
        }
        let path = inner.description.as_ref().unwrap()["path"].clone();
        let (bytes, sums) = (inner.published.as_ref().unwrap().len(), HEXLOWER.encode(&sums.finalize()));
        let published = json!({"path": path, "bytes": bytes, "files": 1, "sha256_of_segments": sums});
        (StatusCode::CREATED, Json(published)).into_response()
    })
}
