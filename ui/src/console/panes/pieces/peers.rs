//! Numbers beside the lanes: the node's own, and a row per peer.

use ratatui::layout::Rect;
use skep_engine::control::{PeerRow, PeerState, TransferDetail, TransferKind, TransferRow};

use super::{Cell, Shape, lanes};
use crate::console::panes::{Context, PaneId};
use crate::console::theme::Token;
use crate::console::widgets::Canvas;
use crate::console::widgets::format::{Bytes, Rate, Ratio};

/// The numbers of the node itself: sums over all peers.
pub fn own(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, row: &TransferRow) {
    for place in &shape.columns {
        let (x, width) = (shape.inner.x + 2 + place.x, place.width);
        match place.key {
            Cell::Peer => {
                canvas.text(x, y, width, "this node", Token::Strong);
            }
            Cell::Down => number(canvas, x, y, width, row.rate_down, Token::Down, Rate),
            Cell::Up => number(canvas, x, y, width, row.rate_up, Token::Up, Rate),
            Cell::Got => number(canvas, x, y, width, row.bytes_down, Token::Text, Bytes),
            Cell::Sent => number(canvas, x, y, width, row.bytes_up, Token::Text, Bytes),
            Cell::Ratio => {
                canvas.right(x, y, width, format_args!("{}", Ratio(row.bytes_up, row.bytes_down)), Token::Text);
            }
            Cell::Map | Cell::Gives | Cell::Gets | Cell::Rtt | Cell::Requests => {}
        }
    }
}

/// The peers on screen.
pub fn rows(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, detail: &TransferDetail, context: Context<'_>) {
    let model = context.model;
    if detail.peers.is_empty() && shape.peer_rows > 0 {
        let row = model.selected().map_or(Default::default(), |row| (row.kind, row.state.is_settled()));
        canvas.text(shape.inner.x + 2, y, shape.inner.width.saturating_sub(3), nobody(row), Token::Muted);
    }
    for (line, (at, cells)) in context.derived.lanes.iter().enumerate().take(shape.peer_rows) {
        let Some(peer) = detail.peers.get(*at) else { continue };
        let y = y + line as u16;
        let faded = matches!(peer.state, PeerState::Known | PeerState::Failing | PeerState::Banned);
        lanes::peer(canvas, shape, y, cells, faded);
        row(canvas, shape, y, peer);
        if model.pieces.selected.as_deref() == Some(&peer.endpoint) {
            canvas.glyph(shape.inner.x, y, canvas.glyphs.cursor, Token::Cursor);
            let focused = model.focus == PaneId::Pieces && model.overlays.is_empty();
            let token = if focused { Token::Selected } else { Token::SelectedDim };
            canvas.wash(Rect::new(shape.inner.x + 1, y, shape.inner.width - 1, 1), token);
        }
    }
}

/// What is said where there is no peer.
fn nobody((kind, settled): (TransferKind, bool)) -> &'static str {
    match (kind, settled) {
        (TransferKind::Receive, _) => "nobody sends anything of it now",
        (TransferKind::Share, false) => "nobody fetches it now",
        (_, true) => "it does not run: no peer is connected",
        (_, false) => "no peer is known yet",
    }
}

fn row(canvas: &mut Canvas<'_>, shape: &Shape, y: u16, peer: &PeerRow) {
    for place in &shape.columns {
        let (x, width) = (shape.inner.x + 2 + place.x, place.width);
        match place.key {
            Cell::Peer => {
                canvas.text(x, y, width, short_endpoint(&peer.endpoint), Token::Text);
            }
            Cell::Map => {}
            Cell::Gives => {
                let (word, token) = gives(peer);
                canvas.text(x, y, width, word, token);
            }
            Cell::Gets => {
                let (word, token) = gets(peer);
                canvas.text(x, y, width, word, token);
            }
            Cell::Down => number(canvas, x, y, width, peer.rate_down, Token::Down, Rate),
            Cell::Up => number(canvas, x, y, width, peer.rate_up, Token::Up, Rate),
            Cell::Got => number(canvas, x, y, width, peer.bytes_down, Token::Muted, Bytes),
            Cell::Sent => number(canvas, x, y, width, peer.bytes_up, Token::Muted, Bytes),
            Cell::Ratio => {
                if peer.bytes_up > 0 || peer.bytes_down > 0 {
                    let ratio = Ratio(peer.bytes_up, peer.bytes_down);
                    canvas.right(x, y, width, format_args!("{ratio}"), Token::Muted);
                }
            }
            Cell::Rtt => {
                if let Some(rtt) = peer.rtt_ms.filter(|r| r.is_finite() && *r >= 0.0) {
                    let digits = usize::from(rtt < 9.95);
                    canvas.right(x, y, width, format_args!("{:.digits$}ms", rtt.min(9999.0)), Token::Muted);
                }
            }
            Cell::Requests => {
                if peer.window > 0 || peer.active > 0 {
                    canvas.right(x, y, width, format_args!("{}/{}", peer.active, peer.window), Token::Muted);
                }
            }
        }
    }
}

