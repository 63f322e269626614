//! Where there are no paths: what they are, and how to get them.

use ratatui::layout::Rect;
use skep_engine::control::TransferKind;

use crate::console::action::Action;
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::Canvas;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, inner: Rect, context: Context<'_>) {
    let model = context.model;
    let key = |action| model.keymap.label(action);
    let pieces = key(Action::Focus(crate::console::panes::PaneId::Pieces));
    let first = match model.selected() {
        None => "No transfer is selected.".to_owned(),
        Some(row) if row.kind == TransferKind::Fetch => {
            format!("This is a fetch: it draws on peers ({pieces} shows them), not on paths.")
        }
        Some(row) if row.kind == TransferKind::Receive => {
            "This is received: the paths that it comes by are shown where it is sent.".to_owned()
        }
        Some(row) if row.kind == TransferKind::Sync => {
            "This is a sync: its paths are shown as soon as it has files to send whole.".to_owned()
        }
        Some(row) if row.kind == TransferKind::Send => "Its paths are not known yet.".to_owned(),
        Some(_) => format!("This is shared: others fetch it ({pieces} shows them). It has no paths."),
    };
    let send = key(Action::Send);
    let lines = [
        (first, Token::Text),
        (
            "Paths are the ways of a push to its receiver. Several at once, over several uplinks or to several \
             addresses, add their bandwidths up; each is scored, weighed and watched here."
                .to_owned(),
            Token::Muted,
        ),
        (
            format!(
                "{send} sends a file or folder: name further addresses of the receiver, or the interfaces to leave by. \
                 On the command line: skep send FILE http://HOST:7070/ --via eth0 --via wlan0"
            ),
            Token::Muted,
        ),
    ];
    let area = Rect { x: inner.x + 2, width: inner.width.saturating_sub(3), ..inner };
    canvas.paragraphs(area, lines);
}
