//! Files of a content: written, synced, published, read back, and never outside the folder.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::Arc;

use super::*;
use crate::content::{Bitmap, Digest, FileEntry, FileStamp, Manifest};
use crate::control::Kept;

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
    let stamp = FileStamp::of(&path.metadata().unwrap());
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

/// A published tree with its stamps.
fn published(dir: &tempfile::TempDir, files: Vec<FileEntry>) -> (ContentFiles, Vec<FileStamp>) {
    let m = manifest(files);
    let size = m.size();
    let files = ContentFiles::open(dir.path(), OsStr::new(".part"), m, Place::Fetched, vec![]).unwrap();
    files.write_at(0, &vec![7; size as usize]).unwrap();
    files.finish().unwrap();
    files.publish(OsStr::new("tree")).unwrap();
    let stamps = files.look().unwrap();
    (files, stamps)
}

#[test]
fn a_fetched_file_that_changes_is_noticed_once_it_is_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let (files, stamps) = published(&dir, vec![entry("a", 1500), entry("b", 700)]);
    assert!(files.is_as(&stamps));
    files.pin(stamps.clone());
    let mut buf = [0; 100];
    files.read_at(1500, &mut buf).unwrap();
    std::fs::OpenOptions::new().append(true).open(dir.path().join("tree/b")).unwrap().set_len(699).unwrap();
    assert_eq!(files.read_cached_at(1500, &mut buf).unwrap_err().kind, FilesErrorKind::Changed);
    assert_eq!(files.read_at(1500, &mut buf).unwrap_err().kind, FilesErrorKind::Changed);
    files.read_at(0, &mut buf).unwrap();
    assert!(!files.is_as(&stamps));
}

#[test]
fn what_stands_there_is_what_stood_there() {
    let dir = tempfile::tempdir().unwrap();
    let link = FileEntry { symlink: Some("a".into()), ..entry("link", 0) };
    let (files, stamps) = published(&dir, vec![entry("a", 10), entry("hollow/", 0), link]);
    let tree = dir.path().join("tree");
    // Times of folders and links are nobody's business: people look into folders.
    std::fs::write(tree.join("hollow/mine"), "").unwrap();
    assert!(files.is_as(&stamps));
    assert!(!files.is_as(&stamps[1..]), "of another content");
    std::fs::remove_file(tree.join("link")).unwrap();
    assert!(!files.is_as(&stamps), "a link is gone");
    symlink("hollow", tree.join("link")).unwrap();
    assert!(!files.is_as(&stamps), "it leads elsewhere");
}

#[test]
fn another_file_under_the_name_holds_nothing_of_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let m = manifest(vec![entry("a", 1500), entry("b", 700)]);
    let files = ContentFiles::open(dir.path(), OsStr::new("t"), m, Place::Fetched, vec![]).unwrap();
    files.write_at(0, &[7; 2200]).unwrap();
    let other = dir.path().join("other");
    std::fs::write(&other, vec![1; 1500]).unwrap();
    std::fs::rename(other, dir.path().join("t/a")).unwrap();
    assert_eq!(files.finish().unwrap_err().kind, FilesErrorKind::Replaced);
    // Nor does it get the rest.
    files.close();
    assert_eq!(files.write_at(0, b"x").unwrap_err().kind, FilesErrorKind::Replaced);
}

#[test]
fn deleting_entries_counts_what_it_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let (files, stamps) = published(&dir, vec![entry("a", 10), entry("b", 10), entry("sub/c", 10)]);
    let tree = dir.path().join("tree");
    std::fs::write(tree.join("a"), "0123456789").unwrap();
    std::fs::remove_file(tree.join("b")).unwrap();
    std::fs::create_dir_all(tree.join("own/empty")).unwrap();
    assert_eq!(files.delete_entries(&stamps).unwrap(), Kept { changed: 1, foreign: 1 });
    assert!(tree.join("a").exists() && tree.join("own/empty").exists() && !tree.join("sub").exists());
    // Without stamps the size must do.
    assert_eq!(files.delete_entries(&[]).unwrap(), Kept { changed: 0, foreign: 1 });
    std::fs::remove_dir_all(&tree).unwrap();
    assert_eq!(files.delete_entries(&stamps).unwrap(), Kept::default());
    std::fs::write(&tree, "mine").unwrap();
    assert_eq!(files.delete_entries(&stamps).unwrap(), Kept { changed: 0, foreign: 1 });
}

#[test]
fn what_was_found_is_synced_file_by_file() {
    let dir = tempfile::tempdir().unwrap();
    let (files, _) = published(&dir, vec![entry("a", 1500), entry("b", 700), entry("c", 2000)]);
    let mut have = Bitmap::empty(5);
    assert_eq!(files.sync_found(&have).unwrap(), 0);
    have.set(1);
    assert_eq!(files.sync_found(&have).unwrap(), 2, "bytes 1024 to 2048 are of a and b");
    std::fs::remove_file(dir.path().join("tree/c")).unwrap();
    have.set(4);
    assert_eq!(files.sync_found(&have).unwrap_err().kind, FilesErrorKind::Missing, "c is synced, too");
}
