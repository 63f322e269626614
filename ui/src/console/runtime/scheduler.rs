//! When to draw: input at once, data now and then, nothing if nothing changed.
//!
//! A decider: no clock of its own. Times are milliseconds since the console started.

/// Flushes longer than this mean that the terminal or the line to it cannot keep up.
const SLOW_FLUSH_MS: u64 = 100;
/// The rate is changed at most this often.
const STEP_MS: u64 = 2_000;
/// Everything must have been well for this long before data comes faster again.
const CALM_MS: u64 = 10_000;
/// Slowest: data every 250 ms × 16.
const MAX_SLOWDOWN: u32 = 16;
/// Interval of data where nobody looks closely: unfocused, or eco mode.
const RELAXED_MS: u64 = 1_000;

/// How closely the operator looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// The terminal has the focus.
    Close,
    /// It has not, or eco mode is on.
    Relaxed,
}

/// When the next frame is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now,
    /// At this time, unless input comes before.
    At(u64),
    /// When something changes.
    Idle,
}

/// Decides when frames are drawn.
#[derive(Debug, Clone)]
pub struct Scheduler {
    data_ms: u64,
    byte_budget: u64,
    input: bool,
    data: bool,
    last_data: Option<u64>,
    slowdown: u32,
    stepped: u64,
    last_trouble: u64,
}

impl Scheduler {
    /// At most `fps` frames of data per second and `byte_budget` bytes per second.
    pub fn new(fps: u32, byte_budget: u64) -> Self {
        Self {
            data_ms: 1000 / u64::from(fps.clamp(1, 30)),
            byte_budget,
            input: true,
            data: true,
            last_data: None,
            slowdown: 1,
            stepped: 0,
            last_trouble: 0,
        }
    }

    /// The operator did something, or an answer came: paint at once.
    pub fn on_input(&mut self) {
        self.input = true;
    }

    /// Data changed, or a second passed.
    pub fn on_data(&mut self) {
        self.data = true;
    }

    /// When the next frame is due.
    pub fn due(&self, now: u64, attention: Attention) -> Due {
        if self.input {
            return Due::Now;
        }
        if !self.data {
            return Due::Idle;
        }
        match self.last_data.map(|last| last + self.interval(attention)) {
            Some(at) if at > now => Due::At(at),
            _ => Due::Now,
        }
    }

    /// Is it time for data too, or is this frame for input only?
    pub fn is_data_due(&self, now: u64, attention: Attention) -> bool {
        self.data && self.last_data.is_none_or(|last| last + self.interval(attention) <= now)
    }

    /// A frame was drawn; `with_data` if newer data went into it.
    pub fn on_drawn(&mut self, now: u64, with_data: bool) {
        self.input = false;
        if with_data {
            self.data = false;
            self.last_data = Some(now);
        }
    }

    /// A frame is out: the terminal took `took_ms` for it, and the last seconds cost `bytes_per_s`.
    pub fn on_flushed(&mut self, now: u64, took_ms: u64, bytes_per_s: u64) {
        let trouble = took_ms > SLOW_FLUSH_MS || bytes_per_s > self.byte_budget;
        if trouble {
            self.last_trouble = now;
            if now.saturating_sub(self.stepped) >= STEP_MS || self.slowdown == 1 {
                self.slowdown = (self.slowdown * 2).min(MAX_SLOWDOWN);
                self.stepped = now;
            }
        } else if self.slowdown > 1
            && now.saturating_sub(self.last_trouble) >= CALM_MS
            && now.saturating_sub(self.stepped) >= CALM_MS
        {
            self.slowdown /= 2;
            self.stepped = now;
        }
    }

    /// How many times slower than usual data comes.
    pub fn slowdown(&self) -> u32 {
        self.slowdown
    }

    fn interval(&self, attention: Attention) -> u64 {
        let base = match attention {
            Attention::Close => self.data_ms,
            Attention::Relaxed => self.data_ms.max(RELAXED_MS),
        };
        base.max(self.data_ms * u64::from(self.slowdown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle() -> Scheduler {
        let mut scheduler = Scheduler::new(4, 20_000);
        scheduler.on_drawn(1_000, true);
        scheduler
    }

    #[test]
    fn nothing_changed_nothing_drawn() {
        assert_eq!(idle().due(99_999, Attention::Close), Due::Idle);
        assert_eq!(Scheduler::new(4, 1).due(0, Attention::Close), Due::Now, "the first frame");
    }

    #[test]
    fn input_is_painted_at_once_and_does_not_hurry_data() {
        let mut scheduler = idle();
        scheduler.on_data();
        assert_eq!(scheduler.due(1_010, Attention::Close), Due::At(1_250));
        scheduler.on_input();
        assert_eq!(scheduler.due(1_010, Attention::Close), Due::Now);
        assert!(!scheduler.is_data_due(1_010, Attention::Close));
        scheduler.on_drawn(1_010, false);
        assert_eq!(scheduler.due(1_020, Attention::Close), Due::At(1_250));
        assert_eq!(scheduler.due(1_020, Attention::Relaxed), Due::At(2_000));
        assert_eq!(scheduler.due(1_250, Attention::Close), Due::Now);
    }

    #[test]
    fn a_slow_line_gets_fewer_frames_and_more_again_when_it_recovers() {
        let mut scheduler = idle();
        scheduler.on_flushed(1_000, 300, 0);
        assert_eq!(scheduler.slowdown(), 2);
        scheduler.on_flushed(1_500, 300, 0);
        assert_eq!(scheduler.slowdown(), 2, "one step at a time");
        for n in 0..20 {
            scheduler.on_flushed(4_000 + n * 3_000, 5, 30_000);
        }
        assert_eq!(scheduler.slowdown(), 16);
        let calm = 4_000 + 19 * 3_000;
        scheduler.on_flushed(calm + 9_000, 5, 100);
        assert_eq!(scheduler.slowdown(), 16);
        for n in 1..6 {
            scheduler.on_flushed(calm + n * 10_000, 5, 100);
        }
        assert_eq!(scheduler.slowdown(), 1);
    }
}
