//! The probe dialog: an endpoint, what is measured of the link to it, and what that means for syncs.
//!
//! ```text
//! ╭ Probe a link ───────────────────────────── Enter watches it, Esc leaves it ╮
//! │ van-42:7070                                                                │
//! │ ▄ mobile  latency 82 ms is not below 50                                    │
//! │ ...       4.87 Mbit/s   82ms   14ms    1%                                  │
//! │ so a sync: delta only · zstd 6 · chunks of 256 KiB · a look every 30s      │
//! │ Enter watches it from now on   r again   e another   Esc leaves it         │
//! ╰────────────────────────────────────────────────────────────────────────────╯
//! ```

use ratatui::layout::Rect;
use skep_engine::control::link::{Measurement, ProbeReport};

use super::{centered, input, window};
use crate::console::derive::link::{Behaviour, class_look};
use crate::console::model::links::authority;
use crate::console::model::probe::{LIMIT_MS, ProbeView, Stage};
use crate::console::panes::Context;
use crate::console::theme::Token;
use crate::console::widgets::clock::Clock;
use crate::console::widgets::format::{Bandwidth, Bytes, Count, Millis, Seconds};
use crate::console::widgets::{Canvas, bar, text};

/// Columns of the label before the field.
const LABEL: u16 = 10;
/// Lines of the window.
const HEIGHT: u16 = 19;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, view: &ProbeView, context: Context<'_>) {
    let area = centered(canvas, 92, HEIGHT);
    let remark = match &view.stage {
        Stage::Choosing if view.at.is_some() => "Enter measures the chosen one",
        Stage::Choosing => "Enter measures it, Esc closes",
        Stage::Running { .. } => "Esc closes",
        Stage::Verdict(_) => "Enter watches it, Esc leaves it",
        Stage::Failed(_) => "Enter tries again, Esc closes",
    };
    let inner = window(canvas, area, "Probe a link", remark);
    if inner.height < 3 {
        return;
    }
    match &view.stage {
        Stage::Choosing => choosing(canvas, view, area, inner),
        stage => {
            measured(canvas, view, stage, inner, context);
            canvas.wash(area, Token::Overlay);
        }
    }
}

fn choosing(canvas: &mut Canvas<'_>, view: &ProbeView, area: Rect, inner: Rect) {
    let (x, width) = (inner.x + LABEL, inner.width.saturating_sub(LABEL));
    canvas.text(inner.x, inner.y, LABEL, "Endpoint", Token::Strong);
    match view.url() {
        Err(why) if !view.input.text().is_empty() || view.refused => {
            let token = if view.refused { Token::Error } else { Token::Warn };
            canvas.glyph(x, inner.y + 1, canvas.glyphs.error, token);
            canvas.text(x + 2, inner.y + 1, width.saturating_sub(2), why, token);
        }
        Err(why) => {
            canvas.text(x, inner.y + 1, width, why, Token::Muted);
        }
        Ok(_) => {
            let what = "takes up to five seconds and a small part of what the link can carry";
            canvas.text(x, inner.y + 1, width, what, Token::Muted);
        }
    }
    let rows = usize::from(inner.height.saturating_sub(4));
    let mut chosen = None;
    if rows > 0 && !view.shown.is_empty() {
        canvas.text(inner.x + 2, inner.y + 3, inner.width.saturating_sub(2), "known here", Token::Heading);
        let top = view.at.map_or(0, |at| (at + 1).saturating_sub(rows));
        for (line, proposed) in view.shown().skip(top).take(rows).enumerate() {
            let y = inner.y + 4 + line as u16;
            let width = inner.width.saturating_sub(2);
            let used = canvas.text(inner.x + 2, y, width, &proposed.url, Token::Text) + 2;
            let note = format_args!("{}", proposed.note);
            canvas.right(inner.x + 2 + used, y, width.saturating_sub(used), note, Token::Muted);
            if view.at == Some(top + line) {
                canvas.glyph(inner.x, y, canvas.glyphs.cursor, Token::Cursor);
                chosen = Some(Rect::new(inner.x, y, inner.width, 1));
            }
        }
    }
    canvas.wash(area, Token::Overlay);
    if let Some(line) = chosen {
        canvas.wash(line, Token::Selected);
    }
    input(canvas, x, inner.y, width, &view.input, true);
}

fn measured(canvas: &mut Canvas<'_>, view: &ProbeView, stage: &Stage, inner: Rect, context: Context<'_>) {
    let mut y = inner.y;
    let (x, width) = (inner.x, inner.width);
    canvas.text(x, y, width, authority(&view.endpoint), Token::Strong);
    y += 1;
    match stage {
        Stage::Running { since_ms, .. } => {
            running(canvas, (x, y, width), context.model.now.mono_ms.saturating_sub(*since_ms));
            y += 2;
        }
        Stage::Verdict(report) => {
            let now_ms = context.model.now.mono_ms;
            let again = match view.repeated {
                Some(_) => Some(0),
                None => view.again_ms.map(|at| at.saturating_sub(now_ms).div_ceil(1_000)),
            };
            y = verdict(canvas, Rect { y, height: inner.bottom() - y, ..inner }, report, again);
        }
        Stage::Failed(why) => {
            canvas.glyph(x, y, canvas.glyphs.error, Token::Error);
            for line in text::wrap(why, usize::from(width.saturating_sub(2))).take(3) {
                canvas.text(x + 2, y, width.saturating_sub(2), line, Token::Error);
                y += 1;
            }
            y += 1;
        }
        Stage::Choosing => {}
    }
    let last = inner.bottom() - 1;
    samples(canvas, view, Rect { y, height: last.saturating_sub(y), ..inner }, context);
    let keys: &[(&str, &str)] = match stage {
        Stage::Verdict(_) => {
            &[("Enter", "watches it from now on"), ("r", "again"), ("e", "another"), ("Esc", "leaves it")]
        }
        Stage::Failed(_) => &[("r", "again"), ("e", "another"), ("Esc", "closes")],
        _ => &[],
    };
    let mut at = x;
    for (key, what) in keys {
        at += canvas.text(at, last, inner.right().saturating_sub(at), key, Token::Key) + 1;
        at += canvas.text(at, last, inner.right().saturating_sub(at), what, Token::Text) + 3;
    }
}

