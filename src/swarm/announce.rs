//! `POST /swarm/announce`: what a node tells a tracker, and what it gets back.
//!
//! JSON both ways. Everything that comes in is checked by [`Announce::check`] before it is looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::content::manifest::{MAX_PIECES, MAX_SIZE};
use crate::content::name::printable;
use crate::content::{Bitmap, ContentId};

/// Characters of an endpoint at most.
pub const MAX_ENDPOINT: usize = 256;
/// Bytes of a bitmap that a reply carries; a larger one is asked of the peer itself.
pub const MAX_REPLY_BITMAP: usize = 16 << 10;
/// Bytes of a whole announce: the largest bitmap in base64, and the rest.
pub const MAX_ANNOUNCE: usize = MAX_PIECES / 8 * 4 / 3 + 4096;

/// What happened at the node that announces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnounceEvent {
    /// It began.
    Started,
    /// It goes on; also a plain sign of life.
    #[default]
    Progress,
    /// It has everything.
    Completed,
    /// It leaves.
    Stopped,
}

/// What a node tells a tracker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// Which content.
    pub content_id: ContentId,
    /// Pieces of it.
    pub pieces: u32,
    /// Bytes of it.
    pub size: u64,
    /// Where the node can be asked for pieces, `http://HOST:PORT`; none: it cannot, and is not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Its bitmap in base64, most significant bit first; none: nothing yet, or everything if `completed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitmap: Option<String>,
    /// What happened.
    #[serde(default)]
    pub event: AnnounceEvent,
}

/// A peer in a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncedPeer {
    /// Where it can be asked.
    pub endpoint: String,
    /// Its bitmap in base64 as of its last announce; none: complete, or too large: ask the peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitmap: Option<String>,
    /// Seconds since its last announce.
    pub last_seen_s: u64,
    /// It has everything.
    pub complete: bool,
}

/// What a tracker answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnounceReply {
    /// Seconds until the next announce is expected.
    pub interval_s: u64,
    /// Some of the others.
    pub peers: Vec<AnnouncedPeer>,
}

/// Why an announce is refused. The last two may pass (429 and 503); the others are the sender's fault (400).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// More pieces or bytes than there can be, or none for bytes.
    #[error("{pieces} pieces of {size} bytes in all is not a content")]
    Shape {
        /// Pieces it claims.
        pieces: u32,
        /// Bytes it claims.
        size: u64,
    },
    /// The endpoint is not `http(s)://HOST:PORT`.
    #[error("endpoint {0:?} is not http://ADDRESS:PORT or https://ADDRESS:PORT of at most 256 characters")]
    Endpoint(String),
    /// The endpoint is at another address than the one that announces it: else anybody could direct a
    /// swarm at a victim.
    #[error("endpoint {endpoint:?} is not at {source_ip}, where the announce comes from")]
    ForeignEndpoint {
        /// What it claims, printable.
        endpoint: String,
        /// Where it comes from.
        source_ip: IpAddr,
    },
    /// The bitmap is not base64, has the wrong length, or bits behind the last piece.
    #[error("bitmap: {0}")]
    Bitmap(String),
    /// This address announces more contents than one may.
    #[error("{0} announces too many contents")]
    TooMany(IpAddr),
    /// No room, and nothing old enough to make some.
    #[error("tracker is full, try again later")]
    Full,
}

impl AnnounceError {
    /// True if the same announce may succeed later.
    pub fn can_retry(&self) -> bool {
        matches!(self, Self::TooMany(_) | Self::Full)
    }
}

/// An announce that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Which content.
    pub content_id: ContentId,
    /// Its pieces.
    pub pieces: u32,
    /// Its bytes.
    pub size: u64,
    /// Where the node can be asked, with an address and nothing behind the port.
    pub endpoint: Option<String>,
    /// What it has.
    pub bitmap: Bitmap,
    /// What happened.
    pub event: AnnounceEvent,
}

