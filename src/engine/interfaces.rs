//! `Command::Interfaces`: what a push can leave by.

use std::net::IpAddr;

use sysinfo::Networks;

use crate::content::name::printable;
use crate::control::{CommandError, CommandErrorKind, InterfaceRow, Reply};

/// Interfaces that are told: a machine with thousands of them (containers) has few to choose from.
const MOST: usize = 64;

/// Lists them, off the async threads.
pub(super) async fn list() -> Result<Reply, CommandError> {
    let found = tokio::task::spawn_blocking(look).await.map_err(|e| e.to_string()).and_then(|found| found);
    let failed = |e| CommandError::new(CommandErrorKind::Unavailable, format!("the interfaces cannot be listed: {e}"));
    found.map(|interfaces| Reply::Interfaces { interfaces }).map_err(failed)
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
}
