//! The requests of a push over one path. What comes back is untrusted: bodies are read up to a cap.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use data_encoding::BASE64;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName,
};
use reqwest::{Body, RequestBuilder, Response, Url};
use serde::Deserialize;
use tower::util::MapResponseLayer;

pub use super::answer::Assembled;
use super::answer::{checked, in_order, ours, parsed, read_capped, read_up_to, stranger, unpacked};
use super::lanes::{Lanes, Taken};
use super::paths::PathSpec;
use super::{PushError, broken, interfaces, unsent};
use crate::content::Digest;
use crate::pool::replica::ReplicaState;
use crate::swarm::{base_client, cause_of};
use crate::throttle::Throttle;
use crate::throttle::links::{LinkLimits, over};

/// Time for a probe's exchange: a path that takes longer counts as dead.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Exchanges of a probe that count, after one that makes the connection.
const SAMPLES: usize = 3;
/// A probe that has a figure takes no further samples after this long: where the round trip is long,
/// waiting costs more than the last digit is worth.
const PROBE_BUDGET: Duration = Duration::from_millis(40);
/// A silent connection is asked whether it still stands after the first time, and then again and again; it
/// is over when this many questions had no answer.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 4;
/// A connection is over when what was sent is not acknowledged for this long (RFC 5482).
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Time for an answer behind what fills the way.
const CAME_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a node to say how its copy stands.
const STANDING_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a description to be taken.
const OPEN_TIMEOUT: Duration = Duration::from_secs(120);
/// The receiver may have to read everything back before it answers.
const ASSEMBLE_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// Digest of what a body is when it is unpacked (draft-ietf-httpbis-unencoded-digest).
static UNENCODED_DIGEST: HeaderName = HeaderName::from_static("unencoded-digest");
static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
static CAME: HeaderName = HeaderName::from_static("skep-came");
static FILL: HeaderName = HeaderName::from_static("skep-fill");

/// Why a request did not do what it should.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WireError {
    /// No connection, or it broke.
    #[error("{0}")]
    Broken(String),
    /// 429 or 503.
    #[error("the receiver is busy")]
    Busy(Option<Duration>),
    /// 401 or 403: not permitted, or the operator there cancelled it.
    #[error("{0}")]
    Refused(String),
    /// 404: the receiver does not know this upload.
    #[error("the receiver does not know this upload")]
    Unknown,
    /// 409 of an upload that lacks segments.
    #[error("the receiver lacks segments")]
    Missing(Vec<Range<u32>>),
    /// 507: what the receiver says of its space.
    #[error("the receiver has no space for it ({0}): make space there, then resume")]
    Full(String),
    /// Any other answer, with what the receiver says about it.
    #[error("the receiver answered {status}: {detail}")]
    Status {
        /// HTTP's.
        status: u16,
        /// The problem's detail, made printable.
        detail: String,
    },
    /// An answer that is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// The path itself cannot be used.
    #[error("{0}")]
    Path(String),
}

impl From<reqwest::Error> for WireError {
    fn from(error: reqwest::Error) -> Self {
        Self::Broken(broken::words(&error))
    }
}

/// How a segment goes over a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// As it is.
    Plain,
    /// Not at all: all its bytes are zeros.
    Zeros,
    /// Compressed by zstd.
    Packed,
}

/// What an upload stands at.
#[derive(Debug, Deserialize)]
pub struct Opened {
    /// Bytes per segment.
    pub segment_length: u64,
    /// Segments that are held, as half-open ranges, ascending and apart.
    #[serde(default)]
    pub held: Vec<(u32, u32)>,
    /// `open`, `assembling`, `done`.
    #[serde(default)]
    pub state: String,
    /// Codings in which segments may come, such as `zstd`.
    #[serde(default)]
    pub accepts: Vec<String>,
}

/// How a copy stands at a node of a pool.
#[derive(Debug, Clone, Deserialize)]
pub struct Standing {
    /// In one word.
    pub state: ReplicaState,
    /// Pieces that it has, as half-open ranges, ascending and apart.
    #[serde(default)]
    pub held: Vec<(u32, u32)>,
    /// Their number.
    #[serde(default)]
    pub held_count: u32,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
}

/// What a receiver says of an upload that was not begun.
#[derive(Debug, Deserialize)]
pub struct Checked {
    /// Bytes free there, less what is promised to others.
    pub free: u64,
}

/// A document that was asked for.
#[derive(Debug)]
pub struct Answer {
    /// It.
    pub body: Vec<u8>,
    /// Bytes of it as it came.
    pub on_wire: u64,
}

