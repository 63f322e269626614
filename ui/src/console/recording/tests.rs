//! What is recorded comes back, whatever happens to the file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use skep_engine::content::Bitmap;
use skep_engine::control::{Bits, Focus, LogLevel, LogLine, NodeRow, PeerRow, TransferDetail, TransferId, TransferRow};
use skep_engine::rpc::delta::Encoder;

use super::format::{HEAD, MAGIC, encode};
use super::tape::make_room;
use super::*;
use crate::console::model::Moment;

const FOCUS: Focus = Focus { transfer: Some(TransferId(1)) };

/// A snapshot that differs from those of other numbers.
fn snapshot(number: u64, seed: u64) -> Snapshot {
    let mut rng = fastrand::Rng::with_seed(seed);
    let row = |id| TransferRow { id: TransferId(id), name: format!("t{id}"), ..TransferRow::default() };
    let transfers = (1..=5).filter(|_| rng.bool()).map(row).collect::<Vec<_>>();
    let line = |seq| LogLine {
        seq,
        time_ms: seq,
        level: LogLevel::Info,
        target: "swarm".into(),
        message: format!("line {seq}"),
        transfer: None,
    };
    let mut have = Bitmap::empty(300);
    (0..300).filter(|_| rng.u8(..) < 90).for_each(|piece| {
        have.set(piece);
    });
    let peer = |n: u64| PeerRow { endpoint: format!("p{n}"), bytes_down: number, ..PeerRow::default() };
    let detail = TransferDetail {
        id: TransferId(1),
        generation: number,
        piece_length: 1 << 20,
        have: Bits(Arc::new(have)),
        in_flight: vec![number as u32],
        failed: Vec::new(),
        availability: Arc::new(vec![number as u8; 300]),
        peers: (0..rng.u64(0..4)).map(peer).collect(),
        trackers: Vec::new(),
        files: Arc::default(),
        delta: None,
    };
    Snapshot {
        generation: number,
        time_ms: number,
        node: Arc::new(NodeRow { name: "hive".into(), rate_down: number, ..NodeRow::default() }),
        transfers: transfers.into_iter().map(Arc::new).collect(),
        details: [(TransferId(1), Arc::new(detail))].into(),
        bans: Arc::default(),
        links: Vec::new(),
        thresholds: Default::default(),
        queue: Arc::default(),
        pool: Arc::default(),
        log: Arc::new((0..=number).map(|seq| Arc::new(line(seq))).collect()),
    }
}

/// Writes moments a second apart, from 1 s on; a whole snapshot every `group`, a file every `per_file`.
fn write(tape: &mut Tape, dir: &Path, snapshots: &[Snapshot], group: usize, per_file: usize) {
    let mut encoder = Encoder::default();
    for (at, snapshot) in snapshots.iter().enumerate() {
        if at % per_file == 0 {
            tape.begin(&dir.join(format!("{at:05}.skeprec"))).unwrap();
        }
        if at % per_file == 0 || at % group == 0 {
            encoder = Encoder::default();
        }
        let frame = encode(&mut encoder, snapshot, FOCUS, (at as u64 + 1) * 1_000).unwrap().unwrap();
        tape.append(&frame).unwrap();
    }
}

fn at(tape: &mut Tape, time_ms: u64) -> Recorded {
    tape.seek(Seek { from_ms: time_ms, ..Seek::default() }).unwrap()
}

fn made(seeds: &[u64]) -> Vec<Snapshot> {
    seeds.iter().enumerate().map(|(at, seed)| snapshot(at as u64 + 1, *seed)).collect()
}

