//! What a push can leave by.

use std::net::IpAddr;

use rustix::io::Errno;
use sysinfo::Networks;

use crate::content::name::printable;
use crate::control::InterfaceRow;

/// Interfaces that are told: a machine with thousands of them (containers) has few to choose from.
const MOST: usize = 64;
/// Of them, in a message.
const TOLD: usize = 8;

/// Lists them, off the async threads; loopback last.
///
/// # Errors
/// The system does not tell, in words.
pub(crate) async fn list() -> Result<Vec<InterfaceRow>, String> {
    tokio::task::spawn_blocking(look).await.map_err(|e| e.to_string()).and_then(|found| found)
}

/// Why nothing can leave by `via`, where the system said `error`; none: it says something else.
pub(super) async fn trouble(via: &str, error: Errno) -> Option<String> {
    let missing = match error {
        Errno::NODEV => format!("there is no interface {via} here"),
        Errno::ADDRNOTAVAIL => format!("this machine does not have the address {via}"),
        Errno::PERM | Errno::ACCESS => {
            return Some(format!("this system lets nobody choose {via} without privileges; give its address instead"));
        }
        _ => return None,
    };
    Some(match list().await {
        Ok(found) => format!("{missing}; there are {}", told(&found)),
        Err(_) => missing,
    })
}

/// Interfaces and their addresses in a line.
fn told(found: &[InterfaceRow]) -> String {
    let mut words: Vec<String> =
        found.iter().take(TOLD).map(|row| format!("{} ({})", row.name, row.addresses.join(", "))).collect();
    if found.len() > TOLD {
        words.push(format!("and {} more", found.len() - TOLD));
    }
    words.join(", ")
}

fn look() -> Result<Vec<InterfaceRow>, String> {
    let networks = Networks::new_with_refreshed_list().map_err(|e| e.to_string())?;
    let mut found: Vec<(bool, InterfaceRow)> = networks
        .iter()
        .filter_map(|(name, network)| {
            let addresses: Vec<IpAddr> = network.ip_networks().iter().map(|n| n.addr).filter(is_useful).collect();
            let loopback = addresses.iter().all(IpAddr::is_loopback);
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let row = InterfaceRow { name: printable(&name.to_string_lossy()), addresses };
            (!row.addresses.is_empty()).then_some((loopback, row))
        })
        .collect();
    found.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    found.truncate(MOST);
    Ok(found.into_iter().map(|(_, row)| row).collect())
}

/// Link-local addresses of IPv6 say nothing without their interface.
fn is_useful(address: &IpAddr) -> bool {
    !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_and_last() {
        let found = look().unwrap();
        let last = found.last().unwrap();
        assert!(last.addresses.iter().any(|a| a == "127.0.0.1"), "{found:?}");
        assert!(found.iter().all(|row| !row.addresses.is_empty()), "{found:?}");
    }

    #[tokio::test]
    async fn what_is_not_here_is_named_with_what_is() {
        let words = trouble("nosuch0", Errno::NODEV).await.unwrap();
        assert!(
            words.starts_with("there is no interface nosuch0 here; there are ") && words.contains("127.0.0.1"),
            "{words}"
        );
        let words = trouble("192.0.2.1", Errno::ADDRNOTAVAIL).await.unwrap();
        assert!(words.starts_with("this machine does not have the address 192.0.2.1; there are "), "{words}");
        assert_eq!(trouble("eth0", Errno::CONNREFUSED).await, None);
        let many: Vec<_> =
            (0..10).map(|n| InterfaceRow { name: format!("e{n}"), addresses: vec!["::1".into()] }).collect();
        assert!(told(&many).ends_with("e7 (::1), and 2 more"), "{}", told(&many));
    }
}
