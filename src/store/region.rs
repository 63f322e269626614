//! A stretch of an open file that the kernel can send by itself.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::stamps::is_like;
use crate::content::FileStamp;

/// Bytes of an open file that are in the page cache, as far as a look at a few of them tells.
#[derive(Debug, Clone)]
pub struct Region {
    file: Arc<File>,
    /// What the file must look like when it is sent: a region may wait long for its socket.
    stamp: Option<FileStamp>,
    offset: u64,
    length: usize,
}

impl Region {
    pub(super) fn new(file: Arc<File>, stamp: Option<FileStamp>, offset: u64, length: usize) -> Self {
        Self { file, stamp, offset, length }
    }

    /// Bytes left.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Takes the first `length` bytes, or all if there are fewer.
    pub fn split_to(&mut self, length: usize) -> Self {
        let length = length.min(self.length);
        let head = Self { length, ..self.clone() };
        self.skip(length);
        head
    }

    /// Sends what the socket takes of it and moves on by as much (sendfile(2)): from the page cache
    /// to the socket without a copy. Bytes sent, at least one.
    ///
    /// # Errors
    /// What the socket says, `WouldBlock` among it; `InvalidData` if the file has changed,
    /// `UnexpectedEof` if it has become shorter.
    pub fn send(&mut self, socket: impl AsFd) -> io::Result<usize> {
        if self.stamp.is_some_and(|stamp| !is_like(&self.file, &stamp)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file has changed"));
        }
        let sent = sendfile(socket, &self.file, self.offset, self.length)?;
        if sent == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
        }
        self.skip(sent);
        Ok(sent)
    }

    fn skip(&mut self, count: usize) {
        self.offset += count as u64;
        self.length -= count;
    }
}

#[cfg(target_os = "linux")]
fn sendfile(socket: impl AsFd, file: &File, mut offset: u64, count: usize) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), count)?)
}

/// Elsewhere nobody makes a region: `ContentFiles::cached_region` finds none.
#[cfg(not(target_os = "linux"))]
fn sendfile(_: impl AsFd, _: &File, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
