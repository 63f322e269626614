//! What the kernel knows of the connections to an endpoint: figures of a link that cost no traffic.
//!
//! ```text
//!  followers (endpoints' addresses) ─▶ netlink: one look a second for all ─▶ message: bytes → Connection
//!                                                                              │
//!  PassiveSample ◀─ summary: two looks of the same connections, compared ◀─────┘
//! ```
//! Linux only (sock_diag(7)); elsewhere nothing is ever told, and transfers' own figures have to do. The connections are
//! those of this machine (of its network namespace) to the same address and port: nearly always ours, and others' tell
//! of the same link.

// What only Linux has is parsed and tested everywhere.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod message;
mod netlink;
mod summary;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::message::Connection;
use self::summary::Summary;
use super::sample::PassiveSample;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// After the system refused one.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// Looks at the connections of all who follow one, once a second while there are any.
pub struct Passive {
    shared: Arc<Shared>,
    _guard: DropGuard,
}

#[derive(Default)]
struct Shared {
    followers: Mutex<Followers>,
    came: Notify,
}

#[derive(Default)]
struct Followers {
    next: u64,
    all: BTreeMap<u64, Follower>,
}

struct Follower {
    addresses: HashSet<SocketAddr>,
    summary: Summary,
    samples: watch::Sender<Option<PassiveSample>>,
}

/// What is told of one endpoint; it is forgotten when this is dropped.
pub struct Following {
    shared: Arc<Shared>,
    id: u64,
    samples: watch::Receiver<Option<PassiveSample>>,
}

impl Passive {
    /// Starts looking; it ends when this is dropped. Within a tokio runtime only.
    pub fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(run(Arc::clone(&shared))));
        Self { shared, _guard: stop.drop_guard() }
    }

    /// Follows the connections to an endpoint: to any of these addresses.
    pub fn follow(&self, addresses: impl IntoIterator<Item = SocketAddr>) -> Following {
        let addresses = addresses.into_iter().map(message::canonical).collect();
        let (sender, samples) = watch::channel(None);
        let mut followers = lock(&self.shared.followers);
        let id = followers.next;
        followers.next += 1;
        followers.all.insert(id, Follower { addresses, summary: Summary::default(), samples: sender });
        drop(followers);
        self.shared.came.notify_one();
        Following { shared: Arc::clone(&self.shared), id, samples }
    }
}

impl Following {
    /// The next look's figures; none while there is no connection. Waits for ever where nothing is told.
    pub async fn next(&mut self) -> Option<PassiveSample> {
        if self.samples.changed().await.is_err() {
            return std::future::pending().await;
        }
        *self.samples.borrow_and_update()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        lock(&self.shared.followers).all.remove(&self.id);
    }
}

fn lock(followers: &Mutex<Followers>) -> MutexGuard<'_, Followers> {
    followers.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(shared: Arc<Shared>) {
    loop {
        let wanted: HashSet<SocketAddr> =
            lock(&shared.followers).all.values().flat_map(|follower| &follower.addresses).copied().collect();
        if wanted.is_empty() {
            shared.came.notified().await;
            continue;
        }
        let looked = tokio::task::spawn_blocking(move || netlink::connections(&wanted)).await;
        match looked {
            Ok(Ok(connections)) => {
                shared.tell(&connections, Instant::now());
                tokio::time::sleep(INTERVAL).await;
            }
            Ok(Err(error)) => {
                tracing::debug!("the kernel's figures of connections are not available: {error}");
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
            // The runtime ends.
            Err(_) => return,
        }
    }
}

impl Shared {
    fn tell(&self, connections: &[Connection], now: Instant) {
        for follower in lock(&self.followers).all.values_mut() {
            let theirs = connections.iter().filter(|connection| follower.addresses.contains(&connection.remote));
            let sample = follower.summary.on_look(now, theirs);
            follower.samples.send_replace(sample);
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// The next sample that is as wanted. Where sock_diag is forbidden (some sandboxes) there is never one.
    async fn wait(following: &mut Following, wanted: impl Fn(&PassiveSample) -> bool) -> PassiveSample {
        let waiting = async {
            loop {
                if let Some(sample) = following.next().await
                    && wanted(&sample)
                {
                    return sample;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("never told")
    }

    #[tokio::test]
    async fn figures_of_living_connections_are_told() {
        if netlink::connections(&HashSet::from(["127.0.0.1:1".parse().unwrap()])).is_err() {
            eprintln!("skipped: no sock_diag here");
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passive = Passive::start();
        let mut following = passive.follow([address]);
        let mut other = passive.follow(["127.0.0.1:9".parse().unwrap()]);
        assert_eq!(following.next().await, None, "no connection yet");
        let mut near = TcpStream::connect(address).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let sample = wait(&mut following, |_| true).await;
        assert_eq!((sample.connections, sample.app_limited), (1, true));
        assert!(sample.rtt_ms.is_none_or(|rtt| rtt < 1_000.0) && sample.cwnd_bytes > 0, "{sample:?}");
        near.write_all(&[1; 10_000]).await.unwrap();
        far.read_exact(&mut [0; 10_000]).await.unwrap();
        let sample = wait(&mut following, |sample| sample.alive).await;
        assert!(sample.rtt_ms.is_some_and(|rtt| rtt < 1_000.0), "{sample:?}");
        assert!(!sample.fills(), "10 kB fill nothing: {sample:?}");
        assert_eq!(other.next().await, None, "others are told of theirs");
        drop((near, far));
        while following.next().await.is_some() {}
        drop(following);
        assert_eq!(lock(&passive.shared.followers).all.len(), 1);
    }
}
