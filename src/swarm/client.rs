//! Asking other nodes and mirrors: every request this engine makes for a swarm.
//!
//! What comes back is untrusted: bodies are read up to a cap, counts are checked before anything
//! is allocated, redirects are followed for mirrors only.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use data_encoding::HEXLOWER;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, RANGE, RETRY_AFTER,
};
use reqwest::{Response, StatusCode, Url};
use sha2::{Digest as _, Sha256};

use super::announce::{Announce, AnnounceReply};
use crate::content::manifest::MAX_JSON;
use crate::content::{Bitmap, ContentId};

/// Largest answer of a tracker.
const MAX_ANNOUNCE_REPLY: usize = 4 << 20;
/// Largest Metalink or manifest fetched by URL.
const MAX_DOCUMENT: usize = MAX_JSON;
/// Time to make a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a small answer.
const SMALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Most seconds a Retry-After is believed.
const MAX_RETRY_AFTER: u64 = 120;

static SKEP_PEER: HeaderName = HeaderName::from_static("skep-peer");
static PREFER: HeaderName = HeaderName::from_static("prefer");

/// The media type of a list of new pieces.
pub const HAVES_TYPE: &str = "application/vnd.skep.haves";

/// What nodes show one another instead of the control token: a hostile peer that sees it can read
/// data, never steer the node.
pub fn data_key(token: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"skep data v1\n");
    hash.update(token.as_bytes());
    HEXLOWER.encode(&hash.finalize())
}

/// Why asking failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No such URL can be.
    #[error("not a usable http(s) URL: {0:?}")]
    Url(String),
    /// No connection, or it broke.
    #[error("{0}")]
    Network(String),
    /// An answer, but not the one hoped for.
    #[error("{url} answered {status}")]
    Status {
        /// Asked.
        url: String,
        /// Answer.
        status: u16,
    },
    /// The other side wants a token that it did not get.
    #[error("{url} wants a token: give the one of that node with --token-file")]
    Unauthorized {
        /// Asked.
        url: String,
    },
    /// More bytes than the cap.
    #[error("the answer is over the limit of {0} bytes")]
    TooLarge(usize),
    /// An answer that is not what it should be.
    #[error("{0}")]
    Malformed(String),
}

impl ClientError {
    /// The other side answered, with something that it should not have sent: asking it again is no use.
    pub fn is_unsound(&self) -> bool {
        matches!(self, Self::TooLarge(_) | Self::Malformed(_))
    }

    /// The other side is at fault: not that it has nothing of what was asked for, or wants a token.
    pub(super) fn is_fault(&self) -> bool {
        match self {
            Self::Network(_) | Self::TooLarge(_) | Self::Malformed(_) => true,
            Self::Status { status, .. } => *status >= 500,
            Self::Url(_) | Self::Unauthorized { .. } => false,
        }
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        let at = error.url().map(|u| format!("{u}: ")).unwrap_or_default();
        Self::Network(format!("{at}{}", cause_of(&error)))
    }
}

/// reqwest's own text is "error sending request for url"; the cause is what helps.
pub(crate) fn cause_of(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if error.is_timeout() { "timed out".to_owned() } else { cause.to_string() }
}

/// A piece request's answer, before its body.
#[derive(Debug)]
pub(super) enum PieceAnswer {
    /// The body follows; `headers` bytes were spent on it.
    Body {
        /// With the body to come.
        response: Response,
        /// Bytes of request and response headers, as far as known.
        overhead: u64,
    },
    /// Choked, or too busy: not before this long.
    Choked(Duration),
    /// Others have the piece and shall be asked; it gives it after this long.
    Elsewhere(Duration),
    /// It does not have the piece.
    Missing,
    /// Anything else.
    Status(u16),
}

/// How this peer stands to us, as its bitmap answers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChokeWord {
    Unchoked,
    Choked,
}

/// News of a peer's pieces.
#[derive(Debug)]
pub(super) struct BitmapNews {
    pub what: News,
    pub choke: Option<ChokeWord>,
    /// The address that answered.
    pub from: Option<SocketAddr>,
    pub etag: Option<String>,
}

#[derive(Debug)]
pub(super) enum News {
    Whole(Bitmap),
    Added(Vec<u32>),
    Nothing,
}

/// Makes requests on behalf of one node.
#[derive(Debug)]
pub struct Client {
    plain: reqwest::Client,
    secure: OnceLock<Result<reqwest::Client, String>>,
    mirrors: OnceLock<Result<reqwest::Client, String>>,
    headers: HeaderMap,
    headers_size: u64,
}

