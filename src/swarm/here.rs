//! Where this node is: what it tells trackers and peers, and which endpoints are its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses for documentation (RFC 5737, RFC 3849): nobody is there, and nothing is sent there.
const ELSEWHERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

/// What a node that listens at `listen` tells others. On all addresses it says just that: whoever hears it takes
/// the address that it comes from.
pub fn announced(listen: SocketAddr, advertise: Option<&str>) -> String {
    advertise.map_or_else(|| format!("http://{listen}"), |url| url.trim_end_matches('/').to_owned())
}

/// Where others find what a link names. `way_out`: the address of this machine that strangers see; none: unknown.
pub fn linked(listen: SocketAddr, advertise: Option<&str>, way_out: Option<IpAddr>) -> String {
    match (listen.ip().is_unspecified() && advertise.is_none(), way_out) {
        (true, Some(ip)) => format!("http://{}", SocketAddr::new(ip, listen.port())),
        (true, None) => format!("http://{}", local(listen)),
        (false, _) => announced(listen, advertise),
    }
}

/// How this machine itself connects to it: an unspecified address is reached by loopback.
pub fn local(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        let loopback: IpAddr = if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        listen.set_ip(loopback);
    }
    listen
}

/// The address by which this machine would reach a stranger; none without a way out. Sends nothing.
pub fn way_out() -> Option<IpAddr> {
    let from = |to: &SocketAddr| {
        let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    ELSEWHERE.iter().filter_map(from).find(|ip| !ip.is_unspecified() && !ip.is_loopback())
}

/// Whether `endpoint` leads back to the node that tells others to find it at `own`.
pub fn is_own(own: Option<&str>, endpoint: &str) -> bool {
    is_own_by(own, endpoint, |ip| ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok())
}

fn is_own_by(own: Option<&str>, endpoint: &str, is_here: impl Fn(IpAddr) -> bool) -> bool {
    let Some(own) = own else { return false };
    let address = |url: &str| url.strip_prefix("http://")?.trim_end_matches('/').parse::<SocketAddr>().ok();
    match (address(own), address(endpoint)) {
        (Some(own), Some(other)) if own.ip().is_unspecified() => own.port() == other.port() && is_here(other.ip()),
        _ => own == endpoint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_node_on_all_addresses_leaves_it_to_others_to_say_which() {
        assert_eq!(announced(at("0.0.0.0:7070"), None), "http://0.0.0.0:7070");
        assert_eq!(announced(at("127.0.0.1:7070"), None), "http://127.0.0.1:7070");
        assert_eq!(announced(at("0.0.0.0:7070"), Some("http://h:1/")), "http://h:1");
    }

    #[test]
    fn links_name_an_address_that_others_can_use_where_there_is_one() {
        let out = Some("10.0.0.5".parse().unwrap());
        for (listen, advertise, out, expected) in [
            ("0.0.0.0:7070", None, out, "http://10.0.0.5:7070"),
            ("[::]:7070", None, Some("fd00::5".parse().unwrap()), "http://[fd00::5]:7070"),
            ("0.0.0.0:7070", None, None, "http://127.0.0.1:7070"),
            ("[::]:7070", None, None, "http://[::1]:7070"),
            ("0.0.0.0:7070", Some("http://h:1"), out, "http://h:1"),
            ("127.0.0.1:7070", None, out, "http://127.0.0.1:7070"),
        ] {
            assert_eq!(linked(at(listen), advertise, out), expected, "{listen} {advertise:?} {out:?}");
        }
        assert!(way_out().is_none_or(|ip| !ip.is_unspecified() && !ip.is_loopback()));
    }

    #[test]
    fn a_node_knows_itself_by_any_of_its_addresses() {
        let is_own = |own, endpoint| is_own_by(Some(own), endpoint, |ip| ip.to_string() == "10.0.0.5");
        assert!(is_own("http://0.0.0.0:7070", "http://10.0.0.5:7070"));
        assert!(!is_own("http://0.0.0.0:7070", "http://10.0.0.5:7071"));
        assert!(!is_own("http://0.0.0.0:7070", "http://10.0.0.6:7070"));
        assert!(is_own("http://10.0.0.6:7070", "http://10.0.0.6:7070"));
        assert!(!is_own("http://10.0.0.6:7070", "http://10.0.0.5:7070"));
        assert!(super::is_own(Some("http://0.0.0.0:7070"), "http://127.0.0.1:7070") && !super::is_own(None, "x"));
    }
}