fn running(canvas: &mut Canvas<'_>, (x, y, width): (u16, u16, u16), for_ms: u64) {
    let (s, tenth) = (for_ms / 1_000, for_ms / 100 % 10);
    let used = canvas.left(x, y, width, format_args!("measuring, {s}.{tenth}s of 5s at most "), Token::Waiting);
    let room = width.saturating_sub(used + 1).min(40);
    bar::draw(canvas, x + used + 1, y, room, for_ms.min(LIMIT_MS), LIMIT_MS, Token::BarFill);
}

/// The class and why, what was measured, what syncs would do; gives the line below. `again`: seconds until it is measured once
/// more.
fn verdict(canvas: &mut Canvas<'_>, area: Rect, report: &ProbeReport, again: Option<u64>) -> u16 {
    let (x, width) = (area.x, area.width);
    let mut y = area.y;
    let end = area.bottom().saturating_sub(1);
    let (glyph, token) = class_look(report.class);
    canvas.glyph(x, y, glyph(canvas.glyphs), token);
    let used = canvas.text(x + 2, y, width.saturating_sub(2), report.class.name(), token) + 4;
    canvas.text(x + used, y, width.saturating_sub(used), &report.why, Token::Text);
    y += 1;
    let behaviour = Behaviour(&report.params, canvas.glyphs.dot).to_string();
    let said = [
        format!("so a sync: {behaviour}"),
        format!(
            "{} exchanges, {} put on the link{}",
            Count(report.samples.into()),
            Bytes(report.measurement.probe_bytes),
            match again {
                None => String::new(),
                Some(0) => "; measuring again".into(),
                Some(s) => format!("; again in {}", Seconds(s)),
            }
        ),
    ];
    let rest = Rect { y, height: end.saturating_sub(y), ..area };
    y = canvas.paragraphs(rest, said.iter().zip([Token::Text, Token::Muted]));
    for note in report.notes.iter().take(3) {
        if y < end {
            canvas.glyph(x, y, canvas.glyphs.stalled, Token::Warn);
            canvas.text(x + 2, y, width.saturating_sub(2), note, Token::Warn);
            y += 1;
        }
    }
    (y + 1).min(end)
}

/// What was measured, the newest last.
fn samples(canvas: &mut Canvas<'_>, view: &ProbeView, area: Rect, context: Context<'_>) {
    if area.height < 2 || view.samples.is_empty() {
        return;
    }
    const WIDTHS: [(u16, &str); 5] = [(8, "TIME"), (12, "BANDWIDTH"), (9, "LATENCY"), (8, "JITTER"), (6, "LOSS")];
    let row = |canvas: &mut Canvas<'_>, y: u16, cells: [std::fmt::Arguments<'_>; 5], token| {
        let mut x = area.x;
        for ((width, _), cell) in WIDTHS.into_iter().zip(cells) {
            canvas.right(x, y, width.min(area.right().saturating_sub(x)), cell, token);
            x += width;
        }
    };
    let [time, bandwidth, latency, jitter, loss] = WIDTHS.map(|(_, title)| title);
    row(
        canvas,
        area.y,
        [
            format_args!("{time}"),
            format_args!("{bandwidth}"),
            format_args!("{latency}"),
            format_args!("{jitter}"),
            format_args!("{loss}"),
        ],
        Token::Heading,
    );
    let rows = usize::from(area.height - 1);
    let from = view.samples.len().saturating_sub(rows);
    let none = canvas.glyphs.none;
    for (line, sample) in view.samples[from..].iter().enumerate() {
        let Measurement { bandwidth_mbps, latency_ms, jitter_ms, loss_percent, .. } = sample;
        let clock = Clock::at(sample.measured_at, &context.model.settings.zone);
        let y = area.y + 1 + line as u16;
        if sample.failed {
            let cells = [
                format_args!("{clock}"),
                format_args!("no answer"),
                format_args!(""),
                format_args!(""),
                format_args!(""),
            ];
            row(canvas, y, cells, Token::Error);
            continue;
        }
        let cells = [
            format_args!("{clock}"),
            format_args!("{}", Or(bandwidth_mbps.map(Bandwidth), none)),
            format_args!("{}", Or(latency_ms.map(Millis), none)),
            format_args!("{}", Or(jitter_ms.map(Millis), none)),
            format_args!("{}", Or(loss_percent.map(Whole), none)),
        ];
        row(canvas, y, cells, Token::Text);
    }
}

/// A figure, or the sign for none.
struct Or<T>(Option<T>, &'static str);

impl<T: std::fmt::Display> std::fmt::Display for Or<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str(self.1),
        }
    }
}

/// Percent without places.
struct Whole(f64);

impl std::fmt::Display for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0}%", self.0.clamp(0.0, 100.0))
    }
}
