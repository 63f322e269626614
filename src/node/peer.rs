//! Who asks: a peer's own endpoint, as far as it can be believed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, Uri};

use crate::swarm::bans::host_port;

/// Header in which a node names its own endpoint, `http://HOST:PORT`.
pub const SKEP_PEER: HeaderName = HeaderName::from_static("skep-peer");

/// The two ends of a connection; every request carries it as an extension.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The client's.
    pub remote: SocketAddr,
    /// Ours, as the client reached it.
    pub local: SocketAddr,
}

impl Ends {
    /// The client's address, an IPv4 one mapped into IPv6 as plain IPv4.
    pub fn source(&self) -> IpAddr {
        self.remote.ip().to_canonical()
    }

    /// The name under which a peer's uploads are counted, see [`Ends::named`], by its header.
    pub fn peer(&self, headers: &HeaderMap) -> Arc<str> {
        self.named(headers.get(SKEP_PEER).and_then(|value| value.to_str().ok()))
    }

    /// The name of a peer that says it can be reached at `endpoint`: `ADDRESS:PORT`, as whoever fetches from
    /// it there knows it too. Of the address only the connection's source is believed (for a loopback
    /// source any loopback address), so nobody can spend another host's slots; a host name, or an address
    /// that means nothing from outside, stands for the source. Without a port, or with another host's
    /// address: the source address alone.
    pub fn named(&self, endpoint: Option<&str>) -> Arc<str> {
        let source = self.source();
        let Some((address, port)) = endpoint.and_then(claimed) else { return source.to_string().into() };
        let at = match address {
            Some(ip) if ip == source || (ip.is_loopback() && source.is_loopback()) => ip,
            Some(ip) if !ip.is_loopback() && !ip.is_unspecified() => return source.to_string().into(),
            _ => source,
        };
        SocketAddr::new(at, port).to_string().into()
    }

    /// `host:port` under which the client reached us: its `Host` where that is sound, else the
    /// connection's own end.
    pub fn host(&self, uri: &Uri, headers: &HeaderMap) -> String {
        let host = uri.authority().map(|authority| authority.as_str()).or_else(|| headers.get("host")?.to_str().ok());
        match host.and_then(|host| host.parse::<axum::http::uri::Authority>().ok()) {
            Some(authority) if !authority.as_str().contains('@') && authority.as_str().len() <= 255 => {
                authority.as_str().to_owned()
            }
            _ => SocketAddr::new(self.local.ip().to_canonical(), self.local.port()).to_string(),
        }
    }
}

/// Address and port in `http://HOST:PORT`; no address if the host is a name.
fn claimed(url: &str) -> Option<(Option<IpAddr>, u16)> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return None;
    }
    let host_port = host_port(url);
    let (host, port) = host_port.rsplit_once(':')?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    Some((address.map(|ip| ip.to_canonical()), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(remote: &str, header: Option<&str>) -> String {
        let ends = Ends { remote: remote.parse().unwrap(), local: "127.0.0.1:7070".parse().unwrap() };
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(SKEP_PEER, value.parse().unwrap());
        }
        ends.peer(&headers).to_string()
    }

    #[test]
    fn a_peer_is_believed_only_about_itself() {
        assert_eq!(peer("192.0.2.7:50000", Some("http://192.0.2.7:7070")), "192.0.2.7:7070");
        assert_eq!(peer("192.0.2.7:50000", Some("http://192.0.2.8:7070")), "192.0.2.7");
        assert_eq!(peer("192.0.2.7:50000", Some("http://node.example:7070")), "192.0.2.7:7070");
        assert_eq!(peer("192.0.2.7:50000", Some("https://node.example")), "192.0.2.7:443");
        assert_eq!(peer("127.0.0.1:50000", Some("http://localhost:7070/")), "127.0.0.1:7070");
        assert_eq!(peer("192.0.2.7:50000", Some("http://0.0.0.0:7070")), "192.0.2.7:7070");
        assert_eq!(peer("192.0.2.7:50000", Some("192.0.2.7:7070")), "192.0.2.7");
        assert_eq!(peer("[fd00::2]:50000", Some("http://[fd00::2]:7070")), "[fd00::2]:7070");
        assert_eq!(peer("192.0.2.7:50000", None), "192.0.2.7");
        assert_eq!(peer("127.0.0.1:50000", Some("http://127.0.0.9:7070")), "127.0.0.9:7070");
        assert_eq!(peer("[::ffff:192.0.2.7]:50000", Some("http://192.0.2.7:1")), "192.0.2.7:1");
        assert_eq!(peer("192.0.2.7:50000", Some("http://127.0.0.1:7070")), "192.0.2.7:7070");
    }

    #[test]
    fn the_host_is_what_the_client_said_if_it_is_one() {
        let ends = Ends { remote: "127.0.0.1:1".parse().unwrap(), local: "[::ffff:127.0.0.1]:7070".parse().unwrap() };
        let host = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("host", value.parse().unwrap());
            ends.host(&Uri::from_static("/x"), &headers)
        };
        assert_eq!(host("node.example:80"), "node.example:80");
        assert_eq!(host("a b\"><script>"), "127.0.0.1:7070");
        assert_eq!(host("user@evil.example"), "127.0.0.1:7070");
    }
}
