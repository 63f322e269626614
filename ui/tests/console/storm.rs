//! Whatever an operator's hands do, at whatever size: the console draws and stays up.

use std::sync::Arc;

use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use skep::console::derive::Derived;
use skep::console::event::Event;
use skep::console::keymap::Key;
use skep::console::reduce::reduce;
use skep::console::view;
use skep::console::view::layout::Layout;
use skep_engine::control::Snapshot;

use super::fixture::{advance, at, console, pushing, stress};

const KEYS: &[&str] = &[
    "1",
    "2",
    "3",
    "6",
    "0",
    "7",
    "tab",
    "shift-tab",
    "j",
    "k",
    "g",
    "G",
    "pgdn",
    "pgup",
    "enter",
    "esc",
    "space",
    "p",
    "x",
    "d",
    "r",
    "v",
    "b",
    "u",
    "w",
    "F",
    "H",
    "S",
    "J",
    "K",
    "+",
    "minus",
    "ctrl-t",
    "<",
    ">",
    "L",
    "N",
    "m",
    "M",
    "o",
    "O",
    "Z",
    "h",
    "l",
    "f",
    "n",
    "A",
    "c",
    "/",
    ":",
    "?",
    "a",
    "S",
    "t",
    "e",
    ".",
    "q",
    "z",
    "s",
    "e",
    "backspace",
    "delete",
    "left",
    "right",
    "up",
    "down",
    "home",
    "end",
    "ctrl-u",
    "ctrl-w",
    "ctrl-c",
    "é",
    "日",
    "[",
    "]",
    "{",
    "}",
    "@",
    "W",
];

#[derive(Debug, Clone)]
enum Step {
    Key(usize),
    Resize(u16, u16),
    Click(u16, u16),
    Wheel(u16, u16, bool),
    Data,
    Empty,
    Paste(String),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..KEYS.len()).prop_map(Step::Key),
        2 => (0u16..220, 0u16..70).prop_map(|(w, h)| Step::Resize(w, h)),
        1 => (0u16..220, 0u16..70).prop_map(|(x, y)| Step::Click(x, y)),
        1 => (0u16..220, 0u16..70, any::<bool>()).prop_map(|(x, y, up)| Step::Wheel(x, y, up)),
        3 => Just(Step::Data),
        1 => Just(Step::Empty),
        1 => "\\PC{0,30}|\\x1b\\[201~.*".prop_map(Step::Paste),
        1 => (0u64..30_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_sequence_breaks_it(steps in prop::collection::vec(step(), 1..60), big in any::<bool>()) {
        let mut snapshot = if big { stress(60, 30, 900) } else { pushing() };
        let mut model = console(120, 40, snapshot.clone());
        let mut derived = Derived::default();
        let mut now = 0;
        for (n, step) in steps.into_iter().enumerate() {
            let event = match step {
                Step::Key(at) => Event::Key(KEYS[at].parse::<Key>().unwrap()),
                Step::Resize(w, h) => Event::Resize(w, h),
                Step::Click(column, row) => mouse(MouseEventKind::Down(MouseButton::Left), column, row),
                Step::Wheel(column, row, up) => {
                    mouse(if up { MouseEventKind::ScrollUp } else { MouseEventKind::ScrollDown }, column, row)
                }
                Step::Data => {
                    snapshot = advance(&snapshot, n as u64);
                    Event::Snapshot(Arc::new(snapshot.clone()))
                }
                Step::Empty => Event::Snapshot(Arc::new(Snapshot { generation: 9_000 + n as u64, ..Snapshot::default() })),
                Step::Paste(text) => Event::Paste(text),
                Step::Wait(ms) => {
                    now += ms;
                    Event::Tick
                }
            };
            reduce(&mut model, event, at(now));
            let area = Rect::new(0, 0, model.size.0, model.size.1);
            let mut buffer = Buffer::empty(area);
            let cursor = view::draw(&model, &mut derived, &mut buffer);
            if let Some((x, y)) = cursor {
                prop_assert!(x < area.width && y < area.height, "{cursor:?} in {area:?}");
            }
        }
    }

    #[test]
    fn panes_never_overlap_nor_leave_the_screen(width in 0u16..300, height in 0u16..100, expand in any::<bool>(), focus in 0..4) {
        let mut model = console(width, height, pushing());
        super::fixture::press(&mut model, ["1", "2", "3", "7"][focus as usize]);
        if expand {
            super::fixture::press(&mut model, "z");
        }
        let layout = Layout::of(&model);
        let screen = Rect::new(0, 0, width, height);
        let mut areas: Vec<Rect> = layout.panes.iter().map(|p| p.1).collect();
        if !layout.tiny {
            areas.extend([layout.header, layout.footer]);
            prop_assert!(layout.area(model.focus).is_some(), "the pane with the keys is on screen");
        }
        for (n, a) in areas.iter().enumerate() {
            prop_assert!(!a.is_empty() && screen.intersection(*a) == *a);
            prop_assert!(areas.iter().skip(n + 1).all(|b| !a.intersects(*b)));
        }
    }
}

fn mouse(kind: MouseEventKind, column: u16, row: u16) -> Event {
    Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
}

#[test]
fn one_missing_piece_of_100_000_shows_at_any_width() {
    use skep_engine::content::Bitmap;
    use skep_engine::control::{Bits, TransferId};
    for width in [40, 60, 80, 120, 200] {
        let mut snapshot = pushing();
        let detail = Arc::make_mut(snapshot.details.get_mut(&TransferId(1)).unwrap());
        let mut have = Bitmap::full(100_000);
        have.clear(67_891);
        detail.have = Bits(Arc::new(have));
        (detail.in_flight, detail.failed) = (Vec::new(), Vec::new());
        detail.availability = Arc::new(vec![3; 100_000]);
        let mut model = console(width, 24, snapshot);
        super::fixture::press(&mut model, "2 z");
        let shown = super::fixture::text(&model);
        let own = shown.lines().find(|l| l.contains("this node")).unwrap();
        assert_eq!(own.matches('▓').count(), 1, "{width}: {own}");
        assert!(shown.contains("1 missing") || width < 60, "{shown}");
    }
}