fn one_file(dir: &Path, snapshots: &[Snapshot], group: usize) -> PathBuf {
    write(&mut Tape::default(), dir, snapshots, group, usize::MAX);
    dir.join("00000.skeprec")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_moment_comes_back_in_any_order(
        seeds in prop::collection::vec(any::<u64>(), 1..40),
        group in 1usize..12,
        per_file in 1usize..50,
        asked in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (snapshots, mut tape) = (made(&seeds), Tape::default());
        write(&mut tape, dir.path(), &snapshots, group, per_file);
        let saved = dir.path().join("saved.skeprec");
        prop_assert_eq!(tape.save(&saved).unwrap(), std::fs::metadata(&saved).unwrap().len());
        let mut copy = Tape::open(&saved).unwrap();
        prop_assert!(!copy.is_torn() && copy.len() == snapshots.len());
        for index in asked {
            let place = index.index(snapshots.len());
            let time_ms = (place as u64 + 1) * 1_000;
            for tape in [&mut tape, &mut copy] {
                let recorded = at(tape, time_ms + 999);
                prop_assert_eq!(&*recorded.snapshot, &snapshots[place]);
                prop_assert_eq!(recorded.time_ms, time_ms);
                prop_assert_eq!(recorded.rates.last(), Some(&(time_ms, place as u64 + 1, 0)));
            }
        }
    }

    /// Cut anywhere, a file is what came before, or plainly none.
    #[test]
    fn a_torn_file_plays_up_to_where_it_was_torn(
        seeds in prop::collection::vec(any::<u64>(), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = made(&seeds);
        let path = one_file(dir.path(), &snapshots, 4);
        let whole = std::fs::read(&path).unwrap();
        let cut = cut.index(whole.len());
        std::fs::write(&path, &whole[..cut]).unwrap();
        match Tape::open(&path) {
            Ok(mut tape) => {
                prop_assert!(tape.len() < snapshots.len());
                for (place, snapshot) in snapshots.iter().enumerate().take(tape.len()) {
                    prop_assert_eq!(&*at(&mut tape, (place as u64 + 1) * 1_000).snapshot, snapshot);
                }
            }
            Err(RecordingError::NotOne(_) | RecordingError::Version(_)) => prop_assert!(cut < MAGIC.len()),
            Err(RecordingError::Empty(_)) => prop_assert!(cut >= MAGIC.len()),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    /// A byte that changed ends the file where it stands; nothing false is ever shown.
    #[test]
    fn a_rotten_byte_is_noticed(
        seeds in prop::collection::vec(any::<u64>(), 1..8),
        rotten in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = made(&seeds);
        let path = one_file(dir.path(), &snapshots, 3);
        let mut bytes = std::fs::read(&path).unwrap();
        let place = rotten.index(bytes.len());
        bytes[place] ^= flip;
        std::fs::write(&path, &bytes).unwrap();
        let Ok(mut tape) = Tape::open(&path) else { return Ok(()) };
        prop_assert!(tape.is_torn() && tape.len() < snapshots.len());
        for (place, snapshot) in snapshots.iter().enumerate().take(tape.len()) {
            prop_assert_eq!(&*at(&mut tape, (place as u64 + 1) * 1_000).snapshot, snapshot);
        }
    }

    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.skeprec");
        std::fs::write(&path, [MAGIC.as_slice(), &bytes].concat()).unwrap();
        let _ = Tape::open(&path).map(|mut tape| tape.seek(Seek::default()));
    }
}

#[test]
fn steps_stop_at_both_ends_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut tape = Tape::default();
    write(&mut tape, dir.path(), &made(&[1, 2, 3, 4, 5]), 2, 3);
    let cases = [
        // from, ms, moments → time, before, beyond
        (9_999, 0, 0, 5_000, false, false),
        (9_999, 0, -1, 4_000, false, false),
        (4_000, 0, -2, 2_000, false, false),
        (2_000, 0, -9, 1_000, true, false),
        (1_000, 0, -1, 1_000, true, false),
        (4_500, -2_000, 0, 2_000, false, false),
        (4_500, -60_000, 0, 1_000, true, false),
        (1_000, 3_000, 1, 5_000, false, false),
        (5_000, 0, 1, 5_000, false, true),
        (1_000, 60_000, 0, 5_000, false, true),
        (0, 0, 0, 1_000, true, false),
    ];
    for (from_ms, ms, moments, time_ms, before, beyond) in cases {
        let seen = tape.seek(Seek { from_ms, ms, moments }).unwrap();
        let case = format!("{from_ms} {ms} {moments}");
        assert_eq!((seen.time_ms, seen.before, seen.beyond), (time_ms, before, beyond), "{case}");
        assert_eq!((seen.first_ms, seen.last_ms), (1_000, 5_000));
    }
}

#[test]
fn wrong_files_are_called_by_their_fault() {
    let dir = tempfile::tempdir().unwrap();
    let said = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Tape::open(&path).unwrap_err().to_string()
    };
    assert!(said("empty", b"").contains("no recording"));
    assert!(said("text", b"this is a letter to my aunt").contains("no recording"));
    assert!(said("later", b"skep recording 2\n").contains("does not understand"));
    assert!(said("short", MAGIC).contains("holds no moment"));
    assert!(said("evil\u{1b}[2J", b"x").starts_with("/") && !said("evil\u{1b}[2J", b"x").contains('\u{1b}'));
    assert!(Tape::open(dir.path()).unwrap_err().to_string().contains("no recording"));
    assert!(matches!(Tape::open(&dir.path().join("none")), Err(RecordingError::Io { .. })));
}

