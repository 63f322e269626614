//! How many connections are let in: in all, and from one source.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use super::metrics::Metrics;

/// Counts connections.
#[derive(Debug)]
pub struct Caps {
    limit: usize,
    per_source: usize,
    open: Mutex<Open>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    sources: HashMap<IpAddr, usize>,
}

impl Caps {
    /// At most `limit` connections, `per_source` of them from one address.
    pub fn new(limit: usize, per_source: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { limit, per_source, open: Mutex::default(), metrics })
    }

    /// Lets a connection in, or not.
    pub fn admit(self: &Arc<Self>, source: IpAddr) -> Option<Permit> {
        let source = network(source);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let from_here = open.sources.get(&source).copied().unwrap_or(0);
        if open.total >= self.limit || from_here >= self.per_source {
            self.metrics.refused.inc();
            return None;
        }
        open.total += 1;
        open.sources.insert(source, from_here + 1);
        self.metrics.connections.set(open.total as u64);
        Some(Permit { caps: self.clone(), source })
    }
}

/// One host has a whole /64 of IPv6 addresses (RFC 6177), so that counts as one source.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            if address.is_loopback() { source } else { Ipv6Addr::from(prefix).into() }
        }
        v4 => v4,
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Permit {
    caps: Arc<Caps>,
    source: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.caps.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(count) = open.sources.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.sources.remove(&self.source);
            }
        }
        self.caps.metrics.connections.set(open.total as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::super::services::NoFigures;
    use super::*;

    #[test]
    fn caps_hold_in_all_and_per_source() {
        let metrics = Arc::new(Metrics::new(Arc::new(NoFigures)));
        let caps = Caps::new(3, 2, metrics.clone());
        let admit = |ip: &str| caps.admit(ip.parse().unwrap());
        let one = admit("2001:db8::1");
        let _two = admit("2001:db8::2");
        assert!(one.is_some() && admit("2001:db8::3").is_none(), "one /64 is one source");
        let _three = admit("192.0.2.1");
        assert!(admit("192.0.2.2").is_none(), "3 in all");
        assert_eq!(metrics.connections.get(), 3);
        drop(one);
        assert!(admit("::ffff:192.0.2.1").is_some());
        assert_eq!(metrics.refused.get(), 2);
    }
}
