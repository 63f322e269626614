//! What the kernel says of connections, in bytes: netlink(7), sock_diag(7), `struct tcp_info` of linux/tcp.h.
//! All of it in the byte order of the machine, but ports and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct inet_diag_msg`.
const SOCKET: usize = 72;
/// `struct nlattr`.
const ATTRIBUTE: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
pub(super) const AF_INET: u8 = 2;
pub(super) const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
/// `1 << TCP_ESTABLISHED`.
const ESTABLISHED: u32 = 1 << 1;
/// Of the attributes' types: the figures of TCP.
const INET_DIAG_INFO: u16 = 2;
/// Up to and with `tcpi_rttvar` and `tcpi_snd_cwnd`: what every kernel of this century tells.
const LEAST_INFO: usize = 104;

/// One connection, as the kernel has it at a moment. Counters are since its beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// The last rate that was measured was limited by who sends, not by the link.
    pub app_limited: bool,
    /// Bytes per packet.
    pub mss: u32,
    /// Packets that may be under way.
    pub cwnd: u32,
    /// Smoothed round trip, µs.
    pub rtt_us: u32,
    /// Its mean deviation, µs.
    pub rttvar_us: u32,
    /// The shortest round trip of the last minutes, µs (Linux: five).
    pub min_rtt_us: Option<u32>,
    /// Bytes that arrived at the other end: acknowledged, also selectively.
    pub arrived: u64,
    /// Bytes that came from there.
    pub received: u64,
    /// Packets that came from there, with bytes or without.
    pub packets_in: u32,
    /// µs in which something waited to be sent or acknowledged.
    pub busy_us: u64,
    /// Of those, the ones in which the receiver's window or a buffer here was the limit.
    pub limited_us: u64,
    /// Bytes sent, again or not; 0: not told.
    pub sent: u64,
    /// Of those, the ones sent again.
    pub resent: u64,
}

/// A connection and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The other end.
    pub remote: SocketAddr,
    /// The kernel's name for it, unique as long as the machine is up.
    pub cookie: u64,
    /// What it says.
    pub figures: Figures,
}

/// Why an answer was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A length leads out of the message.
    #[error("a message of the kernel says that it has {said} bytes, where there are {there}")]
    Length {
        /// What it says.
        said: usize,
        /// What is there.
        there: usize,
    },
    /// The kernel refused.
    #[error("the kernel refuses to list connections (error {0})")]
    Refused(i32),
}

