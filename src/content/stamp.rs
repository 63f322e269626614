//! What a file looked like when it was read: enough to tell whether it changed since.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Size, modification time and identity of a file. Two equal stamps mean "not touched in between",
/// as far as the file system's clock can tell: a write within the same clock tick (4 ms on many
/// Linux kernels) that keeps the size goes unseen here, and is caught by the pieces' digests.
///
/// Serialises as five integers without names: a tree of 100,000 files stores 100,000 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Compact", into = "Compact")]
pub struct FileStamp {
    /// Bytes; 0 for folders and links.
    pub size: u64,
    /// Last modification, in nanoseconds since 1970 (negative before).
    pub mtime_ns: i128,
    /// Inode number.
    pub inode: u64,
    /// Number of the device that holds the inode.
    pub device: u64,
}

/// (size, whole seconds, nanoseconds, inode, device): no 128-bit integer, which some formats lack.
type Compact = (u64, i64, u32, u64, u64);

const NS: i128 = 1_000_000_000;

impl From<Compact> for FileStamp {
    fn from((size, seconds, nanoseconds, inode, device): Compact) -> Self {
        Self { size, mtime_ns: i128::from(seconds) * NS + i128::from(nanoseconds), inode, device }
    }
}

impl From<FileStamp> for Compact {
    fn from(stamp: FileStamp) -> Self {
        let seconds = stamp.mtime_ns.div_euclid(NS);
        let nanoseconds = stamp.mtime_ns.rem_euclid(NS) as u32;
        // Seconds came from the kernel's 64-bit field; a stamp built by hand saturates.
        let seconds = i64::try_from(seconds).unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX });
        (stamp.size, seconds, nanoseconds, stamp.inode, stamp.device)
    }
}

impl FileStamp {
    /// The stamp of an open file.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size: if metadata.is_file() { metadata.len() } else { 0 },
            mtime_ns: i128::from(metadata.mtime()) * NS + i128::from(metadata.mtime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// The stamp of what stands in a confined folder; `size` is 0 unless it is a regular file.
    pub(crate) fn of_confined(metadata: &cap_std::fs::Metadata) -> Self {
        use cap_std::fs::MetadataExt as _;
        Self {
            size: if metadata.is_file() { metadata.len() } else { 0 },
            mtime_ns: i128::from(metadata.mtime()) * NS + i128::from(metadata.mtime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// The stamp of what `statat` told; `size` is 0 unless it is a regular file.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // field types differ between systems
    pub(super) fn of_stat(stat: &rustix::fs::Stat, size: u64) -> Self {
        let mtime_ns = i128::from(stat.st_mtime) * NS + i128::from(stat.st_mtime_nsec);
        Self { size, mtime_ns, inode: stat.st_ino as u64, device: stat.st_dev as u64 }
    }

    /// Same inode on the same device, changed or not.
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.inode, self.device) == (other.inode, other.device)
    }

    /// The modification time for a manifest; none if the file system holds a year beyond ±9999.
    pub fn mtime(&self) -> Option<Timestamp> {
        Timestamp::from_nanosecond(self.mtime_ns).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serialises_without_loss_before_and_after_1970() {
        for mtime_ns in [-1, 0, 1_700_000_000_123_456_789, -NS * 5 + 7] {
            let stamp = FileStamp { size: u64::MAX, mtime_ns, inode: 7, device: u64::MAX };
            let json = serde_json::to_string(&stamp).unwrap();
            assert_eq!(serde_json::from_str::<FileStamp>(&json).unwrap(), stamp, "{json}");
            assert!(json.starts_with('['), "no field names: {json}");
        }
    }
}
