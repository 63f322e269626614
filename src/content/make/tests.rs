use super::*;
use crate::content::testing::{Tree, noise, random_files};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::Write as _;
use std::sync::atomic::Ordering::Relaxed;

fn with_length(piece_length: u64) -> MakeOptions<'static> {
    MakeOptions { piece_length: Some(piece_length), threads: 3, known: None }
}

/// On one thread the reports, and what a test does in them, come at fixed points.
const ONE_THREAD: MakeOptions<'static> = MakeOptions { piece_length: None, threads: 1, known: None };

fn run(path: &Path, options: &MakeOptions<'_>) -> Result<Made, MakeError> {
    make(path, options, &|_| {}, &AtomicBool::new(false))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pieces_are_those_of_the_files_laid_end_to_end(
        files in random_files(),
        length in 1024u64..4000,
        threads in 1usize..4,
        flip in any::<prop::sample::Index>(),
    ) {
        let tree = Tree::new();
        let mut all = Vec::new();
        for (at, (path, size)) in files.iter().enumerate() {
            let bytes = noise(*size, at as u64);
            tree.file(path, &bytes);
            all.extend(bytes);
        }
        let made = tree.make(&MakeOptions { threads, ..with_length(length) });
        let expected: Vec<_> = all.chunks(length as usize).map(|c| Digest(Sha256::digest(c).into())).collect();
        prop_assert_eq!(&made.manifest.pieces, &expected);
        prop_assert_eq!((made.hashed_bytes, made.reused_bytes), (all.len() as u64, 0));
        prop_assert!(made.manifest.check().is_ok());

        prop_assert!(tree.verify(&made.manifest).is_intact());
        if !all.is_empty() {
            // One wrong byte costs the one piece it is in, and nothing else.
            let at = flip.index(all.len()) as u64;
            let extent = Layout::new(&made.manifest).extents(at..at + 1).next().unwrap();
            let path = tree.path(&made.manifest.files[extent.file].path);
            let mut bytes = fs::read(&path).unwrap();
            bytes[extent.offset as usize] ^= 1;
            fs::write(&path, bytes).unwrap();
            let report = tree.verify(&made.manifest);
            prop_assert_eq!(report.good.zeros().collect::<Vec<_>>(), [(at / length) as u32]);
            prop_assert!(report.missing.is_empty() && report.wrong.is_empty());
        }
    }
}

#[test]
fn nothing_to_hash_is_content_too() {
    let tree = Tree::new();
    let made = tree.make(&MakeOptions::default());
    assert!(made.manifest.files.is_empty() && made.manifest.pieces.is_empty());
    tree.file("empty", "").folder("folder");
    let made = tree.make(&MakeOptions::default());
    assert_eq!(made.manifest.files.len(), 2);
    assert!(tree.verify(&made.manifest).is_intact());
    let single = run(&tree.path("empty"), &MakeOptions::default()).unwrap();
    assert!(single.manifest.is_single_file());
}

#[test]
fn the_time_and_name_do_not_change_the_id() {
    let tree = Tree::new();
    tree.file("a", noise(5000, 1));
    let before = tree.make(&MakeOptions::default()).manifest;
    tree.touch("a", 77);
    let after = tree.make(&MakeOptions::default()).manifest;
    assert_eq!(before.id(), after.id());
    assert_ne!(before.files[0].mtime, after.files[0].mtime);
}

