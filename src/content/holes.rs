//! Writing so that long runs of zeros become holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::zeros;

/// Writes bytes into a file that will have `size` bytes; long runs of zeros become holes, also where room was made before, which is up to
/// `room`. Tells whether there was any. Blocks on the page cache.
///
/// # Errors
/// Whatever the disk says.
pub(crate) fn put(file: &File, bytes: &[u8], offset: u64, size: u64, room: u64) -> io::Result<bool> {
    // Nearly always: nothing to look at closely.
    if bytes.len() < 4096 || bytes.chunks(4096).all(|block| block.first() != Some(&0) || !zeros::is_zero(block)) {
        return file.write_all_at(bytes, offset).map(|()| false);
    }
    let mut any = false;
    for (run, hole) in zeros::runs(bytes, offset) {
        let (at, part) = (offset + run.start as u64, &bytes[run]);
        if hole && leave_hole(file, at, part.len() as u64, size, room)? {
            any = true;
        } else {
            file.write_all_at(part, at)?;
        }
    }
    Ok(any)
}

/// Makes a run read as zeros without writing any. False: the file system cannot.
#[cfg(target_os = "linux")]
fn leave_hole(file: &File, at: u64, length: u64, size: u64, room: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    let mut there = file.metadata()?.len();
    if room > at && there < at + length {
        // Room behind the file's end is not given back on ext4. Who makes room is the only one who writes.
        file.set_len(at + length)?;
        there = at + length;
    }
    if there > at {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(file, flags, at, length) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    // Nobody writes behind the file's end: this never cuts off what another thread wrote meanwhile.
    if at + length >= size && there < size {
        file.set_len(size)?;
    }
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
fn leave_hole(_: &File, _: u64, _: u64, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}
