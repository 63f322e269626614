//! The console without a terminal: a node is watched for a while, then a frame is kept as a picture.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use skep_engine::control::{Control, Focus};

use super::meter::Meter;
use super::screen::Screen;
use crate::console::derive::Derived;
use crate::console::effect::Effect;
use crate::console::event::Event;
use crate::console::export::svg;
use crate::console::glyphs::GlyphChoice;
use crate::console::keymap::Keymap;
use crate::console::model::{Cost, Model, Moment, Settings};
use crate::console::reduce::reduce;
use crate::console::source::{Change, Source};
use crate::console::view;

/// Between frames: four per second, as on a terminal.
const FRAME: Duration = Duration::from_millis(250);

/// Watches the node for `time` as the console does on a terminal of `size` columns and rows, frame
/// after frame, with the first transfer selected; gives the last frame as SVG. Rates, their history and
/// the console's own cost are measured, so a longer time shows more of them.
pub async fn picture(
    control: &dyn Control,
    theme: &str,
    glyphs: GlyphChoice,
    size: (u16, u16),
    time: Duration,
) -> String {
    let settings = Settings { target: control.target(), embedded: control.is_embedded(), ..Settings::default() };
    let mut watch = Watch {
        model: Model::new(settings, Keymap::default(), theme, glyphs),
        source: Source::new(control.view(Focus::default())),
        started: Instant::now(),
    };
    let (mut derived, mut screen, mut meter) = (Derived::default(), Screen::new(size.0, size.1), Meter::default());
    let mut bytes = Vec::new();
    watch.reduce(Event::Resize(size.0, size.1));
    let left = |watch: &Watch| time.saturating_sub(watch.started.elapsed());
    while let Ok(change) = tokio::time::timeout(left(&watch), watch.source.changed()).await {
        watch.take(change);
        view::draw(&watch.model, &mut derived, screen.buffer());
        bytes.clear();
        screen.frame(None, &mut bytes);
        let now = watch.now().mono_ms;
        if !bytes.is_empty() {
            meter.note(now, bytes.len() as u64);
        }
        let cost = Cost { fps_x10: meter.fps_x10(now), bytes_per_s: meter.bytes_per_s(now), slowdown: 1 };
        watch.reduce(Event::Cost(cost));
        tokio::time::sleep(FRAME.min(left(&watch))).await;
    }
    let mut frame = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    view::draw(&watch.model, &mut derived, &mut frame);
    svg::render(&frame, &watch.model.theme)
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

    /// Nobody presses keys here: all that follows from an event is what to look at.
    fn reduce(&mut self, event: Event) {
        let now = self.now();
        for effect in reduce(&mut self.model, event, now) {
            if let Effect::SetFocus(focus) = effect {
                self.source.focus(focus);
            }
        }
    }
}
