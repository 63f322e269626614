//! Where everything stands: a pure function of the model, so that `reduce` can ask it too (how many
//! rows make a page, what was clicked).

use ratatui::layout::Rect;

use crate::console::model::Model;
use crate::console::panes::{PaneId, pieces};

/// Smallest screen with panes on it.
pub const MIN_SIZE: (u16, u16) = (40, 10);

/// Lines of a header with charts.
pub const TALL_HEADER: u16 = 4;

/// Areas of a frame. Panes touch but never overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The line on top, with charts below it on a large screen.
    pub header: Rect,
    /// Panes on screen, from top to bottom.
    pub panes: Vec<(PaneId, Rect)>,
    /// The line at the bottom.
    pub footer: Rect,
    /// Too small for panes: one line says so.
    pub tiny: bool,
}

impl Layout {
    /// The layout of a model.
    pub fn of(model: &Model) -> Self {
        let (width, height) = model.size;
        if width < MIN_SIZE.0 || height < MIN_SIZE.1 {
            let nothing = Rect::new(0, 0, 0, 0);
            return Self { header: nothing, panes: Vec::new(), footer: nothing, tiny: true };
        }
        // Charts of what the node moves, where nothing else needs the room.
        let header = if width >= 100 && height >= 40 { TALL_HEADER } else { 1 };
        let body = Rect::new(0, header, width, height - header - 1);
        let heights = match model.expanded {
            Some(pane) => vec![(pane, body.height)],
            None => {
                let paths = model.selected().map_or(0, |row| row.paths.len());
                // Lines below the map: peers, or what stands in their place.
                let peers = match (model.selected(), model.detail()) {
                    (Some(row), Some(detail)) => pieces::lanes_below(row, detail),
                    _ => 0,
                };
                let content = Content {
                    transfers: model.transfers.rows.len(),
                    peers,
                    paths,
                    links: model.snapshot.links.len(),
                    queued: model.snapshot.queue.rows.len(),
                    nodes: model.snapshot.pool.nodes.len(),
                };
                share(body.height, content, model.focus, &model.hidden)
            }
        };
        let mut y = body.y;
        let mut panes = Vec::with_capacity(heights.len());
        for (id, height) in heights {
            panes.push((id, Rect::new(0, y, width, height)));
            y += height;
        }
        Self { header: Rect::new(0, 0, width, header), panes, footer: Rect::new(0, height - 1, width, 1), tiny: false }
    }

    /// The area of a pane, if it is on screen.
    pub fn area(&self, id: PaneId) -> Option<Rect> {
        self.panes.iter().find(|(pane, _)| *pane == id).map(|(_, area)| *area)
    }
}

/// How much there is to show.
#[derive(Debug, Clone, Copy)]
struct Content {
    transfers: usize,
    peers: usize,
    /// Of the selected transfer; 0 if it is no push.
    paths: usize,
    links: usize,
    queued: usize,
    nodes: usize,
}

/// Fewest lines of the pieces that say something.
const PIECES: u16 = 7;
/// Fewest lines of link, queue and nodes that say something.
const LEAST_OTHER: u16 = 8;
/// From this height on link, queue and nodes have a place beside pieces and paths.
const TALL: u16 = 46;
/// Below this height the log gives way to link, queue and nodes where they have the keys.
const LOG_BESIDE: u16 = 30;

