//! What a LINK argument can be: a content at a node, a URL, or a file that describes a content.

use std::ffi::OsStr;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use super::{ContentId, ParseDigestError, name};

/// The port that a node listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 7070;
/// Longest link that is looked at.
const MAX_LINK: usize = 16 << 10;
/// Bytes at the start of a document that decide what it is.
const SNIFFED: usize = 4096;

/// Where a content's description comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// `skep://HOST:PORT/CONTENT_ID`: ask that node.
    Node(NodeLink),
    /// An `http` or `https` URL of a manifest or a Metalink; what it is shows once it is fetched
    /// ([`sniff`]).
    Url(String),
    /// `pool:NAME/CONTENT`: a content of the pool that the node knows, by its id or its name.
    Pool(PoolLink),
    /// A file with a manifest or a Metalink in it.
    File(PathBuf),
}

/// A content of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLink {
    /// The pool's name.
    pub pool: String,
    /// The content's id, or its name.
    pub content: String,
}

/// A content at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLink {
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The content.
    pub id: ContentId,
}

/// What is wrong with a link. Texts in it are printable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nothing there.
    #[error("an empty link; expected skep://HOST:PORT/CONTENT_ID, an http(s):// URL, or a manifest or Metalink file")]
    Empty,
    /// Far too long.
    #[error("a link of {0} bytes is too long")]
    Long(usize),
    /// Another scheme.
    #[error("{scheme}: links are not supported; use skep://HOST:PORT/CONTENT_ID, an http(s):// URL, or a file")]
    Scheme {
        /// What stands before the colon.
        scheme: String,
    },
    /// A content id, but nobody to ask for it.
    #[error("a content id alone does not say whom to ask; use skep://HOST:PORT/{0}")]
    BareId(ContentId),
    /// No host in it, or not one.
    #[error("{0:?} is not a host; expected skep://HOST:PORT/CONTENT_ID, with an IPv6 address in [brackets]")]
    Host(String),
    /// The port is not one.
    #[error("{0:?} is not a port; expected skep://HOST:PORT/CONTENT_ID")]
    Port(String),
    /// The content id is not one.
    #[error("the content id in the link is wrong: {0}")]
    Id(#[from] ParseDigestError),
    /// A pool, but no content of it.
    #[error("which content of the pool? expected pool:NAME/CONTENT, by its id or its name")]
    Pool,
    /// Not a URL.
    #[error("{url:?} is not a URL: {problem}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Link {
    /// Reads an argument. Whatever has no scheme is the path of a file; whether it exists, and what
    /// is in it, is not looked at.
    ///
    /// # Errors
    /// A link that cannot mean anything.
    pub fn parse(argument: &OsStr) -> Result<Self, LinkError> {
        if argument.is_empty() {
            return Err(LinkError::Empty);
        }
        if argument.len() > MAX_LINK {
            return Err(LinkError::Long(argument.len()));
        }
        // A path may be anything; a link is text.
        let Some(text) = argument.to_str() else { return Ok(Self::File(argument.into())) };
        if let Ok(id) = text.parse() {
            return Err(LinkError::BareId(id));
        }
        if let Some(rest) = text.strip_prefix("pool:") {
            let (pool, content) = rest
                .split_once('/')
                .filter(|(pool, content)| !pool.is_empty() && !content.is_empty())
                .ok_or(LinkError::Pool)?;
            return Ok(Self::Pool(PoolLink { pool: pool.into(), content: content.into() }));
        }
        match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => match scheme.to_ascii_lowercase().as_str() {
                "skep" => rest.parse().map(Self::Node),
                "http" | "https" => http(text).map(Self::Url),
                _ => Err(LinkError::Scheme { scheme: name::printable(scheme) }),
            },
            _ if text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("magnet:")) => {
                Err(LinkError::Scheme { scheme: "magnet".into() })
            }
            _ => Ok(Self::File(argument.into())),
        }
    }
}

impl FromStr for Link {
    type Err = LinkError;
    fn from_str(text: &str) -> Result<Self, LinkError> {
        Self::parse(text.as_ref())
    }
}

/// The link as it can be given again; a path is made printable.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(link) => link.fmt(f),
            Self::Url(url) => f.write_str(url),
            Self::Pool(link) => write!(f, "pool:{}/{}", name::printable(&link.pool), name::printable(&link.content)),
            Self::File(path) => f.write_str(&name::printable(&path.to_string_lossy())),
        }
    }
}

impl NodeLink {
    /// `HOST:PORT`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The node's base URL, without a slash at its end.
    pub fn node_url(&self) -> String {
        format!("http://{}", self.authority())
    }
}

impl fmt::Display for NodeLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skep://{}/{}", self.authority(), self.id)
    }
}