/// One path.
#[derive(Debug)]
pub struct Wire {
    client: reqwest::Client,
    /// Carry segments where the round trip is long; none: HTTP/2 was asked for, or TLS is.
    lanes: Option<Arc<Lanes>>,
    endpoint: String,
    headers: HeaderMap,
    /// What its connections leave by.
    via: Option<String>,
    /// Where it leads, for people.
    at: String,
    /// What the link to there is held to.
    limit: Option<Arc<Throttle>>,
    /// Below which path segments are taken.
    room: &'static str,
}

impl Wire {
    /// `headers` go along with every request. `target`: the name at the receiver, for people.
    ///
    /// # Errors
    /// The client cannot be built.
    pub(crate) fn new(spec: &PathSpec, target: &str, headers: HeaderMap) -> Result<Self, PushError> {
        let at = spec.at(target);
        Self::build(spec, headers, at.clone()).map_err(|error| PushError::Wire { at, error })
    }

    fn build(spec: &PathSpec, headers: HeaderMap, at: String) -> Result<Self, WireError> {
        let (endpoint, is_http2) = spec.base();
        let is_plain = !endpoint.starts_with("https:");
        let build = |is_http2| client(spec, is_plain, is_http2);
        let lanes = if is_plain && !is_http2 { Some(Lanes::new(|| build(true))?) } else { None };
        let client = build(is_http2)?;
        Ok(Self { client, lanes, endpoint, headers, via: spec.via.clone(), at, limit: None, room: "/upload" })
    }

    /// The same, to a node of a pool: what is sent are pieces of a content ([`crate::pool::replica`]), and an upload's name is
    /// that content's id.
    pub(crate) fn into_replica(self) -> Self {
        Self { room: "/replica", ..self }
    }

    /// The same, held to what its link is.
    pub(crate) fn limited(mut self, links: &LinkLimits) -> Self {
        self.limit = links.towards(&self.endpoint).map(|link| link.up.clone());
        self
    }

    /// What bytes that leave over it are held to, beside the limits of their transfer.
    pub(crate) fn limits(&self, of_transfer: &Arc<[Arc<Throttle>]>) -> Arc<[Arc<Throttle>]> {
        over(of_transfer, self.limit.as_ref())
    }

    /// Where it leads, for people.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    /// What went wrong on it.
    pub(crate) fn failed(&self, error: WireError) -> PushError {
        PushError::Wire { at: self.at.clone(), error }
    }

    /// Makes a request; what is no success is an error.
    async fn ask(&self, request: RequestBuilder) -> Result<Response, WireError> {
        checked(self.answer(request).await?).await
    }

