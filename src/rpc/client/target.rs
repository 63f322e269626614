//! Where a node is, from what an operator typed.

use axum::http::Uri;
use axum::http::uri::Scheme;

use crate::rpc::PATH;
use crate::rpc::errors::readable;

/// Port of a node where none is given and no scheme either.
const DEFAULT_PORT: u16 = 7070;

/// Why there is no connection to a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// What was given is not the URL of a node.
    #[error("{url}: {reason}; expected something like http://127.0.0.1:7070")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS.
    #[error("{url}: https is not supported yet: put it behind an SSH tunnel and use http://127.0.0.1:PORT")]
    Tls {
        /// What was given.
        url: String,
    },
    /// The node is there, and does not let us in.
    #[error("{target}: the node refuses {what}; give the token from its state directory with --token-file")]
    Refused {
        /// Where.
        target: String,
        /// `the token` or `a connection without a token`.
        what: &'static str,
    },
    /// It cannot be reached, or is no node.
    #[error("{target}: {reason}")]
    Unreachable {
        /// Where.
        target: String,
        /// Why.
        reason: String,
    },
}

/// A node's place and the token for it.
#[derive(Clone)]
pub(super) struct Target {
    /// Name or address, IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// `host:port` as it goes into a URL.
    pub(super) authority: String,
    /// Path of the route, also below a proxy's prefix.
    pub(super) path: String,
    pub(super) token: Option<String>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the token.
        write!(f, "Target({})", self.shown())
    }
}

impl Target {
    /// Takes `http://host[:port][/prefix]`, `ws://…`, or `host[:port]`.
    pub(super) fn parse(text: &str, token: Option<String>) -> Result<Self, RemoteError> {
        let url = readable(text);
        let bad = |reason: &str| RemoteError::Url { url: url.clone(), reason: reason.into() };
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = with_scheme.parse().map_err(|e| bad(&format!("not a URL ({e})")))?;
        let fallback = match uri.scheme() {
            _ if !text.contains("://") => DEFAULT_PORT,
            Some(scheme) if *scheme == Scheme::HTTP || scheme.as_str() == "ws" => 80,
            Some(scheme) if *scheme == Scheme::HTTPS || scheme.as_str() == "wss" => {
                return Err(RemoteError::Tls { url });
            }
            _ => return Err(bad("not an http URL")),
        };
        let authority = uri.authority().ok_or_else(|| bad("without a host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("a user name in it (nodes take a token)"));
        }
        if uri.query().is_some() {
            return Err(bad("a query in it"));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(bad("without a host"));
        }
        if authority.as_str().len() > host.len() && authority.port_u16().is_none() {
            return Err(bad("no such port"));
        }
        let port = authority.port_u16().unwrap_or(fallback);
        if token.as_ref().is_some_and(|token| token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(bad("the token given for it is not one (printable ASCII without spaces)"));
        }
        let prefix = uri.path().trim_end_matches('/');
        let prefix = prefix.strip_suffix(PATH).unwrap_or(prefix);
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: format!("{host}:{port}"),
            path: format!("{prefix}{PATH}"),
            token,
        })
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        format!("http://{}{}", self.authority, self.path.strip_suffix(PATH).unwrap_or_default())
    }

    /// For the handshake.
    pub(super) fn websocket_url(&self) -> String {
        format!("ws://{}{}", self.authority, self.path)
    }

    /// The value of `Authorization`.
    pub(super) fn authorization(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {token}"))
    }

    /// What a refusal with 401 or 403 means.
    pub(super) fn refused(&self) -> RemoteError {
        let what = if self.token.is_some() { "the token" } else { "a connection without a token" };
        RemoteError::Refused { target: self.shown(), what }
    }

    /// It cannot be reached.
    pub(super) fn unreachable(&self, reason: impl AsRef<str>) -> RemoteError {
        RemoteError::Unreachable { target: self.shown(), reason: readable(reason.as_ref()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_type() {
        let cases = [
            ("http://h:1", "ws://h:1/rpc", "http://h:1"),
            ("http://h:1/", "ws://h:1/rpc", "http://h:1"),
            ("h", "ws://h:7070/rpc", "http://h:7070"),
            ("127.0.0.1:9", "ws://127.0.0.1:9/rpc", "http://127.0.0.1:9"),
            ("http://[::1]:9", "ws://[::1]:9/rpc", "http://[::1]:9"),
            ("ws://h:1/rpc", "ws://h:1/rpc", "http://h:1"),
            ("http://h/nodes/a/", "ws://h:80/nodes/a/rpc", "http://h:80/nodes/a"),
        ];
        for (text, websocket, shown) in cases {
            let target = Target::parse(text, None).unwrap();
            assert_eq!((target.websocket_url().as_str(), target.shown().as_str()), (websocket, shown), "{text}");
        }
        assert_eq!(Target::parse("http://[::1]:9", None).unwrap().host, "::1");
    }

    #[test]
    fn what_is_refused_and_how() {
        for text in ["", "ftp://h:1", "http://", "http://u:p@h:1", "http://h:99999", "http://h:1/?x=1", "http://h h"] {
            assert!(matches!(Target::parse(text, None), Err(RemoteError::Url { .. })), "{text}");
        }
        let error = Target::parse("https://h:1", None).unwrap_err();
        assert!(error.to_string().contains("SSH tunnel"), "{error}");
        assert!(Target::parse("h", Some("a\r\nb".into())).is_err(), "no header injection");
        let target = Target::parse("h", Some("secret".into())).unwrap();
        assert!(!format!("{target:?}").contains("secret"));
    }
}
