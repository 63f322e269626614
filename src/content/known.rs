//! What a former hashing run found out, so that unchanged files are not read again.

use serde::{Deserialize, Serialize};

use super::{Digest, FileStamp, Layout, Manifest};

/// A manifest and what its files looked like when it was made. Stored by the engine as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The former manifest.
    pub manifest: Manifest,
    /// One stamp for each of its files.
    pub stamps: Vec<FileStamp>,
}

impl Known {
    /// For each piece of a new layout its digest, where no byte of it can have changed: same piece
    /// length, and all files in it have the same stamp and lie at the same offset as before. A
    /// file's name may have changed; its identity is the inode.
    ///
    /// `stamps` are those of the new layout's manifest.
    pub(super) fn reusable(&self, layout: &Layout, stamps: &[FileStamp]) -> Vec<Option<Digest>> {
        let mut out = vec![None; layout.piece_count() as usize];
        let before = Layout::new(&self.manifest);
        let sound = self.stamps.len() == self.manifest.files.len()
            && before.piece_count() as usize == self.manifest.pieces.len();
        if !sound || before.piece_length() != layout.piece_length() {
            return out;
        }
        let mut changed = vec![false; out.len()];
        let mut old = before.starts().iter().peekable();
        for &(start, file) in layout.starts() {
            while old.next_if(|(at, _)| *at < start).is_some() {}
            let same = old.peek().is_some_and(|(at, was)| *at == start && self.stamps[*was] == stamps[file]);
            if !same {
                for piece in layout.pieces_of(&layout.file(file)) {
                    changed[piece as usize] = true;
                }
            }
        }
        for (index, changed) in changed.into_iter().enumerate() {
            // The last piece may have been longer, with bytes of a file that is gone.
            if !changed && before.piece(index as u32) == layout.piece(index as u32) {
                out[index] = self.manifest.pieces.get(index).copied();
            }
        }
        out
    }
}