    /// Makes a request, whatever the answer.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, WireError> {
        match request.send().await {
            Ok(response) => Ok(response),
            Err(error) => Err(self.broke(&error).await),
        }
    }

    /// No connection, or it broke; where that is because of what it leaves by, that is told.
    pub(super) async fn broke(&self, error: &reqwest::Error) -> WireError {
        if let (Some(via), Some(errno)) = (&self.via, broken::errno(error))
            && let Some(words) = interfaces::trouble(via, errno).await
        {
            return WireError::Broken(words);
        }
        WireError::Broken(broken::words(error))
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn url(&self, path: &str) -> Result<Url, WireError> {
        Url::parse(&format!("{}{path}", self.endpoint)).map_err(|e| WireError::Path(e.to_string()))
    }

    /// The median round trip of several exchanges on a warm connection. `upload`: it must be known there,
    /// which tells that the path leads to the same receiver as the others; none: the path's first probe.
    ///
    /// # Errors
    /// No answer, or not the right one.
    pub async fn probe(&self, upload: Option<&str>) -> Result<Duration, WireError> {
        let url = self.url(&upload.map_or_else(|| "/probe".to_owned(), |upload| format!("{}/{upload}", self.room)))?;
        let begun = Instant::now();
        if let Some(lanes) = &self.lanes {
            lanes.open(&url, &self.headers, PROBE_TIMEOUT);
        }
        let mut times = Vec::with_capacity(SAMPLES);
        for sample in 0..=SAMPLES {
            let start = Instant::now();
            let request = self.client.head(url.clone()).headers(self.headers.clone()).timeout(PROBE_TIMEOUT);
            let response = self.answer(request).await?;
            if upload.is_none() && matches!(response.status().as_u16(), 404 | 405 | 410) {
                return Err(stranger(&response));
            }
            let response = checked(response).await?;
            if upload.is_none() {
                ours(&response)?;
            }
            if sample > 0 {
                times.push(start.elapsed());
            } else if upload.is_none() && begun.elapsed() > PROBE_BUDGET {
                // The connection is new: it took a round trip, and the exchange another.
                times.push(start.elapsed() / 2);
            }
            if !times.is_empty() && begun.elapsed() > PROBE_BUDGET {
                break;
            }
        }
        times.sort_unstable();
        let latency = times[times.len() / 2];
        if let Some(lanes) = &self.lanes {
            lanes.settle(latency);
        }
        Ok(latency)
    }

    /// Whether a node answers there: one exchange. One that refuses us is there too.
    ///
    /// # Errors
    /// No answer, or that of something else.
    pub async fn knock(&self) -> Result<(), WireError> {
        let request = self.client.head(self.url("/probe")?).headers(self.headers.clone()).timeout(PROBE_TIMEOUT);
        let response = self.answer(request).await?;
        if matches!(response.status().as_u16(), 404 | 405 | 410) {
            return Err(stranger(&response));
        }
        match checked(response).await {
            Ok(response) => ours(&response),
            Err(WireError::Refused(_) | WireError::Busy(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens the upload, or finds it open.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn open(&self, upload: &str, description: Bytes) -> Result<Opened, WireError> {
        let request = self.client.post(self.url(&format!("{}/{upload}", self.room))?).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/json").timeout(OPEN_TIMEOUT).body(description);
        let opened: Opened = parsed(self.ask(request).await?).await?;
        in_order(&opened.held)?;
        Ok(opened)
    }

    /// Asks whether such an upload would be taken; nothing is begun.
    ///
    /// # Errors
    /// No answer, or a refusal; [`WireError::Unknown`] of a node that cannot be asked.
    pub async fn check(&self, description: Bytes) -> Result<Checked, WireError> {
        let request = self.client.post(self.url("/upload")?).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/json").timeout(OPEN_TIMEOUT).body(description);
        parsed(self.ask(request).await?).await
    }

    /// The lane for another segment, if it is to go by one.
    pub(super) fn lane(&self) -> Option<Taken> {
        self.lanes.as_ref().and_then(Lanes::take)
    }

    /// Whether the receiver has answered on a lane.
    pub(super) fn has_lanes(&self) -> bool {
        self.lanes.as_ref().is_some_and(|lanes| lanes.has_answered())
    }

    /// Connections that carry segments side by side.
    pub(super) fn spread(&self) -> u32 {
        self.lanes.as_ref().map_or(0, |lanes| lanes.in_use())
    }

    /// Another path to the receiver has lanes: those of this one are used without waiting for their answers.
    pub(super) fn believe(&self) {
        if let Some(lanes) = &self.lanes {
            lanes.believe();
        }
    }

    /// Sends one segment: bytes `range` of `size`, whose digest is `digest`. The body is what `content` says.
    ///
    /// # Errors
    /// It did not get through, or not whole.
    pub(super) async fn put(
        &self,
        upload: &str,
        segment: u32,
        (range, size): (Range<u64>, u64),
        digest: &Digest,
        (content, body): (Content, Body),
        lane: Option<&Taken>,
    ) -> Result<(), WireError> {
        let client = lane.map_or(&self.client, Taken::client);
        let request = client.put(self.url(&format!("{}/{upload}/{segment}", self.room))?).headers(self.headers.clone());
        let digest = format!("sha-256=:{}:", BASE64.encode(&digest.0));
        let request = match content {
            Content::Plain => request.header(&CONTENT_DIGEST, digest).header(CONTENT_LENGTH, range.end - range.start),
            Content::Zeros => request.header(&CONTENT_DIGEST, digest).header(&FILL, "zeros"),
            Content::Packed => request.header(&UNENCODED_DIGEST, digest).header(CONTENT_ENCODING, "zstd"),
        };
        // The length is that of the body, which knows it.
        let request = if content == Content::Zeros { request.header(CONTENT_LENGTH, 0) } else { request.body(body) };
        let request = request.header(CONTENT_RANGE, format!("bytes {}-{}/{size}", range.start, range.end - 1));
        // The answer is read to its end: only then can the connection be used again.
        let answer = async { read_capped(self.ask(request).await?).await }.await;
        if let (Some(lane), Err(WireError::Broken(_))) = (lane, &answer) {
            lane.broke();
        }
        answer.map(drop)
    }

    /// Bytes of the upload that came to the receiver, by its own account. None: it does not say, or does not answer.
    pub(super) async fn came(&self, upload: &str) -> Option<u64> {
        let request =
            self.client.head(self.url(&format!("{}/{upload}", self.room)).ok()?).headers(self.headers.clone());
        let response = self.ask(request.timeout(CAME_TIMEOUT)).await.ok()?;
        response.headers().get(&CAME)?.to_str().ok()?.parse().ok()
    }

    /// Asks the receiver to verify and publish.
    ///
    /// # Errors
    /// No answer; [`WireError::Missing`] with what it lacks.
    pub async fn assemble(&self, upload: &str, digests: &[Digest]) -> Result<Assembled, WireError> {
        let hex: Vec<String> = digests.iter().map(ToString::to_string).collect();
        let request = self.client.post(self.url(&format!("/assemble/{upload}"))?).headers(self.headers.clone());
        let request = request.json(&serde_json::json!({ "segments": hex })).timeout(ASSEMBLE_TIMEOUT);
        parsed(self.ask(request).await?).await
    }

    /// Posts a JSON document to a route; the answer has `most` bytes at most.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn exchange(&self, route: &str, body: Bytes, time: Duration, most: usize) -> Result<Answer, WireError> {
        let request = self.client.post(self.url(route)?).headers(self.headers.clone()).header(ACCEPT_ENCODING, "zstd");
        let request = request.header(CONTENT_TYPE, "application/json").timeout(time).body(body);
        let response = self.ask(request).await?;
        let is_packed = response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "zstd");
        let body = read_up_to(response, most).await?;
        let on_wire = body.len() as u64;
        if !is_packed {
            return Ok(Answer { body, on_wire });
        }
        let unpacking = tokio::task::spawn_blocking(move || unpacked(&body, most));
        let body = unpacking.await.unwrap_or_else(|e| Err(WireError::Malformed(e.to_string())))?;
        Ok(Answer { body, on_wire })
    }

    /// How a copy stands at a node of a pool. `held`: with its pieces.
    ///
    /// # Errors
    /// No answer; [`WireError::Unknown`] where none is wanted.
    pub async fn standing(&self, content: &str, held: bool) -> Result<Standing, WireError> {
        let url = self.url(&format!("{}/{content}?held={}", self.room, u8::from(held)))?;
        let request = self.client.get(url).headers(self.headers.clone()).timeout(STANDING_TIMEOUT);
        let standing: Standing = parsed(self.ask(request).await?).await?;
        in_order(&standing.held)?;
        Ok(standing)
    }

    /// Drops the upload; that it is unknown is fine.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn abort(&self, upload: &str) -> Result<(), WireError> {
        let request = self.client.delete(self.url(&format!("{}/{upload}", self.room))?).headers(self.headers.clone());
        match self.ask(request.timeout(OPEN_TIMEOUT)).await {
            Ok(_) | Err(WireError::Unknown) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A client that leaves by where the path does.
fn client(spec: &PathSpec, is_plain: bool, is_http2: bool) -> Result<reqwest::Client, WireError> {
    let mut client = base_client()
        .redirect(reqwest::redirect::Policy::none())
        .connector_layer(MapResponseLayer::new(unsent::bounded))
        .tcp_keepalive(KEEPALIVE)
        .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
        .tcp_keepalive_retries(KEEPALIVE_RETRIES);
    #[cfg(target_os = "linux")]
    {
        client = client.tcp_user_timeout(UNACKNOWLEDGED);
    }
    if is_http2 {
        client =
            client.http2_prior_knowledge().http2_keep_alive_interval(KEEPALIVE).http2_keep_alive_timeout(KEEPALIVE);
    }
    if is_plain {
        // Reading the system's certificates takes time and memory.
        client = client.tls_certs_only([]);
    }
    if let Some(via) = &spec.via {
        client = match via.parse::<IpAddr>() {
            Ok(address) => client.local_address(address),
            Err(_) => bound(client, via)?,
        };
    }
    client.build().map_err(|e| WireError::Path(cause_of(&e)))
}

#[cfg(target_os = "linux")]
fn bound(client: reqwest::ClientBuilder, interface: &str) -> Result<reqwest::ClientBuilder, WireError> {
    Ok(client.interface(interface))
}

#[cfg(not(target_os = "linux"))]
fn bound(_: reqwest::ClientBuilder, interface: &str) -> Result<reqwest::ClientBuilder, WireError> {
    Err(WireError::Path(format!("{interface:?}: this system binds to addresses only")))
}
