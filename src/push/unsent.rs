//! How much of a push may wait in the system's send buffers.
//!
//! The system takes up to 4 MiB of each connection ahead of what is on the line, and none of it can be called back: a link that
//! became slow is kept busy for a minute by what was handed over before, uncompressed, in the order of before. TCP_NOTSENT_LOWAT
//! (Linux 3.12) bounds what is taken ahead. What is on the line, and so the throughput, is as before.
//!
//! reqwest has no setting for it, nor does it show its sockets. So when a connection was made, this process's sockets are looked
//! through for those without a bound; to be touched they are duplicated for a moment (pidfd_getfd, Linux 5.6). Where that is not
//! allowed, as in some containers, and on other systems everything is as it was.

/// Bytes of a connection that wait beside those on the line.
const UNSENT: u32 = 256 << 10;

/// For a connector: passes a connection on that was just made, with a bound.
pub(super) fn bounded<C>(connection: C) -> C {
    #[cfg(target_os = "linux")]
    linux::bound();
    connection
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::{OwnedFd, RawFd};
    use std::sync::OnceLock;

    use rustix::io::Errno;
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    use socket2::{SockRef, Type};

    use super::UNSENT;

    /// Of every connection over TCP; one that has a bound keeps it.
    pub(super) fn bound() {
        if SYSTEM.get_or_init(of_system).is_some_and(|bytes| bytes <= UNSENT) {
            return;
        }
        if let Err(error) = each(|socket| {
            let socket = SockRef::from(&socket);
            let is_ours = socket.r#type()? == Type::STREAM && socket.peer_addr()?.as_socket().is_some();
            if is_ours && socket.tcp_notsent_lowat()? == 0 {
                socket.set_tcp_notsent_lowat(UNSENT)?;
            }
            Ok(())
        }) {
            tracing::debug!("what waits in send buffers has no bound: {error}");
        }
    }

    /// The bound that the system gives every connection.
    static SYSTEM: OnceLock<Option<u32>> = OnceLock::new();

    fn of_system() -> Option<u32> {
        std::fs::read_to_string("/proc/sys/net/ipv4/tcp_notsent_lowat").ok()?.trim().parse().ok()
    }

    /// Each socket of this process. What cannot be done to one is left.
    pub(super) fn each(mut act: impl FnMut(OwnedFd) -> io::Result<()>) -> io::Result<()> {
        let me = pidfd_open(getpid(), PidfdFlags::empty())?;
        for entry in std::fs::read_dir("/proc/self/fd")?.flatten() {
            let is_socket = std::fs::read_link(entry.path())
                .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
            let number = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
            let (true, Some(number)) = (is_socket, number) else { continue };
            match pidfd_getfd(&me, number, PidfdGetfdFlags::empty()) {
                // One that has no peer yet, or none any more, is none of ours.
                Ok(socket) => drop(act(socket)),
                // Closed by now.
                Err(Errno::BADF) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use socket2::SockRef;

    use super::*;

    #[test]
    fn a_connection_has_a_bound_and_a_listener_none() {
        if let Err(error) = linux::each(|_| Ok(())) {
            return eprintln!("skipped: {error}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let [new, known] = [(); 2].map(|()| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        SockRef::from(&known).set_tcp_notsent_lowat(7).unwrap();
        assert_eq!(bounded("it"), "it");
        let lowat = |stream: &TcpStream| SockRef::from(stream).tcp_notsent_lowat().unwrap();
        assert_eq!((lowat(&new), lowat(&known)), (UNSENT, 7));
        assert_eq!(SockRef::from(&listener).tcp_notsent_lowat().unwrap(), 0);
    }
}
