//! Datagrams that only those with the pool's key can make, read or repeat. Pure: the key and the session, random bytes, come in.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `SKPG` |
//! | 1 | version, 1 |
//! | 16 | session of the sender: random, new with each start |
//! | 16 | session of the receiver as the sender knows it; zeros: not yet |
//! | 8 | counter of the sender, big endian, never used twice |
//! | | sealed by ChaCha20-Poly1305 (RFC 8439), all of the above authenticated: 1 byte kind, 1 byte part, 1 byte parts, the payload |
//! | 16 | tag |
//!
//! Each session has a key of its own, HKDF-SHA256 (RFC 5869) of the pool's key with the session as salt; the nonce is the
//! counter. A message is heard only if it names the receiver's present session and its counter was not seen: what was
//! recorded before a restart of either side is worth nothing, and no clock is asked. Whoever names another session is told
//! the present one by a *hello*, which names the asker's session and so cannot be repeated either. What was to be said to somebody
//! whose session is not known waits for that: among many nodes nearly every exchange is the first of its two.
//!
//! Messages are cut into parts that fit a packet of any link, so that nothing depends on IP fragments.

use std::collections::HashMap;
use std::net::SocketAddr;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};

/// What a datagram of gossip begins with.
pub const MAGIC: [u8; 4] = *b"SKPG";
/// Longest datagram.
pub const MAX_DATAGRAM: usize = 1_232;
const VERSION: u8 = 1;
const SESSION: usize = 16;
const HEAD: usize = 4 + 1 + 2 * SESSION + 8;
const TAG: usize = 16;
/// Payload of one part.
const PART: usize = MAX_DATAGRAM - HEAD - 3 - TAG;
/// Parts of a message at most: what one UDP datagram could carry.
const MAX_PARTS: usize = 65_535usize.div_ceil(PART);
/// Sessions that are remembered.
const MAX_SESSIONS: usize = 4_096;
/// Addresses whose session is remembered.
const MAX_PEERS: usize = 4_096;
/// Messages that wait for the session of whom they are for: one for each, the newest.
const MAX_WAITING: usize = 32;
/// Counters behind the highest one that may still come.
const WINDOW: u64 = 128;

const HELLO: u8 = 0;
const MESSAGE: u8 = 1;

type SessionId = [u8; SESSION];

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// The last part of a message: all of it.
    Message(Vec<u8>),
    /// To be sent back to where it came from.
    Reply(Vec<Vec<u8>>),
    /// Well, and nothing to do.
    Nothing,
    /// Not sealed with this key, damaged, or seen before: dropped.
    Refused(Refusal),
}

/// Why a datagram is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no datagram of gossip.
    Malformed,
    /// Another key, or damaged.
    Key,
    /// It came before.
    Replay,
}

