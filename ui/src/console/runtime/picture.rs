//! The console without a terminal: a node is watched for a while, and what the console showed is kept,
//! as a recording and as pictures. That is how the documentation's are made.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use skep_engine::control::{Control, Focus};

use super::cpu_us;
use super::frames::{Frames, Turn};
use crate::console::derive::Derived;
use crate::console::effect::Effect;
use crate::console::event::Event;
use crate::console::export::cast::Cast;
use crate::console::export::svg;
use crate::console::glyphs::GlyphChoice;
use crate::console::keymap::{Keymap, parse_chord};
use crate::console::model::looks::ThemeChoice;
use crate::console::model::{Model, Moment, Settings};
use crate::console::reduce::reduce;
use crate::console::source::{Change, Source};
use crate::console::view;

/// Between frames: four per second, as on a terminal.
const FRAME: Duration = Duration::from_millis(250);
/// Longest wait for the pieces of the transfer that the pictures show.
const PATIENCE: Duration = Duration::from_secs(30);
/// Columns and rows of the recording.
const SIZE: (u16, u16) = (120, 40);

/// A picture to take.
#[derive(Debug, Clone, Copy)]
pub struct Shot {
    /// File name.
    pub name: &'static str,
    /// Columns and rows.
    pub size: (u16, u16),
    /// Theme by name.
    pub theme: &'static str,
    /// Glyphs.
    pub glyphs: GlyphChoice,
    /// Keys pressed before it is taken, as key files write them.
    pub keys: &'static str,
}

const fn shot(name: &'static str, size: (u16, u16), theme: &'static str, keys: &'static str) -> Shot {
    Shot { name, size, theme, glyphs: GlyphChoice::Block, keys }
}

/// The pictures of the documentation.
pub const SHOTS: &[Shot] = &[
    shot("console.svg", SIZE, "slate", ""),
    Shot { glyphs: GlyphChoice::Octant, ..shot("pieces.svg", SIZE, "slate", "2 z Z Z") },
    shot("nodes.svg", SIZE, "slate", "6 z j j j j j"),
    shot("light.svg", SIZE, "paper", ""),
    shot("small.svg", (80, 24), "slate", ""),
];

/// Keys of the recording, and the part of its time after which each is pressed.
const SCRIPT: &[(f64, &str)] = &[(0.3, "2"), (0.4, "j"), (0.5, "j"), (0.62, "1"), (0.7, "j"), (0.8, "k"), (0.86, ":")];

/// Watches the node for `time` as the console does on a terminal, frame after frame, with the first
/// transfer selected. Rates, their history and the console's own cost are measured, so a longer time
/// shows more of them. Gives file names and what belongs in the files.
pub async fn watch(control: &dyn Control, time: Duration) -> Vec<(&'static str, String)> {
    let settings = Settings { target: control.target(), embedded: control.is_embedded(), ..Settings::default() };
    let mut watch = Watch {
        model: Model::new(settings, Keymap::default(), "slate", GlyphChoice::Block),
        source: Source::new(control.view(Focus::default())),
        started: Instant::now(),
    };
    let mut frames = Frames::new(SIZE, 1_000 / FRAME.as_millis() as u32, u64::MAX);
    let mut cast = Cast::new(SIZE, "skep demo");
    let mut script = SCRIPT.iter().peekable();
    watch.reduce(Event::Resize(SIZE.0, SIZE.1));
    let left = |watch: &Watch| time.saturating_sub(watch.started.elapsed());
    while let Ok(change) = tokio::time::timeout(left(&watch), watch.source.changed()).await {
        watch.take(change);
        while let Some((_, keys)) = script.next_if(|(part, _)| watch.started.elapsed() >= time.mul_f64(*part)) {
            watch.press(keys);
        }
        let now = watch.now();
        if let Some(bytes) = frames.draw(&watch.model, now, Turn { with_data: true }) {
            cast.frame(now.mono_ms, &bytes);
            frames.on_flushed(now.mono_ms, 0, bytes.len(), bytes);
        }
        watch.reduce(Event::Cost(frames.cost(now.mono_ms, cpu_us())));
        tokio::time::sleep(FRAME.min(left(&watch))).await;
    }
    // The pictures are of a transfer whose pieces have been told.
    let patience = tokio::time::Instant::now() + PATIENCE;
    while watch.model.detail().is_none()
        && let Ok(change) = tokio::time::timeout_at(patience, watch.source.changed()).await
    {
        watch.take(change);
    }
    let mut files: Vec<_> = SHOTS.iter().map(|shot| (shot.name, watch.take_picture(shot))).collect();
    files.push(("demo.cast", cast.finish()));
    files
}

/// A model that follows a node.
struct Watch {
    model: Model,
    source: Source,
    started: Instant,
}

impl Watch {
    fn now(&self) -> Moment {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { mono_ms: self.started.elapsed().as_millis() as u64, wall_ms: wall.as_millis() as u64 }
    }

    fn take(&mut self, change: Change) {
        let event = match change {
            Change::Snapshot => Event::Snapshot(self.source.snapshot()),
            Change::Connection => Event::Connection(self.source.connection()),
        };
        self.reduce(event);
    }

    fn press(&mut self, keys: &str) {
        // What is pressed here stands above; a test sees to it that every key exists.
        for key in keys.split_whitespace().filter_map(|k| parse_chord(k).ok()).flatten() {
            self.reduce(Event::Key(key));
        }
    }

    /// What the console would show now, at this size and after these keys.
    fn take_picture(&self, shot: &Shot) -> String {
        let (mut model, now) = (self.model.clone(), self.now());
        model.overlays.clear();
        model.choose_theme(ThemeChoice::from_name(shot.theme));
        model.glyph_choice = shot.glyphs;
        reduce(&mut model, Event::Resize(shot.size.0, shot.size.1), now);
        for key in shot.keys.split_whitespace().filter_map(|k| parse_chord(k).ok()).flatten() {
            reduce(&mut model, Event::Key(key), now);
        }
        let mut frame = Buffer::empty(Rect::new(0, 0, shot.size.0, shot.size.1));
        view::draw(&model, &mut Derived::default(), &mut frame);
        svg::render(&frame, &model.theme)
    }

    /// All that follows from an event here is what to look at.
    fn reduce(&mut self, event: Event) {
        let now = self.now();
        for effect in reduce(&mut self.model, event, now) {
            if let Effect::SetFocus(focus) = effect {
                self.source.focus(focus);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::theme::builtin;

    #[test]
    fn every_key_and_theme_of_the_pictures_exists() {
        let pressed = SHOTS.iter().map(|s| s.keys).chain(SCRIPT.iter().map(|(_, keys)| *keys));
        for key in pressed.flat_map(str::split_whitespace) {
            assert!(parse_chord(key).is_ok(), "{key}");
        }
        assert!(SHOTS.iter().all(|s| builtin(s.theme).is_some()));
        assert!(SCRIPT.is_sorted_by(|a, b| a.0 <= b.0));
    }
}