/// A frame with a right head and check, around any text.
fn forged(kind: u8, plain: &[u8], claimed: u32) -> Vec<u8> {
    let stored = lz4_flex::block::compress(plain);
    let mut frame = vec![kind];
    let _ = [1_000u64, 0, 0].map(|number| frame.extend_from_slice(&number.to_le_bytes()));
    frame.extend_from_slice(&(stored.len() as u32).to_le_bytes());
    frame.extend_from_slice(&claimed.to_le_bytes());
    let sum = frame
        .iter()
        .chain(&stored)
        .fold(0x811c_9dc5, |sum: u32, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    frame.extend_from_slice(&sum.to_le_bytes());
    assert_eq!(frame.len(), HEAD);
    frame.extend_from_slice(&stored);
    frame
}

#[test]
fn forged_frames_cost_no_memory_and_show_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = |frame: Vec<u8>| {
        let path = dir.path().join("forged.skeprec");
        std::fs::write(&path, [MAGIC.as_slice(), &frame].concat()).unwrap();
        Tape::open(&path).and_then(|mut tape| tape.seek(Seek::default())).map_err(|e| e.to_string())
    };
    let plain = |text: &str| forged(b'K', text.as_bytes(), text.len() as u32);
    assert_eq!(outcome(plain("{\"full\":true,\"generation\":7}\n")).unwrap().snapshot.generation, 7);
    let hostile = outcome(plain("{\"full\":true,\"node\":{\"name\":\"\\u001b[2J\"}}\n")).unwrap();
    assert!(!hostile.snapshot.node.name.contains('\u{1b}'));
    // Two million rows in six megabytes: more than a gigabyte in memory.
    let rows = format!("{{\"full\":true,\"changed\":[{}{{}}]}}\n", "{},".repeat(2_000_000));
    assert!(outcome(plain(&rows)).unwrap_err().contains("more than any node sends"));
    assert!(outcome(forged(b'K', b"{}", u32::MAX)).unwrap_err().contains("no moment"), "claims 4 GiB");
    assert!(outcome(forged(b'K', b"{}", 100 << 20)).unwrap_err().contains("damaged"), "claims 100 MiB");
    assert!(outcome(forged(b'D', b"{}", 2)).unwrap_err().contains("no moment"), "begins with a change");
    assert!(outcome(plain("{}\n")).unwrap_err().contains("whole snapshot"));
    assert!(outcome(plain("[1,2")).unwrap_err().contains("damaged"));
}

#[test]
fn only_the_owner_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/recordings");
    let mut tape = Tape::default();
    write(&mut tape, &folder, &made(&[1]), 1, 1);
    let saved = dir.path().join("saved.skeprec");
    tape.save(&saved).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("00000.skeprec")), 0o600);
    assert_eq!(mode(&saved), 0o600);
    assert!(tape.save(&saved).is_err(), "what is there is not overwritten");
}

#[test]
fn the_oldest_files_go_and_what_is_left_plays() {
    let dir = tempfile::tempdir().unwrap();
    let mut tape = Tape::default();
    let snapshots = made(&(0..60).collect::<Vec<_>>());
    write(&mut tape, dir.path(), &snapshots, 4, 10);
    let max = tape.bytes() / 2;
    tape.trim(max);
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(tape.bytes() <= max && left < 6 && left > 0);
    let first = tape.seek(Seek::default()).unwrap();
    assert!(first.before && first.first_ms == 1_000 * (60 - tape.len() as u64 + 1));
    assert_eq!(&*at(&mut tape, 60_000).snapshot, &snapshots[59]);
    tape.trim(0);
    assert!(!tape.is_empty(), "the file being written stays");
}

