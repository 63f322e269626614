//! Why there is no connection, or none any more, in words that say what to do.

use std::error::Error;
use std::io;

use rustix::io::Errno;

use crate::swarm::cause_of;

/// What is looked at of a failure.
#[derive(Debug, Default)]
struct Facts<'a> {
    /// The time for it was over.
    timed_out: bool,
    /// There was no connection yet.
    connecting: bool,
    errno: Option<Errno>,
    kind: Option<io::ErrorKind>,
    /// Of TLS; see `rustls::Error`.
    tls: Option<&'a rustls::Error>,
    /// The innermost cause.
    cause: String,
}

/// What the system said, if it did.
pub(super) fn errno(error: &reqwest::Error) -> Option<Errno> {
    causes(error).find_map(|cause| Errno::from_io_error(cause.downcast_ref::<io::Error>()?))
}

/// A failed request in words.
pub(crate) fn words(error: &reqwest::Error) -> String {
    let io = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    sentence(&Facts {
        timed_out: error.is_timeout(),
        connecting: error.is_connect(),
        errno: errno(error),
        kind: io.clone().last().map(io::Error::kind),
        tls: io.filter_map(tls).next(),
        cause: cause_of(error),
    })
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> + Clone {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

/// An error of TLS hides in one of input and output, or two, which do not count it among their causes.
fn tls(io: &io::Error) -> Option<&rustls::Error> {
    let inner = io.get_ref()?;
    inner.downcast_ref().or_else(|| tls(inner.downcast_ref::<io::Error>()?))
}

fn sentence(facts: &Facts<'_>) -> String {
    if let Some(error) = facts.tls {
        return match error {
            rustls::Error::InvalidCertificate(why) => format!(
                "its certificate is not to be trusted ({why}): is the host's name right, and does this system know who signed it?"
            ),
            rustls::Error::InvalidMessage(_) => "it does not speak TLS there: write http:// instead of https://".into(),
            error => format!("no agreement about TLS ({error}); check both sides"),
        };
    }
    let cause = &facts.cause;
    if cause.contains("Temporary failure in name resolution") {
        return "the name cannot be looked up now; check this machine's network, or give an address".into();
    }
    if cause.contains("failed to lookup address") {
        return "nobody knows that name; check its spelling, or give an address".into();
    }
    if cause.contains("invalid HTTP version") || cause.contains("invalid HTTP status") {
        return "it does not speak HTTP there; if it speaks TLS, write https://".into();
    }
    match facts.errno {
        Some(Errno::CONNREFUSED) => return "connection refused; is a skep node listening there?".into(),
        Some(Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::NETDOWN | Errno::HOSTDOWN) => {
            return "no way there; check the address and this machine's network".into();
        }
        Some(Errno::ADDRNOTAVAIL) => return "this machine does not have the address to leave by".into(),
        Some(Errno::NODEV) => return "the interface to leave by is not here".into(),
        _ => {}
    }
    if facts.timed_out || facts.kind == Some(io::ErrorKind::TimedOut) {
        let word = if facts.connecting { "no connection in time" } else { "no answer in time" };
        return format!("{word}; does the machine run, and does its firewall let the port through?");
    }
    if cause.contains("connection closed before message completed") {
        return "the connection broke before there was an answer".into();
    }
    match facts.kind {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof) => {
            "the connection broke".into()
        }
        _ => cause.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_what_to_do() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let garbled = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let of = |errno| Facts { errno: Some(errno), ..Facts::default() };
        for (facts, words) in [
            (of(Errno::CONNREFUSED), "connection refused; is a skep node listening there?"),
            (of(Errno::NETUNREACH), "no way there; check the address"),
            (
                Facts { timed_out: true, connecting: true, ..Facts::default() },
                "no connection in time; does the machine run",
            ),
            (Facts { kind: Some(io::ErrorKind::TimedOut), ..Facts::default() }, "no answer in time"),
            (Facts { kind: Some(io::ErrorKind::ConnectionReset), ..Facts::default() }, "the connection broke"),
            (Facts { tls: Some(&unknown), ..Facts::default() }, "its certificate is not to be trusted"),
            (Facts { tls: Some(&garbled), ..Facts::default() }, "write http:// instead"),
            (
                Facts { cause: "failed to lookup address information: x".into(), ..Facts::default() },
                "nobody knows that name",
            ),
            (Facts { cause: "invalid HTTP version parsed".into(), ..Facts::default() }, "write https://"),
            (
                Facts { cause: "connection closed before message completed".into(), ..Facts::default() },
                "the connection broke",
            ),
            (Facts { cause: "something else".into(), ..Facts::default() }, "something else"),
        ] {
            assert!(sentence(&facts).contains(words), "{facts:?}: {}", sentence(&facts));
        }
        let inner = io::Error::new(io::ErrorKind::InvalidData, garbled);
        assert!(tls(&io::Error::other(inner)).is_some() && tls(&io::ErrorKind::Other.into()).is_none());
    }
}
