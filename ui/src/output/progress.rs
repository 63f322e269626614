//! Progress bars on stderr, and how often progress is told.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use skep_engine::control::{Direction, TransferRow, TransferState};

use super::{Out, human, state_word};

/// Shortest time between two progress events of the JSON stream: at most four a second.
const EVENT_INTERVAL: Duration = Duration::from_millis(250);

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
        bar.set_style(style("{prefix:.bold} {bar:24} {percent:>3}% {msg}"));
        Self(Some(bar))
    }

    /// Shows where a transfer stands.
    pub fn show(&self, row: &TransferRow) {
        let Some(bar) = &self.0 else { return };
        bar.set_prefix(row.name.clone());
        bar.set_length(row.size);
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
    let pieces = format!("{}/{} pieces", row.pieces_done, row.pieces);
    let mut words = vec![format!("{} of {}", human::bytes(row.done), human::bytes(row.size)), pieces];
    if row.state == TransferState::Running {
        let rate = if row.direction == Direction::Down { row.rate_down } else { row.rate_up };
        words.push(human::rate(rate));
        words.extend(row.eta_s.map(|s| format!("{} left", human::eta(s))));
        words.push(human::counted(u64::from(row.peers), "peer"));
    } else {
        words.push(state_word(row.state).into());
    }
    if !row.reason.is_empty() && (row.state != TransferState::Running || row.stalled_s > 2) {
        words.push(row.reason.clone());
    }
    words.join(", ")
}

/// Several bars on stderr.
pub fn bars(out: &Out) -> MultiProgress {
    let target = if out.bars { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
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
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(style("{prefix:.bold} {bar:24} {percent:>3}% {msg} {decimal_bytes_per_sec}, {eta} left"));
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

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
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
    fn the_bar_templates_are_sound() {
        for template in ["{prefix:.bold} {bar:24} {percent:>3}% {msg}", "{bar:24} {decimal_bytes_per_sec}, {eta} left"]
        {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
