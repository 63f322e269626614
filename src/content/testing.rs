//! Trees on disk for the tests of this folder.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Made, MakeOptions, Manifest, Report, make, verify};

/// A folder `tree` in a temporary one.
pub(super) struct Tree {
    outer: TempDir,
}

impl Tree {
    pub(super) fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir(outer.path().join("tree")).unwrap();
        let tree = Self { outer };
        tree.mode("", 0o755);
        tree
    }

    /// The folder's path.
    pub(super) fn root(&self) -> PathBuf {
        self.outer.path().join("tree")
    }

    /// The folder that the tree stands in.
    pub(super) fn outside(&self) -> &Path {
        self.outer.path()
    }

    pub(super) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.root().join(name.as_ref())
    }

    /// A file with mode 0644 whose modification time is a fixed one, so that a later write shows.
    pub(super) fn file(&self, name: impl AsRef<OsStr>, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path(&name);
        if let Some(parent) = path.parent().filter(|p| !p.exists()) {
            self.folder(parent.strip_prefix(self.root()).unwrap());
        }
        fs::write(&path, bytes).unwrap();
        self.touch(&name, 1_000_000_000);
        self.mode(&name, 0o644)
    }

    /// A folder with mode 0755, and its parents.
    pub(super) fn folder(&self, name: impl AsRef<OsStr>) -> &Self {
        let mut path = self.root();
        for part in Path::new(name.as_ref()) {
            path.push(part);
            if !path.exists() {
                fs::create_dir(&path).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        self
    }

    pub(super) fn link(&self, name: &str, target: &str) -> &Self {
        symlink(target, self.path(name)).unwrap();
        self
    }

    pub(super) fn mode(&self, name: impl AsRef<OsStr>, mode: u32) -> &Self {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// Sets the modification time, in seconds since 1970 and 123,456,789 ns.
    pub(super) fn touch(&self, name: impl AsRef<OsStr>, seconds: u64) -> &Self {
        let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 123_456_789);
        fs::File::options().write(true).open(self.path(name)).unwrap().set_modified(time).unwrap();
        self
    }

    pub(super) fn make(&self, options: &MakeOptions<'_>) -> Made {
        make(&self.root(), options, &|_| {}, &AtomicBool::new(false)).unwrap()
    }

    pub(super) fn verify(&self, manifest: &Manifest) -> Report {
        verify(&self.root(), manifest, 2, &|_| {}, &AtomicBool::new(false)).unwrap()
    }
}

/// Bytes that differ from piece to piece.
pub(super) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// Paths and sizes of the files of a random tree, in the order of a manifest.
pub(super) fn random_files() -> impl Strategy<Value = Vec<(String, usize)>> {
    let name = "[ab \n\u{e9}\u{65e5}]{1,4}";
    let path = prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"));
    prop::collection::btree_map(path, prop_oneof![Just(0usize), 1usize..200, 1000usize..6000], 0..12).prop_map(|map| {
        let mut out: Vec<(String, usize)> = Vec::new();
        for (path, size) in map {
            // A file cannot have files in it.
            if !out.iter().any(|(other, _)| path.starts_with(&format!("{other}/"))) {
                out.push((path, size));
            }
        }
        out
    })
}
