//! Who may do what.
//!
//! | bound to | data routes | `/health`, `/metrics` | `/rpc` |
//! |---|---|---|---|
//! | loopback | open | open | control token |
//! | elsewhere | control token or data key | `/health`: either; `/metrics`: control token | control token |
//! | elsewhere, `public` | reading and announcing open, uploads as above | as above | control token |
//!
//! Nodes show each other the *data key*, a hash of the control token that cannot be turned back:
//! a hostile peer never learns what steers a node. Both travel as `Authorization: Bearer`
//! (RFC 6750).
//!
//! Browsers are a way around a loopback address: any web page may send requests there. So requests
//! that change something, and everything on `/rpc`, are refused if they carry an `Origin` (sent by
//! browsers, never by clients of ours), and on loopback also if their `Host` is a name that an
//! attacker's DNS could point here. Reading data is not guarded that way: it takes a content id,
//! which cannot be guessed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;

/// Shortest control token accepted.
pub const MIN_TOKEN: usize = 16;

/// A token that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Too easy to guess.
    #[error("a token needs at least {MIN_TOKEN} characters")]
    Short,
    /// Cannot stand in a header.
    #[error("a token consists of visible ASCII characters without spaces")]
    Characters,
}

/// A control token. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a token, surrounding white space removed.
    ///
    /// # Errors
    /// Too short, or not fit for a header.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        if text.len() < MIN_TOKEN {
            return Err(TokenError::Short);
        }
        Ok(Self(text.to_owned()))
    }

    /// The token itself, for whoever has to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What nodes show each other: SHA-256 of `"skep data v1\n"` and the token, in hex.
    pub fn data_key(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"skep data v1\n");
        hash.update(self.0.as_bytes());
        HEXLOWER.encode(&hash.finalize())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a request is about, as far as rights go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Control,
    Metrics,
    Health,
    Data,
}

fn area(path: &str) -> Area {
    match path {
        "/metrics" => Area::Metrics,
        "/health" => Area::Health,
        _ if path == "/rpc" || path.starts_with("/rpc/") => Area::Control,
        _ => Area::Data,
    }
}

fn is_upload(path: &str) -> bool {
    path == "/upload"
        || ["/upload/", "/assemble/", "/replica/", "/tus", "/sync/", "/delta/"]
            .iter()
            .any(|prefix| path.starts_with(prefix))
}

/// Decides about every request of a node. Pure.
#[derive(Debug)]
pub struct Gate {
    local: SocketAddr,
    loopback: bool,
    public: bool,
    /// SHA-256 of the control token and of the data key: comparing these takes equally long
    /// whatever was sent.
    token: Option<[u8; 32]>,
    data_key: Option<[u8; 32]>,
}

impl Gate {
    /// The gate of a node bound to `local`.
    pub fn new(local: SocketAddr, token: Option<&Token>, public: bool) -> Self {
        Self {
            local,
            loopback: local.ip().to_canonical().is_loopback(),
            public,
            token: token.map(|t| digest(t.expose())),
            data_key: token.map(|t| digest(&t.data_key())),
        }
    }