/// Seals and opens for one node.
pub struct Sealer {
    prk: Prk,
    own: SessionId,
    key: LessSafeKey,
    counter: u64,
    /// Sessions of those who are reached at an address, and when they were last heard or written to.
    peers: HashMap<SocketAddr, (SessionId, u64)>,
    sessions: HashMap<SessionId, Session>,
    /// Messages that wait, and since when.
    waiting: HashMap<SocketAddr, (Vec<u8>, u64)>,
    /// Grows with each use, to tell what was used last.
    uses: u64,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

struct Session {
    key: LessSafeKey,
    highest: u64,
    /// Bit n: the counter n below the highest was seen.
    seen: u128,
    used: u64,
    partial: Option<Partial>,
}

/// A message whose parts are not all here.
struct Partial {
    /// Counter of its first part.
    first: u64,
    parts: Vec<Option<Vec<u8>>>,
}

/// The key of one session. Nothing of this fails with lengths as they are; if it did, there would be no key.
fn session_key(prk: &Prk, session: &SessionId) -> Option<LessSafeKey> {
    let info = [&b"skep gossip 1"[..], session];
    let okm = prk.expand(&info, &CHACHA20_POLY1305).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(okm)))
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl Sealer {
    /// `secret`: what the nodes of a pool share; `session`: 16 random bytes, new for each start. None only if the
    /// cipher is broken.
    pub fn new(secret: &[u8], session: SessionId) -> Option<Self> {
        let prk = Salt::new(HKDF_SHA256, b"skep pool v1").extract(secret);
        let key = session_key(&prk, &session)?;
        let (peers, sessions, waiting) = (HashMap::new(), HashMap::new(), HashMap::new());
        Some(Self { prk, own: session, key, counter: 0, peers, sessions, waiting, uses: 0 })
    }

    /// The datagrams that carry a message to `to`. To somebody whose session is not known they are one hello: the message waits
    /// for the answer, or is lost, as any may be.
    pub fn seal(&mut self, to: SocketAddr, message: &[u8]) -> Vec<Vec<u8>> {
        self.uses += 1;
        let session = match self.peers.get_mut(&to) {
            Some((session, used)) => {
                *used = self.uses;
                *session
            }
            None => {
                if !self.waiting.contains_key(&to) && self.waiting.len() >= MAX_WAITING {
                    let oldest = self.waiting.iter().min_by_key(|(_, (_, since))| *since).map(|(address, _)| *address);
                    oldest.map(|address| self.waiting.remove(&address));
                }
                self.waiting.insert(to, (message.to_vec(), self.uses));
                return self.one(&[0; SESSION], HELLO, 0, 1, &[]).into_iter().collect();
            }
        };
        let parts = message.len().div_ceil(PART).max(1);
        if parts > MAX_PARTS {
            return Vec::new();
        }
        let mut chunks: Vec<&[u8]> = message.chunks(PART).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let sealed = chunks.iter().enumerate();
        sealed.filter_map(|(part, chunk)| self.one(&session, MESSAGE, part as u8, parts as u8, chunk)).collect()
    }

    fn one(&mut self, to: &SessionId, kind: u8, part: u8, parts: u8, payload: &[u8]) -> Option<Vec<u8>> {
        self.counter += 1;
        let mut datagram = Vec::with_capacity(HEAD + 3 + payload.len() + TAG);
        datagram.extend_from_slice(&MAGIC);
        datagram.push(VERSION);
        datagram.extend_from_slice(&self.own);
        datagram.extend_from_slice(to);
        datagram.extend_from_slice(&self.counter.to_be_bytes());
        let head = datagram.clone();
        datagram.extend_from_slice(&[kind, part, parts]);
        datagram.extend_from_slice(payload);
        let tag =
            self.key.seal_in_place_separate_tag(nonce(self.counter), Aad::from(&head), &mut datagram[HEAD..]).ok()?;
        datagram.extend_from_slice(tag.as_ref());
        Some(datagram)
    }

    /// What came from `from`.
    pub fn open(&mut self, from: SocketAddr, datagram: &[u8]) -> Opened {
        let Some((head, sealed)) = datagram.split_at_checked(HEAD) else { return Opened::Refused(Refusal::Malformed) };
        if head[..4] != MAGIC || head[4] != VERSION || sealed.len() < 3 + TAG || datagram.len() > MAX_DATAGRAM {
            return Opened::Refused(Refusal::Malformed);
        }
        let (Ok(sender), Ok(receiver), Ok(counter)) = (
            SessionId::try_from(&head[5..5 + SESSION]),
            SessionId::try_from(&head[5 + SESSION..5 + 2 * SESSION]),
            <[u8; 8]>::try_from(&head[5 + 2 * SESSION..]),
        ) else {
            return Opened::Refused(Refusal::Malformed);
        };
        let counter = u64::from_be_bytes(counter);
        if sender == self.own {
            return Opened::Refused(Refusal::Replay);
        }
        let mut sealed = sealed.to_vec();
        let known = self.sessions.get(&sender);
        if known.is_some_and(|session| !session.is_new(counter)) {
            return Opened::Refused(Refusal::Replay);
        }
        let made = if known.is_none() { session_key(&self.prk, &sender) } else { None };
        let Some(key) = known.map(|session| &session.key).or(made.as_ref()) else {
            return Opened::Refused(Refusal::Key);
        };
        let Ok(plain) = key.open_in_place(nonce(counter), Aad::from(head), &mut sealed) else {
            return Opened::Refused(Refusal::Key);
        };
        let [kind, part, parts, payload @ ..] = &*plain else { return Opened::Refused(Refusal::Malformed) };
        if receiver != self.own {
            // It may be old: nothing of it is believed but that somebody with the key made it once.
            return match self.one(&sender, HELLO, 0, 1, &[]) {
                Some(hello) => Opened::Reply(vec![hello]),
                None => Opened::Nothing,
            };
        }
        self.uses += 1;
        let (uses, kind, part, parts, payload) = (self.uses, *kind, *part, *parts, payload.to_vec());
        self.remember(from, sender, made);
        let Some(session) = self.sessions.get_mut(&sender) else { return Opened::Nothing };
        session.see(counter);
        session.used = uses;
        if kind != MESSAGE {
            return match self.waiting.remove(&from) {
                Some((message, _)) => Opened::Reply(self.seal(from, &message)),
                None => Opened::Nothing,
            };
        }
        session.gather(counter, part, parts, payload).map_or(Opened::Nothing, Opened::Message)
    }

    /// Somebody proved to be there now: it named this session.
    fn remember(&mut self, from: SocketAddr, sender: SessionId, made: Option<LessSafeKey>) {
        if !self.peers.contains_key(&from) && self.peers.len() >= MAX_PEERS {
            let oldest = self.peers.iter().min_by_key(|(_, (_, used))| *used).map(|(address, _)| *address);
            oldest.map(|address| self.peers.remove(&address));
        }
        self.peers.insert(from, (sender, self.uses));
        let Some(key) = made else { return };
        if self.sessions.len() >= MAX_SESSIONS {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id);
            oldest.map(|id| self.sessions.remove(&id));
        }
        self.sessions.insert(sender, Session { key, highest: 0, seen: 0, used: self.uses, partial: None });
    }
}

