//! What the link has a transfer do, in a few words.

use std::fmt;

use skep_engine::control::TransferRow;
use skep_engine::control::link::{LinkUse, SyncMode};

use crate::console::widgets::format::Bytes;

/// `satellite · what changed · zstd 9 · 1.24 MB saved`.
#[derive(Debug)]
pub struct Over<'a> {
    link: LinkUse,
    row: &'a TransferRow,
    dot: &'static str,
}

/// Of a transfer whose link is known.
pub fn over<'a>(row: &'a TransferRow, dot: &'static str) -> Option<Over<'a>> {
    row.over.map(|link| Over { link, row, dot })
}

impl fmt::Display for Over<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, row, dot } = self;
        f.write_str(link.class.name())?;
        if row.delta.is_some() || row.sync.is_some() {
            let what = match link.mode {
                SyncMode::Full | SyncMode::FullCompressed => "whole where that is faster",
                SyncMode::DeltaOnly | SyncMode::DeltaCompressed => "what changed",
                SyncMode::StoreAndForward => "when the link is there",
            };
            write!(f, " {dot} {what}")?;
        }
        match link.compression {
            Some(level) => write!(f, " {dot} zstd {level}")?,
            None => write!(f, " {dot} as it is")?,
        }
        if row.saved_bytes > 0 {
            write!(f, " {dot} {} saved", Bytes(row.saved_bytes))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use skep_engine::control::link::LinkClass;

    use super::*;

    #[test]
    fn a_link_is_told_with_what_follows_from_it() {
        let link = LinkUse { class: LinkClass::Satellite, mode: SyncMode::DeltaCompressed, compression: Some(9) };
        let row = TransferRow { over: Some(link), saved_bytes: 1_240_000, ..TransferRow::default() };
        assert_eq!(over(&row, "·").unwrap().to_string(), "satellite · zstd 9 · 1.24 MB saved");
        let fast = LinkUse { class: LinkClass::Fiber, mode: SyncMode::Full, compression: None };
        let row = TransferRow { over: Some(fast), sync: Some(Default::default()), ..TransferRow::default() };
        assert_eq!(over(&row, "·").unwrap().to_string(), "fiber · whole where that is faster · as it is");
        assert!(over(&TransferRow::default(), "·").is_none());
    }
}
