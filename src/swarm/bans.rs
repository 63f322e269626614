//! Bans: who sent wrong data, since when and until when. The operator sees them and can lift them.
//!
//! Times are milliseconds since the epoch, as bans outlive the process; clocks jump, so every ban is
//! checked against the present: one from the future starts now, one that ends too late ends after its
//! own length. At most 10,000; the one that ends first makes room.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::content::name::printable;

/// How long a ban lasts by default.
pub const DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// The longest ban.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// Bans at once.
pub const MAX_BANS: usize = 10_000;
const MAX_TEXT: usize = 300;

/// A ban.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// `host:port` of the peer, see [`host_port`].
    pub peer: String,
    /// What it did, printable.
    pub reason: String,
    /// Since, milliseconds since the epoch.
    pub since_unix_ms: u64,
    /// Until, milliseconds since the epoch.
    pub until_unix_ms: u64,
}

/// `host:port` of an endpoint URL, in lower case, the scheme's default port filled in; any other text is
/// taken as it is. `http://H:1/x` and `H:1` are the same peer.
pub fn host_port(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    // The colons of a bare IPv6 address are not a port's.
    let bare_v6 = host.matches(':').count() > 1 && !host.starts_with('[');
    match scheme {
        "http" if !has_port || bare_v6 => format!("{host}:80"),
        "https" if !has_port || bare_v6 => format!("{host}:443"),
        _ => host,
    }
}

/// True if an operator's words name an endpoint: a host and a port, or a URL.
pub fn is_endpoint(words: &str) -> bool {
    let peer = host_port(words);
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':' | '%');
    peer.chars().all(sound)
        && peer.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// All bans of a node.
#[derive(Debug, Clone, Default)]
pub struct BanList {
    bans: BTreeMap<String, Ban>,
}

impl BanList {
    /// From what was stored. Bans that are over are left out, the rest is set right by the clock.
    pub fn restore(stored: impl IntoIterator<Item = Ban>, now_unix_ms: u64) -> Self {
        let mut list = Self::default();
        for ban in stored {
            list.insert(ban, now_unix_ms);
        }
        list
    }

    /// Bans a peer from now on; a ban that stands is replaced. Answers the ban, to be stored.
    pub fn ban(&mut self, endpoint: &str, reason: &str, length: Duration, now_unix_ms: u64) -> Ban {
        let length = length.clamp(Duration::from_secs(1), LONGEST);
        let ban = Ban {
            peer: cut(&host_port(endpoint)),
            reason: cut(reason),
            since_unix_ms: now_unix_ms,
            until_unix_ms: now_unix_ms.saturating_add(length.as_millis() as u64),
        };
        self.insert(ban.clone(), now_unix_ms);
        ban
    }

    fn insert(&mut self, mut ban: Ban, now: u64) {
        ban = clamped(ban, now);
        if ban.until_unix_ms <= now {
            return;
        }
        if self.bans.len() >= MAX_BANS && !self.bans.contains_key(&ban.peer) {
            let first = self.bans.values().min_by_key(|ban| ban.until_unix_ms).map(|ban| ban.peer.clone());
            if let Some(peer) = first {
                self.bans.remove(&peer);
            }
        }
        self.bans.insert(ban.peer.clone(), ban);
    }

    /// The ban of an endpoint, if one stands.
    pub fn get(&self, endpoint: &str, now_unix_ms: u64) -> Option<&Ban> {
        self.bans
            .get(&cut(&host_port(endpoint)))
            .filter(|ban| clamped((*ban).clone(), now_unix_ms).until_unix_ms > now_unix_ms)
    }

    /// Is the endpoint banned?
    pub fn is_banned(&self, endpoint: &str, now_unix_ms: u64) -> bool {
        self.get(endpoint, now_unix_ms).is_some()
    }

    /// Lifts a ban; `None` if there is none.
    pub fn lift(&mut self, endpoint: &str) -> Option<Ban> {
        self.bans.remove(&cut(&host_port(endpoint)))
    }

    /// Removes what is over and sets the rest right by the clock. Answers the bans that ended.
    pub fn expire(&mut self, now_unix_ms: u64) -> Vec<Ban> {
        let (over, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.bans)
            .into_values()
            .map(|ban| clamped(ban, now_unix_ms))
            .partition(|ban| ban.until_unix_ms <= now_unix_ms);
        self.bans = rest.into_iter().map(|ban| (ban.peer.clone(), ban)).collect();
        over
    }