impl Announce {
    /// Checks everything against the limits and against the address it came from. An unspecified host
    /// (`0.0.0.0`, `[::]`) becomes that address; from loopback any loopback address may be announced, from
    /// elsewhere it means a node that nobody can reach, which is not listed.
    ///
    /// # Errors
    /// What is wrong, in words fit for the sender.
    pub fn check(&self, source: IpAddr) -> Result<Checked, AnnounceError> {
        let (pieces, size) = (self.pieces, self.size);
        let too_large = pieces as usize > MAX_PIECES || size > MAX_SIZE;
        if too_large || (pieces == 0) != (size == 0) || u64::from(pieces) > size {
            return Err(AnnounceError::Shape { pieces, size });
        }
        let endpoint = self.endpoint.as_deref().map(|text| checked_endpoint(text, source)).transpose()?.flatten();
        let bitmap = match &self.bitmap {
            _ if self.event == AnnounceEvent::Completed => Bitmap::full(pieces),
            None => Bitmap::empty(pieces),
            Some(text) if text.len() > Bitmap::byte_len(pieces).div_ceil(3) * 4 => {
                return Err(AnnounceError::Bitmap("too long".into()));
            }
            Some(text) => {
                let bytes = BASE64.decode(text.as_bytes()).map_err(|e| AnnounceError::Bitmap(e.to_string()))?;
                Bitmap::from_bytes(bytes, pieces).map_err(|e| AnnounceError::Bitmap(e.to_string()))?
            }
        };
        Ok(Checked { content_id: self.content_id, pieces, size, endpoint, bitmap, event: self.event })
    }

    /// A bitmap as it goes into an announce: none if it is empty.
    pub fn encode_bitmap(bitmap: &Bitmap) -> Option<String> {
        (bitmap.count() > 0).then(|| BASE64.encode(bitmap.as_bytes()))
    }
}

