//! Manifests: ids, round trips, and everything hostile.

use super::*;

fn file(path: &str, size: u64) -> FileEntry {
    FileEntry { mode: 0o644, mtime: None, path: path.into(), size, symlink: None }
}

fn manifest(files: Vec<FileEntry>) -> Manifest {
    let size: u64 = files.iter().map(|f| f.size).sum();
    let pieces = vec![Digest([7; 32]); size.div_ceil(1024) as usize];
    Manifest { files, name: "it".into(), piece_length: 1024, pieces, tree: false, version: 1 }
}

#[test]
fn the_id_ignores_name_and_mtime_and_nothing_else() {
    let one = manifest(vec![file("a", 10)]);
    let mut two = one.clone();
    two.name = "other".into();
    two.files[0].mtime = Some(Timestamp::UNIX_EPOCH);
    assert_eq!(one.id(), two.id());
    for change in [
        |m: &mut Manifest| m.files[0].mode = 0o755,
        |m: &mut Manifest| m.files[0].path = "b".into(),
        |m: &mut Manifest| m.pieces[0] = Digest([8; 32]),
        |m: &mut Manifest| m.tree = true,
    ] {
        let mut changed = one.clone();
        change(&mut changed);
        assert_ne!(one.id(), changed.id());
    }
}

#[test]
fn the_id_is_that_of_the_written_down_canonical_form() {
    let m = manifest(vec![file("a\n\"é", 10)]);
    let text = format!(
        r#"{{"files":[{{"mode":420,"path":"a\n\"é","size":10}}],"piece_length":1024,"pieces":["{}"],"version":1}}"#,
        "07".repeat(32)
    );
    assert_eq!(m.id().0, <[u8; 32]>::from(Sha256::digest(text.as_bytes())));
}

#[test]
fn json_round_trip() {
    let mut m = manifest(vec![file("a", 3000), file("sub/", 0)]);
    m.files[0].mtime = Some("2026-11-21T05:23:00.123456789Z".parse().unwrap());
    assert_eq!(Manifest::from_json(&m.to_json()).unwrap(), m);
}

#[test]
fn a_reader_is_read_no_further_than_the_cap() {
    let m = manifest(vec![file("a", 3000)]);
    let json = m.to_json();
    assert_eq!(Manifest::from_reader(json.as_slice()).unwrap(), m);
    assert!(Manifest::from_reader(&json[..json.len() - 1]).is_err());
    // White space behind it could go on for ever.
    let endless = json.chain(std::io::repeat(b' '));
    assert!(matches!(Manifest::from_reader(endless), Err(ManifestError::Cap { .. })));
}

#[test]
fn a_description_that_nobody_could_take_is_refused_before_it_is_hashed() {
    let m = manifest(vec![file("a", 0)]);
    let most = (MAX_JSON as u64 - m.to_json().len() as u64) / 67;
    assert!(m.check_json_size(most).is_ok());
    assert!(m.check_json_size(most + 1).is_err());
    assert!(m.check_json_size(MAX_PIECES as u64).is_ok(), "as many pieces as there may be do fit");
}

#[test]
fn hostile_manifests_are_refused() {
    let link = |path: &str, target: &str| FileEntry { symlink: Some(target.into()), ..file(path, 0) };
    let cases: Vec<(&str, Vec<FileEntry>)> = vec![
        ("bad path", vec![file("../x", 1)]),
        ("bad path", vec![file("/x", 1)]),
        ("bad path", vec![file(&vec!["d"; 5000].join("/"), 1)]),
        ("2^53", vec![file("a", u64::MAX), file("b", u64::MAX)]),
        ("listed twice", vec![file("a", 1), file("a", 1)]),
        ("listed twice", vec![file("a/b", 1), file("a", 1)]),
        ("not a folder", vec![file("a", 1), file("a/b", 1)]),
        ("not a folder", vec![link("a", "b"), file("a/b", 1)]),
        ("outside", vec![link("a", "/etc")]),
        ("outside", vec![link("a", "../x")]),
        ("outside", vec![link("d/a", "x/../../..")]),
        ("outside", vec![link("d/l", ".."), link("m", "d/l/../x")]),
        ("only a file", vec![FileEntry { size: 1, ..link("a", "b") }]),
        ("mode", vec![FileEntry { mode: 0o4755, ..file("a", 1) }]),
    ];
    for (expected, files) in cases {
        let mut m = manifest(vec![]);
        m.files = files;
        let error = m.check().unwrap_err().to_string();
        assert!(error.contains(expected), "{error} should speak of {expected:?}");
    }
    assert!(manifest(vec![file("d/x", 1), link("d/a", "../d/x")]).check().is_ok());
}

#[test]
fn piece_counts_must_fit() {
    let mut m = manifest(vec![file("a", 3000)]);
    m.pieces.pop();
    assert!(matches!(m.check(), Err(ManifestError::PieceCount { expected: 3, got: 2, .. })));
    m.files[0].size = 1_000_000_000_000 * 1024;
    assert!(matches!(m.check(), Err(ManifestError::PieceCount { .. })), "10^12 pieces");
    m.piece_length = 1;
    assert!(matches!(m.check(), Err(ManifestError::Cap { .. })));
}

#[test]
fn piece_length_follows_size() {
    assert_eq!(piece_length_for(0), 256 << 10);
    assert_eq!(piece_length_for(2 << 30), 256 << 10);
    assert_eq!(piece_length_for(20 << 30), 2 << 20);
    assert_eq!(piece_length_for(1 << 50), 16 << 20);
}
