//! The log as a viewer keeps it: merged by sequence number, bounded, followed at its end.

use std::collections::VecDeque;
use std::sync::Arc;

use skep_engine::control::{LogLevel, LogLine};

use super::filter::Filter;
use super::transfers::scroll;

/// Lines kept.
const KEPT: usize = 2_000;

/// The log and where the operator is in it.
#[derive(Debug, Clone)]
pub struct LogView {
    lines: VecDeque<Arc<LogLine>>,
    /// Lines that were gone before this viewer saw them.
    pub missed: u64,
    /// The least level shown.
    pub level: LogLevel,
    /// What it is narrowed to.
    pub filter: Filter,
    /// Indices of the lines that match, oldest first.
    pub shown: Vec<usize>,
    /// The selected line's number; none follows the end.
    pub at: Option<u64>,
    /// First of the shown lines on screen.
    pub top: usize,
}

impl Default for LogView {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            missed: 0,
            level: LogLevel::Info,
            filter: Filter::default(),
            shown: Vec::new(),
            at: None,
            top: 0,
        }
    }
}

impl LogView {
    /// Takes the lines that are new; true if there were any. A node that restarted counts anew:
    /// its lines follow those of its former life.
    pub fn merge(&mut self, tail: &[Arc<LogLine>]) -> bool {
        let (Some(first), Some(newest)) = (tail.first(), tail.last()) else { return false };
        let last = self.lines.back().map(|l| l.seq);
        let restarted = last.is_some_and(|last| newest.seq < last);
        let from = match last {
            Some(last) if !restarted => {
                self.missed += first.seq.saturating_sub(last + 1);
                last + 1
            }
            _ => 0,
        };
        if restarted {
            self.lines.clear();
            self.at = None;
        }
        let start = tail.partition_point(|l| l.seq < from);
        if start == tail.len() {
            return false;
        }
        for line in &tail[start..] {
            if self.lines.len() == KEPT {
                self.lines.pop_front();
            }
            self.lines.push_back(Arc::clone(line));
        }
        self.refresh();
        true
    }

    /// Shows these lines and no others: those of another moment. Who is at a line stays there if it is
    /// among them.
    pub fn show(&mut self, tail: &[Arc<LogLine>]) {
        let start = tail.len().saturating_sub(KEPT);
        self.lines = tail[start..].iter().cloned().collect();
        if self.lines.back().is_none_or(|last| self.at.is_some_and(|at| at > last.seq)) {
            self.at = None;
        }
        self.refresh();
    }

    /// Forgets the lines of one node; what they are narrowed to stays.
    pub fn change_node(&mut self) {
        self.lines.clear();
        self.shown.clear();
        (self.missed, self.at, self.top) = (0, None, 0);
    }

    /// Makes the list of matching lines anew.
    pub fn refresh(&mut self) {
        let (level, filter) = (self.level, &self.filter);
        self.shown.clear();
        self.shown.extend(
            self.lines
                .iter()
                .enumerate()
                .filter(|(_, l)| l.level >= level && (filter.is_empty() || filter.matches(&[&l.message, &l.target])))
                .map(|(at, _)| at),
        );
    }

    /// A shown line.
    pub fn line(&self, place: usize) -> Option<&Arc<LogLine>> {
        self.lines.get(*self.shown.get(place)?)
    }

    /// Place of the selected line among those shown; the last while following.
    pub fn place(&self) -> usize {
        let last = self.shown.len().saturating_sub(1);
        let Some(seq) = self.at else { return last };
        self.shown.partition_point(|at| self.lines[*at].seq < seq).min(last)
    }

    /// Moves by lines; reaching the end follows it again.
    pub fn move_by(&mut self, lines: isize) {
        self.select(self.place().saturating_add_signed(lines));
    }

    /// Selects a shown line; the last follows the end.
    pub fn select(&mut self, place: usize) {
        self.at = if place + 1 >= self.shown.len() { None } else { self.line(place).map(|l| l.seq) };
    }

    /// Scrolls so that the selected line is on screen.
    pub fn keep_in_sight(&mut self, page: usize) {
        self.top = match self.at {
            None => self.shown.len().saturating_sub(page.max(1)),
            Some(_) => scroll(self.top, self.place(), self.shown.len(), page),
        };
    }

    /// The next level up, from debug round to debug.
    pub fn next_level(&mut self) {
        self.level = match self.level {
            LogLevel::Trace | LogLevel::Debug => LogLevel::Info,
            LogLevel::Info => LogLevel::Warn,
            LogLevel::Warn => LogLevel::Error,
            LogLevel::Error => LogLevel::Debug,
        };
        self.refresh();
    }
}

/// A level's word.
pub const fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "TRACE",
        LogLevel::Debug => "DEBUG",
        LogLevel::Info => "INFO",
        LogLevel::Warn => "WARN",
        LogLevel::Error => "ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(range: std::ops::Range<u64>) -> Vec<Arc<LogLine>> {
        range
            .map(|seq| {
                let level = if seq % 2 == 0 { LogLevel::Info } else { LogLevel::Debug };
                let (target, message) = ("swarm".to_owned(), format!("line {seq}"));
                Arc::new(LogLine { seq, time_ms: seq, level, target, message, transfer: None })
            })
            .collect()
    }

    #[test]
    fn merges_by_number_and_counts_what_it_missed() {
        let mut log = LogView::default();
        assert!(log.merge(&lines(0..4)));
        assert!(!log.merge(&lines(0..4)), "nothing new");
        assert!(log.merge(&lines(2..6)));
        assert_eq!(log.missed, 0);
        assert!(log.merge(&lines(10..12)));
        assert_eq!(log.missed, 4);
        assert_eq!(log.shown.len(), 4, "debug lines stay hidden");
        log.next_level();
        assert_eq!(log.shown.len(), 0, "now warnings only");
    }

    #[test]
    fn a_restarted_node_counts_anew() {
        let mut log = LogView::default();
        log.merge(&lines(0..100));
        assert!(log.merge(&lines(0..4)));
        assert_eq!((log.missed, log.shown.len()), (0, 2));
    }

    #[test]
    fn the_end_is_followed_until_one_moves_away() {
        let mut log = LogView::default();
        log.merge(&lines(0..100));
        log.keep_in_sight(10);
        assert_eq!((log.place(), log.top), (49, 40));
        log.move_by(-5);
        log.merge(&lines(100..200));
        log.keep_in_sight(10);
        assert_eq!(log.line(log.place()).unwrap().seq, 88, "stays on its line");
        log.select(usize::MAX - 1);
        assert_eq!(log.at, None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut log = LogView::default();
        for n in 0..30 {
            log.merge(&lines(n * 200..(n + 1) * 200));
        }
        assert_eq!(log.lines.len(), KEPT);
    }
}
