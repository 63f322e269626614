//! Segments are compressed before they are sent where bytes are dear: whether, and how hard.
//!
//! The link says how hard at most (level of zstd). A machine that compresses more slowly than the link carries what comes of it
//! takes a lower level; data that does not shrink is left as it is, and looked at now and then, since a tree holds files of many
//! kinds. What is decided holds for the next segment, and for those under way that are shorter so ([`anew`](super::anew)).

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::fit::{Fit, Guide};

/// What is wanted of segments to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Level of zstd at most.
    pub level: i32,
    /// Also where compressing is what slows the push down.
    pub always: bool,
}

impl Wish {
    /// The operator's, who pays for bytes and not for time; zstd's own default level.
    pub(crate) const ASKED: Self = Self { level: 3, always: true };
}

/// What shrinks by less than this is sent as it is: unpacking costs the receiver more than the link gains.
const WORTH: f64 = 0.95;
/// The most segments that are not looked at after many that did not shrink.
const MOST_SKIPPED: u32 = 64;
/// Compressing has to be so much faster than the link takes the result: it has only a part of the processor.
const AHEAD: f64 = 1.5;
/// As much faster as a higher level may be slower.
const SPARE: f64 = 6.0;
/// Weight of a new figure of speed.
const GAIN: f64 = 0.3;

/// Decides for the next segment. Pure.
#[derive(Debug, Clone, Default, PartialEq)]
struct Gains {
    /// What was wanted last: of another link nothing is known.
    wish: Option<Wish>,
    /// Segments in a row that did not shrink.
    poor: u32,
    /// Those in a row that were compressed more slowly than the link takes them, at the lowest level, and what it took.
    slow: u32,
    taken: f64,
    /// Segments that are sent as they are before the next look.
    skip: u32,
    /// The level in use.
    level: Option<i32>,
    /// Bytes per second that went in at this level.
    speed: Option<f64>,
}

impl Gains {
    /// The level for the next segment. `most`: what is wanted; none: no compression. `rate`: as in [`Self::on_packed`].
    fn next(&mut self, most: Option<Wish>, rate: Option<f64>) -> Option<i32> {
        if most != self.wish {
            *self = Self { wish: most, ..Self::default() };
        }
        let most = most?.level;
        if self.slow > 0 && rate.is_some_and(|rate| rate > 0.0 && rate < self.taken / 2.0) {
            // The link is the slower one now.
            (self.slow, self.skip) = (0, 0);
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        let level = self.level.unwrap_or(most).min(most);
        if self.level.replace(level) != Some(level) {
            self.speed = None;
        }
        Some(level)
    }

    /// A segment of `plain` bytes became `packed`. `rate`: bytes per second that the push sends, if known.
    fn on_packed(&mut self, most: Wish, (plain, packed): (u64, u64), took: Duration, rate: Option<f64>) {
        if packed as f64 > plain as f64 * WORTH {
            self.poor += 1;
            self.skip = pause(self.poor);
            return;
        }
        self.poor = 0;
        let new = plain as f64 / took.as_secs_f64().max(1e-6);
        let speed = self.speed.map_or(new, |speed| speed + (new - speed) * GAIN);
        self.speed = Some(speed);
        let (Some(rate), Some(level)) = (rate.filter(|rate| *rate > 0.0), self.level) else { return };
        // What goes in while the link carries what comes out.
        let wanted = rate * plain as f64 / packed.max(1) as f64;
        if speed < wanted * AHEAD && level > 1 {
            (self.level, self.speed) = (Some(level - 1), None);
        } else if speed < wanted * AHEAD && !most.always {
            // Even the lightest would be what slows it down, unless the processor was just busy.
            (self.slow, self.taken) = (self.slow + 1, rate);
            (self.skip, self.speed) = (pause(self.slow), None);
        } else {
            self.slow = 0;
            if speed > wanted * SPARE && level < most.level {
                (self.level, self.speed) = (Some(level + 1), None);
            }
        }
    }
}

/// Segments that are left alone after so many that were not worth it.
fn pause(in_a_row: u32) -> u32 {
    1u32.checked_shl(in_a_row).unwrap_or(MOST_SKIPPED).min(MOST_SKIPPED)
}

/// Compresses the segments of one push.
#[derive(Debug)]
pub(crate) struct Packer {
    /// What the link wants, now.
    guide: Guide,
    /// The receiver unpacks.
    taken: AtomicBool,
    /// Bytes per second that the push sends.
    rate: AtomicU64,
    /// Bytes that did not have to be sent.
    saved: AtomicU64,
    /// Level of the last segment; 0: it went as it was.
    level: AtomicI32,
    gains: Mutex<Gains>,
    /// What the link wanted when the push asked last: who is under way learns that it became something else.
    wish: watch::Sender<Option<Wish>>,
    /// One permit: what is under way is compressed after all, one segment at a time.
    pub(super) again: Semaphore,
}

impl Packer {
    /// `guide`: what the link wants of segments.
    pub(crate) fn new(guide: Guide) -> Self {
        Self {
            wish: watch::Sender::new(guide.fit().pack),
            guide,
            taken: AtomicBool::new(false),
            rate: AtomicU64::new(0),
            saved: AtomicU64::new(0),
            level: AtomicI32::new(0),
            gains: Mutex::default(),
            again: Semaphore::new(1),
        }
    }

    /// What the receiver takes, by what it said when the upload was opened.
    pub(super) fn on_opened(&self, accepts: &[String]) {
        self.taken.store(accepts.iter().any(|coding| coding == "zstd"), Ordering::Relaxed);
    }

    /// Whether the receiver unpacks.
    pub(super) fn is_understood(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }

