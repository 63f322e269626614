//! The table of a tracker: who shares which content.
//!
//! Bounded in every direction: contents, peers per content, both per source address, and bytes in all.
//! Rules for when a bound is met:
//! - a source at its bound per content takes the place of its *own* oldest entry there; at its bound of
//!   contents it is refused;
//! - a full content, or a full table, drops what was not heard of for the longest time, but only if that
//!   is more than one interval ago: entries that are alive are never driven out by new ones;
//! - with half of the bytes used, peers are kept without their bitmaps (which can be asked of the peers
//!   themselves), so that bitmaps do not keep peers out.
//!
//! A peer unseen for three intervals is dropped. A source is an IPv4 address or an IPv6 /64.

mod swarm;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use data_encoding::BASE64;

use super::announce::{
    Announce, AnnounceError, AnnounceEvent, AnnounceReply, AnnouncedPeer, Checked, MAX_REPLY_BITMAP,
};
use crate::content::ContentId;
use swarm::{Listed, Swarm};

/// Bitmap bytes in one reply: peers beyond it are listed without.
const MAX_REPLY_BITMAPS: usize = 256 << 10;

/// Bounds and times of a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackerConfig {
    /// Time between two announces of a peer.
    pub interval: Duration,
    /// Contents in all.
    pub max_contents: usize,
    /// Contents first announced by one source.
    pub max_contents_per_source: usize,
    /// Peers of one content.
    pub max_peers_per_content: usize,
    /// Peers of one content at one source.
    pub max_per_source: usize,
    /// Peers in one reply.
    pub reply_peers: usize,
    /// Bytes of it all.
    pub max_bytes: usize,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            max_contents: 10_000,
            max_contents_per_source: 5_000,
            max_peers_per_content: 2_000,
            max_per_source: 256,
            reply_peers: 50,
            max_bytes: 64 << 20,
        }
    }
}

/// Peers of a content, for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwarmCounts {
    /// Peers that have everything.
    pub seeders: u32,
    /// The others.
    pub leechers: u32,
}

/// The table.
#[derive(Debug)]
pub struct TrackerTable {
    config: TrackerConfig,
    contents: HashMap<Key, Swarm>,
    /// Contents by their last announce.
    by_age: BTreeSet<(Instant, Key)>,
    /// Contents that a source announced first.
    founded: HashMap<IpAddr, usize>,
    bytes: usize,
}

/// A content and its shape. The tracker cannot know which shape is true: whoever announces a wrong one
/// is alone with it, and keeps nobody out.
type Key = (ContentId, u32, u64);

fn key(checked: &Checked) -> Key {
    (checked.content_id, checked.pieces, checked.size)
}

/// The source that is counted: one household has a whole IPv6 /64.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
        v4 => v4,
    }
}

impl TrackerTable {
    /// An empty table.
    pub fn new(config: TrackerConfig) -> Self {
        Self { config, contents: HashMap::new(), by_age: BTreeSet::new(), founded: HashMap::new(), bytes: 0 }
    }

    /// Takes an announce that came from `source`; answers some of the other peers.
    ///
    /// # Errors
    /// The announce is not well-formed, or there is no room.
    pub fn announce(
        &mut self,
        announce: &Announce,
        source: IpAddr,
        now: Instant,
        rng: &mut fastrand::Rng,
    ) -> Result<AnnounceReply, AnnounceError> {
        let checked = announce.check(source)?;
        self.expire(now);
        if checked.event == AnnounceEvent::Stopped {
            self.leave(&checked);
            return Ok(AnnounceReply { interval_s: self.config.interval.as_secs().max(1), peers: Vec::new() });
        }
        let id = key(&checked);
        let me = checked.endpoint.clone();
        if checked.endpoint.is_some() {
            self.enter(checked, source_of(source), now)?;
        }
        Ok(self.reply(&id, me.as_deref(), now, rng))
    }

