//! What the console costs: frames, bytes and CPU time of the last seconds.

use std::collections::VecDeque;

/// Milliseconds looked back at.
const WINDOW_MS: u64 = 5_000;

/// Frames, bytes and CPU time over a window.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    frames: VecDeque<(u64, u64)>,
    bytes: u64,
    /// CPU time used so far in microseconds, and when that was.
    cpu: VecDeque<(u64, u64)>,
}

impl Meter {
    /// Notes a frame.
    pub fn note(&mut self, now_ms: u64, bytes: u64) {
        self.frames.push_back((now_ms, bytes));
        self.bytes += bytes;
        self.forget(now_ms);
    }

    fn forget(&mut self, now_ms: u64) {
        while let Some((at, bytes)) = self.frames.front().copied()
            && now_ms.saturating_sub(at) >= WINDOW_MS
        {
            self.bytes -= bytes;
            self.frames.pop_front();
        }
    }

    /// Notes the CPU time used since the start, in microseconds.
    pub fn note_cpu(&mut self, now_ms: u64, used_us: u64) {
        self.cpu.push_back((now_ms, used_us));
        // One sample from before the window stays: it is where the window starts.
        while self.cpu.get(1).is_some_and(|(at, _)| now_ms.saturating_sub(*at) >= WINDOW_MS) {
            self.cpu.pop_front();
        }
    }

    /// CPU time per time, in thousandths of a core.
    pub fn cpu_permille(&self) -> u32 {
        let (Some((start, before)), Some((end, after))) = (self.cpu.front(), self.cpu.back()) else { return 0 };
        let used = after.saturating_sub(*before);
        u32::try_from(used / end.saturating_sub(*start).max(1)).unwrap_or(u32::MAX)
    }

    /// Bytes per second.
    pub fn bytes_per_s(&mut self, now_ms: u64) -> u64 {
        self.forget(now_ms);
        self.bytes * 1000 / WINDOW_MS
    }

    /// Frames per second, times ten.
    pub fn fps_x10(&mut self, now_ms: u64) -> u32 {
        self.forget(now_ms);
        (self.frames.len() as u64 * 10_000 / WINDOW_MS) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_back_a_few_seconds_only() {
        let mut meter = Meter::default();
        for n in 0..100 {
            meter.note(n * 250, 1_000);
        }
        assert_eq!((meter.fps_x10(24_999), meter.bytes_per_s(24_999)), (40, 4_000));
        assert_eq!((meter.fps_x10(60_000), meter.bytes_per_s(60_000)), (0, 0));
        assert!(meter.frames.is_empty());
    }

    #[test]
    fn cpu_is_what_was_used_of_the_time_that_passed() {
        let mut meter = Meter::default();
        assert_eq!(meter.cpu_permille(), 0);
        for n in 0..100 {
            // A tenth of a core at first, later 2 ms of every second.
            meter.note_cpu(n * 250, n * 25_000);
        }
        assert_eq!(meter.cpu_permille(), 100);
        for n in 0..100 {
            meter.note_cpu(25_000 + n * 250, 2_500_000 + n * 500);
        }
        assert_eq!(meter.cpu_permille(), 2);
        assert!(meter.cpu.len() <= 22, "{}", meter.cpu.len());
    }
}