/// Heights of the panes. With little room the log goes first, then one of pieces and paths, then all but
/// the focused pane. The paths have a place where the selected transfer has some, where they have the keys,
/// and where nothing else has it. Link, queue and nodes have a place where they have the keys, where pieces and
/// paths are hidden, and on a high screen where there is something in them.
fn share(height: u16, content: Content, focus: PaneId, hidden: &[PaneId]) -> Vec<(PaneId, u16)> {
    use PaneId::{Link, Log, Nodes, Paths, Pieces, Queue, Transfers};
    if height < 14 {
        return vec![(focus, height)];
    }
    let shown = |pane: PaneId| pane == focus || !hidden.contains(&pane);
    let tall = height >= TALL;
    let mut details: Vec<PaneId> = Vec::new();
    if shown(Pieces) {
        details.push(Pieces);
    }
    let (list, mut log) = (shown(Transfers), shown(Log));
    let others = shown(Link) || shown(Queue) || shown(Nodes);
    if focus == Paths || (shown(Paths) && (content.paths > 0 || !(shown(Pieces) || log || others))) {
        details.push(Paths);
    }
    let room_for = |pane: PaneId, some: bool| {
        let instead = details.is_empty() && hidden.contains(&Pieces) && (some || hidden.contains(&Paths));
        focus == pane || (shown(pane) && (instead || (tall && some)))
    };
    let mut others: Vec<PaneId> = Vec::new();
    if room_for(Link, content.links > 0) {
        others.push(Link);
    }
    if room_for(Queue, content.queued > 0) {
        others.push(Queue);
    }
    if room_for(Nodes, content.nodes > 0) {
        others.push(Nodes);
    }
    // What has the keys goes before what explains another pane.
    if others.contains(&focus) && !tall {
        details.clear();
    }
    let nothing = |details: &[PaneId], others: &[PaneId]| details.is_empty() && others.is_empty();
    if height < LOG_BESIDE && others.contains(&focus) && list {
        log = false;
    }
    if height < 20 && list && log && !nothing(&details, &others) {
        // The log shares the lower half's place with the others: whichever has the focus.
        log = focus == Log;
        if log {
            details.clear();
            others.clear();
        }
    }
    let alone = nothing(&details, &others);
    let log_height = match (log, alone, list) {
        (false, ..) => 0,
        (true, true, false) => height,
        (true, true, true) if height < 20 => height - wanted(content.transfers).min(height / 2),
        (true, true, true) => (height / 5).clamp(5, 14).max(height / 3),
        (true, false, _) => (height / 5).clamp(5, 14),
    };
    let room = height - log_height;
    let list_height = match (list, alone) {
        (false, _) => 0,
        (true, true) => room,
        // Charts and what waits need more room than peers do.
        (true, false) => wanted(content.transfers).min(if others.is_empty() { room / 2 } else { (room / 3).max(5) }),
    };
    let mut panes = Vec::with_capacity(PaneId::ALL.len());
    if list {
        panes.push((Transfers, list_height));
    }
    let room = room - list_height;
    let others = divide_others(room, &others, !details.is_empty(), content, focus, list && log);
    let taken: u16 = others.iter().map(|(_, height)| height).sum();
    let used = divide(room - taken, &details, content, focus, list && log, &mut panes) + taken;
    panes.extend(others);
    if log {
        panes.push((Log, log_height + room - used));
    }
    panes
}

/// Heights of link, queue and nodes. `beside`: pieces or paths need room, too; they have what is left. `spare`: the log takes
/// what is left.
fn divide_others(
    room: u16,
    others: &[PaneId],
    beside: bool,
    content: Content,
    focus: PaneId,
    spare: bool,
) -> Vec<(PaneId, u16)> {
    let rows = |count: usize, most: usize| count.clamp(1, most) as u16;
    let wanted = |pane: PaneId| match (pane, beside) {
        // Rows, what is said of one, charts.
        (PaneId::Link, true) => rows(content.links, 4) + 14,
        (PaneId::Link, false) => rows(content.links, 8) + 24,
        (PaneId::Nodes, true) => rows(content.nodes, 6) + 7,
        (PaneId::Nodes, false) => rows(content.nodes, 100) + 13,
        (_, true) => rows(content.queued, 6) + 7,
        (_, false) => rows(content.queued, 100) + 7,
    };
    match *others {
        [one] if beside => {
            let kept = if focus == one { PIECES } else { PIECES * 2 };
            let height = wanted(one).min(room.saturating_sub(kept));
            Vec::from_iter((height >= LEAST_OTHER).then_some((one, height)))
        }
        [one] => vec![(one, if spare { wanted(one).min(room) } else { room })],
        [_, _, ..] => {
            let left = if beside { room.saturating_sub(PIECES * 2) } else { room };
            let many = others.len() as u16;
            if left < LEAST_OTHER * many {
                // One less: whichever has the keys stays, else the first ones.
                let last = others.iter().rposition(|pane| *pane != focus).unwrap_or(0);
                let fewer: Vec<PaneId> = [&others[..last], &others[last + 1..]].concat();
                return divide_others(room, &fewer, beside, content, focus, spare);
            }
            // One has what the others leave: the nodes where they have the keys, else the first.
            let main = if focus == PaneId::Nodes { focus } else { others[0] };
            let height = |pane: PaneId| wanted(pane).min((left / (many + 1)).max(LEAST_OTHER));
            let rest: u16 = others.iter().filter(|pane| **pane != main).map(|pane| height(*pane)).sum();
            let most = if beside || spare { wanted(main).min(left - rest) } else { left - rest };
            others.iter().map(|pane| (*pane, if *pane == main { most } else { height(*pane) })).collect()
        }
        _ => Vec::new(),
    }
}

