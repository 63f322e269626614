//! Where the bytes of a piece lie: pieces run over the files laid end to end.

use std::ops::Range;

use super::{FileEntry, Manifest};

/// A run of bytes inside one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Index into the manifest's `files`.
    pub file: usize,
    /// First byte within that file.
    pub offset: u64,
    /// Number of bytes; never 0.
    pub length: u64,
}

/// Offsets of the files in the content: 16 bytes per file that is not empty.
#[derive(Debug, Clone)]
pub struct Layout {
    /// (first byte within the content, index into the manifest's files), ascending.
    starts: Vec<(u64, usize)>,
    size: u64,
    piece_length: u64,
}

impl Layout {
    /// The layout of a checked manifest.
    pub fn new(manifest: &Manifest) -> Self {
        Self::of(&manifest.files, manifest.piece_length)
    }

    /// The layout of these entries, in pieces of this length.
    pub fn of(files: &[FileEntry], piece_length: u64) -> Self {
        let mut size = 0;
        let mut starts = Vec::new();
        for (index, entry) in files.iter().enumerate().filter(|(_, e)| e.size > 0) {
            starts.push((size, index));
            size += entry.size;
        }
        Self { starts, size, piece_length }
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Number of pieces.
    pub fn piece_count(&self) -> u32 {
        self.size.div_ceil(self.piece_length) as u32
    }

    /// Files that hold bytes.
    pub fn file_count(&self) -> usize {
        self.starts.len()
    }

    /// The files that hold bytes, in order: (first byte within the content, index in the manifest).
    pub(super) fn starts(&self) -> &[(u64, usize)] {
        &self.starts
    }

    /// Bytes of entry `file` of the manifest.
    pub fn file_size(&self, file: usize) -> u64 {
        let range = self.file(file);
        range.end - range.start
    }

    /// Bytes of the content that piece `index` covers; empty if there is no such piece.
    pub fn piece(&self, index: u32) -> Range<u64> {
        let start = (u64::from(index) * self.piece_length).min(self.size);
        start..(start + self.piece_length).min(self.size)
    }

    /// Bytes in piece `index`; 0 if there is no such piece.
    pub fn piece_size(&self, index: u32) -> u64 {
        let range = self.piece(index);
        range.end - range.start
    }

    /// Bytes per piece; the last one may be shorter.
    pub fn piece_length(&self) -> u64 {
        self.piece_length
    }

    /// Pieces that a run of content bytes touches.
    pub fn pieces_of(&self, bytes: &Range<u64>) -> Range<u32> {
        if bytes.is_empty() {
            return 0..0;
        }
        (bytes.start / self.piece_length) as u32..bytes.end.div_ceil(self.piece_length) as u32
    }

    /// Bytes of the content that entry `file` of the manifest covers; empty for an empty one.
    pub fn file(&self, file: usize) -> Range<u64> {
        match self.starts.binary_search_by_key(&file, |(_, index)| *index) {
            Ok(at) => self.starts[at].0..self.starts.get(at + 1).map_or(self.size, |next| next.0),
            Err(_) => 0..0,
        }
    }

    /// The extents of files that a run of content bytes covers, in order.
    pub fn extents(&self, bytes: Range<u64>) -> impl Iterator<Item = Extent> + '_ {
        let end = bytes.end.min(self.size);
        let mut at = bytes.start;
        let mut slot = self.starts.partition_point(|(start, _)| *start <= at).saturating_sub(1);
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (start, file) = *self.starts.get(slot)?;
            let file_end = self.starts.get(slot + 1).map_or(self.size, |next| next.0);
            let extent = Extent { file, offset: at - start, length: end.min(file_end) - at };
            at += extent.length;
            slot += 1;
            Some(extent)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Digest;
    use proptest::prelude::*;

    fn layout(sizes: &[u64], piece_length: u64) -> Layout {
        let entry = |(i, size): (usize, &u64)| FileEntry {
            mode: 0o644,
            mtime: None,
            path: format!("f{i}"),
            size: *size,
            symlink: None,
        };
        let files: Vec<_> = sizes.iter().enumerate().map(entry).collect();
        let total: u64 = sizes.iter().sum();
        let pieces = vec![Digest([0; 32]); total.div_ceil(piece_length) as usize];
        Layout::new(&Manifest { files, name: "t".into(), piece_length, pieces, tree: true, version: 1 })
    }

    #[test]
    fn a_piece_runs_over_several_files() {
        let layout = layout(&[3, 0, 2, 7], 4);
        let extents: Vec<_> = layout.extents(layout.piece(0)).collect();
        assert_eq!(extents, [Extent { file: 0, offset: 0, length: 3 }, Extent { file: 2, offset: 0, length: 1 }]);
        assert_eq!(layout.file(2), 3..5);
        assert_eq!(layout.file(1), 0..0);
        assert_eq!(layout.pieces_of(&layout.file(3)), 1..3);
        assert!(layout.piece(9).is_empty());
    }

    proptest! {
        #[test]
        fn extents_cover_every_byte_once(sizes in prop::collection::vec(0u64..40, 0..20), length in 1u64..30) {
            let layout = layout(&sizes, length);
            let mut seen = vec![0u64; sizes.len()];
            for piece in 0..layout.piece_count() {
                for extent in layout.extents(layout.piece(piece)) {
                    prop_assert_eq!(seen[extent.file], extent.offset);
                    prop_assert!(extent.length > 0);
                    seen[extent.file] += extent.length;
                }
            }
            prop_assert_eq!(seen, sizes);
        }
    }
}
