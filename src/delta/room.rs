//! What the file system below a new file is good at.

use std::fs::File;
use std::io;

/// What copies and room are on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// Copies within it may cost nothing: copy on write, or a server of its own at the other end.
    Shares,
    /// It is memory: there is no room to be made.
    Memory,
    /// A disk.
    Disk,
}

impl Ground {
    #[cfg(target_os = "linux")]
    pub(super) fn of(file: &File) -> Self {
        // Btrfs, XFS, bcachefs, OCFS2, ZFS, NFS, SMB; tmpfs, ramfs (statfs(2), linux/magic.h).
        const SHARES: [u64; 8] =
            [0x9123_683e, 0x5846_5342, 0xca45_1a4e, 0x7461_636f, 0x2fc1_2fc1, 0x6969, 0xff53_4d42, 0xfe53_4d42];
        const MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
        match rustix::fs::fstatfs(file).map(|stat| stat.f_type as u64 & 0xffff_ffff) {
            Ok(magic) if SHARES.contains(&magic) => Self::Shares,
            Ok(magic) if MEMORY.contains(&magic) => Self::Memory,
            _ => Self::Disk,
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_: &File) -> Self {
        Self::Disk
    }
}

#[cfg(target_os = "linux")]
pub(super) fn copy_in_kernel(old: &File, from: u64, new: &File, to: u64, length: u64) -> io::Result<u64> {
    let (mut from, mut to) = (from, to);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Ok(rustix::fs::copy_file_range(old, Some(&mut from), new, Some(&mut to), length)? as u64)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn copy_in_kernel(_: &File, _: u64, _: &File, _: u64, _: u64) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Pages that have their place on the disk already are written at twice the speed, and a full disk shows before they are.
#[cfg(target_os = "linux")]
pub(super) fn make_room(file: &File, at: u64, length: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, at, length.max(1)) {
        Err(error @ (rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT | rustix::io::Errno::FBIG)) => {
            Err(error.into())
        }
        // Not on this file system: it is written all the same.
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn make_room(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}
