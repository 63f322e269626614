//! What a sync or a delta does, in a line: `matching 62% 310 MB/s · sending 32% · 61.2 MB found there`.

use std::fmt;

use skep_engine::control::{Phase, PhaseRow, TransferRow};

use crate::console::widgets::format::{Bytes, Count, Percent, Rate};

/// The line of a row; empty for what has no phases.
#[derive(Debug, Clone, Copy)]
pub struct Phases<'a>(pub &'a TransferRow, pub &'static str);

impl Phases<'_> {
    /// True if there is something to say.
    pub fn is_some(&self) -> bool {
        self.0.delta.is_some() || !self.0.phases.is_empty()
    }
}

/// How far one kind of work is: `matching 62% 310 MB/s`.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a>(pub &'a PhaseRow);

impl fmt::Display for Share<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PhaseRow { phase, done, total, rate, active } = *self.0;
        f.write_str(phase.name())?;
        match (total, active) {
            (0, true) => f.write_str("…")?,
            (0, false) => return Ok(()),
            (_, _) if done >= total && phase.counts_entries() => write!(f, " {}", Count(total))?,
            (_, _) => write!(f, " {}", Percent { part: done, whole: total })?,
        }
        if rate > 0 && active && !phase.counts_entries() {
            write!(f, " {}", Rate(rate))?;
        }
        Ok(())
    }
}

impl fmt::Display for Phases<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(row, dot) = self;
        let mut first = true;
        let mut apart = |f: &mut fmt::Formatter<'_>| {
            if std::mem::take(&mut first) { Ok(()) } else { write!(f, " {dot} ") }
        };
        // Of what is over only the numbers below matter.
        if !row.state.is_settled() {
            for phase in row.phases.iter().filter(|phase| phase.active) {
                apart(f)?;
                write!(f, "{}", Share(phase))?;
            }
        }
        if let Some(delta) = &row.delta {
            if let Some(saved) = delta.savings_percent {
                apart(f)?;
                write!(f, "{saved:.1}% saved: {} on the wire", Bytes(row.wire_bytes))?;
            }
            if delta.matched + delta.literal > 0 {
                apart(f)?;
                write!(f, "{} found there", Bytes(delta.matched))?;
                let unsent = row.phases.iter().any(|phase| phase.phase == Phase::Sending) || delta.sent > 0;
                if unsent && delta.sent < delta.literal {
                    write!(f, ", {} of {} sent", Bytes(delta.sent), Bytes(delta.literal))?;
                } else if delta.literal > 0 && unsent {
                    write!(f, ", {} sent", Bytes(delta.literal))?;
                }
            }
        } else if let Some(totals) = &row.sync
            && row.state.is_settled()
        {
            apart(f)?;
            if totals.is_nothing() {
                write!(f, "all {} entries were equal", Count(totals.entries))?;
            } else {
                let sent = totals.new + totals.changed;
                let rest = totals.copied + totals.linked + totals.symlinks + totals.folders + totals.touched;
                let counts =
                    [(sent, "sent"), (totals.moved, "moved"), (totals.deleted, "deleted"), (rest, "put in order")];
                for (at, (count, word)) in counts.into_iter().filter(|(count, _)| *count > 0).enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{} {word}", Count(count))?;
                }
                write!(f, " of {} entries", Count(totals.entries))?;
            }
            write!(f, "; {} on the wire", Bytes(row.wire_bytes))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::control::sync::Totals;
    use skep_engine::control::{DeltaRow, TransferState};

    fn line(row: &TransferRow) -> String {
        Phases(row, "·").to_string()
    }

    #[test]
    fn phases_that_overlap_are_told_side_by_side() {
        let phase = |phase, done, total, rate, active| PhaseRow { phase, done, total, rate, active };
        let mut row = TransferRow {
            state: TransferState::Running,
            delta: Some(DeltaRow { matched: 61_200_000, literal: 2_800_000, sent: 900_000, ..DeltaRow::default() }),
            phases: vec![
                phase(Phase::Signatures, 64, 64, 900_000_000, false),
                phase(Phase::Matching, 62, 100, 310_000_000, true),
                phase(Phase::Sending, 32, 100, 500_000, true),
                phase(Phase::Patching, 0, 0, 0, true),
            ],
            ..TransferRow::default()
        };
        assert_eq!(
            line(&row),
            "matching 62% 310 MB/s · sending 32% 500 kB/s · patching… · \
             61.2 MB found there, 900 kB of 2.80 MB sent"
        );
        row.state = TransferState::Done;
        row.wire_bytes = 2_900_000;
        row.delta = Some(DeltaRow {
            matched: 61_200_000,
            literal: 2_800_000,
            sent: 2_800_000,
            savings_percent: Some(95.47),
            ..DeltaRow::default()
        });
        assert_eq!(line(&row), "95.5% saved: 2.90 MB on the wire · 61.2 MB found there, 2.80 MB sent");
    }

    #[test]
    fn a_sync_says_what_it_did() {
        let scanning = PhaseRow { active: false, ..PhaseRow::at(Phase::Scanning, 1_312, 1_312) };
        let mut row = TransferRow {
            state: TransferState::Checking,
            phases: vec![scanning, PhaseRow::at(Phase::Comparing, 0, 0)],
            ..TransferRow::default()
        };
        assert_eq!(line(&row), "comparing…");
        row.state = TransferState::Done;
        row.wire_bytes = 4_200;
        row.sync = Some(Totals { entries: 1_312, ..Totals::default() });
        assert_eq!(line(&row), "all 1,312 entries were equal; 4.20 kB on the wire");
        row.sync = Some(Totals { entries: 1_312, new: 3, changed: 1, deleted: 2, ..Totals::default() });
        assert_eq!(line(&row), "4 sent, 2 deleted of 1,312 entries; 4.20 kB on the wire");
        assert!(!Phases(&TransferRow::default(), "·").is_some());
    }
}
