//! Byte strings that change in few places: only the runs that differ travel.

use std::sync::Arc;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ApplyError;
use crate::content::Bitmap;
use crate::content::manifest::MAX_PIECES;
use crate::control::Bits;

/// Equal bytes between two differing ones that are cheaper to send than a new run: `],[12345,""`.
const GAP: usize = 8;

/// Characters that a run takes beside its bytes.
const RUN_OVERHEAD: usize = 14;

/// Bytes that replace others, from an offset on. On the wire `[offset, base64]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Where.
    pub offset: u32,
    /// What.
    pub bytes: Vec<u8>,
}

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        (self.offset, BASE64.encode(&self.bytes)).serialize(s)
    }
}

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (offset, text) = <(u32, String)>::deserialize(d)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(de::Error::custom)?;
        Ok(Self { offset, bytes })
    }
}

/// A new byte string, or the runs in which it differs from the old one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BytesPatch {
    /// All of it, in base64.
    #[serde(skip_serializing_if = "Option::is_none", with = "base64_option")]
    pub whole: Option<Arc<Vec<u8>>>,
    /// What differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
}

impl BytesPatch {
    /// What turns `old` into `new`; `None` if they are equal.
    pub fn between(old: &Arc<Vec<u8>>, new: &Arc<Vec<u8>>) -> Option<Self> {
        if Arc::ptr_eq(old, new) || old == new {
            return None;
        }
        Some(match runs(old, new) {
            Some(runs) => Self { whole: None, runs },
            None => Self { whole: Some(Arc::clone(new)), runs: Vec::new() },
        })
    }

    /// Carries it out.
    ///
    /// # Errors
    /// [`ApplyError`] if it does not fit.
    pub fn apply(self, target: &mut Arc<Vec<u8>>) -> Result<(), ApplyError> {
        if let Some(whole) = self.whole {
            if whole.len() > MAX_PIECES {
                return Err(ApplyError("more availability than a content can have pieces"));
            }
            *target = whole;
        }
        if !self.runs.is_empty() {
            overwrite(Arc::make_mut(target).as_mut_slice(), &self.runs)?;
        }
        Ok(())
    }
}

/// A new bitmap, or the runs of its bytes that differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BitsPatch {
    /// All of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whole: Option<Bits>,
    /// What differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
}

impl BitsPatch {
    /// What turns `old` into `new`; `None` if they are equal.
    pub fn between(old: Option<&Bits>, new: &Bits) -> Option<Self> {
        if old == Some(new) {
            return None;
        }
        // A full or an empty one takes no bytes at all.
        let trivial = new.is_full() || new.count() == 0;
        let same_length = old.filter(|old| old.len() == new.len() && !trivial);
        Some(match same_length.and_then(|old| runs(old.as_bytes(), new.as_bytes())) {
            Some(runs) => Self { whole: None, runs },
            None => Self { whole: Some(new.clone()), runs: Vec::new() },
        })
    }

    /// About how many characters it takes on the wire.
    pub fn cost(&self) -> usize {
        let whole = self
            .whole
            .as_ref()
            .map_or(0, |bits| if bits.is_full() || bits.count() == 0 { 0 } else { encoded(bits.as_bytes().len()) });
        whole + self.runs.iter().map(Run::cost).sum::<usize>() + RUN_OVERHEAD
    }

    /// Carries it out.
    ///
    /// # Errors
    /// [`ApplyError`] if it does not fit.
    pub fn apply(self, old: Option<&Bits>) -> Result<Bits, ApplyError> {
        let base = match (self.whole, old) {
            (Some(whole), _) => whole,
            (None, Some(old)) => old.clone(),
            (None, None) => return Err(ApplyError("a change of a bitmap that was never sent")),
        };
        if self.runs.is_empty() {
            return Ok(base);
        }
        let mut bytes = base.as_bytes().to_vec();
        overwrite(&mut bytes, &self.runs)?;
        let map = Bitmap::from_bytes(bytes, base.len()).map_err(|_| ApplyError("a bitmap with bits behind its end"))?;
        Ok(Bits(Arc::new(map)))
    }
}

impl Run {
    fn cost(&self) -> usize {
        encoded(self.bytes.len()) + RUN_OVERHEAD
    }
}

/// Characters of base64 for so many bytes.
fn encoded(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

fn overwrite(target: &mut [u8], runs: &[Run]) -> Result<(), ApplyError> {
    for run in runs {
        let start = run.offset as usize;
        let slot = start.checked_add(run.bytes.len()).and_then(|end| target.get_mut(start..end));
        slot.ok_or(ApplyError("a change behind the end of what it changes"))?.copy_from_slice(&run.bytes);
    }
    Ok(())
}

/// The runs in which `new` differs from `old`; `None` if sending all of `new` is about as cheap.
fn runs(old: &[u8], new: &[u8]) -> Option<Vec<Run>> {
    if old.len() != new.len() || u32::try_from(new.len()).is_err() {
        return None;
    }
    let budget = encoded(new.len()) / 2;
    let mut cost = 0;
    let mut spans: Vec<(usize, usize)> = Vec::new();
    // Words first: most of a bitmap is equal most of the time.
    for (word, (a, b)) in old.chunks(8).zip(new.chunks(8)).enumerate() {
        if a == b {
            continue;
        }
        for (at, _) in a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b) {
            let at = word * 8 + at;
            match spans.last_mut() {
                Some((_, end)) if at - *end <= GAP => {
                    cost += (at + 1 - *end) * 4 / 3;
                    *end = at + 1;
                }
                _ => {
                    cost += RUN_OVERHEAD + 4;
                    spans.push((at, at + 1));
                }
            }
            if cost > budget {
                return None;
            }
        }
    }
    Some(spans.into_iter().map(|(start, end)| Run { offset: start as u32, bytes: new[start..end].to_vec() }).collect())
}

mod base64_option {
    use super::*;

    pub(super) fn serialize<S: Serializer>(bytes: &Option<Arc<Vec<u8>>>, s: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| BASE64.encode(bytes)).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Arc<Vec<u8>>>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|text| BASE64.decode(text.as_bytes()).map(Arc::new).map_err(de::Error::custom)).transpose()
    }
}
