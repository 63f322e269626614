//! File bytes that pass hyper without being read.
//!
//! A body hands hyper a [`Bytes`] of the right length whose memory stands for a region of a file,
//! and queues the region here. hyper passes the memory on to the socket as it got it (it copies
//! nothing into a socket that takes several buffers at once); there its address gives it away, and
//! the kernel sends the region instead (sendfile(2)). This saves one of two copies of every byte
//! that a node serves.
//!
//! The stand-in's content is never sent: a slice of it that does not match the queued region, and a
//! queue that is not drained, are errors that end the connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::store::Region;

/// Longest region that a stand-in can be had for, in bytes.
pub const MAX_REGION: usize = 256 << 10;
/// One goes out, one is ready, one is being asked for; more were handed over and never came out.
const MAX_QUEUED: usize = 4;

/// Stands for a region. Never read, so it takes address space only.
static STAND_IN: [u8; MAX_REGION] = [0; MAX_REGION];

/// The regions on their way out of one connection, first in, first out. HTTP/1 only: there bodies
/// leave one after the other and unframed.
#[derive(Debug, Clone, Default)]
pub struct Outlet(Arc<Mutex<VecDeque<Region>>>);

/// What the first of some buffers is.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// So many buffers of memory, to be written as they are.
    Memory(usize),
    /// A region.
    Region,
}

impl Outlet {
    /// A stand-in for `region`, to be handed to hyper next; `None` if there is none of that length,
    /// or if earlier ones did not come out.
    pub fn queue(&self, region: Region) -> Option<Bytes> {
        let bytes = STAND_IN.get(..region.length())?;
        let mut queue = self.lock();
        if queue.len() >= MAX_QUEUED {
            return None;
        }
        queue.push_back(region);
        Some(Bytes::from_static(bytes))
    }

    /// Looks at buffers that are to be written.
    pub fn next(bufs: &[IoSlice<'_>]) -> Next {
        let memory = bufs.iter().position(|buf| is_stand_in(buf)).unwrap_or(bufs.len());
        let empty = bufs[..memory].iter().all(|buf| buf.is_empty());
        if empty && memory < bufs.len() { Next::Region } else { Next::Memory(memory) }
    }

    /// Sends what the socket takes of the region that the first stand-in among `bufs` stands for.
    ///
    /// # Errors
    /// As `send`; also if the stand-in is not for the region that is due.
    pub fn send(&self, bufs: &[IoSlice<'_>], send: impl FnOnce(&mut Region) -> io::Result<usize>) -> io::Result<usize> {
        let wanted = bufs.iter().find(|buf| is_stand_in(buf)).map_or(0, |buf| buf.len());
        let mut queue = self.lock();
        let region = queue.front_mut().filter(|region| region.length() == wanted);
        let Some(region) = region else { return Err(io::Error::other("a body is out of step with its file")) };
        let sent = send(region)?;
        if region.length() == 0 {
            queue.pop_front();
        }
        Ok(sent)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Region>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True if this memory is a part of the stand-in.
fn is_stand_in(buf: &[u8]) -> bool {
    let Range { start, end } = STAND_IN.as_ptr_range();
    (start..end).contains(&buf.as_ptr()) && !buf.is_empty()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::content::Manifest;
    use crate::store::{ContentFiles, Place};

    /// A region of 100,000 bytes of a file.
    fn region(dir: &std::path::Path) -> (Region, Vec<u8>) {
        let mut bytes = vec![0; 100_000];
        fastrand::Rng::with_seed(1).fill(&mut bytes);
        std::fs::File::create(dir.join("f")).unwrap().write_all(&bytes).unwrap();
        let manifest = Manifest::from_json(
            format!(
                r#"{{"version":1,"name":"f","piece_length":262144,"files":[{{"path":"f","size":100000,"mode":420}}],"pieces":["{:064}"]}}"#,
                0
            )
            .as_bytes(),
        );
        let files = ContentFiles::open(dir, "f".as_ref(), manifest.unwrap().into(), Place::Shared, vec![]).unwrap();
        files.read_at(0, &mut [0]).unwrap();
        (files.cached_region(0, bytes.len()).unwrap().unwrap(), bytes)
    }

    #[test]
    fn memory_is_told_from_regions() {
        let memory = IoSlice::new(b"head");
        let (empty, whole, part) = (IoSlice::new(b""), IoSlice::new(&STAND_IN), IoSlice::new(&STAND_IN[7..9]));
        for (bufs, next) in [
            (vec![memory, memory], Next::Memory(2)),
            (vec![memory, whole, memory], Next::Memory(1)),
            (vec![empty, part, memory], Next::Region),
            (vec![whole], Next::Region),
            (vec![empty], Next::Memory(1)),
            (vec![], Next::Memory(0)),
        ] {
            assert_eq!(Outlet::next(&bufs), next);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_region_is_sent_in_the_place_of_its_stand_in() {
        let dir = tempfile::tempdir().unwrap();
        let (region, bytes) = region(dir.path());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let out = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut end = listener.accept().unwrap().0;
        let outlet = Outlet::default();
        let mut stand_in = outlet.queue(region).unwrap();
        let mut got = Vec::new();
        while !stand_in.is_empty() {
            let sent = outlet.send(&[IoSlice::new(&stand_in)], |region| region.send(&out)).unwrap();
            stand_in = stand_in.slice(sent..);
            got.resize(got.len() + sent, 0);
            let at = got.len() - sent;
            end.read_exact(&mut got[at..]).unwrap();
        }
        assert!(got == bytes);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_out_of_step_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (region, _) = region(dir.path());
        let outlet = Outlet::default();
        let never = |_: &mut Region| -> io::Result<usize> { unreachable!("sent out of step") };
        assert!(outlet.send(&[IoSlice::new(&STAND_IN[..9])], never).is_err(), "nothing is due");
        let stand_in = outlet.queue(region.clone()).unwrap();
        assert!(outlet.send(&[IoSlice::new(&stand_in[1..])], never).is_err(), "not as long as the region");
        for _ in 1..MAX_QUEUED {
            assert!(outlet.queue(region.clone()).is_some());
        }
        assert!(outlet.queue(region).is_none(), "earlier ones never came out");
    }
}
