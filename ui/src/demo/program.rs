//! What the fleet is given to do as time goes on: decided by the seed alone, without an end.

use std::fmt;
use std::time::Duration;

use skep_engine::control::PriorityClass;
use skep_shaper::Profile;

/// Something to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    /// File or folder.
    pub name: String,
    /// In all.
    pub bytes: usize,
    /// Small files in it; 0: one file.
    pub files: usize,
    /// Of its bytes.
    pub seed: u64,
}

/// Who moves what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// The origin shares it, everybody fetches it.
    Fetched,
    /// The node in the middle pushes it over its uplinks.
    Pushed,
    /// The van pushes it to the node in the middle.
    Received,
}

/// Contents of one course, one after the other.
#[derive(Debug)]
pub(super) struct Program {
    course: Course,
    rng: fastrand::Rng,
    number: usize,
}

const MIB: usize = 1 << 20;

impl Program {
    pub(super) fn new(course: Course, seed: u64) -> Self {
        Self { course, rng: fastrand::Rng::with_seed(seed ^ 0x00c0_45e5 ^ ((course as u64) << 32)), number: 0 }
    }

    /// What comes next, and the pause before it.
    pub(super) fn next(&mut self) -> (Duration, Content) {
        let first = self.number == 0;
        self.number += 1;
        // Name before and behind the number, small files, least and most MiB, pause in seconds. Rates are those of the
        // links, so sizes decide how long each takes: half a minute, about.
        let (kinds, mib, pause): (&[(&str, &str, usize)], _, _) = match self.course {
            Course::Fetched => (
                &[
                    ("survey-tiles", ".tar", 0),
                    ("camera-roll", "", 240),
                    ("weather-grid", ".nc", 0),
                    ("genome-reads", ".fq.zst", 0),
                    ("field-notes", "", 400),
                ],
                16..40,
                12..20,
            ),
            Course::Pushed => {
                (&[("dailies", ".mov", 0), ("telescope", ".fits", 0), ("night-dump", ".sql.zst", 0)], 32..56, 4..9)
            }
            Course::Received => (&[("dashcam", ".mp4", 0), ("sensors", ".csv", 0)], 4..9, 8..16),
        };
        let (before, behind, files) = kinds[(self.number - 1) % kinds.len()];
        let content = Content {
            name: format!("{before}-{:02}{behind}", self.number),
            bytes: self.rng.usize(mib) * MIB,
            files,
            seed: self.rng.u64(..),
        };
        let pause = Duration::from_secs(self.rng.u64(pause));
        // There is enough to look at when it begins, but for pushes.
        let pause = if first && self.course != Course::Fetched { Duration::ZERO } else { pause };
        (pause, content)
    }
}

/// The file that is kept equal, and its bytes.
pub(super) const WAREHOUSE: (&str, usize) = ("warehouse.db", 48 * MIB);

/// A place of it that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// Where.
    pub offset: u64,
    /// How much.
    pub bytes: usize,
    /// Of its bytes.
    pub seed: u64,
}

/// What changes before the next delta, and the pause before that: a few places, as in a database that is worked with. At a round
/// a minute or so, what is sent of it takes some seconds over its link.
pub(super) fn edits(rng: &mut fastrand::Rng, first: bool) -> (Duration, Vec<Edit>) {
    let pause = if first { Duration::from_secs(2) } else { Duration::from_secs(rng.u64(35..55)) };
    let count = rng.usize(5..12);
    let edit = |rng: &mut fastrand::Rng| {
        let bytes = rng.usize(16..160) << 10;
        Edit { offset: rng.u64(0..(WAREHOUSE.1 - bytes) as u64), bytes, seed: rng.u64(..) }
    };
    (pause, (0..count).map(|_| edit(rng)).collect())
}

/// What happens to an uplink during a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It keeps a fiftieth of its rate.
    Collapses,
    /// Nothing gets through, connections break.
    Dies,
    /// It is as it was.
    Recovers,
}

/// When what happens to which of three uplinks after a push began. One collapses and comes back, another dies for a
/// while; the third holds.
pub(super) fn troubles(rng: &mut fastrand::Rng) -> Vec<(Duration, usize, Trouble)> {
    let mut uplinks = [0, 1, 2];
    rng.shuffle(&mut uplinks);
    let at = |s: f64| Duration::from_secs_f64(s);
    let collapse = 2.5 + rng.f64();
    let death = collapse + 3.0 + rng.f64();
    let mut all = vec![
        (at(collapse), uplinks[0], Trouble::Collapses),
        (at(collapse + 5.0 + rng.f64() * 2.0), uplinks[0], Trouble::Recovers),
        (at(death), uplinks[1], Trouble::Dies),
        (at(death + 4.0 + rng.f64() * 3.0), uplinks[1], Trouble::Recovers),
    ];
    all.sort_by_key(|(when, ..)| *when);
    all
}

/// Where the ship is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sea {
    /// In reach, over a link like this.
    Near(Profile),
    /// Out of reach.
    Away,
}

impl fmt::Display for Sea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Near(profile) => write!(f, "is in reach: {}", profile.name),
            Self::Away => f.write_str("is out of reach"),
        }
    }
}

