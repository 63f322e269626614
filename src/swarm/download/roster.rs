//! The peers of a download: who joins, what they tell, who has to go.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Endpoint, Running};
use crate::swarm::announcing::Found;
use crate::swarm::bans::host_port;
use crate::swarm::fetch::Source;
use crate::swarm::here::is_own;
use crate::swarm::peers::{PeerKey, PeerKind};
use crate::swarm::peers_io::{PeerNews, watch_peer};

/// Peers that are watched at once.
const MAX_WATCHED: usize = 200;
/// Banned endpoints remembered, to be asked once their ban is over.
const MAX_BANNED: usize = 200;

impl Running {
    pub(super) fn on_news(&mut self, news: PeerNews, now: Instant) {
        match news {
            PeerNews::At(peer, addr) => {
                if let Some(endpoint) = self.endpoints.get_mut(&peer) {
                    // A URL may name the peer otherwise than its own requests do: by a host name, say.
                    endpoint.id = SocketAddr::new(addr.ip().to_canonical(), addr.port()).to_string().into();
                }
            }
            PeerNews::Bitmap(peer, bitmap) => {
                self.connected(peer);
                self.leech.on_bitmap(peer, &bitmap, now);
            }
            PeerNews::Haves(peer, pieces) => {
                self.connected(peer);
                self.leech.on_have(peer, &pieces, now);
            }
            PeerNews::Choke(peer, true) => self.leech.on_choked(peer, Duration::from_secs(10), now),
            PeerNews::Choke(peer, false) => self.leech.on_unchoked(peer, now),
            PeerNews::Failed(peer, error) => {
                if let Some(endpoint) = self.endpoints.get_mut(&peer) {
                    (endpoint.connected, endpoint.silent) = (false, error.is_fault());
                    endpoint.note = error.to_string();
                }
            }
            PeerNews::Gone(peer, error) => {
                // It is forgotten now: at the end nobody would know.
                if error.is_fault() {
                    self.failed_us(peer, 1);
                }
                if let Some(endpoint) = self.endpoints.get(&peer) {
                    tracing::info!(transfer = self.job.id.0, peer = %endpoint.name, %error, "peer given up");
                }
                self.drop_peer(peer, now);
            }
        }
    }

    fn connected(&mut self, peer: PeerKey) {
        if let Some(endpoint) = self.endpoints.get_mut(&peer) {
            (endpoint.connected, endpoint.silent) = (true, false);
            endpoint.note.clear();
        }
    }

    pub(super) fn on_found(&mut self, found: Found, now: Instant) {
        for peer in found.peers {
            self.add_peer(&peer, PeerKind::Swarm, now);
        }
    }

    pub(super) fn add_peer(&mut self, endpoint: &str, kind: PeerKind, now: Instant) {
        let endpoint = endpoint.trim_end_matches('/');
        if is_own(self.job.swarm.endpoint.as_deref(), endpoint) {
            return;
        }
        if self.job.swarm.bans.is_banned(endpoint) {
            self.remember_banned(endpoint.into(), kind);
            return;
        }
        if self.watchers.len() >= MAX_WATCHED || self.spared.contains(endpoint) {
            return;
        }
        let Some(key) = self.leech.add_peer(endpoint, kind, now) else { return };
        let name: Arc<str> = endpoint.into();
        let (source, connected) = match kind {
            PeerKind::Mirror => (Source::Mirror(name.clone()), true),
            PeerKind::Swarm => {
                let client = self.job.swarm.client.clone();
                let (content, pieces) = (self.job.held.id(), self.manifest.piece_count());
                let watching = watch_peer(client, key, name.clone(), content, pieces, self.news.0.clone());
                self.watchers.insert(key, self.tasks.spawn(watching));
                (Source::Node(name.clone()), false)
            }
        };
        self.endpoints.insert(
            key,
            Endpoint { source, id: host_port(&name).into(), name, connected, silent: false, note: String::new() },
        );
    }

    /// These are not asked from now on, those told of before may be again. While nobody else answers they go on.
    pub(super) fn spare(&mut self, endpoints: &[String], now: Instant) {
        self.spared = spared(endpoints);
        let is_spared = |endpoint: &Endpoint| self.spared.contains(&endpoint.name);
        if !self.endpoints.values().any(|endpoint| endpoint.connected && !is_spared(endpoint)) {
            return;
        }
        let leave: Vec<PeerKey> = self.endpoints.iter().filter(|(_, e)| is_spared(e)).map(|(key, _)| *key).collect();
        for peer in leave {
            if let Some(endpoint) = self.endpoints.get(&peer) {
                tracing::info!(transfer = self.job.id.0, peer = %endpoint.name, "drained or overloaded: others are asked");
            }
            self.drop_peer(peer, now);
        }
    }

    fn drop_peer(&mut self, peer: PeerKey, now: Instant) {
        self.unwatch(peer);
        let ids = self.leech.remove_peer(peer, now);
        self.cancel(&ids);
        self.endpoints.remove(&peer);
    }

    /// Somebody was banned, by whichever transfer or by hand, or a ban was lifted.
    pub(super) fn on_bans(&mut self, now: Instant) {
        let bans = &self.job.swarm.bans;
        let banned = |(key, e): (&PeerKey, &Endpoint)| bans.is_banned(&e.name).then_some(*key);
        let banned: Vec<PeerKey> = self.endpoints.iter().filter_map(banned).collect();
        for peer in banned {
            self.shut_out(peer, now);
        }
        self.readmit(now);
    }

    /// A banned peer is asked for nothing more, and for nothing that it was asked for.
    pub(super) fn shut_out(&mut self, peer: PeerKey, now: Instant) {
        let Some(endpoint) = self.endpoints.get(&peer) else { return };
        let kind = if matches!(endpoint.source, Source::Mirror(_)) { PeerKind::Mirror } else { PeerKind::Swarm };
        self.remember_banned(endpoint.name.clone(), kind);
        self.drop_peer(peer, now);
    }

    fn remember_banned(&mut self, endpoint: Arc<str>, kind: PeerKind) {
        if self.banned.len() < MAX_BANNED {
            self.banned.insert(endpoint, kind);
        }
    }

    /// Those whose ban was lifted, or is over, are asked again.
    pub(super) fn readmit(&mut self, now: Instant) {
        let bans = &self.job.swarm.bans;
        let free =
            |(endpoint, kind): (&Arc<str>, &PeerKind)| (!bans.is_banned(endpoint)).then(|| (endpoint.clone(), *kind));
        let free: Vec<_> = self.banned.iter().filter_map(free).collect();
        for (endpoint, kind) in free {
            self.banned.remove(&endpoint);
            self.add_peer(&endpoint, kind, now);
        }
    }

    fn unwatch(&mut self, peer: PeerKey) {
        if let Some(watcher) = self.watchers.remove(&peer) {
            watcher.abort();
        }
    }
}

/// These endpoints, as peers are named.
pub(super) fn spared(endpoints: &[String]) -> HashSet<Arc<str>> {
    endpoints.iter().map(|endpoint| endpoint.trim_end_matches('/').into()).collect()
}
