//! Buffers that file data passes through on its way to a socket, used again and again: a fresh one
//! per chunk costs page faults that halve the rate (measured, see design).
//!
//! A [`Buffer`] becomes [`Bytes`] without a copy and finds its way back here when the last of them
//! is dropped. What is kept is bounded by the number of bodies being sent, so an idle node holds
//! next to nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::aligned::Aligned;

/// Sizes of buffers, in bytes.
const CLASSES: [usize; 3] = [32 << 10, 64 << 10, 256 << 10];
/// Kept for each body being sent: one on its way out, one being filled.
const KEPT_PER_BODY: usize = 2;
/// Kept in any case: a client that asks for one piece after the other should not cost page faults.
const KEPT_IDLE: usize = 4;

/// The pool of one node.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: [Mutex<Vec<Aligned>>; CLASSES.len()],
    bodies: AtomicUsize,
}

impl BufferPool {
    /// An empty pool.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The length of chunks to send with so many bodies under way: large while there are few
    /// (fewer system calls), small when there are many, so that with two buffers per body all of
    /// them stay within 32 MiB.
    pub fn chunk_length(&self) -> usize {
        match self.bodies.load(Ordering::Relaxed) {
            0..=64 => CLASSES[2],
            65..=256 => CLASSES[1],
            _ => CLASSES[0],
        }
    }

    /// Counts a body in until the guard is dropped.
    pub fn body(self: &Arc<Self>) -> BodyGuard {
        self.bodies.fetch_add(1, Ordering::Relaxed);
        BodyGuard(self.clone())
    }

    /// Bodies under way.
    pub fn bodies(&self) -> usize {
        self.bodies.load(Ordering::Relaxed)
    }

    /// A buffer of `length` bytes with anything in it; at most the largest class.
    pub fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let length = length.min(CLASSES[CLASSES.len() - 1]);
        let class = CLASSES.iter().position(|size| *size >= length).unwrap_or(CLASSES.len() - 1);
        let data = self.lock(class).pop().unwrap_or_else(|| Aligned::new(CLASSES[class]));
        Buffer { data, length, class, pool: self.clone() }
    }

    fn put(&self, class: usize, data: Aligned) {
        let keep = KEPT_IDLE + KEPT_PER_BODY * self.bodies();
        let mut free = self.lock(class);
        if free.len() < keep {
            free.push(data);
        }
    }

    fn trim(&self) {
        for class in 0..CLASSES.len() {
            let mut free = self.lock(class);
            free.truncate(KEPT_IDLE);
            free.shrink_to_fit();
        }
    }

    fn lock(&self, class: usize) -> std::sync::MutexGuard<'_, Vec<Aligned>> {
        self.free[class].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body being sent.
#[derive(Debug)]
pub struct BodyGuard(Arc<BufferPool>);

impl Drop for BodyGuard {
    fn drop(&mut self) {
        if self.0.bodies.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.trim();
        }
    }
}

/// A buffer on loan.
#[derive(Debug)]
pub struct Buffer {
    data: Aligned,
    length: usize,
    class: usize,
    pool: Arc<BufferPool>,
}

impl Buffer {
    /// To fill it.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.data[..self.length]
    }

    /// To send it; no copy.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.data[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.put(self.class, std::mem::take(&mut self.data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_bytes_are_gone() {
        let pool = BufferPool::new();
        let mut buffer = pool.take(1000);
        buffer.as_mut_slice().fill(7);
        let bytes = buffer.freeze();
        let address = bytes.as_ptr();
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_ne!(pool.take(1000).as_ref().as_ptr(), address, "still in use by a slice");
        drop(part);
        let taken: Vec<_> = (0..2).map(|_| pool.take(1000)).collect();
        assert!(taken.iter().any(|b| b.as_ref().as_ptr() == address));
    }

    #[test]
    fn an_idle_pool_keeps_little() {
        let pool = BufferPool::new();
        let bodies: Vec<_> = (0..20).map(|_| pool.body()).collect();
        let buffers: Vec<_> = (0..30).map(|_| pool.take(CLASSES[2])).collect();
        drop(buffers);
        assert_eq!(pool.lock(2).len(), 30);
        drop(bodies);
        assert_eq!(pool.lock(2).len(), KEPT_IDLE);
    }

    #[test]
    fn many_bodies_get_small_chunks() {
        let pool = BufferPool::new();
        let mut bodies = Vec::new();
        for _ in 0..600 {
            assert!(pool.chunk_length() * bodies.len().max(1) * KEPT_PER_BODY <= 40 << 20, "{}", bodies.len());
            bodies.push(pool.body());
        }
    }
}