    /// All bans, those included that are just over, by peer.
    pub fn iter(&self) -> impl Iterator<Item = &Ban> {
        self.bans.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bans.len()
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.bans.is_empty()
    }
}

/// A ban from the future keeps its length and starts now: the clock was set back.
fn clamped(mut ban: Ban, now: u64) -> Ban {
    let length = ban.until_unix_ms.saturating_sub(ban.since_unix_ms).min(LONGEST.as_millis() as u64);
    ban.since_unix_ms = ban.since_unix_ms.min(now);
    ban.until_unix_ms = ban.since_unix_ms.saturating_add(length);
    ban
}

fn cut(text: &str) -> String {
    printable(&text.chars().take(MAX_TEXT).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const DAY: u64 = 86_400_000;

    #[test]
    fn words_that_name_an_endpoint() {
        for (words, named) in [
            ("10.0.0.1:7070", true),
            ("http://H.example:1/x", true),
            ("https://h.example", true),
            ("[::1]:7070", true),
            ("h", false),
            ("h:99999", false),
            (":1", false),
            ("a b:1", false),
            ("\u{1b}[2J:1", false),
            ("", false),
        ] {
            assert_eq!(is_endpoint(words), named, "{words:?}");
        }
    }

    #[test]
    fn a_ban_holds_for_its_time_and_all_spellings() {
        let mut list = BanList::default();
        let ban = list.ban("http://H:7070/", "piece 3 does not match its digest", DEFAULT, NOW);
        assert_eq!((ban.peer.as_str(), ban.until_unix_ms), ("h:7070", NOW + DAY));
        assert!(list.is_banned("h:7070", NOW) && list.is_banned("https://h:7070/x", NOW + DAY - 1));
        assert!(!list.is_banned("h:7071", NOW) && !list.is_banned("h:7070", NOW + DAY));
        assert_eq!(list.expire(NOW + DAY).len(), 1);
        assert!(list.is_empty());
        list.ban("h:1", "x", DEFAULT, NOW);
        assert!(list.lift("http://h:1").is_some() && list.lift("h:1").is_none());
    }

    #[test]
    fn hosts_and_ports() {
        for (endpoint, peer) in [
            ("http://example.org/a", "example.org:80"),
            ("https://user@Example.org", "example.org:443"),
            ("http://[fd00::1]:7070/x?y", "[fd00::1]:7070"),
            ("http://[fd00::1]", "[fd00::1]:80"),
            ("10.0.0.1:9", "10.0.0.1:9"),
        ] {
            assert_eq!(host_port(endpoint), peer);
        }
    }

    #[test]
    fn clock_jumps_neither_lift_nor_prolong() {
        let mut list = BanList::default();
        list.ban("h:1", "x", DEFAULT, NOW);
        // Set back by a year: still banned, and for a day, not for a year and a day.
        let back = NOW - 365 * DAY;
        assert!(list.is_banned("h:1", back));
        list.expire(back);
        assert_eq!(list.get("h:1", back).unwrap().until_unix_ms, back + DAY);
        assert!(!list.is_banned("h:1", back + DAY));
        // Stored nonsense.
        let evil = Ban { peer: "h:2".into(), reason: String::new(), since_unix_ms: 0, until_unix_ms: u64::MAX };
        assert!(BanList::restore([evil.clone()], NOW).is_empty());
        let evil = Ban { since_unix_ms: u64::MAX - 5, ..evil };
        assert!(BanList::restore([evil], NOW).iter().all(|ban| ban.until_unix_ms <= NOW + 5));
    }

    #[test]
    fn hostile_names_and_numbers_of_bans_are_bounded() {
        let mut list = BanList::default();
        for n in 0..MAX_BANS as u64 + 50 {
            list.ban(&format!("h:{n}"), "x", DEFAULT, NOW + n);
        }
        assert_eq!(list.len(), MAX_BANS);
        assert!(!list.is_banned("h:49", NOW) && list.is_banned("h:50", NOW + 50));
        let ban = list.ban(&format!("\u{1b}[31m{}", "x".repeat(5000)), "\n\u{7}", DEFAULT, NOW);
        assert!(ban.peer.chars().count() < 400 && !ban.peer.contains('\u{1b}') && !ban.reason.contains('\n'));
    }
}
