//! What a transfer's state column says: a word, a glyph and a meaning.

use skep_engine::control::{TransferRow, TransferState};

use crate::console::glyphs::Glyphs;
use crate::console::model::wish::WishKind;
use crate::console::theme::Token;

/// Seconds without a byte after which a running transfer is called stalled.
pub const STALLED_S: u64 = 5;

/// A state as it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    /// In capitals, nine columns at most.
    pub word: &'static str,
    /// Which glyph of a set.
    pub glyph: fn(&Glyphs) -> &'static str,
    /// What it means.
    pub token: Token,
}

/// True if it should move bytes and does not.
pub fn is_stalled(row: &TransferRow) -> bool {
    row.state == TransferState::Running && row.stalled_s >= STALLED_S
}

/// The state of a row, or what was wished of it: a wish is shown as what it is until it is a fact.
pub fn of(row: &TransferRow, wish: Option<WishKind>) -> Status {
    use TransferState as S;
    let status = |word, glyph, token| Status { word, glyph, token };
    if let Some(wish) = wish {
        return status(wish.word(), |g| g.wish, Token::Wish);
    }
    match row.state {
        S::Running if is_stalled(row) => status("STALLED", |g| g.stalled, Token::Warn),
        S::Running => status("RUNNING", |g| g.running, Token::Running),
        S::Queued => status("QUEUED", |g| g.queued, Token::Waiting),
        S::Starting => status("STARTING", |g| g.busy, Token::Waiting),
        S::Checking => status("CHECKING", |g| g.busy, Token::Waiting),
        S::Pausing => status("PAUSING", |g| g.wish, Token::Wish),
        S::Paused => status("PAUSED", |g| g.paused, Token::Paused),
        S::Seeding => status("SEEDING", |g| g.seeding, Token::Seeding),
        S::Done => status("DONE", |g| g.done, Token::Done),
        S::Failed => status("FAILED", |g| g.error, Token::Error),
        S::Cancelled => status("CANCELLED", |g| g.cancelled, Token::Muted),
    }
}