/// `http(s)://ADDRESS:PORT` of the source, in a normal form; none: nobody can reach it.
fn checked_endpoint(text: &str, source: IpAddr) -> Result<Option<String>, AnnounceError> {
    let wrong = || AnnounceError::Endpoint(printable(&text.chars().take(MAX_ENDPOINT).collect::<String>()));
    if text.len() > MAX_ENDPOINT {
        return Err(wrong());
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    if scheme != "http" && scheme != "https" {
        return Err(wrong());
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let claimed = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().map(IpAddr::V6),
        None if host == "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        None => host.parse::<Ipv4Addr>().map(IpAddr::V4),
    };
    // A name would have to be resolved to be compared, and may resolve to something else later.
    let (claimed, source) = (claimed.map_err(|_| wrong())?.to_canonical(), source.to_canonical());
    let address = if claimed.is_unspecified() { source } else { claimed };
    if address.is_loopback() && !source.is_loopback() {
        return Ok(None);
    }
    if address != source && !address.is_loopback() {
        return Err(AnnounceError::ForeignEndpoint { endpoint: printable(text), source_ip: source });
    }
    Ok(Some(format!("{scheme}://{}", std::net::SocketAddr::new(address, port))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announce(endpoint: &str) -> Announce {
        Announce {
            content_id: ContentId([1; 32]),
            pieces: 10,
            size: 100,
            endpoint: Some(endpoint.into()),
            bitmap: None,
            event: AnnounceEvent::Started,
        }
    }

    fn endpoint(text: &str, source: &str) -> Result<String, AnnounceError> {
        announce(text).check(source.parse().unwrap()).map(|checked| checked.endpoint.unwrap())
    }

    #[test]
    fn endpoints_must_be_where_the_announce_comes_from() {
        assert_eq!(endpoint("http://10.0.0.1:7070", "10.0.0.1").unwrap(), "http://10.0.0.1:7070");
        assert_eq!(endpoint("https://10.0.0.1:7070/", "::ffff:10.0.0.1").unwrap(), "https://10.0.0.1:7070");
        assert_eq!(endpoint("http://0.0.0.0:1", "10.0.0.1").unwrap(), "http://10.0.0.1:1");
        assert_eq!(endpoint("http://[::]:1", "fd00::2").unwrap(), "http://[fd00::2]:1");
        assert_eq!(endpoint("http://127.0.0.9:1", "127.0.0.1").unwrap(), "http://127.0.0.9:1");
        assert_eq!(endpoint("http://localhost:1", "::1").unwrap(), "http://127.0.0.1:1");
        for (foreign, source) in [("http://10.0.0.2:80", "10.0.0.1"), ("http://10.0.0.2:80", "127.0.0.1")] {
            assert!(matches!(endpoint(foreign, source), Err(AnnounceError::ForeignEndpoint { .. })), "{foreign}");
        }
        let far = announce("http://127.0.0.1:80").check("10.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(far.endpoint, None, "nobody can reach it, but it may ask");
    }

    #[test]
    fn endpoints_that_are_none_are_refused() {
        let long = format!("http://10.0.0.1:{}", "0".repeat(300));
        for wrong in [
            "",
            "10.0.0.1:80",
            "ftp://10.0.0.1:80",
            "http://10.0.0.1",
            "http://10.0.0.1:0",
            "http://10.0.0.1:99999",
            "http://10.0.0.1:80/x",
            "http://u@10.0.0.1:80",
            "http://example.org:80",
            "http://10.0.0.1:80?x",
            &long,
        ] {
            assert!(matches!(endpoint(wrong, "10.0.0.1"), Err(AnnounceError::Endpoint(_))), "{wrong}");
        }
        let Err(e) = endpoint("\u{1b}[2Jhttp", "10.0.0.1") else { panic!() };
        assert!(!e.to_string().contains('\u{1b}'));
    }

    #[test]
    fn hostile_shapes_and_bitmaps_are_refused() {
        let source = "10.0.0.1".parse().unwrap();
        for (pieces, size) in [(0, 5), (5, 0), (u32::MAX, 1 << 40), (10, u64::MAX), (10, 9)] {
            let wrong = Announce { pieces, size, ..announce("http://10.0.0.1:1") };
            assert!(matches!(wrong.check(source), Err(AnnounceError::Shape { .. })), "{pieces} {size}");
        }
        for bitmap in ["/////w==".to_owned(), "//8=".into(), "!!!!".into(), "A".repeat(1 << 20)] {
            let wrong = Announce { bitmap: Some(bitmap), ..announce("http://10.0.0.1:1") };
            assert!(matches!(wrong.check(source), Err(AnnounceError::Bitmap(_))));
        }
        let right = Announce { bitmap: Some("/8A=".into()), ..announce("http://10.0.0.1:1") };
        assert!(right.check(source).unwrap().bitmap.is_full());
        let empty = Announce { pieces: 0, size: 0, ..announce("http://10.0.0.1:1") };
        assert!(empty.check(source).unwrap().bitmap.is_full());
    }

    #[test]
    fn the_wire_form_is_plain() {
        let text =
            r#"{"content_id":"0101010101010101010101010101010101010101010101010101010101010101","pieces":1,"size":1}"#;
        let announce: Announce = serde_json::from_str(text).unwrap();
        assert_eq!((announce.event, announce.endpoint, announce.bitmap), (AnnounceEvent::Progress, None, None));
        let reply = AnnounceReply {
            interval_s: 30,
            peers: vec![AnnouncedPeer { endpoint: "http://h:1".into(), bitmap: None, last_seen_s: 2, complete: true }],
        };
        let json = serde_json::to_string(&reply).unwrap();
        assert_eq!(json, r#"{"interval_s":30,"peers":[{"endpoint":"http://h:1","last_seen_s":2,"complete":true}]}"#);
    }
}