#[test]
fn room_is_made_of_old_recordings_but_not_of_those_being_written() {
    let dir = tempfile::tempdir().unwrap();
    let old = |name: &str| std::fs::write(dir.path().join(name), [0; 1_000]).unwrap();
    ["1.skeprec", "3.skeprec", "notes.txt"].into_iter().for_each(old);
    let mut tape = Tape::default();
    tape.begin(&dir.path().join("2.skeprec")).unwrap();
    make_room(dir.path(), 1_100);
    let there = |name: &str| dir.path().join(name).exists();
    assert!(!there("1.skeprec") && there("2.skeprec") && there("3.skeprec") && there("notes.txt"));
    make_room(dir.path(), 0);
    assert!(there("2.skeprec") && !there("3.skeprec") && there("notes.txt"));
    drop(tape);
    make_room(dir.path(), 0);
    assert!(!there("2.skeprec"));
}

fn moment(second: u64) -> Moment {
    Moment { mono_ms: second * 1_000, wall_ms: 1_000_000 + second * 1_000 }
}

#[tokio::test]
async fn the_recorder_keeps_what_it_is_told_within_its_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let options = RecordingOptions { dir: dir.path().join("r"), max_bytes: 40_000 };
    let recorder = Recorder::start(options, 1).unwrap();
    assert!(recorder.seek(Seek::default()).await.unwrap_err().contains("nothing is recorded yet"));
    let mut shown = Vec::new();
    for second in 0..400 {
        // So far apart a moment is always due, whatever the ones before it cost.
        let snapshot = Arc::new(snapshot(second + 1, second));
        recorder.note(Arc::clone(&snapshot), FOCUS, moment(second * 3_600));
        shown.push(snapshot);
        let from_ms = moment(second * 3_600).wall_ms;
        let seen = recorder.seek(Seek { from_ms, ..Seek::default() }).await.unwrap();
        assert_eq!(seen.snapshot, shown[second as usize], "{second}");
    }
    let saved = dir.path().join("saved.skeprec");
    recorder.save(saved.clone()).await.unwrap();
    let last = recorder.seek(Seek { from_ms: u64::MAX, ms: 0, moments: -3 }).await.unwrap();
    assert_eq!(last.snapshot, shown[396]);
    assert_eq!(recorder.trouble(), None);
    recorder.close().await;
    let bytes: u64 =
        std::fs::read_dir(dir.path().join("r")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes <= 40_000, "{bytes}");
    let mut copy = Tape::open(&saved).unwrap();
    assert_eq!(*copy.seek(Seek { from_ms: u64::MAX, ..Seek::default() }).unwrap().snapshot, *shown[399]);
}

#[tokio::test]
async fn a_clock_that_is_put_back_does_not_end_the_recording() {
    let dir = tempfile::tempdir().unwrap();
    let options = RecordingOptions { dir: dir.path().to_owned(), max_bytes: 1 << 20 };
    let recorder = Recorder::start(options, 1).unwrap();
    recorder.note(Arc::new(snapshot(1, 1)), FOCUS, Moment { mono_ms: 1_000, wall_ms: 9_000_000 });
    recorder.note(Arc::new(snapshot(2, 2)), FOCUS, Moment { mono_ms: 3_000, wall_ms: 5_000_000 });
    let last = recorder.seek(Seek { from_ms: u64::MAX, ..Seek::default() }).await.unwrap();
    assert_eq!((last.snapshot.generation, last.time_ms), (2, 9_000_000));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let options = RecordingOptions { dir: dir.path().join("file/below"), max_bytes: 1 << 20 };
    let recorder = Recorder::start(options, 1).unwrap();
    recorder.note(Arc::new(snapshot(1, 1)), FOCUS, moment(1));
    assert!(recorder.seek(Seek::default()).await.is_err());
    assert!(recorder.trouble().unwrap().contains("nothing is recorded any more"));
    assert_eq!(recorder.trouble(), None);
}
