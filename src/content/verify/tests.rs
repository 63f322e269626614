use super::*;
use crate::content::MakeOptions;
use crate::content::testing::{Tree, noise};
use std::fs;

/// Three files of 4 pieces each, a link, an empty file, an empty folder.
fn tree() -> (Tree, Manifest) {
    let tree = Tree::new();
    for (seed, name) in ["a", "d/b", "e/c"].into_iter().enumerate() {
        tree.file(name, noise(4096, seed as u64));
    }
    tree.link("link", "d/b").file("nothing", "").folder("void");
    let options = MakeOptions { piece_length: Some(1024), ..MakeOptions::default() };
    let manifest = tree.make(&options).manifest;
    (tree, manifest)
}

fn bad(report: &Report) -> Vec<u32> {
    report.good.zeros().collect()
}

fn wrong(path: &str, difference: Difference) -> Wrong {
    Wrong { path: path.into(), difference }
}

#[test]
fn what_is_missing_is_listed() {
    let (tree, manifest) = tree();
    assert!(tree.verify(&manifest).is_intact());
    fs::remove_dir_all(tree.path("d")).unwrap();
    fs::remove_file(tree.path("nothing")).unwrap();
    fs::remove_dir(tree.path("void")).unwrap();
    fs::remove_file(tree.path("link")).unwrap();
    let report = tree.verify(&manifest);
    assert_eq!(report.missing, ["d/b", "link", "nothing", "void/"]);
    assert_eq!(bad(&report), [4, 5, 6, 7]);
    assert!(report.wrong.is_empty());
}

#[test]
fn size_mode_and_target_differ() {
    let (tree, manifest) = tree();
    let resize = |name, size| fs::File::options().write(true).open(tree.path(name)).unwrap().set_len(size).unwrap();
    resize("a", 5000);
    resize("d/b", 2000);
    tree.mode("e/c", 0o600).mode("void", 0o700);
    fs::remove_file(tree.path("link")).unwrap();
    tree.link("link", "d/x");
    let report = tree.verify(&manifest);
    assert_eq!(bad(&report), [5, 6, 7], "what is there of a short file counts, as does all of a long one");
    assert_eq!(
        report.wrong,
        [
            wrong("a", Difference::Size { found: 5000, expected: 4096 }),
            wrong("d/b", Difference::Size { found: 2000, expected: 4096 }),
            wrong("e/c", Difference::Mode { found: 0o600, expected: 0o644 }),
            wrong("link", Difference::Target),
            wrong("void/", Difference::Mode { found: 0o700, expected: 0o755 }),
        ]
    );
    assert!(report.missing.is_empty() && !report.is_intact());
}

#[test]
fn another_kind_is_never_opened() {
    let (tree, manifest) = tree();
    let swap = |name: &str| fs::rename(tree.path(name), tree.outside().join("real")).unwrap();
    swap("a");
    // Opening a pipe for reading would wait for a writer.
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, tree.path("a"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    swap("e/c");
    tree.link("e/c", "../../real");
    let report = tree.verify(&manifest);
    assert_eq!(bad(&report), [0, 1, 2, 3, 8, 9, 10, 11], "the right bytes outside the tree are not in it");
    let kind = || Difference::Kind { expected: "file" };
    assert_eq!(report.wrong, [wrong("a", kind()), wrong("e/c", kind())]);
}

#[test]
fn a_folder_that_became_a_link_does_not_count() {
    let (tree, manifest) = tree();
    fs::rename(tree.path("d"), tree.path("moved")).unwrap();
    tree.link("d", "moved");
    fs::rename(tree.path("e"), tree.outside().join("e")).unwrap();
    tree.link("e", "../e");
    let report = tree.verify(&manifest);
    assert_eq!(report.missing, ["d/b", "e/c"]);
    assert_eq!(bad(&report), [4, 5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn one_file_may_have_another_name() {
    let tree = Tree::new();
    tree.file("one", noise(3000, 1));
    let options = MakeOptions { piece_length: Some(1024), ..MakeOptions::default() };
    let never = AtomicBool::new(false);
    let manifest = crate::content::make(&tree.path("one"), &options, &|_| {}, &never).unwrap().manifest;
    fs::rename(tree.path("one"), tree.path("two")).unwrap();
    assert!(verify(&tree.path("two"), &manifest, 1, &|_| {}, &never).unwrap().is_intact());

    let gone = verify(&tree.path("one"), &manifest, 1, &|_| {}, &never);
    assert!(matches!(gone, Err(VerifyError::Root { .. })));
    let folder = verify(&tree.root(), &manifest, 1, &|_| {}, &never);
    assert!(matches!(folder, Err(VerifyError::Shape { expected: "file", found: "tree" })));
    let cancelled = verify(&tree.path("two"), &manifest, 1, &|_| {}, &AtomicBool::new(true));
    assert!(matches!(cancelled, Err(VerifyError::Cancelled)));
}

#[test]
fn a_place_inside_a_root_stays_there() {
    let (tree, manifest) = tree();
    let dir = cap_std::fs::Dir::open_ambient_dir(tree.outside(), cap_std::ambient_authority()).unwrap();
    let never = AtomicBool::new(false);
    let place = Place::inside(&dir, Path::new("tree")).unwrap();
    assert!(verify_place(&place, &manifest, 0, &|_| {}, &never).unwrap().is_intact());
    assert!(Place::inside(&dir, Path::new("tree/a")).unwrap().is_single_file());

    let root = dir.open_dir("tree").unwrap();
    tree.link("out", "..");
    for path in ["..", "../tree", "out", "out/tree", "link"] {
        assert!(Place::inside(&root, Path::new(path)).is_err(), "{path}");
    }
}

#[test]
fn an_unchecked_manifest_is_refused() {
    let (tree, mut manifest) = tree();
    manifest.files[0].path = "../secret".into();
    let outcome = verify(&tree.root(), &manifest, 1, &|_| {}, &AtomicBool::new(false));
    assert!(matches!(outcome, Err(VerifyError::Manifest(_))));
}
