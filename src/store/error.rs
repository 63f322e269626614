//! What can go wrong between a content and the disk it lies on.

use std::io;
use std::path::PathBuf;

/// What kind of trouble: decides whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesErrorKind {
    /// Disk or quota full.
    NoSpace,
    /// Permission denied or read-only.
    Denied,
    /// Not there.
    Missing,
    /// There, but not what it was when it was hashed.
    Changed,
    /// Not what was written: somebody cut, deleted or replaced it while it was fetched.
    Replaced,
    /// The name is taken by something else.
    Exists,
    /// Leads outside the root, or through a link that has no business there.
    Escape,
    /// Anything else the system said.
    Other,
}

/// An operation on a content's files that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {op} {path:?}: {}", hint(*.kind, .source))]
pub struct FilesError {
    /// What was tried, as a verb.
    pub op: &'static str,
    /// On which path, below the content's base folder.
    pub path: PathBuf,
    /// The kind.
    pub kind: FilesErrorKind,
    /// What the system said.
    pub source: io::Error,
}

fn hint(kind: FilesErrorKind, source: &io::Error) -> String {
    match kind {
        FilesErrorKind::NoSpace => "the disk is full; free space, then resume".into(),
        FilesErrorKind::Denied => format!("{source}; check the folder's permissions, then resume"),
        FilesErrorKind::Changed => "it changed since it was hashed; share it again".into(),
        FilesErrorKind::Replaced => {
            "somebody changed it while it was fetched; resume checks what is there and fetches the rest".into()
        }
        FilesErrorKind::Missing => "it is no longer there".into(),
        FilesErrorKind::Exists => "that name is taken".into(),
        FilesErrorKind::Escape => "a link there leads elsewhere; remove it, then resume".into(),
        FilesErrorKind::Other => source.to_string(),
    }
}

impl FilesError {
    /// Classifies what the system said.
    pub fn new(op: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                FilesErrorKind::NoSpace
            }
            io::ErrorKind::ReadOnlyFilesystem => FilesErrorKind::Denied,
            // cap-std reports an escape from its root as a denied permission without an OS code.
            io::ErrorKind::PermissionDenied if source.raw_os_error().is_none() => FilesErrorKind::Escape,
            io::ErrorKind::PermissionDenied => FilesErrorKind::Denied,
            io::ErrorKind::NotFound => FilesErrorKind::Missing,
            io::ErrorKind::AlreadyExists => FilesErrorKind::Exists,
            _ => FilesErrorKind::Other,
        };
        Self { op, path: path.into(), kind, source }
    }

    /// A file that is not what it was.
    pub fn changed(path: impl Into<PathBuf>) -> Self {
        let source = io::Error::other("size, modification time or identity differ");
        Self { op: "read", path: path.into(), kind: FilesErrorKind::Changed, source }
    }

    /// A file that is not the one that was written to.
    pub fn replaced(path: impl Into<PathBuf>) -> Self {
        let source = io::Error::other("not the file that was written");
        Self { op: "finish", path: path.into(), kind: FilesErrorKind::Replaced, source }
    }
}
