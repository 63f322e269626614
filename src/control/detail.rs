//! Everything about the one transfer a viewer looks at.

use std::sync::Arc;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{DeltaMap, TransferId};
use crate::content::Bitmap;
use crate::content::manifest::MAX_PIECES;

/// A bitmap shared by reference. On the wire `{"len","count"}` and, unless it is empty or full,
/// `"bits"` in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits(pub Arc<Bitmap>);

impl std::ops::Deref for Bits {
    type Target = Bitmap;
    fn deref(&self) -> &Bitmap {
        &self.0
    }
}

#[derive(Serialize, Deserialize)]
struct WireBits {
    len: u32,
    count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bits: Option<String>,
}

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (len, count) = (self.0.len(), self.0.count());
        let bits = (count != 0 && count != len).then(|| BASE64.encode(self.0.as_bytes()));
        WireBits { len, count, bits }.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let wire = WireBits::deserialize(d)?;
        if wire.len as usize > MAX_PIECES {
            return Err(de::Error::custom("a bitmap of too many pieces"));
        }
        let map = match wire.bits {
            Some(text) => {
                let bytes = BASE64.decode(text.as_bytes()).map_err(de::Error::custom)?;
                Bitmap::from_bytes(bytes, wire.len).map_err(de::Error::custom)?
            }
            None if wire.count == 0 => Bitmap::empty(wire.len),
            None => Bitmap::full(wire.len),
        };
        Ok(Self(Arc::new(map)))
    }
}

/// How a peer and this node stand to one another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// Known, not spoken to yet.
    #[default]
    Known,
    /// Answers.
    Connected,
    /// Failed; tried again after a pause.
    Failing,
    /// Banned.
    Banned,
}

/// A peer of the transfer. Rates are bytes per second, seen from this node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerRow {
    /// URL or address.
    pub endpoint: String,
    /// A plain HTTP mirror: has everything, takes nothing.
    pub mirror: bool,
    /// How it stands.
    pub state: PeerState,
    /// It refuses our requests for now.
    pub chokes_us: bool,
    /// We refuse its requests for now.
    pub choked_by_us: bool,
    /// It holds our optimistic slot.
    pub optimistic: bool,
    /// It wants something of us.
    pub interested: bool,
    /// Rate from it.
    pub rate_down: u64,
    /// Rate to it.
    pub rate_up: u64,
    /// Bytes from it.
    pub bytes_down: u64,
    /// Bytes to it.
    pub bytes_up: u64,
    /// Round trip in milliseconds, once measured.
    pub rtt_ms: Option<f64>,
    /// Requests under way.
    pub active: u32,
    /// Requests that may be under way.
    pub window: u32,
    /// What it has, once known.
    pub have: Option<Bits>,
    /// Pieces asked of it now.
    pub in_flight: Vec<u32>,
    /// What there is to say: last error, when it is tried again, why the window is what it is.
    pub note: String,
}

/// A tracker of the transfer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrackerRow {
    /// URL.
    pub url: String,
    /// Peers it knew at the last answer.
    pub peers: u32,
    /// Last error, none if it answered.
    pub error: Option<String>,
    /// Next announce, ms since the epoch.
    pub next_ms: u64,
}

/// Pieces, peers and trackers of one transfer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransferDetail {
    /// Of which transfer.
    pub id: TransferId,
    /// Grows with every change of anything below: derived data is cached by it.
    pub generation: u64,
    /// Bytes per piece.
    pub piece_length: u64,
    /// What is here, verified.
    pub have: Bits,
    /// Pieces under way.
    pub in_flight: Vec<u32>,
    /// Pieces that failed their digest and are still missing.
    pub failed: Vec<u32>,
    /// Per piece how many connected peers have it, capped at 255, in base64; empty if nothing is
    /// missing. Shared, never copied per frame.
    #[serde(with = "base64_bytes")]
    pub availability: Arc<Vec<u8>>,
    /// Peers, best first.
    pub peers: Vec<PeerRow>,
    /// Trackers.
    pub trackers: Vec<TrackerRow>,
    /// Files: path made printable and size, the first 1,000.
    pub files: Arc<Vec<(String, u64)>>,
    /// Of a delta: what was found, what is sent.
    #[serde(default)]
    pub delta: Option<Arc<DeltaMap>>,
}

pub(super) mod base64_bytes {
    use super::*;

    pub(in crate::control) fn serialize<S: Serializer>(bytes: &Arc<Vec<u8>>, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&BASE64.encode(bytes))
    }

    pub(in crate::control) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Arc<Vec<u8>>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        BASE64.decode(text.as_bytes()).map(Arc::new).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_survive_the_wire() {
        let mut some = Bitmap::empty(11);
        some.set(3);
        for map in [Bitmap::empty(11), Bitmap::full(11), some, Bitmap::empty(0)] {
            let bits = Bits(Arc::new(map));
            let json = serde_json::to_string(&bits).unwrap();
            assert_eq!(serde_json::from_str::<Bits>(&json).unwrap(), bits);
        }
        assert!(serde_json::from_str::<Bits>(r#"{"len":4000000000,"count":1}"#).is_err());
    }
}