/// What more there is to say of the selected peer, or what the glyphs mean.
pub fn note(canvas: &mut Canvas<'_>, shape: &Shape, detail: &TransferDetail, context: Context<'_>) {
    let (x, y) = (shape.inner.x + 2, shape.inner.bottom() - 1);
    let mut room = shape.inner.width.saturating_sub(3);
    let view = &context.model.pieces;
    let peers = detail.peers.len();
    if peers > shape.peer_rows {
        let last = (view.top + shape.peer_rows).min(peers);
        let used = canvas.right(x, y, room, format_args!("{}-{last} of {peers} peers", view.top + 1), Token::Muted);
        room = room.saturating_sub(used + 2);
    }
    let peer = view.selected.as_deref().and_then(|name| detail.peers.iter().find(|p| p.endpoint == name));
    match peer {
        Some(peer) if !peer.note.is_empty() => {
            let used = canvas.left(x, y, room, format_args!("{}: ", short_endpoint(&peer.endpoint)), Token::Muted);
            canvas.text(x + used, y, room.saturating_sub(used), &peer.note, Token::Text);
        }
        _ => legend(canvas, x, y, room),
    }
}

/// What the glyphs of the map mean, as far as there is room.
fn legend(canvas: &mut Canvas<'_>, x: u16, y: u16, room: u16) {
    let glyphs = canvas.glyphs;
    let entries: [(&[&'static str], &str, Token); 5] = [
        (&[glyphs.have], "have", Token::MapHave),
        (&glyphs.missing, "some to all missing", Token::MapMissing),
        (&[glyphs.flight], "in flight", Token::MapFlight),
        (&["0", "1"], "rare: nobody, or one peer has it", Token::MapRare),
        (&[glyphs.failed], "failed its digest", Token::MapFailed),
    ];
    super::legend(canvas, x, y, x + room, &entries);
}

/// Does it give to us?
fn gives(peer: &PeerRow) -> (&'static str, Token) {
    match peer.state {
        PeerState::Banned => ("BANNED", Token::Error),
        PeerState::Failing => ("fails", Token::Warn),
        PeerState::Known => ("known", Token::Faint),
        PeerState::Connected if peer.chokes_us => ("choked", Token::Paused),
        PeerState::Connected if peer.mirror => ("mirror", Token::Running),
        PeerState::Connected => ("open", Token::Running),
    }
}

/// Does it get from us?
fn gets(peer: &PeerRow) -> (&'static str, Token) {
    if peer.mirror || peer.state != PeerState::Connected {
        return ("", Token::Faint);
    }
    match (peer.interested, peer.choked_by_us, peer.optimistic) {
        (false, ..) => ("idle", Token::Faint),
        (true, _, true) => ("optim.", Token::Wish),
        (true, true, false) => ("choked", Token::Paused),
        (true, false, false) => ("open", Token::Seeding),
    }
}

/// An endpoint without what all of them share.
fn short_endpoint(endpoint: &str) -> &str {
    let bare = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    bare.strip_suffix('/').unwrap_or(bare)
}

fn number<T: std::fmt::Display>(
    canvas: &mut Canvas<'_>,
    x: u16,
    y: u16,
    width: u16,
    value: u64,
    token: Token,
    shown: impl Fn(u64) -> T,
) {
    if value > 0 {
        canvas.right(x, y, width, format_args!("{}", shown(value)), token);
    }
}
