//! Requests: what the driver is told to fetch, and what becomes of it.

use std::time::{Duration, Instant};

use crate::swarm::peers::PeerKey;

/// Lengths of the pieces of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceSizes {
    /// Pieces.
    pub count: u32,
    /// Bytes of each but the last.
    pub length: u64,
    /// Bytes of the last.
    pub last: u64,
}

impl PieceSizes {
    /// Of `size` bytes in pieces of `length`.
    pub fn of(size: u64, length: u64) -> Self {
        let length = length.max(1);
        let count = size.div_ceil(length).min(u64::from(u32::MAX)) as u32;
        let last = size - u64::from(count.saturating_sub(1)) * length;
        Self { count, length, last }
    }

    /// Bytes of one piece.
    pub fn size(&self, piece: u32) -> u64 {
        if piece + 1 == self.count { self.last } else { self.length }
    }

    /// Bytes of `count` pieces from `first` on.
    pub fn run(&self, first: u32, count: u32) -> u64 {
        match count {
            0 => 0,
            _ => u64::from(count - 1) * self.length + self.size(first + count - 1),
        }
    }
}

/// Names a request within its download; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Why this piece, at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// So few connected peers have it.
    Rarest {
        /// Peers that have it.
        availability: u32,
    },
    /// One of the first of an empty leecher: any, so that there is soon something to trade.
    First,
    /// The lowest that can be had.
    Sequential,
    /// Any.
    Random,
    /// Nobody else can give it now, so a source is asked although it should be spared.
    NotSpared,
    /// Everything else is asked for: a second copy of what takes longest.
    Endgame {
        /// The first copy.
        of: RequestId,
    },
    /// A second copy of a request that is much slower than the others.
    Slow {
        /// The first copy.
        of: RequestId,
    },
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rarest { availability: 1 } => write!(f, "rarest: 1 peer has it"),
            Self::Rarest { availability } => write!(f, "rarest: {availability} peers have it"),
            Self::First => f.write_str("first pieces: any, to have something to trade"),
            Self::Sequential => f.write_str("next in line"),
            Self::Random => f.write_str("at random"),
            Self::NotSpared => f.write_str("nobody else can give it now"),
            Self::Endgame { .. } => f.write_str("endgame: second copy"),
            Self::Slow { .. } => f.write_str("second copy of a slow request"),
        }
    }
}

/// Fetch these pieces from this peer, in this order, in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Its name in all that follows.
    pub id: RequestId,
    /// Whom to ask.
    pub peer: PeerKey,
    /// First piece.
    pub first: u32,
    /// Pieces, at least 1, at most 64.
    pub count: u32,
    /// A second copy of something under way.
    pub duplicate: bool,
    /// Why this.
    pub why: Why,
}

/// How a request ended other than well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// "Choked, retry after" (503): no fault of the peer.
    Choked(Duration),
    /// It gave the first piece asked for to somebody else just now, who can give it: it is asked for
    /// it again after this time.
    Elsewhere(Duration),
    /// It does not have the piece (404, 416), whatever its bitmap said.
    Refused,
    /// A piece took too long.
    Timeout,
    /// Bytes stopped coming.
    Stall,
    /// No connection.
    Connect,
    /// The body ended too soon.
    ShortBody,
    /// The body went on behind its end, or was not what was asked for.
    TooMuch,
    /// Any other HTTP status.
    Status(u16),
    /// The connection broke, or something else on the way.
    Broken,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Choked(after) => write!(f, "choked, retry after {:.1} s", after.as_secs_f64()),
            Self::Elsewhere(_) => f.write_str("others have the piece"),
            Self::Refused => f.write_str("does not have the piece"),
            Self::Timeout => f.write_str("timed out"),
            Self::Stall => f.write_str("stalled"),
            Self::Connect => f.write_str("no connection"),
            Self::ShortBody => f.write_str("body ended too soon"),
            Self::TooMuch => f.write_str("body too long or not what was asked for"),
            Self::Status(code) => write!(f, "HTTP status {code}"),
            Self::Broken => f.write_str("connection broke"),
        }
    }
}

/// A request under way.
#[derive(Debug, Clone)]
pub(super) struct Outstanding {
    pub(super) peer: PeerKey,
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) duplicate: bool,
    /// Bit per piece of the run that need not come any more: it came, from here or elsewhere.
    pub(super) settled: u64,
    pub(super) sent: Instant,
    pub(super) first_byte: Option<Instant>,
    /// When the last byte came, or it was sent.
    pub(super) last_byte: Instant,
    /// When the last piece was complete, or it was sent.
    pub(super) last_piece: Instant,
    pub(super) bytes: u64,
    pub(super) slow: bool,
}

impl Outstanding {
    pub(super) fn pieces(&self) -> std::ops::Range<u32> {
        self.first..self.first + self.count
    }

    /// Pieces that still have to come, ascending.
    pub(super) fn unsettled(&self) -> impl DoubleEndedIterator<Item = u32> + use<> {
        let (first, settled) = (self.first, self.settled);
        self.pieces().filter(move |piece| settled >> (piece - first) & 1 == 0)
    }

    pub(super) fn settle(&mut self, piece: u32) {
        if self.pieces().contains(&piece) {
            self.settled |= 1 << (piece - self.first);
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.unsettled().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_add_up() {
        let sizes = PieceSizes::of(10, 4);
        assert_eq!(sizes, PieceSizes { count: 3, length: 4, last: 2 });
        assert_eq!((sizes.size(0), sizes.size(2), sizes.run(1, 2), sizes.run(0, 0)), (4, 2, 6, 0));
        assert_eq!(PieceSizes::of(8, 4), PieceSizes { count: 2, length: 4, last: 4 });
        assert_eq!(PieceSizes::of(0, 4).count, 0);
    }
}
