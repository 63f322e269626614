//! What the head of a request says of the bytes behind it: which, how coded, of which digest.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use super::digest;
use super::problem::Problem;
use super::range::content_range;
use crate::content::Digest;

/// Digest of the bytes of a message (RFC 9530).
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// Digest of what the bytes of a message are when they are unpacked (draft-ietf-httpbis-unencoded-digest).
const UNENCODED_DIGEST: HeaderName = HeaderName::from_static("unencoded-digest");
/// Bytes by which zstd makes longer what does not shrink, at most: a block's head for each 128 KiB, and the frame's.
const PACKED_MORE: u64 = 64;
/// What the bytes of a segment are that comes without them.
const FILL: HeaderName = HeaderName::from_static("skep-fill");

/// How a segment comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Plain,
    /// Compressed by zstd.
    Packed,
    /// Not at all: all its bytes are zeros.
    Zeros,
}

/// The head of a segment.
#[derive(Debug)]
pub struct SegmentHead {
    /// Which bytes of the whole.
    pub bytes: Range<u64>,
    /// Bytes of the whole.
    pub size: u64,
    /// How they come.
    pub coding: Coding,
    /// Of the segment itself.
    pub digest: Digest,
}

impl SegmentHead {
    /// Reads it.
    ///
    /// # Errors
    /// What is missing, or contradicts itself.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let (bytes, size) = text(&header::CONTENT_RANGE)
            .and_then(content_range)
            .ok_or_else(|| Problem::bad_request("a segment needs \"Content-Range: bytes FIRST-LAST/SIZE\""))?;
        let packed = match text(&header::CONTENT_ENCODING) {
            None | Some("identity") => false,
            Some("zstd") => true,
            Some(_) => {
                let detail = "segments come as they are, or compressed by zstd";
                return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "coding", "Unsupported coding", detail));
            }
        };
        let name = if packed { &UNENCODED_DIGEST } else { &CONTENT_DIGEST };
        let digest = text(name).and_then(digest::parse).ok_or_else(|| {
            let field = if packed { "Unencoded-Digest" } else { "Content-Digest" };
            Problem::bad_request(format!("a segment needs \"{field}: sha-256=:BASE64:\""))
        })?;
        let coding = match (text(&FILL), packed) {
            (None, false) => Coding::Plain,
            (None, true) => Coding::Packed,
            (Some("zeros"), _) => Coding::Zeros,
            (Some(_), _) => return Err(Problem::bad_request("a segment can be filled with \"zeros\" only")),
        };
        let whole = bytes.end - bytes.start;
        let fits = |length: u64| match coding {
            Coding::Zeros => length == 0 && !packed,
            Coding::Packed => length <= whole + whole / 1024 + PACKED_MORE,
            Coding::Plain => length == whole,
        };
        let length = text(&header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| !fits(length)) {
            return Err(Problem::bad_request("Content-Length and Content-Range disagree"));
        }
        Ok(Self { bytes, size, coding, digest })
    }
}
