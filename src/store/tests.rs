//! Files of a content: written, synced, published, read back, and never outside the folder.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::Arc;

use super::*;
use crate::content::{Digest, FileEntry, Manifest};

fn entry(path: &str, size: u64) -> FileEntry {
    FileEntry {
        mode: 0o644,
        mtime: Some("2020-01-02T03:04:05.678Z".parse().unwrap()),
        path: path.into(),
        size,
        symlink: None,
    }
}

fn manifest(files: Vec<FileEntry>) -> Arc<Manifest> {
    let size: u64 = files.iter().map(|f| f.size).sum();
    let pieces = vec![Digest([0; 32]); size.div_ceil(1024) as usize];
    let manifest = Manifest { files, name: "tree".into(), piece_length: 1024, pieces, tree: false, version: 1 };
    manifest.check().unwrap();
    Arc::new(manifest)
}

#[test]
fn a_tree_is_written_piece_by_piece_and_appears_whole() {
    let dir = tempfile::tempdir().unwrap();
    let link = FileEntry { symlink: Some("../b".into()), ..entry("sub/link", 0) };
    let exec = FileEntry { mode: 0o755, ..entry("b", 5) };
    let m = manifest(vec![entry("a b\n", 1500), exec, entry("empty", 0), entry("hollow/", 0), link, entry("sub/x", 3)]);
    let files = ContentFiles::open(dir.path(), OsStr::new(".part"), m, Place::Fetched, vec![]).unwrap();
    let bytes: Vec<u8> = (0..1508).map(|i| i as u8).collect();
    files.write_at(1024, &bytes[1024..]).unwrap();
    files.write_at(0, &bytes[..1024]).unwrap();
    files.sync().unwrap();
    assert!(!dir.path().join("tree").exists(), "nothing under the final name yet");
    files.finish().unwrap();
    let path = files.publish(OsStr::new("tree")).unwrap();
    assert_eq!(std::fs::read(path.join("a b\n")).unwrap(), &bytes[..1500]);
    assert_eq!(std::fs::read(path.join("sub/x")).unwrap(), &bytes[1505..]);
    assert_eq!(path.join("b").metadata().unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(path.join("sub/x").metadata().unwrap().mtime(), 1_577_934_245);
    assert_eq!(path.join("empty").metadata().unwrap().len(), 0);
    assert!(path.join("hollow").is_dir());
    assert_eq!(std::fs::read_link(path.join("sub/link")).unwrap().to_str(), Some("../b"));
    let mut back = vec![0; 1508];
    files.read_at(0, &mut back).unwrap();
    assert_eq!(back, bytes, "still readable after the rename");
}

#[test]
fn a_taken_name_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("taken"), "mine").unwrap();
    let files =
        ContentFiles::open(dir.path(), OsStr::new(".part"), manifest(vec![entry("x", 1)]), Place::Fetched, vec![])
            .unwrap();
    files.write_at(0, b"y").unwrap();
    files.finish().unwrap();
    assert_eq!(files.publish(OsStr::new("taken")).unwrap_err().kind, FilesErrorKind::Exists);
    assert_eq!(std::fs::read(dir.path().join("taken")).unwrap(), b"mine");
}

#[test]
fn a_planted_link_does_not_lead_writes_outside() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".part")).unwrap();
    symlink(outside.path(), dir.path().join(".part/sub")).unwrap();
    let files =
        ContentFiles::open(dir.path(), OsStr::new(".part"), manifest(vec![entry("sub/x", 1)]), Place::Fetched, vec![])
            .unwrap();
    let error = files.write_at(0, b"y").unwrap_err();
    assert_eq!(error.kind, FilesErrorKind::Escape, "{error}");
    assert_eq!(outside.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_planted_link_does_not_lead_writes_elsewhere_within_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("other")).unwrap();
    std::fs::write(dir.path().join("other/x"), "mine").unwrap();
    std::fs::set_permissions(dir.path().join("other/x"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::create_dir(dir.path().join(".part")).unwrap();
    symlink("../other", dir.path().join(".part/sub")).unwrap();
    symlink("../other/x", dir.path().join(".part/file")).unwrap();
    let open = |m| ContentFiles::open(dir.path(), OsStr::new(".part"), m, Place::Fetched, vec![]).unwrap();
    for path in ["file", "sub/x", "sub/new", "sub/deep/new"] {
        let error = open(manifest(vec![entry(path, 1)])).write_at(0, b"y").unwrap_err();
        assert_eq!(error.kind, FilesErrorKind::Escape, "{path}: {error}");
    }
    for m in [manifest(vec![entry("sub/x", 4)]), manifest(vec![entry("sub/new", 0)]), manifest(vec![entry("sub/", 0)])]
    {
        let error = open(m).finish().unwrap_err();
        assert_eq!(error.kind, FilesErrorKind::Escape, "{error}");
    }
    let other = dir.path().join("other");
    assert_eq!(std::fs::read(other.join("x")).unwrap(), b"mine");
    assert_eq!(other.join("x").metadata().unwrap().permissions().mode() & 0o777, 0o600, "nor its mode");
    assert_eq!(other.read_dir().unwrap().count(), 1);
}

#[test]
fn a_shared_file_that_changes_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, vec![7; 100]).unwrap();
    let meta = path.metadata().unwrap();
    let stamp = (100, i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()));
    let mut m = (*manifest(vec![entry("f", 100)])).clone();
    m.name = "f".into();
    let files = ContentFiles::open(dir.path(), OsStr::new("f"), Arc::new(m), Place::Shared, vec![stamp]).unwrap();
    let mut buf = [0; 10];
    files.read_at(5, &mut buf).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(50).unwrap();
    assert_eq!(files.read_at(5, &mut buf).unwrap_err().kind, FilesErrorKind::Changed);
}

#[test]
fn deleting_what_is_gone_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    let files =
        ContentFiles::open(dir.path(), OsStr::new("x"), manifest(vec![entry("x", 1)]), Place::Fetched, vec![]).unwrap();
    files.delete().unwrap();
    files.write_at(0, b"y").unwrap();
    files.delete().unwrap();
    assert!(!dir.path().join("x").exists());
}

#[test]
fn a_cached_read_never_opens_and_never_lies() {
    let dir = tempfile::tempdir().unwrap();
    let m = manifest(vec![entry("a", 1500), entry("b", 700)]);
    let files = ContentFiles::open(dir.path(), OsStr::new("t"), m, Place::Fetched, vec![]).unwrap();
    let bytes: Vec<u8> = (0..2200).map(|i| (i * 7) as u8).collect();
    files.write_at(0, &bytes).unwrap();
    files.close();
    let mut buf = vec![0; 2000];
    assert_eq!(files.read_cached_at(100, &mut buf).unwrap(), 0, "nothing is open");
    files.read_at(0, &mut [0]).unwrap();
    let count = files.read_cached_at(100, &mut buf).unwrap();
    assert!(count <= 1400, "b is not open");
    assert_eq!(buf[..count], bytes[100..100 + count]);
}