    /// Lets a request pass or says why not.
    ///
    /// # Errors
    /// 401 without the right token, 403 for the data key on `/rpc` and for browsers.
    pub fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let area = area(uri.path());
        let reads = *method == Method::GET || *method == Method::HEAD;
        if area == Area::Control || !reads {
            self.refuse_browsers(uri, headers)?;
        }
        let announces = *method == Method::POST && uri.path() == "/swarm/announce";
        let open = match area {
            Area::Control => false,
            Area::Metrics | Area::Health => self.loopback,
            // Who may not send does not learn what others do.
            Area::Data => self.loopback || (self.public && (reads || announces) && !is_upload(uri.path())),
        };
        if open {
            return Ok(());
        }
        let Some(shown) = bearer(headers).map(digest) else {
            return Err(unauthorized("this needs \"Authorization: Bearer\" with the node's token"));
        };
        if self.token.is_some_and(|token| same(&token, &shown)) {
            return Ok(());
        }
        if self.data_key.is_some_and(|key| same(&key, &shown)) {
            return match area {
                Area::Health | Area::Data => Ok(()),
                Area::Control | Area::Metrics => Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "forbidden",
                    "Forbidden",
                    "the data key opens data routes only; this needs the control token",
                )),
            };
        }
        Err(unauthorized("that is not this node's token"))
    }

    fn refuse_browsers(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let refused = |detail| Err(Problem::new(StatusCode::FORBIDDEN, "browser", "Forbidden", detail));
        if headers.contains_key(header::ORIGIN) {
            return refused("requests of web pages (with an Origin header) are not taken");
        }
        let host = uri
            .authority()
            .map(|a| a.as_str())
            .or_else(|| headers.get(header::HOST).and_then(|value| value.to_str().ok()));
        if self.loopback && !host.is_some_and(|host| self.is_own_host(host)) {
            return refused("the Host header must be an address or localhost");
        }
        Ok(())
    }

    fn is_own_host(&self, host: &str) -> bool {
        if host == self.local.to_string() {
            return true;
        }
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail)
        .with(header::WWW_AUTHENTICATE, "Bearer realm=\"skep\"")
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Compares without stopping at the first difference.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differences, (x, y)| differences | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: &str = "correct-horse-battery";

    fn status(gate: &Gate, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                header::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                header::HeaderValue::from_str(value).unwrap(),
            );
        }
        map.entry(header::HOST).or_insert(header::HeaderValue::from_static("127.0.0.1:7070"));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        match gate.check(&method, &path.parse().unwrap(), &map) {
            Ok(()) => 200,
            Err(problem) => problem.status().as_u16(),
        }
    }

    fn gate(address: &str, public: bool) -> Gate {
        Gate::new(address.parse().unwrap(), Some(&Token::new(CONTROL).unwrap()), public)
    }

    #[test]
    fn the_matrix() {
        let key = format!("Bearer {}", Token::new(CONTROL).unwrap().data_key());
        let control = format!("bearer {CONTROL}");
        // (method, path), then per gate: nothing shown, data key, control token, a wrong token.
        let routes = [("GET", "/swarm/piece/x/0"), ("POST", "/swarm/announce"), ("POST", "/probe"), ("GET", "/health")];
        let (metrics, rpc) = (("GET", "/metrics"), ("POST", "/rpc"));
        let uploads = [
            ("POST", "/upload"),
            ("GET", "/upload/x"),
            ("PUT", "/upload/x/0"),
            ("POST", "/assemble/x"),
            ("GET", "/replica/x"),
            ("PUT", "/replica/x/0"),
            ("HEAD", "/tus/x"),
            ("GET", "/delta/signatures/x"),
            ("GET", "/delta/apply/x"),
        ];
        let expect = |gate: &Gate, (method, path): (&str, &str), codes: [u16; 4]| {
            let got = [None, Some(key.as_str()), Some(control.as_str()), Some("Bearer wrong-wrong-wrong-wrong")]
                .map(|auth| status(gate, method, path, auth.map(|a| ("authorization", a)).as_slice()));
            assert_eq!(got, codes, "{method} {path} at {gate:?}");
        };
        let loopback = gate("127.0.0.1:7070", false);
        for route in routes.into_iter().chain([metrics]) {
            expect(&loopback, route, [200; 4]);
        }
        let elsewhere = gate("0.0.0.0:7070", false);
        for route in routes {
            expect(&elsewhere, route, [401, 200, 200, 401]);
        }
        let public = gate("192.0.2.1:7070", true);
        expect(&public, routes[0], [200; 4]);
        expect(&public, routes[1], [200; 4]);
        expect(&public, routes[2], [401, 200, 200, 401]);
        expect(&public, routes[3], [401, 200, 200, 401]);
        for upload in uploads {
            expect(&loopback, upload, [200; 4]);
            expect(&elsewhere, upload, [401, 200, 200, 401]);
            expect(&public, upload, [401, 200, 200, 401]);
        }
        for gate in [&elsewhere, &public] {
            expect(gate, metrics, [401, 403, 200, 401]);
        }
        for gate in [&loopback, &elsewhere, &public] {
            expect(gate, rpc, [401, 403, 200, 401]);
        }
        let closed = Gate::new("127.0.0.1:1".parse().unwrap(), None, false);
        expect(&closed, rpc, [401; 4]);
    }

    #[test]
    fn browsers_are_refused_where_it_matters() {
        let gate = gate("127.0.0.1:7070", false);
        let auth = format!("Bearer {CONTROL}");
        for (path, method) in [("/rpc", "GET"), ("/rpc", "POST"), ("/swarm/announce", "POST")] {
            let of = |extra| status(&gate, method, path, &[("authorization", &auth), extra]);
            assert_eq!(of(("origin", "http://127.0.0.1:7070")), 403);
            assert_eq!(of(("host", "rebound.example:7070")), 403);
            assert_eq!(of(("host", "127.0.0.1.nip.example")), 403);
            for host in ["localhost:7070", "127.0.0.1:7070", "[::1]:7070", "LOCALHOST"] {
                assert_eq!(of(("host", host)), 200, "{host}");
            }
        }
        assert_eq!(status(&gate, "GET", "/swarm/bitmap/x", &[("host", "rebound.example")]), 200);
    }

    #[test]
    fn tokens_are_checked_and_never_shown() {
        assert_eq!(Token::new("short").unwrap_err(), TokenError::Short);
        assert_eq!(Token::new("a token with spaces in it").unwrap_err(), TokenError::Characters);
        let token = Token::new(&format!(" {CONTROL}\n")).unwrap();
        assert_eq!(token.expose(), CONTROL);
        assert!(!format!("{token:?}").contains("horse"));
        let known = Sha256::digest(b"skep data v1\ncorrect-horse-battery");
        assert_eq!(token.data_key(), HEXLOWER.encode(&known));
    }
}