impl Session {
    fn is_new(&self, counter: u64) -> bool {
        match self.highest.checked_sub(counter) {
            None => true,
            Some(behind) => behind < WINDOW && self.seen & (1 << behind) == 0,
        }
    }

    fn see(&mut self, counter: u64) {
        match counter.checked_sub(self.highest) {
            Some(ahead) if ahead > 0 => {
                self.seen = if ahead < WINDOW { self.seen << ahead | 1 } else { 1 };
                self.highest = counter;
            }
            _ => self.seen |= 1 << (self.highest - counter),
        }
    }

    /// Puts a part to the others; the message, if that was the last one. A newer message gives up an older one.
    fn gather(&mut self, counter: u64, part: u8, parts: u8, payload: Vec<u8>) -> Option<Vec<u8>> {
        let (place, count) = (usize::from(part), usize::from(parts));
        if place >= count || count > MAX_PARTS {
            return None;
        }
        if count == 1 {
            return Some(payload);
        }
        let first = counter.checked_sub(u64::from(part))?;
        let fits = |partial: &Partial| partial.first == first && partial.parts.len() == count;
        if !self.partial.as_ref().is_some_and(fits) {
            if self.partial.as_ref().is_some_and(|partial| partial.first > first) {
                return None;
            }
            self.partial = Some(Partial { first, parts: vec![None; count] });
        }
        let partial = self.partial.as_mut()?;
        partial.parts[place] = Some(payload);
        if partial.parts.iter().any(Option::is_none) {
            return None;
        }
        Some(self.partial.take()?.parts.into_iter().flatten().flatten().collect())
    }
}

#[cfg(test)]
mod tests;
