//! What a sender says it will send, and what of that is acceptable. Pure.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::UploadError;
use super::stage::is_staged;
use crate::content::manifest::{self, MAX_FILES, MAX_JSON, MAX_SIZE};
use crate::content::{Digest, FileEntry, Manifest, name};

/// The format this code reads and writes.
pub const VERSION: u32 = 1;
/// Most segments of an upload.
pub const MAX_SEGMENTS: u64 = 1 << 20;
/// What our own partial data is called by; nobody may send something under such a name.
const RESERVED: &[u8] = b".skep-";
/// Mode of a file that comes without one.
const DEFAULT_MODE: u32 = 0o644;

/// What to do if the name is taken when the content is complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Refuse, also to begin.
    #[default]
    Refuse,
    /// Replace a file by a file, a tree by a tree.
    Overwrite,
    /// Appear as `name (2)`.
    KeepBoth,
}

/// The body of `POST /upload/{transfer}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// 1.
    pub version: u32,
    /// Where it shall appear, relative to the root, escaped as in [`name`].
    pub path: String,
    /// If that is taken.
    #[serde(default)]
    pub policy: Policy,
    /// Bytes in all.
    pub size: u64,
    /// Bytes per segment; the last one may be shorter.
    pub segment_length: u64,
    /// The entries of a tree, whose bytes follow each other in this order; none: a single file.
    #[serde(default, deserialize_with = "capped_files", skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<FileEntry>>,
    /// Permission bits of a single file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Modification time of a single file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<Timestamp>,
    /// What a tus client wrote beside it; nobody else's is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// A part of another upload (tus: concatenation): never published by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
    /// Of a stream: its length will be told later, `size` is the most that it can be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deferred: bool,
}

/// What a sound description means.
#[derive(Debug)]
pub struct Target {
    /// Below the root, as the file system spells it. Never empty, no link or `..` by its words.
    pub path: PathBuf,
    /// The entries and lengths; without pieces, whose digests come last.
    pub manifest: Manifest,
    /// The description without its entries: a tree may have a million, and the manifest has them.
    pub brief: Description,
    /// Of the whole description.
    pub digest: Digest,
}

impl Description {
    /// Reads one while it comes. Blocks as `json` does.
    ///
    /// # Errors
    /// Not a description, or more of it than the cap.
    pub fn from_reader(json: impl Read) -> Result<Self, UploadError> {
        read("a description", json)
    }

    /// Checks everything that later code relies on.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn check(mut self) -> Result<Target, UploadError> {
        let bad = |detail: String| Err(UploadError::Bad(detail));
        if self.version != VERSION {
            return bad(format!("version {}; this node knows version {VERSION}", self.version));
        }
        let path = match name::checked_path(&self.path) {
            Ok(path) => PathBuf::from(path),
            Err(error) => return bad(format!("bad path {:?}: {error}", name::excerpt(&self.path))),
        };
        let is_ours = |part: std::path::Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(RESERVED);
        // What is sent for a sync is put in its places by that.
        if path.components().any(is_ours) && !is_staged(&self.path) {
            return bad("names that begin with \".skep-\" are this node's own".into());
        }
        if self.size > MAX_SIZE {
            return bad(format!("{} bytes are over the limit of {MAX_SIZE}", self.size));
        }
        let digest = self.digest();
        let manifest = self.take_manifest(path.file_name().unwrap_or_default());
        if let Err(error) = manifest.check_shape() {
            return bad(error.to_string());
        }
        if manifest.size() != self.size {
            return bad(format!("the files have {} bytes, not {}", manifest.size(), self.size));
        }
        let segments = self.size.div_ceil(self.segment_length);
        if segments > MAX_SEGMENTS {
            return bad(format!("{segments} segments are over the limit of {MAX_SEGMENTS}: send longer ones"));
        }
        Ok(Target { path, manifest, brief: self, digest })
    }

    fn take_manifest(&mut self, leaf: &std::ffi::OsStr) -> Manifest {
        let leaf = name::escape(leaf);
        let tree = self.files.is_some();
        let files = match self.files.take() {
            Some(files) => files,
            None => vec![FileEntry {
                mode: self.mode.unwrap_or(DEFAULT_MODE),
                mtime: self.mtime,
                path: leaf.clone(),
                size: self.size,
                symlink: None,
            }],
        };
        Manifest {
            files,
            name: leaf,
            piece_length: self.segment_length,
            pieces: Vec::new(),
            tree,
            version: manifest::VERSION,
        }
    }

    /// The whole description again, of one without its entries and the manifest that has them.
    pub fn with_entries<'a>(&'a self, manifest: &'a Manifest) -> impl Serialize + 'a {
        #[derive(Serialize)]
        struct Described<'a> {
            #[serde(flatten)]
            brief: &'a Description,
            #[serde(skip_serializing_if = "Option::is_none")]
            files: Option<&'a [FileEntry]>,
        }
        Described { brief: self, files: manifest.tree.then_some(&manifest.files[..]) }
    }

    /// Tells one description from another.
    pub fn digest(&self) -> Digest {
        let mut hash = Hashed(Sha256::new());
        // Strings, numbers and vectors only: cannot fail to serialise.
        let _ = serde_json::to_writer(BufWriter::with_capacity(64 << 10, &mut hash), self);
        Digest(hash.0.finalize().into())
    }
}

