//! Frames: when one is due, what it is made of, and which bytes it takes. Everything of a console
//! but its terminal and its clock, so that an hour of it runs in a test.

use ratatui::buffer::Buffer;

use super::meter::Meter;
use super::scheduler::{Attention, Due, Scheduler};
use super::screen::Screen;
use crate::console::derive::Derived;
use crate::console::model::{Cost, Model, Moment};
use crate::console::reduce::chord_ends_ms;
use crate::console::view;

/// Capacity to start with: a first frame at 120 × 40.
const FRAME_BYTES: usize = 32 * 1024;

/// A frame that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// It is time for newer data too; otherwise it shows what the operator did.
    pub with_data: bool,
}

/// What is on the terminal, and when that changes.
#[derive(Debug)]
pub struct Frames {
    derived: Derived,
    screen: Screen,
    scheduler: Scheduler,
    meter: Meter,
    /// The second that the clock shows.
    second: u64,
    /// A buffer to be used again.
    spare: Vec<u8>,
}

impl Frames {
    /// For a terminal of `size` columns and rows: at most `fps` frames of data and `byte_budget` bytes
    /// per second.
    pub fn new(size: (u16, u16), fps: u32, byte_budget: u64) -> Self {
        Self {
            derived: Derived::default(),
            screen: Screen::new(size.0, size.1),
            scheduler: Scheduler::new(fps, byte_budget),
            meter: Meter::default(),
            second: 0,
            spare: Vec::with_capacity(FRAME_BYTES),
        }
    }

    /// What is on the terminal.
    pub fn screen(&mut self) -> &mut Screen {
        &mut self.screen
    }

    /// The operator did something, or an answer came: paint at once.
    pub fn on_input(&mut self) {
        self.scheduler.on_input();
    }

    /// Another node is shown: what was derived from the former is of no use.
    pub fn change_node(&mut self) {
        self.derived = Derived::default();
    }

    /// Data changed.
    pub fn on_data(&mut self) {
        self.scheduler.on_data();
    }

    /// Milliseconds until something is to be done, if nothing happens: the next frame, the end of a chord or the next
    /// second. `busy`: a frame is on its way, and its end comes before the next one.
    pub fn wait_ms(&self, model: &Model, now: Moment, busy: bool) -> u64 {
        let next_second = 1_000 - now.wall_ms % 1_000;
        let chord = chord_ends_ms(model).map_or(u64::MAX, |end| end.saturating_sub(now.mono_ms).max(1));
        let next_second = next_second.min(chord);
        match self.scheduler.due(now.mono_ms, attention(model)) {
            Due::At(at) if !busy => next_second.min(at.saturating_sub(now.mono_ms)).max(1),
            _ => next_second,
        }
    }

    /// The frame that the model makes now, as a picture of it.
    pub fn picture(&mut self, model: &Model) -> Buffer {
        let mut frame = self.screen.buffer().clone();
        view::draw(model, &mut self.derived, &mut frame);
        frame
    }

    /// Is a frame due?
    pub fn turn(&mut self, model: &Model, now: Moment) -> Option<Turn> {
        // A recording that is played moves with time alone.
        if model.travel.player.since.is_some() {
            self.scheduler.on_data();
        }
        if now.wall_ms / 1_000 != self.second {
            self.second = now.wall_ms / 1_000;
            self.scheduler.on_data();
        }
        let attention = attention(model);
        let due = self.scheduler.due(now.mono_ms, attention) == Due::Now;
        due.then(|| Turn { with_data: self.scheduler.is_data_due(now.mono_ms, attention) })
    }

    /// Draws a frame; gives the bytes that bring it to the terminal, none if it shows already.
    pub fn draw(&mut self, model: &Model, now: Moment, turn: Turn) -> Option<Vec<u8>> {
        let cursor = view::draw(model, &mut self.derived, self.screen.buffer());
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        self.screen.frame(cursor, &mut bytes);
        self.scheduler.on_drawn(now.mono_ms, turn.with_data);
        if bytes.is_empty() {
            self.spare = bytes;
            return None;
        }
        Some(bytes)
    }

    /// A frame is out: `count` bytes in `took_ms`; its buffer comes back.
    pub fn on_flushed(&mut self, now_ms: u64, took_ms: u64, count: usize, buffer: Vec<u8>) {
        self.spare = buffer;
        self.meter.note(now_ms, count as u64);
        let bytes_per_s = self.meter.bytes_per_s(now_ms);
        self.scheduler.on_flushed(now_ms, took_ms, bytes_per_s);
    }

    /// What the console costs; `cpu_us` is the CPU time it used so far.
    pub fn cost(&mut self, now_ms: u64, cpu_us: u64) -> Cost {
        self.meter.note_cpu(now_ms, cpu_us);
        Cost {
            fps_x10: self.meter.fps_x10(now_ms),
            bytes_per_s: self.meter.bytes_per_s(now_ms),
            cpu_permille: self.meter.cpu_permille(),
            slowdown: self.scheduler.slowdown(),
        }
    }
}

fn attention(model: &Model) -> Attention {
    if model.terminal_focused && !model.eco { Attention::Close } else { Attention::Relaxed }
}