impl Client {
    /// `token`: shown (as its data key) to nodes; `endpoint`: where this node can be reached.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(token: Option<&str>, endpoint: Option<&str>) -> Result<Self, ClientError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token
            && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", data_key(token)))
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(value) = endpoint.and_then(|e| HeaderValue::try_from(e).ok()) {
            headers.insert(SKEP_PEER.clone(), value);
        }
        // Most jobs never meet an https URL: reading the system's certificates waits until one does.
        let plain = base_client().tls_certs_only([]).redirect(reqwest::redirect::Policy::none()).build()?;
        let headers_size = headers.iter().map(|(k, v)| k.as_str().len() + v.len() + 4).sum::<usize>() as u64 + 120;
        Ok(Self { plain, secure: OnceLock::new(), mirrors: OnceLock::new(), headers, headers_size })
    }

    /// What every request to a node carries: the data key, and who asks.
    pub fn node_headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn for_nodes(&self, url: &Url) -> Result<&reqwest::Client, ClientError> {
        if url.scheme() != "https" {
            return Ok(&self.plain);
        }
        let made = self.secure.get_or_init(|| {
            base_client().redirect(reqwest::redirect::Policy::none()).build().map_err(|e| e.to_string())
        });
        made.as_ref().map_err(|e| ClientError::Network(e.clone()))
    }

    fn for_mirrors(&self) -> Result<&reqwest::Client, ClientError> {
        let made = self.mirrors.get_or_init(|| {
            base_client().redirect(reqwest::redirect::Policy::limited(5)).build().map_err(|e| e.to_string())
        });
        made.as_ref().map_err(|e| ClientError::Network(e.clone()))
    }

    fn get(&self, url: Url) -> Result<reqwest::RequestBuilder, ClientError> {
        Ok(self.for_nodes(&url)?.get(url).headers(self.headers.clone()))
    }

    /// The answer that carries the manifest of `id`; its body is still to be read, and to be checked.
    pub(super) async fn manifest(&self, node: &str, id: &ContentId) -> Result<Response, ClientError> {
        let url = join(node, &format!("/swarm/manifest/{id}"))?;
        let response = ok(self.get(url)?.header(ACCEPT, "application/json").send().await?)?;
        if response.content_length().is_some_and(|length| length > MAX_JSON as u64) {
            return Err(ClientError::TooLarge(MAX_JSON));
        }
        Ok(response)
    }

    /// A manifest or Metalink by URL, from anywhere.
    ///
    /// # Errors
    /// No answer, or too large a one.
    pub async fn document(&self, url: &str) -> Result<Vec<u8>, ClientError> {
        let url = Url::parse(url).map_err(|_| ClientError::Url(url.into()))?;
        // Only a node's own route is shown the data key; anybody else's server gets no header of ours.
        let is_node = url.path().starts_with("/swarm/manifest/");
        let request = if is_node { self.get(url)? } else { self.for_mirrors()?.get(url) };
        let request = request.timeout(SMALL_TIMEOUT * 15);
        read_capped(ok(request.send().await?)?, MAX_DOCUMENT).await
    }

    /// Announces to a tracker.
    ///
    /// # Errors
    /// No answer, or no tracker's answer.
    pub async fn announce(&self, tracker: &str, announce: &Announce) -> Result<AnnounceReply, ClientError> {
        let url = join(tracker, "/swarm/announce")?;
        let request = self.for_nodes(&url)?.post(url).headers(self.headers.clone()).timeout(SMALL_TIMEOUT);
        let body = read_capped(ok(request.json(announce).send().await?)?, MAX_ANNOUNCE_REPLY).await?;
        serde_json::from_slice(&body).map_err(|e| ClientError::Malformed(format!("not a tracker's answer: {e}")))
    }

    /// What the peer has; with an `etag`, waits up to `wait` for what is new since then.
    pub(super) async fn bitmap(
        &self,
        node: &str,
        id: &ContentId,
        pieces: u32,
        etag: Option<&str>,
        wait: Duration,
    ) -> Result<BitmapNews, ClientError> {
        let mut request = self.get(join(node, &format!("/swarm/bitmap/{id}"))?)?.timeout(wait + SMALL_TIMEOUT);
        if let Some(etag) = etag {
            request = request
                .header(IF_NONE_MATCH, etag)
                .header(&PREFER, format!("wait={}", wait.as_secs()))
                .header(ACCEPT, HAVES_TYPE);
        }
        let response = request.send().await?;
        let from = response.remote_addr();
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let choke = header("skep-choke").map(|w| if w == "choked" { ChokeWord::Choked } else { ChokeWord::Unchoked });
        let new_etag = header(ETAG.as_str()).or_else(|| etag.map(str::to_owned));
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(BitmapNews { what: News::Nothing, choke, from, etag: new_etag });
        }
        let is_delta = header("skep-delta").is_some();
        let response = ok(response)?;
        let what = if is_delta {
            let body = read_capped(response, pieces as usize * 4).await?;
            let indices = body.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
            News::Added(indices.filter(|piece| *piece < pieces).collect())
        } else {
            let body = read_capped(response, Bitmap::byte_len(pieces)).await?;
            News::Whole(Bitmap::from_bytes(body, pieces).map_err(|e| ClientError::Malformed(e.to_string()))?)
        };
        Ok(BitmapNews { what, choke, from, etag: new_etag })
    }

    /// Asks a node for `count` pieces from `first`.
    pub(super) async fn pieces(
        &self,
        node: &str,
        id: &ContentId,
        first: u32,
        count: u32,
    ) -> Result<PieceAnswer, ClientError> {
        let path = if count > 1 {
            format!("/swarm/piece/{id}/{first}?count={count}")
        } else {
            format!("/swarm/piece/{id}/{first}")
        };
        let response = self.get(join(node, &path)?)?.send().await?;
        self.answer(response, StatusCode::OK)
    }

    /// Asks a mirror for the bytes `first..=last` of its file.
    pub(super) async fn range(&self, url: &str, first: u64, last: u64) -> Result<PieceAnswer, ClientError> {
        let url = Url::parse(url).map_err(|_| ClientError::Url(url.into()))?;
        let response = self.for_mirrors()?.get(url).header(RANGE, format!("bytes={first}-{last}")).send().await?;
        self.answer(response, StatusCode::PARTIAL_CONTENT)
    }

    fn answer(&self, response: Response, wanted: StatusCode) -> Result<PieceAnswer, ClientError> {
        let retry_after = || {
            // Nodes tell it exactly; HTTP's own header counts whole seconds.
            let exact = response.headers().get("skep-retry-ms").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
            if let Some(ms) = exact {
                return Duration::from_millis(ms.clamp(20, MAX_RETRY_AFTER * 1_000));
            }
            let seconds = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse::<u64>().ok());
            Duration::from_secs(seconds.unwrap_or(5).clamp(1, MAX_RETRY_AFTER))
        };
        Ok(match response.status() {
            status if status == wanted => {
                let answered: usize = response.headers().iter().map(|(k, v)| k.as_str().len() + v.len() + 4).sum();
                PieceAnswer::Body { overhead: self.headers_size + answered as u64 + 17, response }
            }
            StatusCode::SERVICE_UNAVAILABLE if response.headers().contains_key("skep-elsewhere") => {
                PieceAnswer::Elsewhere(retry_after())
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => PieceAnswer::Choked(retry_after()),
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::RANGE_NOT_SATISFIABLE => PieceAnswer::Missing,
            status => PieceAnswer::Status(status.as_u16()),
        })
    }
}

/// What every client of this engine has in common.
pub(crate) fn base_client() -> reqwest::ClientBuilder {
    // Fine if it is installed already: every caller installs the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("skep/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http1_only()
        .pool_max_idle_per_host(64)
        .pool_idle_timeout(Duration::from_secs(60))
}

fn join(node: &str, path: &str) -> Result<Url, ClientError> {
    let url = format!("{}{path}", node.trim_end_matches('/'));
    match Url::parse(&url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(ClientError::Url(node.into())),
    }
}

fn ok(response: Response) -> Result<Response, ClientError> {
    match response.status() {
        status if status.is_success() => Ok(response),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(ClientError::Unauthorized { url: response.url().to_string() })
        }
        status => Err(ClientError::Status { url: response.url().to_string(), status: status.as_u16() }),
    }
}

/// A whole body, refused as soon as it passes `cap`, whatever its Content-Length said.
async fn read_capped(mut response: Response, cap: usize) -> Result<Vec<u8>, ClientError> {
    if response.content_length().is_some_and(|length| length > cap as u64) {
        return Err(ClientError::TooLarge(cap));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > cap {
            return Err(ClientError::TooLarge(cap));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