/// Hashes what is written.
struct Hashed(Sha256);

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The body of `POST /assemble/{transfer}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assembly {
    /// SHA-256 of each segment, in order.
    #[serde(deserialize_with = "capped_segments")]
    pub segments: Vec<Digest>,
}

impl Assembly {
    /// Reads one while it comes. Blocks as `json` does.
    ///
    /// # Errors
    /// Not a list of digests, or more of it than the cap.
    pub fn from_reader(json: impl Read) -> Result<Self, UploadError> {
        read("a list of segments", json)
    }
}

fn read<T: serde::de::DeserializeOwned>(what: &str, json: impl Read) -> Result<T, UploadError> {
    let mut json = BufReader::with_capacity(64 << 10, json.take(MAX_JSON as u64 + 1));
    let parsed = serde_json::from_reader(&mut json);
    if json.get_ref().limit() == 0 {
        return Err(UploadError::TooLarge(format!("{what} has at most {MAX_JSON} bytes")));
    }
    parsed.map_err(|error| UploadError::Bad(format!("not {what}: {}", name::excerpt(&error.to_string()))))
}

fn capped_segments<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Digest>, D::Error> {
    manifest::capped(d, MAX_SEGMENTS as usize)
}

fn capped_files<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<FileEntry>>, D::Error> {
    /// An optional list whose length is capped while it is read.
    struct Files(Vec<FileEntry>);
    impl<'de> Deserialize<'de> for Files {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            manifest::capped(d, MAX_FILES).map(Self)
        }
    }
    Ok(Option::<Files>::deserialize(d)?.map(|files| files.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(change: impl FnOnce(&mut Description)) -> Result<Target, UploadError> {
        let mut description = Description {
            version: 1,
            path: "in/box/a.bin".into(),
            policy: Policy::Refuse,
            size: 10_000,
            segment_length: 4096,
            files: None,
            mode: None,
            mtime: None,
            metadata: None,
            part: false,
            deferred: false,
        };
        change(&mut description);
        description.check()
    }

    fn entry(path: &str, size: u64) -> FileEntry {
        FileEntry { mode: 0o600, mtime: None, path: path.into(), size, symlink: None }
    }

    #[test]
    fn a_file_and_a_tree() {
        let target = file(|_| ()).unwrap();
        assert_eq!(target.path.to_str(), Some("in/box/a.bin"));
        assert!(target.manifest.is_single_file() && target.manifest.files[0].mode == 0o644);
        let files = vec![entry("a.bin", 9_000), entry("sub/", 0), entry("sub/b", 1_000)];
        let target = file(|d| d.files = Some(files)).unwrap();
        assert!(!target.manifest.is_single_file());
        let one = file(|d| d.files = Some(vec![entry("a.bin", 10_000)])).unwrap();
        assert!(!one.manifest.is_single_file(), "a tree of one file with its own name");
        assert!(file(|d| (d.size, d.files) = (0, Some(vec![]))).is_ok(), "an empty folder");
    }

    #[test]
    fn what_leads_astray_or_does_not_add_up_is_refused() {
        assert!(file(|d| d.path = format!(".skep-sync-{}/new", "0a".repeat(16))).is_ok());
        let near = format!(".skep-sync-{}/new/x", "0a".repeat(16));
        let paths = [
            &*near,
            ".skep-sync-00/new",
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "a\0b",
            ".skep-x.part",
            "a/.skep-b/c",
            "\\x61",
        ];
        for path in paths {
            assert!(matches!(file(|d| d.path = path.into()), Err(UploadError::Bad(_))), "{path:?}");
        }
        let bad: [fn(&mut Description); 9] = [
            |d| d.version = 2,
            |d| d.segment_length = 0,
            |d| d.segment_length = 1023,
            |d| d.segment_length = u64::MAX,
            |d| d.size = u64::MAX,
            |d| d.size = 1 << 53,
            |d| d.mode = Some(0o4755),
            |d| d.files = Some(vec![entry("a", 9_999)]),
            |d| d.files = Some(vec![entry("../a", 10_000)]),
        ];
        for (n, change) in bad.into_iter().enumerate() {
            assert!(matches!(file(change), Err(UploadError::Bad(_))), "{n}");
        }
        let link = FileEntry { symlink: Some("../../x".into()), ..entry("l", 0) };
        assert!(file(|d| d.files = Some(vec![entry("a", 10_000), link])).is_err());
    }

    #[test]
    fn json_is_read_with_defaults_and_keeps_its_meaning() {
        let json = br#"{"version":1,"path":"a","size":5,"segment_length":1024,"files":null,"later":7}"#;
        let description = Description::from_reader(&json[..]).unwrap();
        assert_eq!((description.policy, description.files.is_none()), (Policy::Refuse, true));
        let again: Description = serde_json::from_slice(&serde_json::to_vec(&description).unwrap()).unwrap();
        assert_eq!(again.digest(), description.digest());
        let other = Description { policy: Policy::KeepBoth, ..description.clone() };
        assert_ne!(other.digest(), description.digest());
        assert!(serde_json::to_string(&other).unwrap().contains("keep-both"));
        for files in [None, Some(vec![]), Some(vec![entry("a", 5)])] {
            let size = files.iter().flatten().map(|file| file.size).sum();
            let whole = Description { files, size, ..other.clone() };
            let target = whole.clone().check().unwrap();
            let kept: Description =
                serde_json::from_value(serde_json::to_value(target.brief.with_entries(&target.manifest)).unwrap())
                    .unwrap();
            assert_eq!((&kept, target.digest), (&whole, whole.digest()), "what is kept is the whole of it");
        }
        assert!(matches!(Description::from_reader(&b"{"[..]), Err(UploadError::Bad(_))));
        let endless = std::io::repeat(b' ');
        assert!(matches!(Description::from_reader(endless), Err(UploadError::TooLarge(_))));
    }
}