    fn enter(&mut self, checked: Checked, source: IpAddr, now: Instant) -> Result<(), AnnounceError> {
        let id = key(&checked);
        if !self.contents.contains_key(&id) {
            self.make_room(source, now)?;
            self.contents.insert(id, Swarm::new(source, now));
            self.by_age.insert((now, id));
            self.bytes += Swarm::BYTES;
            *self.founded.entry(source).or_default() += 1;
        }
        let Some(swarm) = self.contents.get_mut(&id) else { return Ok(()) };
        let complete = checked.bitmap.is_full();
        let bitmap = (!complete && checked.bitmap.as_bytes().len() <= MAX_REPLY_BITMAP).then_some(checked.bitmap);
        let mut peer = Listed {
            endpoint: checked.endpoint.unwrap_or_default().into(),
            bitmap: bitmap.map(|bitmap| bitmap.as_bytes().into()),
            complete,
            source,
            seen: now,
        };
        let fresh = |seen: Instant| now.saturating_duration_since(seen) <= self.config.interval;
        let mut freed = swarm.remove(&peer.endpoint);
        if freed == 0 && swarm.count_of(source) >= self.config.max_per_source {
            freed = swarm.remove_oldest(Some(source), |_| true);
        }
        if freed == 0 && swarm.len() >= self.config.max_peers_per_content {
            freed = swarm.remove_oldest(None, |seen| !fresh(seen));
            if freed == 0 {
                return Err(AnnounceError::Full);
            }
        }
        self.bytes -= freed;
        if self.bytes + peer.bytes() > self.config.max_bytes / 2 {
            peer.bitmap = None;
        }
        if self.bytes + peer.bytes() > self.config.max_bytes {
            return Err(AnnounceError::Full);
        }
        self.bytes += peer.bytes();
        self.by_age.remove(&(swarm.seen, id));
        swarm.seen = now;
        self.by_age.insert((now, id));
        swarm.insert(peer);
        Ok(())
    }

    /// Room for one more content.
    fn make_room(&mut self, source: IpAddr, now: Instant) -> Result<(), AnnounceError> {
        if self.founded.get(&source).is_some_and(|count| *count >= self.config.max_contents_per_source) {
            return Err(AnnounceError::TooMany(source));
        }
        let full = self.contents.len() >= self.config.max_contents || self.bytes + 4096 > self.config.max_bytes;
        if !full {
            return Ok(());
        }
        match self.by_age.first().copied() {
            Some((seen, id)) if now.saturating_duration_since(seen) > self.config.interval => {
                self.drop_content(&id);
                Ok(())
            }
            _ => Err(AnnounceError::Full),
        }
    }

    fn leave(&mut self, checked: &Checked) {
        let Some(endpoint) = &checked.endpoint else { return };
        let Some(swarm) = self.contents.get_mut(&key(checked)) else { return };
        self.bytes -= swarm.remove(endpoint);
        if swarm.len() == 0 {
            self.drop_content(&key(checked));
        }
    }

    fn drop_content(&mut self, id: &Key) {
        let Some(swarm) = self.contents.remove(id) else { return };
        self.by_age.remove(&(swarm.seen, *id));
        self.bytes -= swarm.bytes();
        if let Some(count) = self.founded.get_mut(&swarm.founder) {
            *count -= 1;
            if *count == 0 {
                self.founded.remove(&swarm.founder);
            }
        }
    }

    /// Drops what was not seen for three intervals. Contents by age; peers of a content when it is asked
    /// for.
    fn expire(&mut self, now: Instant) {
        let limit = self.config.interval * 3;
        while let Some((seen, id)) = self.by_age.first().copied() {
            if now.saturating_duration_since(seen) <= limit {
                break;
            }
            self.drop_content(&id);
        }
    }

    fn reply(&mut self, id: &Key, me: Option<&str>, now: Instant, rng: &mut fastrand::Rng) -> AnnounceReply {
        let interval_s = self.config.interval.as_secs().max(1);
        let Some(swarm) = self.contents.get_mut(id) else { return AnnounceReply { interval_s, peers: Vec::new() } };
        let limit = self.config.interval * 3;
        self.bytes -= swarm.expire(|seen| now.saturating_duration_since(seen) > limit);
        let mut bitmaps = MAX_REPLY_BITMAPS;
        let peers = swarm.sample(self.config.reply_peers, me, rng).map(|peer| {
            let bitmap = peer.bitmap.as_ref().filter(|bytes| bytes.len() <= bitmaps);
            bitmaps -= bitmap.map_or(0, |bytes| bytes.len());
            AnnouncedPeer {
                endpoint: peer.endpoint.to_string(),
                bitmap: bitmap.map(|bytes| BASE64.encode(bytes)),
                last_seen_s: now.saturating_duration_since(peer.seen).as_secs(),
                complete: peer.complete,
            }
        });
        AnnounceReply { interval_s, peers: peers.collect() }
    }

    /// Drops what is too old; to be called now and then, so that an idle tracker forgets too.
    pub fn tidy(&mut self, now: Instant) {
        self.expire(now);
    }

    /// Contents in the table.
    pub fn contents(&self) -> usize {
        self.contents.len()
    }

    /// Bytes it takes, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Peers of a content, those included that have not been seen for long.
    pub fn counts(&self, id: &ContentId, pieces: u32, size: u64) -> SwarmCounts {
        let Some(swarm) = self.contents.get(&(*id, pieces, size)) else { return SwarmCounts::default() };
        let seeders = swarm.iter().filter(|peer| peer.complete).count() as u32;
        SwarmCounts { seeders, leechers: swarm.len() as u32 - seeders }
    }
}
