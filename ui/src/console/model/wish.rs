//! What was asked of the engine and is not a fact yet: a row reads PAUSING until it is paused.

use skep_engine::control::{Snapshot, TransferId, TransferRow, TransferState};

/// How long a wish is shown before the console admits that nothing came of it.
const PATIENCE_MS: u64 = 15_000;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WishKind {
    /// To pause.
    Pause,
    /// To go on.
    Resume,
    /// To stop for good.
    Cancel,
    /// To be taken off the list.
    Remove,
    /// To check its data.
    Verify,
}

impl WishKind {
    /// Its word in the state column.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pause => "PAUSING",
            Self::Resume => "RESUMING",
            Self::Cancel => "STOPPING",
            Self::Remove => "REMOVING",
            Self::Verify => "VERIFYING",
        }
    }

    fn is_fact(self, row: Option<&TransferRow>) -> bool {
        use TransferState as S;
        let Some(row) = row else { return true };
        match self {
            Self::Pause => row.state.is_settled(),
            Self::Resume => !matches!(row.state, S::Paused | S::Pausing | S::Failed),
            Self::Cancel => matches!(row.state, S::Cancelled | S::Done),
            Self::Remove => false,
            Self::Verify => row.state == S::Checking,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    id: TransferId,
    kind: WishKind,
    since_ms: u64,
}

/// Wishes under way: one per transfer at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes(Vec<Wish>);

impl Wishes {
    /// What was asked of a transfer.
    pub fn of(&self, id: TransferId) -> Option<WishKind> {
        self.0.iter().find(|w| w.id == id).map(|w| w.kind)
    }

    /// Notes a wish; it takes the place of an older one.
    pub fn add(&mut self, ids: &[TransferId], kind: WishKind, now_ms: u64) {
        self.drop_all(ids);
        self.0.extend(ids.iter().map(|id| Wish { id: *id, kind, since_ms: now_ms }));
    }

    /// Forgets wishes that were refused.
    pub fn drop_all(&mut self, ids: &[TransferId]) {
        self.0.retain(|w| !ids.contains(&w.id));
    }

    /// Forgets those that are facts now.
    pub fn settle(&mut self, snapshot: &Snapshot) {
        self.0.retain(|w| {
            let row = snapshot.transfers.iter().find(|t| t.id == w.id);
            !w.kind.is_fact(row.map(AsRef::as_ref))
        });
    }

    /// Forgets those that nothing came of, and gives their number.
    pub fn expire(&mut self, now_ms: u64) -> usize {
        let before = self.0.len();
        self.0.retain(|w| now_ms.saturating_sub(w.since_ms) < PATIENCE_MS);
        before - self.0.len()
    }

    /// True if nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
