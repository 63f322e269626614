//! Metalink 4 (RFC 5854): one file, its hashes and its mirrors, as other programs write and read it.
//!
//! [`write()`] gives a manifest to programs that know nothing of skep (aria2, for one): each file
//! with its URLs, and with its pieces where they are the file's own. [`parse`] reads one that came
//! from outside, and [`MetalinkFile::to_manifest`] makes content of it: plain HTTP mirrors then are
//! peers that have everything.
//!
//! Names in a Metalink are plain text without skep's escape; both directions translate.

mod read;
mod write;

use super::manifest::{self, MAX_PIECE_LENGTH, MIN_PIECE_LENGTH};
use super::name::{self, NameError};
use super::{Digest, FileEntry, Manifest, ManifestError, piece_length_for};

pub use read::{Caps, parse};
pub use write::write;

/// The media type (RFC 5854, section 7).
pub const MEDIA_TYPE: &str = "application/metalink4+xml";
/// The XML namespace (RFC 5854, section 3).
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:metalink";
/// The hash that skep reads and writes, as IANA's registry spells it.
const SHA_256: &str = "sha-256";

/// Why a Metalink cannot be used. Texts from outside in it are printable and short.
#[derive(Debug, thiserror::Error)]
pub enum MetalinkError {
    /// Not XML, or broken.
    #[error("not a Metalink: {0}")]
    Xml(String),
    /// XML, but another document, or Metalink 3.
    #[error("not a Metalink 4 document (the root must be <metalink xmlns=\"{NAMESPACE}\">)")]
    NotMetalink,
    /// A DTD: it is not part of the format, and only good for attacks.
    #[error("a DOCTYPE is not allowed in a Metalink")]
    Doctype,
    /// More than a cap allows.
    #[error("{what} {got} is over the limit of {limit}")]
    Cap {
        /// What is too large.
        what: &'static str,
        /// How large it claims to be, or was when reading stopped.
        got: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A name that leads outside or that cannot exist.
    #[error("bad file name {name:?}: {error}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        #[source]
        error: NameError,
    },
    /// A value that is not what the format wants there.
    #[error("file {name:?}: {problem}")]
    Value {
        /// The file.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// No file in it.
    #[error("the Metalink lists no file")]
    Empty,
    /// A file without what is needed to check each piece as it arrives.
    #[error("file {name:?} cannot be checked: {problem}")]
    Uncheckable {
        /// The file.
        name: String,
        /// What is missing.
        problem: &'static str,
    },
    /// The numbers do not add up.
    #[error("file {name:?}: {error}")]
    Manifest {
        /// The file.
        name: String,
        /// What is wrong.
        #[source]
        error: ManifestError,
    },
}

/// One file of a Metalink, checked: its name stays inside, its numbers fit the caps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetalinkFile {
    /// Relative path in the manifest's spelling.
    pub name: String,
    /// Bytes, if told.
    pub size: Option<u64>,
    /// `http` and `https` URLs, the preferred ones first.
    pub urls: Vec<String>,
    /// Bytes per piece; 0 if there are no SHA-256 pieces.
    pub piece_length: u64,
    /// SHA-256 of each piece; empty if there are none.
    pub pieces: Vec<Digest>,
    /// SHA-256 of the whole file, if told.
    pub sha256: Option<Digest>,
}

impl MetalinkFile {
    /// The name without folders.
    pub fn file_name(&self) -> &str {
        self.name.rsplit_once('/').map_or(&self.name, |(_, name)| name)
    }

    /// A manifest of this one file, under its name without folders, with mode 0644 and no
    /// modification time (a Metalink tells neither). A file without pieces but with a SHA-256 becomes one piece
    /// if it is no longer than [`MAX_PIECE_LENGTH`].
    ///
    /// # Errors
    /// No size, no SHA-256 that each piece can be checked with, or numbers that do not add up.
    pub fn to_manifest(&self) -> Result<Manifest, MetalinkError> {
        let name = || name::printable(&self.name);
        let uncheckable = |problem| MetalinkError::Uncheckable { name: name(), problem };
        let size = self.size.ok_or_else(|| uncheckable("its size is not told"))?;
        let (piece_length, pieces) = if !self.pieces.is_empty() {
            (self.piece_length, self.pieces.clone())
        } else if size == 0 {
            (piece_length_for(0), Vec::new())
        } else {
            let hash =
                self.sha256.ok_or_else(|| uncheckable("it has no SHA-256, neither of pieces nor of the whole"))?;
            if size > MAX_PIECE_LENGTH {
                return Err(uncheckable("its SHA-256 is of the whole; a file this large needs SHA-256 pieces"));
            }
            (size.max(MIN_PIECE_LENGTH), vec![hash])
        };
        let path = self.file_name().to_owned();
        let entry = FileEntry { mode: 0o644, mtime: None, path: path.clone(), size, symlink: None };
        let version = manifest::VERSION;
        let made = Manifest { files: vec![entry], name: path, piece_length, pieces, tree: false, version };
        made.check().map_err(|error| MetalinkError::Manifest { name: name(), error })?;
        Ok(made)
    }
}

#[cfg(test)]
mod tests;
