//! Whom digests may tell of: a digest goes out whole, so there is only so much room in one, and the crate breaks where its own
//! does not fit. Whoever is told of first stays; for whom there is no room is cut out of what comes, and so is never known.
//! Pure: times are ms of this node's clock.
//!
//! A message of gossip that carries a digest: two bytes of mark, the version, the kind (0 syn, 1 syn-ack), then how many (two
//! bytes, little endian) and for each the length of its name in two bytes, the name (empty here: it is a key like others), 8 bytes
//! generation, 1 byte `4` or `6` and its address, 2 bytes port, 24 bytes of versions. After them comes whatever is behind the digest.

use std::collections::HashMap;

use bytes::Buf as _;

/// Bytes that the digest of everybody may have: the rest of the 65,507 that the crate counts with is for news.
pub const MAX_DIGEST: usize = 60_000;
/// Versions behind each id.
const VERSIONS: usize = 24;
/// Mark, version, kind.
const HEAD: usize = 4;
/// Time between two looks for those that nobody tells of any more.
const SWEEP_MS: u64 = 1_000;

/// Who may be told of.
#[derive(Debug)]
pub struct Roster {
    /// Ids as on the wire, and when they were told of last.
    known: HashMap<Box<[u8]>, u64>,
    bytes: usize,
    forget_ms: u64,
    swept: u64,
    /// For whom there was no room since it was asked last.
    turned_away: u64,
}

/// The length of the id that `bytes` begin with; none if that is no id as they are here.
fn id_length(bytes: &[u8]) -> Option<usize> {
    let name = usize::from(bytes.get(..2)?.get_u16_le());
    let address = match bytes.get(2 + 8)? {
        4 => 4,
        6 => 16,
        _ => return None,
    };
    let length = 2 + 8 + 1 + address + 2;
    (name == 0 && bytes.len() >= length + VERSIONS).then_some(length)
}

impl Roster {
    /// Knows nobody; who was not told of for `forget_ms` makes room. Longer than the crate tells of somebody who is gone.
    pub fn new(forget_ms: u64) -> Self {
        // Room for this node itself.
        Self { known: HashMap::new(), bytes: 2 + 29 + VERSIONS, forget_ms, swept: 0, turned_away: 0 }
    }

    /// Those that were turned away since this was asked last.
    pub fn turned_away(&mut self) -> u64 {
        std::mem::take(&mut self.turned_away)
    }

    /// Cuts out of a message for whom there is no room; false if it is no message as they are here.
    pub fn admit(&mut self, message: &mut Vec<u8>, now: u64) -> bool {
        if !matches!(message.get(HEAD - 1), Some(0 | 1)) {
            return message.len() >= HEAD;
        }
        let Some(mut count) = message.get(HEAD..HEAD + 2) else { return false };
        let count = count.get_u16_le();
        self.sweep(now);
        // What is kept moves to the front.
        let (mut at, mut to, mut kept) = (HEAD + 2, HEAD + 2, 0u16);
        for _ in 0..count {
            let Some(length) = id_length(&message[at..]) else { return false };
            let end = at + length + VERSIONS;
            if self.is_known(&message[at..at + length], now) {
                message.copy_within(at..end, to);
                (to, kept) = (to + (end - at), kept + 1);
            } else {
                self.turned_away += 1;
            }
            at = end;
        }
        message.drain(to..at);
        message[HEAD..HEAD + 2].copy_from_slice(&kept.to_le_bytes());
        true
    }

    fn is_known(&mut self, id: &[u8], now: u64) -> bool {
        if let Some(told) = self.known.get_mut(id) {
            *told = now;
            return true;
        }
        if self.bytes + id.len() + VERSIONS > MAX_DIGEST {
            return false;
        }
        self.bytes += id.len() + VERSIONS;
        self.known.insert(id.into(), now);
        true
    }

    fn sweep(&mut self, now: u64) {
        if now.saturating_sub(self.swept) < SWEEP_MS {
            return;
        }
        self.swept = now;
        let (bytes, forget) = (&mut self.bytes, self.forget_ms);
        self.known.retain(|id, told| {
            let is_kept = now.saturating_sub(*told) < forget;
            if !is_kept {
                *bytes -= id.len() + VERSIONS;
            }
            is_kept
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u32) -> Vec<u8> {
        let mut id = vec![0, 0];
        id.extend(7u64.to_le_bytes());
        id.push(4);
        id.extend(number.to_be_bytes());
        id.extend(7_070u16.to_le_bytes());
        id
    }

    fn syn(numbers: impl IntoIterator<Item = u32>, tail: &[u8]) -> Vec<u8> {
        let ids: Vec<Vec<u8>> = numbers.into_iter().map(id).collect();
        let mut message = vec![0x53, 0xb0, 0, 0];
        message.extend((ids.len() as u16).to_le_bytes());
        for id in ids {
            message.extend(id);
            message.extend([9; VERSIONS]);
        }
        message.extend(tail);
        message
    }

    fn admitted(roster: &mut Roster, message: Vec<u8>, now: u64) -> Vec<u8> {
        let mut message = message;
        assert!(roster.admit(&mut message, now));
        message
    }

    #[test]
    fn whoever_is_known_stays_and_there_is_only_so_much_room() {
        let mut roster = Roster::new(1_000);
        let first = syn(0..1_000, b"pool");
        assert_eq!(admitted(&mut roster, first.clone(), 0), first, "as it came");
        // A hostile one tells of as many others, again and again.
        for round in 1..50u32 {
            let flood = syn(round * 10_000..round * 10_000 + 1_400, b"pool");
            let left = admitted(&mut roster, flood, 1);
            assert!(left.ends_with(b"pool"));
        }
        assert!(roster.bytes <= MAX_DIGEST && roster.known.len() < 1_500, "{}", roster.known.len());
        assert!(roster.turned_away() > 60_000 && roster.turned_away() == 0);
        assert_eq!(admitted(&mut roster, first.clone(), 999), first, "the old ones are still told of");
        assert_eq!(admitted(&mut roster, syn([0, 77_777, 1], b"x"), 999), syn([0, 1], b"x"));
        // Those that nobody tells of make room.
        assert_eq!(admitted(&mut roster, syn([77_777], b"x"), 1_999), syn([77_777], b"x"));
        assert_eq!(roster.known.len(), 1);
        assert_eq!(roster.bytes, Roster::new(0).bytes + 17 + VERSIONS);
    }

    #[test]
    fn a_name_in_an_id_is_none_of_ours() {
        let mut roster = Roster::new(1_000);
        let mut message = syn([1], b"x");
        message[HEAD + 2] = 1;
        assert!(!roster.admit(&mut message, 0));
        let mut other = vec![0x53, 0xb0, 0, 2, 1, 2, 3];
        assert!(roster.admit(&mut other, 0), "what has no digest is as it was");
        assert_eq!(other, [0x53, 0xb0, 0, 2, 1, 2, 3]);
        assert!(roster.known.is_empty());
    }

    proptest! {
        #[test]
        fn whatever_comes_it_does_not_break(mut message: Vec<u8>, count: u16, tail: Vec<u8>) {
            let mut roster = Roster::new(1_000);
            roster.admit(&mut message, 0);
            let mut message = syn(0..3, &tail);
            message[HEAD..HEAD + 2].copy_from_slice(&count.to_le_bytes());
            roster.admit(&mut message, 0);
        }
    }
}
