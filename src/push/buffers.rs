//! Segment buffers that are used again and again: fresh pages cost more than what is read into them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::aligned::Aligned;

/// A pool of buffers of one length. As many exist as were ever in use at once.
#[derive(Debug, Clone)]
pub(crate) struct Buffers {
    length: usize,
    free: Arc<Mutex<Vec<Aligned>>>,
}

/// A buffer that goes back to its pool when the last view of it is dropped.
struct Lent {
    bytes: Aligned,
    used: usize,
    free: Arc<Mutex<Vec<Aligned>>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.bytes));
    }
}

impl Buffers {
    /// Buffers of `length` bytes.
    pub(super) fn new(length: usize) -> Self {
        Self { length, free: Arc::default() }
    }

    /// Gives back the memory of those that nobody uses.
    pub(super) fn clear(&self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Lets `fill` write `used` bytes (at most a buffer), and hands them out.
    pub(super) fn fill<T, E>(
        &self,
        used: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<T, E>,
    ) -> Result<(Bytes, T), E> {
        let used = used.min(self.length);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = free.unwrap_or_else(|| Aligned::new(self.length));
        let mut lent = Lent { bytes, used, free: self.free.clone() };
        let out = fill(&mut lent.bytes[..used])?;
        Ok((Bytes::from_owner(lent), out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_the_last_view_goes() {
        let pool = Buffers::new(8);
        let free = || pool.free.lock().unwrap().len();
        let (bytes, ()) = pool
            .fill(3, |b| {
                b.copy_from_slice(b"abc");
                Ok::<_, ()>(())
            })
            .unwrap();
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!((free(), &part[..]), (0, &b"bc"[..]));
        drop(part);
        assert_eq!(free(), 1);
        assert!(pool.fill(8, |_| Err::<(), _>(())).is_err());
        assert_eq!(free(), 1, "also if nothing could be read");
        pool.clear();
        assert_eq!(free(), 0);
    }
}