#[test]
fn what_changed_since_the_scan_is_an_error() {
    type Change = fn(&Tree);
    let changes: [(&str, Change); 6] = [
        ("written to", |t| {
            t.touch("d/f", 5);
        }),
        ("grown", |t| fs::File::options().append(true).open(t.path("d/f")).unwrap().write_all(b"x").unwrap()),
        ("cut", |t| fs::File::options().write(true).open(t.path("d/f")).unwrap().set_len(10).unwrap()),
        ("removed", |t| fs::remove_file(t.path("d/f")).unwrap()),
        ("replaced by a link", |t| {
            fs::rename(t.path("d/f"), t.path("moved")).unwrap();
            t.link("d/f", "../moved");
        }),
        ("its folder replaced by a link outside", |t| {
            fs::rename(t.path("d"), t.outside().join("d")).unwrap();
            t.link("d", "../d");
        }),
    ];
    for (what, change) in changes {
        let tree = Tree::new();
        tree.file("d/f", noise(5000, 1));
        let scan = scan(&tree.root()).unwrap();
        change(&tree);
        let outcome = make_scanned(scan, &with_length(1024), &|_| {}, &AtomicBool::new(false));
        match outcome {
            Err(MakeError::Changed { path }) => assert_eq!(path, "d/f"),
            // cap-std refuses to leave the tree, and says so in its own words.
            Err(MakeError::Read { path, .. }) if what.ends_with("outside") => assert_eq!(path, "d/f"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_write_while_hashing_is_noticed() {
    let tree = Tree::new();
    tree.file("f", noise(12 << 20, 1));
    let touch = |progress: HashProgress| {
        if progress.bytes_done > 0 && progress.bytes_done < progress.bytes_total {
            tree.touch("f", 2_000_000_000);
        }
    };
    let outcome = make(&tree.root(), &ONE_THREAD, &touch, &AtomicBool::new(false));
    assert!(matches!(outcome, Err(MakeError::Changed { .. })), "{outcome:?}");
}

#[test]
fn it_can_be_cancelled_half_way() {
    let tree = Tree::new();
    tree.file("f", noise(12 << 20, 1));
    let cancel = AtomicBool::new(false);
    let last = std::sync::atomic::AtomicU64::new(0);
    let progress = |p: HashProgress| {
        last.store(p.bytes_done, Relaxed);
        cancel.store(p.bytes_done > 0, Relaxed);
    };
    let outcome = make(&tree.root(), &ONE_THREAD, &progress, &cancel);
    assert!(matches!(outcome, Err(MakeError::Cancelled)), "{outcome:?}");
    assert!(last.load(Relaxed) < 12 << 20);
}

#[test]
fn progress_only_grows_and_reaches_the_total() {
    let tree = Tree::new();
    tree.file("big", noise(20 << 20, 1)).file("empty", "").file("small", "x");
    let reports = |options: &MakeOptions<'_>| {
        let seen = Mutex::new(Vec::new());
        make(&tree.root(), options, &|p| seen.lock().unwrap().push(p), &AtomicBool::new(false)).unwrap();
        seen.into_inner().unwrap()
    };
    assert_eq!(reports(&ONE_THREAD).len(), 7, "every 4 MiB, and both ends");
    let seen = reports(&MakeOptions { threads: 4, ..ONE_THREAD });
    assert!(seen.is_sorted_by_key(|p| (p.bytes_done, p.files_done)), "{seen:?}");
    let total = (20 << 20) + 1;
    let end = HashProgress { bytes_done: total, bytes_total: total, files_done: 2, files_total: 2 };
    assert_eq!(seen.last(), Some(&end));
}

#[test]
fn piece_lengths_are_bounded() {
    let tree = Tree::new();
    tree.file("f", "x");
    for length in [0, 1023, MAX_PIECE_LENGTH + 1, u64::MAX] {
        let outcome = run(&tree.root(), &with_length(length));
        assert!(matches!(outcome, Err(MakeError::PieceLength { got }) if got == length));
    }
    fs::File::options().write(true).open(tree.path("f")).unwrap().set_len(8 << 30).unwrap();
    let outcome = run(&tree.root(), &with_length(1024));
    assert!(matches!(outcome, Err(MakeError::TooManyPieces { pieces: 0x80_0000, .. })), "before anything is read");
}

mod known {
    use super::*;

    /// Three files of 10 pieces each, and what is known of them.
    fn known() -> (Tree, Known) {
        let tree = Tree::new();
        for (seed, name) in ["a", "b", "c"].into_iter().enumerate() {
            tree.file(name, noise(10 * 1024, seed as u64));
        }
        let known = tree.make(&with_length(1024)).into();
        (tree, known)
    }

    /// Bytes hashed again; the manifest must be that of a run that knows nothing.
    fn again(tree: &Tree, known: &Known, length: u64) -> u64 {
        let made = tree.make(&MakeOptions { known: Some(known), ..with_length(length) });
        assert_eq!(made.manifest, tree.make(&with_length(length)).manifest);
        assert_eq!(made.hashed_bytes + made.reused_bytes, made.manifest.size());
        made.hashed_bytes
    }

    #[test]
    fn unchanged_files_are_not_read_again() {
        let (tree, known) = known();
        assert_eq!(again(&tree, &known, 1024), 0);
        let stored: Known = serde_json::from_slice(&serde_json::to_vec(&known).unwrap()).unwrap();
        assert_eq!(again(&tree, &stored, 1024), 0);
    }

    #[test]
    fn only_the_changed_file_is() {
        let (tree, known) = known();
        let mut bytes = fs::read(tree.path("b")).unwrap();
        bytes[5] ^= 1;
        tree.file("b", bytes).touch("b", 7);
        assert_eq!(again(&tree, &known, 1024), 10 * 1024);
    }

    #[test]
    fn a_new_name_or_file_behind_costs_nothing_else() {
        let (tree, known) = known();
        fs::rename(tree.path("b"), tree.path("bb")).unwrap();
        tree.file("d", noise(100, 9));
        assert_eq!(again(&tree, &known, 1024), 100);
        tree.mode("a", 0o600);
        assert_eq!(again(&tree, &known, 1024), 100, "the mode is not in the pieces");
    }

    #[test]
    fn what_moved_within_the_content_is_read() {
        let (tree, known) = known();
        tree.file("aa", "x");
        assert_eq!(again(&tree, &known, 1024), 20 * 1024 + 1, "b and c moved by a byte");
        fs::remove_file(tree.path("aa")).unwrap();
        fs::remove_file(tree.path("a")).unwrap();
        assert_eq!(again(&tree, &known, 1024), 20 * 1024);
    }

    #[test]
    fn a_piece_that_lost_its_end_is_read() {
        let tree = Tree::new();
        tree.file("a", noise(1000, 1)).file("b", noise(1000, 2));
        let known = tree.make(&with_length(4096)).into();
        fs::remove_file(tree.path("b")).unwrap();
        assert_eq!(again(&tree, &known, 4096), 1000);
    }

    #[test]
    fn another_piece_length_or_unsound_knowledge_is_no_help() {
        let (tree, known) = known();
        assert_eq!(again(&tree, &known, 2048), 30 * 1024);
        let mut short = known.clone();
        short.stamps.pop();
        assert_eq!(again(&tree, &short, 1024), 30 * 1024);
        let mut short = known;
        short.manifest.pieces.pop();
        assert_eq!(again(&tree, &short, 1024), 30 * 1024);
    }
}
