//! Errors as RFC 9457 problem documents.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::content::name::printable;

/// Media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong with a request: `type`, `title`, `status`, `detail`, and what else helps the client.
///
/// `type` is `urn:skep:problem:KIND`; the kinds are stable, titles and details are for people.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    members: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(flatten)]
    members: &'a serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    /// A problem of this kind. Text from outside in `detail` is made printable.
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl AsRef<str>) -> Self {
        let mut detail = printable(detail.as_ref());
        if let Some((cut, _)) = detail.char_indices().nth(600) {
            detail.truncate(cut);
        }
        Self { status, kind, title, detail, headers: Vec::new(), members: serde_json::Map::new() }
    }

    /// 400: the request makes no sense.
    pub fn bad_request(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", detail)
    }

    /// 404: no such content, file or route here.
    pub fn not_found(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// 404: the content is known, but these bytes are not here (yet).
    pub fn not_here(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-here", "Not here yet", detail)
    }

    /// 403: the peer is banned here.
    pub fn banned() -> Self {
        let detail = "this node has banned your endpoint; its operator can lift that (skep ban lift)";
        Self::new(StatusCode::FORBIDDEN, "banned", "Banned", detail)
    }

    /// 409: what is here stands in the way.
    pub fn conflict(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
    }

    /// 413: more than this route takes.
    pub fn too_large(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
    }

    /// 416: no such piece, or no such bytes.
    pub fn out_of_range(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "out-of-range", "Out of range", detail)
    }

    /// 503: choked, see BEP 3; try again later.
    pub fn choked(retry_after: Duration) -> Self {
        let millis = retry_after.as_millis();
        let detail = format!("all upload slots are taken by other peers; try again in {millis} ms");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "choked", "Choked", detail)
            .with(HeaderName::from_static("skep-choke"), "choked")
            .retry_after(retry_after)
    }

    /// 503: others got this piece a moment ago and can give it, see [`thrift`](crate::swarm::thrift).
    pub fn elsewhere(piece: u32) -> Self {
        let detail = format!("piece {piece} was just given to another peer, which can give it; or ask again later");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "elsewhere", "Ask elsewhere", detail)
            .with(HeaderName::from_static("skep-elsewhere"), "1")
            .retry_after(Duration::from_secs(4))
    }

    /// 503: at a limit of this node.
    pub fn busy(detail: impl AsRef<str>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy", detail).retry_after(retry_after)
    }

    /// 429 (RFC 6585): this source is at a limit of its own.
    pub fn too_many(detail: impl AsRef<str>, retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many requests", detail).retry_after(retry_after)
    }

    /// 500: our fault.
    pub fn internal(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// Adds a header; one that cannot be written is left out.
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Adds an extension member (RFC 9457, 3.2).
    pub fn with_member(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.members.insert(name.to_owned(), value);
        }
        self
    }

    /// `Retry-After` in whole seconds (RFC 9110), and exactly in `Skep-Retry-Ms`.
    fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_millis().div_ceil(1000).max(1);
        self.with(header::RETRY_AFTER, &seconds.to_string())
            .with(HeaderName::from_static("skep-retry-ms"), &after.as_millis().to_string())
    }

    /// The status it answers with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The document itself.
    pub fn to_json(&self) -> Vec<u8> {
        let document = Document {
            r#type: format!("urn:skep:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            members: &self.members,
        };
        // Strings and an integer: cannot fail.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.to_json()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response.headers_mut().extend(self.headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_an_rfc_9457_document_without_steering_characters() {
        let problem = Problem::not_found("no \x1b[2J here");
        let json: serde_json::Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(json["type"], "urn:skep:problem:not-found");
        assert_eq!(json["status"], 404);
        assert_eq!(json["detail"], "no \u{fffd}[2J here");
        assert_eq!(problem.into_response().headers()["content-type"], MEDIA_TYPE);
    }

    #[test]
    fn choked_tells_when_to_come_back() {
        let response = Problem::choked(Duration::from_millis(1200)).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["skep-retry-ms"], "1200");
        assert_eq!(response.headers()["skep-choke"], "choked");
    }
}