/// Reads what follows `skep://`.
impl FromStr for NodeLink {
    type Err = LinkError;
    fn from_str(text: &str) -> Result<Self, LinkError> {
        let (authority, id) = text.split_once('/').unwrap_or((text, ""));
        let bad_host = || LinkError::Host(name::printable(authority));
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or_else(bad_host)?;
                let address: Ipv6Addr = address.parse().map_err(|_| bad_host())?;
                (address.to_string(), port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or_else(bad_host)?)
            }
            None => {
                let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
                let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                if host.is_empty() || host.len() > 253 || !host.chars().all(letter) || port.contains(':') {
                    return Err(bad_host());
                }
                (host.to_ascii_lowercase(), port)
            }
        };
        let bad_port = || LinkError::Port(name::printable(port));
        let port = match port {
            "" => DEFAULT_PORT,
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| bad_port())?,
            _ => return Err(bad_port()),
        };
        if port == 0 {
            return Err(LinkError::Port("0".into()));
        }
        let id = id.strip_suffix('/').unwrap_or(id);
        Ok(Self { host, port, id: id.parse()? })
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn http(text: &str) -> Result<String, LinkError> {
    let failed = |problem: String| LinkError::Url { url: name::printable(text), problem };
    let url = reqwest::Url::parse(text).map_err(|error| failed(error.to_string()))?;
    if url.has_host() { Ok(url.into()) } else { Err(failed("it names no host".into())) }
}

/// What a document that describes a content is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Description {
    /// A skep manifest, JSON.
    Manifest,
    /// Metalink 4, XML.
    Metalink,
}

/// Neither the one nor the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a skep manifest (JSON) nor a Metalink (XML)")]
pub struct UnknownDescription;

/// Tells by its beginning what a document is; whether it is sound, its parser will say.
///
/// # Errors
/// It can be neither: a web page, the data itself, nothing at all.
pub fn sniff(document: &[u8]) -> Result<Description, UnknownDescription> {
    let document = document.strip_prefix("\u{feff}".as_bytes()).unwrap_or(document).trim_ascii_start();
    let start = &document[..document.len().min(SNIFFED)];
    match start.first() {
        Some(b'{') => Ok(Description::Manifest),
        Some(b'<') if start.windows(8).any(|word| word == b"metalink") => Ok(Description::Metalink),
        _ => Err(UnknownDescription),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "abababababababababababababababababababababababababababababababab";

    fn parse(text: &str) -> Result<Link, LinkError> {
        text.parse()
    }

    #[test]
    fn a_content_at_a_node() {
        let cases = [
            (format!("skep://example.org:81/{ID}"), "example.org", 81, "http://example.org:81"),
            (format!("SKEP://Example.org/{}", ID.to_uppercase()), "example.org", 7070, "http://example.org:7070"),
            (format!("skep://[::1]:9/{ID}/"), "::1", 9, "http://[::1]:9"),
            (format!("skep://[2001:db8::7]/{ID}"), "2001:db8::7", 7070, "http://[2001:db8::7]:7070"),
        ];
        for (text, host, port, url) in cases {
            let Link::Node(link) = parse(&text).unwrap() else { panic!("{text} is a content at a node") };
            assert_eq!((link.host.as_str(), link.port, link.node_url().as_str()), (host, port, url), "{text}");
            assert_eq!(link.id.to_string(), ID);
            assert_eq!(parse(&link.to_string()), Ok(Link::Node(link)), "what is shown can be given again");
        }
    }

    #[test]
    fn urls_and_files() {
        assert_eq!(parse("http://h/x.meta4"), Ok(Link::Url("http://h/x.meta4".into())));
        assert_eq!(parse("HTTPS://H:444/a b"), Ok(Link::Url("https://h:444/a%20b".into())));
        for path in ["x.meta4", "/tmp/a b.json", "./http", "odd://name with spaces", "C:x"] {
            let expected = if path.starts_with("odd") { None } else { Some(Link::File(path.into())) };
            assert_eq!(parse(path).ok(), expected, "{path}");
        }
        let odd = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff.meta4");
        assert_eq!(Link::parse(odd), Ok(Link::File(odd.into())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            ("", "empty"),
            (ID, "whom to ask"),
            ("magnet:?xt=urn:btih:00", "magnet: links"),
            ("ftp://h/x", "ftp: links"),
            ("http://", "not a URL"),
            ("skep://", "not a host"),
            ("skep://h:1", "content id"),
            ("skep://h:1/abc", "content id"),
            (&format!("skep://h:x/{ID}"), "not a port"),
            (&format!("skep://h:+1/{ID}"), "not a port"),
            (&format!("skep://h:0/{ID}"), "not a port"),
            (&format!("skep://h:70000/{ID}"), "not a port"),
            (&format!("skep://::1/{ID}"), "brackets"),
            (&format!("skep://[::1/{ID}"), "brackets"),
            (&format!("skep://[::1]x/{ID}"), "brackets"),
            (&format!("skep://u@h:1/{ID}"), "not a host"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error} should speak of {expected:?}");
        }
        let error = parse("skep://\x1b[2J/x").unwrap_err().to_string();
        assert!(!error.contains('\x1b'), "{error:?}");
        assert!(matches!(parse(&"x".repeat(1 << 20)), Err(LinkError::Long(_))));
    }

    #[test]
    fn documents_are_told_apart() {
        assert_eq!(sniff(b"\xef\xbb\xbf \n{\"files\":[]}"), Ok(Description::Manifest));
        assert_eq!(sniff(b"<?xml version=\"1.0\"?>\n<m:metalink>"), Ok(Description::Metalink));
        assert_eq!(sniff(b"<!doctype html><html>"), Err(UnknownDescription));
        assert_eq!(sniff(b""), Err(UnknownDescription));
        assert_eq!(sniff(&[0; 5000]), Err(UnknownDescription));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(skep://|http://|)\\PC{0,60}") {
            if let Ok(link @ Link::Node(_)) = parse(&text) {
                prop_assert_eq!(parse(&link.to_string()), Ok(link));
            }
        }
    }
}
