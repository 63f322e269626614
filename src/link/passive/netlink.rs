//! Asks the kernel: one short conversation over a netlink socket of its own.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;

use super::message::Connection;

/// All established connections to these addresses. Blocks for the time of some system calls.
///
/// # Errors
/// Netlink is forbidden, or this is not Linux.
#[cfg(target_os = "linux")]
pub(super) fn connections(wanted: &HashSet<SocketAddr>) -> io::Result<Vec<Connection>> {
    linux::connections(wanted)
}

/// All established connections to these addresses.
///
/// # Errors
/// Always: only Linux tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn connections(_: &HashSet<SocketAddr>) -> io::Result<Vec<Connection>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux tells"))
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::{BTreeSet, HashSet};
    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;

    use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
    use rustix::net::{recvfrom, sendto, socket_with};

    use super::super::message::{AF_INET, AF_INET6, Connection, parse, request};

    /// The kernel answers at once; this is for a kernel that does not.
    const PATIENCE: Duration = Duration::from_millis(500);
    /// Longest datagram of a dump (netlink(7): 32 KiB).
    const LONGEST: usize = 64 << 10;
    /// Ports that are asked for one by one; with more all connections are looked through.
    const PORTS: usize = 8;
    /// Datagrams of an answer, at most: some 20,000 connections.
    const MOST: usize = 256;

    pub(super) fn connections(wanted: &HashSet<SocketAddr>) -> io::Result<Vec<Connection>> {
        let family = |address: &SocketAddr| if address.is_ipv4() { AF_INET } else { AF_INET6 };
        let mut questions: BTreeSet<(u8, u16)> = wanted.iter().map(|at| (family(at), at.port())).collect();
        if questions.len() > PORTS {
            questions = questions.into_iter().map(|(family, _)| (family, 0)).collect();
        }
        let mut found = Vec::new();
        for (number, (family, port)) in (1..).zip(questions) {
            ask(family, port, number, &mut found)?;
            found.retain(|connection| wanted.contains(&connection.remote));
        }
        Ok(found)
    }

    fn ask(family: u8, port: u16, sequence: u32, found: &mut Vec<Connection>) -> io::Result<()> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        sendto(&socket, &request(family, port, sequence), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut buffer = vec![0; LONGEST];
        for _ in 0..MOST {
            let (_, size, from) = recvfrom(&socket, &mut buffer[..], RecvFlags::empty())?;
            // Whoever else knows our port id can write to it.
            let is_kernel =
                from.and_then(|from| SocketAddrNetlink::try_from(from).ok()).is_some_and(|from| from.pid() == 0);
            if !is_kernel {
                continue;
            }
            let datagram = buffer.get(..size).unwrap_or(&buffer);
            if parse(datagram, sequence, found).map_err(io::Error::other)? {
                break;
            }
        }
        Ok(())
    }
}