    /// What the push sends of late, in bytes per second.
    pub(super) fn on_rate(&self, rate: f64) {
        self.rate.store(rate as u64, Ordering::Relaxed);
    }

    /// Bytes that did not have to be sent so far.
    pub(super) fn saved(&self) -> u64 {
        self.saved.load(Ordering::Relaxed)
    }

    /// What the link wants now. Those under way hear of it.
    pub(super) fn fit(&self) -> Fit {
        let fit = self.guide.fit();
        self.wish.send_if_modified(|wish| std::mem::replace(wish, fit.pack) != fit.pack);
        fit
    }

    /// Tells when the link wants something else of segments than it did at this moment.
    pub(super) fn wishes(&self) -> watch::Receiver<Option<Wish>> {
        self.wish.subscribe()
    }

    /// The level of zstd at which the last segment went; none: as it was.
    pub(super) fn level(&self) -> Option<i32> {
        Some(self.level.load(Ordering::Relaxed)).filter(|level| *level != 0)
    }

    /// A segment compressed, if that is of use. Blocks.
    pub(super) fn pack(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let packed = self.packed(plain);
        self.level.store(packed.as_ref().map_or(0, |(level, _)| *level), Ordering::Relaxed);
        packed.map(|(_, packed)| packed)
    }

    fn packed(&self, plain: &[u8]) -> Option<(i32, Vec<u8>)> {
        let fit = self.fit();
        let most = if self.is_understood() { fit.pack } else { None };
        // What was sent of late says little of a link that has just become another one.
        let rate = Some(self.rate.load(Ordering::Relaxed).min(fit.rate.unwrap_or(u64::MAX)) as f64);
        let level = self.gains.lock().unwrap_or_else(PoisonError::into_inner).next(most, rate)?;
        let begun = Instant::now();
        // Without a level or memory for it, it goes as it is.
        let packed = zstd::bulk::compress(plain, level).ok()?;
        let sizes = (plain.len() as u64, packed.len() as u64);
        let mut gains = self.gains.lock().unwrap_or_else(PoisonError::into_inner);
        gains.on_packed(most?, sizes, begun.elapsed(), rate);
        (packed.len() as f64 <= plain.len() as f64 * WORTH).then_some((level, packed))
    }

    /// A compressed segment is there; `packed`: what went for it.
    pub(super) fn on_held(&self, plain: u64, packed: u64) {
        self.saved.fetch_add(plain.saturating_sub(packed), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const THREE: Wish = Wish { level: 3, always: false };

    #[test]
    fn what_does_not_shrink_is_looked_at_ever_less_often() {
        let mut gains = Gains::default();
        let mut looks = Vec::new();
        for n in 0..200 {
            if gains.next(Some(THREE), None).is_some() {
                gains.on_packed(THREE, (1_000, 999), MS, None);
                looks.push(n);
            }
        }
        assert_eq!(looks, [0, 3, 8, 17, 34, 67, 132, 197]);
        while gains.next(Some(THREE), None).is_none() {}
        gains.on_packed(THREE, (1_000, 400), MS, None);
        assert_eq!(gains.next(Some(THREE), None), Some(3), "text again");
        assert_eq!(gains.next(None, None), None, "a fast link");
        gains.next(Some(THREE), None);
        gains.on_packed(THREE, (1_000, 999), MS, None);
        assert_eq!(gains.next(Some(THREE), None), None);
        let other = Wish { level: 9, ..THREE };
        assert_eq!(gains.next(Some(other), None), Some(9), "another link is asked anew");
    }

    #[test]
    fn the_level_follows_the_link_and_the_processor() {
        let mut gains = Gains::default();
        let mut pack = |most: i32, speed: f64, rate: f64| {
            let most = Wish { level: most, always: false };
            let level = gains.next(Some(most), Some(rate));
            if level.is_some() {
                gains.on_packed(most, (1_000_000, 500_000), Duration::from_secs_f64(1e6 / speed), Some(rate));
            }
            level
        };
        // 100 kB/s carry 200 kB/s of it: 50 MB/s are more than enough at any level.
        assert_eq!((0..3).map(|_| pack(19, 50e6, 100e3)).collect::<Vec<_>>(), [Some(19); 3]);
        // 2 MB/s at level 19 are too slow for 10 MB/s; it goes down as far as it must, and up again.
        let slow = |level: i32| 2e6 * f64::from(20 - level).powi(2);
        let mut level = 19;
        for _ in 0..20 {
            level = pack(19, slow(level), 10e6).unwrap_or(level);
        }
        assert!((10..17).contains(&level), "{level}");
        for _ in 0..30 {
            level = pack(19, slow(level), 50e3).unwrap_or(level);
        }
        assert_eq!(level, 19);
        // The link's word counts at once.
        assert_eq!(pack(1, 50e6, 100e3), Some(1));
        // A link that is faster than the lightest level is not slowed down.
        assert!((0..200).filter_map(|_| pack(1, 50e6, 100e6)).count() < 9);
        // It became a slow one.
        assert_eq!(pack(1, 50e6, 1e6), Some(1));
    }

    #[test]
    fn a_receiver_that_does_not_unpack_gets_bytes_as_they_are() {
        let packer = Packer::new(Guide::new(|| Fit { pack: Some(THREE), ..Fit::default() }));
        assert_eq!((packer.pack(&[7; 10_000]), packer.level()), (None, None));
        packer.on_opened(&["zstd".into()]);
        let packed = packer.pack(&[7; 10_000]).unwrap();
        assert_eq!(zstd::bulk::decompress(&packed, 10_000).unwrap(), [7; 10_000]);
        assert_eq!(packer.level(), Some(3));
        packer.on_held(10_000, packed.len() as u64);
        assert_eq!(packer.saved(), 10_000 - packed.len() as u64);
    }
}
