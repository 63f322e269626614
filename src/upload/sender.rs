//! Who sends an upload: counted per host, for whoever looks at it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Hosts that are told apart; whoever comes later counts as one.
const HOSTS: usize = 16;
/// What they are called.
const OTHERS: &str = "others";

/// One host.
#[derive(Debug)]
pub(super) struct Sender {
    pub host: Arc<str>,
    /// Bytes that came, counted or not.
    pub bytes: AtomicU64,
    /// Bodies that come now.
    pub bodies: AtomicU32,
}

/// The hosts that sent something of one upload since the node runs.
#[derive(Debug, Default)]
pub(super) struct Senders(Mutex<Vec<Arc<Sender>>>);

/// A body on its way; it counts as under way until this is dropped.
#[derive(Debug)]
pub(super) struct Sending(Arc<Sender>);

impl Senders {
    /// A body of `host` begins.
    pub(super) fn sending(&self, host: &Arc<str>) -> Sending {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().find(|sender| sender.host == *host);
        let found = found.or_else(|| if all.len() < HOSTS { None } else { all.last() }).cloned();
        let sender = found.unwrap_or_else(|| {
            let host = if all.len() + 1 < HOSTS { host.clone() } else { OTHERS.into() };
            let sender = Arc::new(Sender { host, bytes: AtomicU64::new(0), bodies: AtomicU32::new(0) });
            all.push(sender.clone());
            sender
        });
        sender.bodies.fetch_add(1, Ordering::Relaxed);
        Sending(sender)
    }

    /// All of them, in the order in which they came.
    pub(super) fn all(&self) -> Vec<Arc<Sender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sending {
    /// Bytes came.
    pub(super) fn add(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_counted_apart_and_their_number_is_bounded() {
        let senders = Senders::default();
        for n in 0..100 {
            senders.sending(&format!("10.0.0.{n}").into()).add(1);
        }
        let twice = senders.sending(&"10.0.0.3".into());
        twice.add(6);
        let all = senders.all();
        let bytes = |sender: &Arc<Sender>| sender.bytes.load(Ordering::Relaxed);
        assert_eq!((all.len(), &*all[15].host, bytes(&all[15])), (HOSTS, OTHERS, 85));
        assert_eq!((&*all[3].host, bytes(&all[3]), all[3].bodies.load(Ordering::Relaxed)), ("10.0.0.3", 7, 1));
        drop(twice);
        assert_eq!(all[3].bodies.load(Ordering::Relaxed), 0);
    }
}
