//! Progress bars on stderr, and how often progress is told.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use skep_engine::control::{Direction, TransferRow, TransferState};

use super::screen::Stderr;
use super::{Out, human, phases_line, state_word};

/// Shortest time between two progress events of the JSON stream: at most four a second.
const EVENT_INTERVAL: Duration = Duration::from_millis(250);

/// Longest name before a bar.
const NAME_WIDTH: usize = 24;

/// Lets something through at most once in an interval.
#[derive(Debug)]
pub struct Throttle {
    interval: Duration,
    next: Option<Instant>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { interval: EVENT_INTERVAL, next: None }
    }
}

impl Throttle {
    /// True if it may be told now.
    pub fn ready(&mut self, now: Instant) -> bool {
        let ready = self.next.is_none_or(|next| now >= next);
        if ready {
            self.next = Some(now + self.interval);
        }
        ready
    }
}

/// The bar of one transfer; nothing where stderr is no terminal.
#[derive(Debug)]
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// One bar among others.
    pub fn new(out: &Out, all: &MultiProgress) -> Self {
        if !out.bars {
            return Self(None);
        }
        let bar = all.add(ProgressBar::no_length());
        bar.set_style(style(out, "{bar:24} {msg}"));
        Self(Some(bar))
    }

    /// Shows where a transfer stands.
    pub fn show(&self, row: &TransferRow) {
        let Some(bar) = &self.0 else { return };
        bar.set_prefix(human::shortened(&row.name, NAME_WIDTH));
        // A length of 0 would be a full bar: before the size is known it is an empty one.
        bar.set_length(if row.size == 0 && row.done == 0 && !row.state.is_settled() { 1 } else { row.size });
        bar.set_position(row.done);
        bar.set_message(words(row));
    }

    /// Takes the bar away: the result follows.
    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// What stands behind the bar.
fn words(row: &TransferRow) -> String {
    let mut words = Vec::new();
    if let Some(percent) = human::percent(row.done, row.size) {
        words.push(format!("{percent:>3}%  {} of {}", human::bytes(row.done), human::bytes(row.size)));
        if row.phases.is_empty() {
            words.push(format!("{}/{} pieces", row.pieces_done, row.pieces));
        }
    }
    let phases = phases_line(row);
    if !phases.is_empty() {
        words.push(phases);
    }
    if row.state == TransferState::Running {
        let rate = if row.direction == Direction::Down { row.rate_down } else { row.rate_up };
        words.push(human::rate(rate));
        words.extend(row.eta_s.map(|s| format!("{} left", human::eta(s))));
        words.push(human::counted(u64::from(row.peers), "peer"));
    } else if row.phases.is_empty() {
        words.push(state_word(row.state).into());
    }
    if !row.reason.is_empty() && (row.state != TransferState::Running || row.stalled_s > 2) {
        words.push(row.reason.clone());
    }
    words.join(", ")
}

fn target() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Stderr), 10)
}

/// Several bars on stderr.
pub fn bars(out: &Out) -> MultiProgress {
    let target = if out.bars { target() } else { ProgressDrawTarget::hidden() };
    MultiProgress::with_draw_target(target)
}

/// The bar of hashing in this process, fed from whichever thread hashes.
#[derive(Debug)]
pub struct HashBar(Option<ProgressBar>);

impl HashBar {
    /// `what` in a word or two, such as `hashing`.
    pub fn new(out: &Out, what: &'static str) -> Self {
        if !out.bars {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(None, target());
        bar.set_style(style(out, "{bar:24} {percent:>3}% {msg} {decimal_bytes_per_sec}, {eta} left"));
        bar.set_prefix(what);
        Self(Some(bar))
    }

    /// Bytes so far.
    pub fn at(&self, done: u64, total: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(format!("{} of {},", human::bytes(done), human::bytes(total)));
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn style(out: &Out, behind: &str) -> ProgressStyle {
    let name = if out.color_err { "{prefix:.bold}" } else { "{prefix}" };
    ProgressStyle::with_template(&format!("{name} {behind}"))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_four_events_a_second() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let told = (0..2000).filter(|ms| throttle.ready(start + Duration::from_millis(*ms))).count();
        assert_eq!(told, 8);
    }

    #[test]
    fn nothing_is_said_that_is_not_known() {
        let row = TransferRow { state: TransferState::Starting, reason: "asking a:1".into(), ..TransferRow::default() };
        assert_eq!(words(&row), "starting, asking a:1");
        let row = TransferRow {
            state: TransferState::Running,
            size: 10_000_000,
            done: 2_500_000,
            pieces: 40,
            pieces_done: 10,
            rate_down: 1_000_000,
            eta_s: Some(8),
            peers: 1,
            ..TransferRow::default()
        };
        assert_eq!(words(&row), " 25%  2.50 MB of 10.0 MB, 10/40 pieces, 1.00 MB/s, 8s left, 1 peer");
    }

    #[test]
    fn the_bar_templates_are_sound() {
        for template in ["{prefix:.bold} {bar:24} {msg}", "{bar:24} {decimal_bytes_per_sec}, {eta} left"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