/// Divides the place of pieces and paths; gives what is used of it. `spare`: the log takes what is left.
fn divide(
    room: u16,
    details: &[PaneId],
    content: Content,
    focus: PaneId,
    spare: bool,
    panes: &mut Vec<(PaneId, u16)>,
) -> u16 {
    use PaneId::{Paths, Pieces};
    // In steps of four peers, and a grid of all pieces below.
    let pieces = (content.peers.clamp(4, 400) as u16).div_ceil(4) * 4 + 7 + 8;
    // Headings, a change at least, all of them at most.
    let rows = content.paths.clamp(2, 16) as u16;
    let (least, most) = (rows.min(8) + 4, rows + 12);
    let one = |pane: PaneId| {
        let wanted = if pane == Pieces { pieces } else { most };
        (pane, if spare { wanted.min(room) } else { room })
    };
    match details {
        [] => return 0,
        [pane] => panes.push(one(*pane)),
        _ if room >= least + PIECES => {
            // Three changes are enough beside the pieces, and more only where those have all they can use.
            let paths = (least + 2).min(room - PIECES).max((room.saturating_sub(pieces)).min(most));
            let pieces = if spare { pieces.min(room - paths) } else { room - paths };
            panes.extend([(Pieces, pieces), (Paths, paths)]);
        }
        // A push over several ways is told best by those.
        _ if focus == Paths || (focus != Pieces && content.paths > 1) => panes.push(one(Paths)),
        _ => panes.push(one(Pieces)),
    }
    panes.iter().filter(|(pane, _)| details.contains(pane)).map(|(_, height)| height).sum()
}

/// The list is as high as it needs in steps of three rows, so that it does not jump with every
/// transfer.
fn wanted(transfers: usize) -> u16 {
    (transfers.min(100) as u16).div_ceil(3).max(1) * 3 + 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lowest screen with two panes.
    #[test]
    fn a_low_screen_has_room_for_the_list_beside_a_link() {
        let none = Content { transfers: 0, peers: 0, paths: 0, links: 0, queued: 0, nodes: 0 };
        assert_eq!(share(14, none, PaneId::Link, &[]), [(PaneId::Transfers, 5), (PaneId::Link, 9)]);
    }

    proptest! {
        #[test]
        fn panes_fill_the_body_and_none_is_empty(
            height in 8u16..300, transfers in 0usize..2000, peers in 0usize..5000, paths in 0usize..17,
            links in 0usize..300, queued in 0usize..1001, nodes in 0usize..4_097,
            focus in 0usize..7, hidden in proptest::collection::vec(0usize..7, 0..7)
        ) {
            let focus = PaneId::ALL[focus];
            let hidden: Vec<PaneId> = hidden.into_iter().map(|at| PaneId::ALL[at]).collect();
            let panes = share(height, Content { transfers, peers, paths, links, queued, nodes }, focus, &hidden);
            prop_assert_eq!(panes.iter().map(|p| p.1).sum::<u16>(), height);
            prop_assert!(panes.iter().all(|p| p.1 >= 5), "{:?}", panes);
            prop_assert!(panes.iter().all(|p| p.0 == focus || !hidden.contains(&p.0)));
            prop_assert!(panes.iter().any(|p| p.0 == focus), "the pane with the keys is on screen");
            prop_assert!(panes.is_sorted_by_key(|p| p.0), "from top to bottom");
        }
    }
}
