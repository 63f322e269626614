//! What the console costs: frames and bytes of the last seconds.

use std::collections::VecDeque;

/// Milliseconds looked back at.
const WINDOW_MS: u64 = 5_000;

/// Frames and bytes over a window.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    frames: VecDeque<(u64, u64)>,
    bytes: u64,
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
}