/// Where the ship is for how long, from port to port: ever farther, out of reach, and back.
pub(super) fn voyage(rng: &mut fastrand::Rng) -> Vec<(Duration, Sea)> {
    let course = [
        (14, Sea::Near(Profile::BROADBAND)),
        (18, Sea::Near(Profile::MOBILE)),
        (22, Sea::Near(Profile::SATELLITE)),
        (20, Sea::Away),
        (20, Sea::Near(Profile::MOBILE)),
        (18, Sea::Near(Profile::FIBER)),
    ];
    course.map(|(seconds, sea)| (Duration::from_secs(seconds + rng.u64(0..6)), sea)).into()
}

/// To which of so many nodes crowds come, how long each stays, and the pause behind it: to every one of them, in an order by chance.
pub(super) fn crowds(rng: &mut fastrand::Rng, nodes: usize) -> Vec<(usize, Duration, Duration)> {
    let mut order: Vec<usize> = (0..nodes).collect();
    rng.shuffle(&mut order);
    let seconds = |s: u64| Duration::from_secs(s);
    order.into_iter().map(|at| (at, seconds(rng.u64(18..26)), seconds(rng.u64(8..14)))).collect()
}

/// What is for the ship next, its class, and the pause before it. `number` counts from one.
pub(super) fn cargo(rng: &mut fastrand::Rng, number: usize) -> (Duration, PriorityClass, Content) {
    let (name, class, kib) = match number % 6 {
        1 => (format!("charts-{number:02}.bin"), PriorityClass::High, 200..500),
        2 => (format!("mail-{number:02}.mbox"), PriorityClass::Normal, 60..300),
        3 => (format!("storm-warning-{number:02}.txt"), PriorityClass::Critical, 2..8),
        4 => (format!("engine-model-{number:02}.onnx"), PriorityClass::Analytics, 900..1_800),
        5 => (format!("crew-films-{number:02}.mkv"), PriorityClass::Background, 3_000..6_000),
        _ => (format!("ledger-v{number:02}.sql"), PriorityClass::SchemaChange, 20..80),
    };
    let pause = Duration::from_millis(if number <= 3 { 800 } else { rng.u64(5_000..9_000) });
    (pause, class, Content { name, bytes: rng.usize(kib) << 10, files: 0, seed: rng.u64(..) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_comes_to_every_node_the_same_way_every_time() {
        let of = |seed| crowds(&mut fastrand::Rng::with_seed(seed), 3);
        assert_eq!(of(7), of(7));
        let mut nodes: Vec<usize> = of(3).iter().map(|(at, ..)| *at).collect();
        nodes.sort_unstable();
        assert_eq!(nodes, [0, 1, 2]);
    }

    #[test]
    fn the_ship_goes_out_of_reach_and_comes_back_the_same_way_every_time() {
        let of = |seed| voyage(&mut fastrand::Rng::with_seed(seed));
        assert_eq!(of(7), of(7));
        assert_eq!(of(3).iter().filter(|(_, sea)| *sea == Sea::Away).count(), 1);
        assert!(matches!(of(3)[0].1, Sea::Near(_)));
        let classes: std::collections::BTreeSet<_> =
            (1..=6).map(|number| cargo(&mut fastrand::Rng::with_seed(1), number).1.index()).collect();
        assert_eq!(classes.len(), 6, "something of every class");
    }

    #[test]
    fn the_same_seed_gives_the_same_program_and_names_never_repeat() {
        for course in [Course::Fetched, Course::Pushed, Course::Received] {
            let of = |seed| {
                let mut program = Program::new(course, seed);
                (0..60).map(|_| program.next()).collect::<Vec<_>>()
            };
            assert_eq!(of(7), of(7));
            assert_ne!(of(7), of(8));
            let names: std::collections::BTreeSet<_> = of(7).into_iter().map(|(_, content)| content.name).collect();
            assert_eq!(names.len(), 60);
        }
    }

    #[test]
    fn one_uplink_collapses_one_dies_both_recover_and_one_holds() {
        for seed in 0..50 {
            let all = troubles(&mut fastrand::Rng::with_seed(seed));
            assert!(all.is_sorted_by_key(|(when, ..)| *when));
            let of = |uplink| all.iter().filter(|t| t.1 == uplink).map(|t| t.2).collect::<Vec<_>>();
            let mut courses = [of(0), of(1), of(2)];
            courses.sort_by_key(|course| course.first().map(|t| *t as u8));
            use Trouble::{Collapses, Dies, Recovers};
            assert_eq!(courses, [vec![], vec![Collapses, Recovers], vec![Dies, Recovers]]);
        }
    }

    #[test]
    fn few_places_of_the_warehouse_change() {
        let mut rng = fastrand::Rng::with_seed(3);
        for round in 0..50 {
            let (pause, edits) = edits(&mut rng, round == 0);
            assert!(pause < Duration::from_secs(60) && !edits.is_empty());
            let changed: usize = edits.iter().map(|edit| edit.bytes).sum();
            assert!(changed * 20 < WAREHOUSE.1, "{changed}");
            assert!(edits.iter().all(|edit| edit.offset as usize + edit.bytes <= WAREHOUSE.1));
        }
    }
}