/// A request for the established connections of a family, to one port if it is not 0.
pub(super) fn request(family: u8, port: u16, sequence: u32) -> Vec<u8> {
    let length = HEADER + 8 + 48;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend([family, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0]);
    bytes.extend(ESTABLISHED.to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(port.to_be_bytes());
    // Addresses and interface: any. INET_DIAG_NOCOOKIE.
    bytes.extend([0; 36]);
    bytes.extend([0xff; 8]);
    bytes
}

/// Takes one datagram apart; true when it was the last of the answer. Messages of other sequences, and those that are
/// not of connections, are left out.
///
/// # Errors
/// A length that leads out of its message; the kernel's refusal.
pub(super) fn parse(datagram: &[u8], sequence: u32, into: &mut Vec<Connection>) -> Result<bool, Malformed> {
    let mut rest = datagram;
    while rest.len() >= HEADER {
        let said = u32_at(rest, 0) as usize;
        let Some(message) = rest.get(..said).filter(|_| said >= HEADER) else {
            return Err(Malformed::Length { said, there: rest.len() });
        };
        rest = rest.get(said.next_multiple_of(4)..).unwrap_or_default();
        if u32_at(message, 8) != sequence {
            continue;
        }
        match u16_at(message, 4) {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return Err(Malformed::Refused(u32_at(message, HEADER).cast_signed())),
            SOCK_DIAG_BY_FAMILY => into.extend(connection(&message[HEADER..])?),
            _ => {}
        }
    }
    Ok(false)
}

/// Of an `inet_diag_msg` with its attributes; none if it has no figures.
fn connection(message: &[u8]) -> Result<Option<Connection>, Malformed> {
    let too_short = || Malformed::Length { said: SOCKET, there: message.len() };
    let (socket, mut attributes) = message.split_at_checked(SOCKET).ok_or_else(too_short)?;
    let port = u16::from_be_bytes([socket[6], socket[7]]);
    let remote = match socket[0] {
        AF_INET => IpAddr::V4(Ipv4Addr::from(array::<4>(socket, 24))),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(array::<16>(socket, 24))),
        _ => return Ok(None),
    };
    let cookie = u64_at(socket, 44);
    while attributes.len() >= ATTRIBUTE {
        let (said, kind) = (u16_at(attributes, 0) as usize, u16_at(attributes, 2) & 0x3fff);
        let Some(value) = attributes.get(ATTRIBUTE..said) else {
            return Err(Malformed::Length { said, there: attributes.len() });
        };
        if kind == INET_DIAG_INFO {
            let remote = canonical(SocketAddr::new(remote, port));
            return Ok(figures(value).map(|figures| Connection { remote, cookie, figures }));
        }
        attributes = attributes.get(said.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(None)
}

/// Of a `tcp_info`, whose end older kernels lack; none when it lacks too much.
fn figures(info: &[u8]) -> Option<Figures> {
    if info.len() < LEAST_INFO {
        return None;
    }
    // A field of one bit, the first of its byte.
    let app_limited = if cfg!(target_endian = "little") { info[7] & 1 } else { info[7] >> 7 } == 1;
    let mss = u32_at(info, 16);
    let (min_rtt, selectively) = (u32_at(info, 148), u64::from(u32_at(info, 28)) * u64::from(mss));
    Some(Figures {
        app_limited,
        mss,
        cwnd: u32_at(info, 80),
        rtt_us: u32_at(info, 68),
        rttvar_us: u32_at(info, 72),
        min_rtt_us: (min_rtt != 0 && min_rtt != u32::MAX).then_some(min_rtt),
        arrived: u64_at(info, 120).saturating_add(selectively),
        received: u64_at(info, 128),
        packets_in: u32_at(info, 140),
        busy_us: u64_at(info, 168),
        limited_us: u64_at(info, 176).saturating_add(u64_at(info, 184)),
        sent: u64_at(info, 200),
        resent: u64_at(info, 208),
    })
}

/// An IPv4 address that came as an IPv6 one, as itself; without scope.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Zeros, where the bytes end before.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|slice| slice.try_into().ok()).unwrap_or([0; N])
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(array(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(array(bytes, at))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    /// An answer of Linux 6.18 on x86-64: one bulk sender over an emulated link of 5 Mbit/s and 80 ms, in two datagrams.
    const RECORDED: &str = include_str!("recorded.hex");

    pub fn recorded(line: usize) -> Vec<u8> {
        HEXLOWER.decode(RECORDED.lines().nth(line).unwrap().as_bytes()).unwrap()
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_recorded_answer_is_understood() {
        let mut found = Vec::new();
        assert_eq!(parse(&recorded(0), 7, &mut found), Ok(true));
        let [one] = found[..] else { panic!("{found:?}") };
        assert_eq!(one.remote, "10.77.1.2:7001".parse().unwrap());
        assert_ne!(one.cookie, 0);
        let f = one.figures;
        assert_eq!((f.app_limited, f.mss, f.cwnd), (false, 1448, 56));
        assert_eq!((f.rtt_us, f.rttvar_us, f.min_rtt_us), (190_264, 9_385, Some(72_728)));
        assert_eq!((f.sent, f.resent, f.received, f.packets_in), (1_172_880, 7_240, 0, 590));
        assert_eq!((f.busy_us, f.limited_us), (2_000_000, 0));
        assert!((973_057..973_057 + 100 * 1448).contains(&f.arrived), "{}", f.arrived);
        let mut of_others = Vec::new();
        assert_eq!(parse(&recorded(0), 8, &mut of_others), Ok(false), "an answer to somebody else's question");
        assert!(of_others.is_empty());
    }

    #[test]
    fn a_request_is_as_the_kernel_wants_it() {
        let asked = request(AF_INET, 7001, 7);
        assert_eq!(asked.len(), 72);
        assert_eq!(u32_at(&asked, 0), 72);
        assert_eq!(asked[16..20], [AF_INET, IPPROTO_TCP, 2, 0]);
        assert_eq!(asked[26..28], [0x1b, 0x59], "the port in the order of the network");
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn older_kernels_tell_less_and_lies_about_lengths_are_errors() {
        let whole = recorded(0);
        // The figures' attribute, cut as a kernel of 2010 has it.
        let at = 16 + 72;
        let info = whole[at..].windows(4).position(|w| w[2..] == [2, 0] && u16_at(w, 0) > 200).unwrap() + at;
        let mut old = whole[..info].to_vec();
        old.extend((104u16 + 4).to_ne_bytes());
        old.extend(&whole[info + 2..info + 4 + 104]);
        let length = (old.len() as u32).to_ne_bytes();
        old[..4].copy_from_slice(&length);
        let mut found = Vec::new();
        assert_eq!(parse(&old, 7, &mut found), Ok(false));
        assert_eq!((found[0].figures.rtt_us, found[0].figures.sent, found[0].figures.min_rtt_us), (190_264, 0, None));
        let mut lie = whole.clone();
        lie[0] = 0xff;
        lie[1] = 0xff;
        assert!(matches!(parse(&lie, 7, &mut found), Err(Malformed::Length { said: 0xffff, .. })));
        lie[..4].copy_from_slice(&3u32.to_ne_bytes());
        assert!(parse(&lie, 7, &mut found).is_err(), "shorter than its head: it would be read for ever");
        let mut refused =
            [20u32.to_ne_bytes(), [2, 0, 0, 0], 7u32.to_ne_bytes(), [0; 4], (-2i32).to_ne_bytes()].concat();
        assert_eq!(parse(&refused, 7, &mut found), Err(Malformed::Refused(-2)));
        refused.truncate(17);
        assert!(parse(&refused, 7, &mut found).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_hang(bytes in prop::collection::vec(any::<u8>(), 0..600), at in 0usize..428, byte: u8) {
            let _ = parse(&bytes, 7, &mut Vec::new());
            let mut changed = recorded(0);
            if let Some(there) = changed.get_mut(at) {
                *there = byte;
            }
            let _ = parse(&changed, 7, &mut Vec::new());
            let _ = parse(&changed[..at.min(changed.len())], 7, &mut Vec::new());
        }
    }
}
