//! Pieces that somebody gives, unasked: who places a content in a pool sends each piece to one of its nodes
//! ([`crate::pool::replica`]), and these have the others from one another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::{Held, lock};

/// Given pieces that wait for the download.
const WAITING: usize = 4;

/// A piece that was given: whole, and of the right digest.
#[derive(Debug)]
pub struct Given {
    /// Which.
    pub piece: u32,
    /// It.
    pub bytes: Vec<u8>,
    /// Who gave it, for people.
    pub from: Arc<str>,
    /// Answered once it is written, and served to others.
    pub taken: oneshot::Sender<()>,
}

/// What a download is given.
#[derive(Debug)]
pub enum Gift {
    /// A piece.
    Piece(Given),
    /// Endpoints of others that have it, or get it.
    Peers(Vec<String>),
}

/// Nothing fetches this content now: what is given has no place to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotNow;

impl Held {
    /// Gifts go to whoever has this receiver, until it is dropped or somebody else takes them.
    pub fn takes_given(&self) -> mpsc::Receiver<Gift> {
        let (giving, given) = mpsc::channel(WAITING);
        *lock(&self.giving) = Some(giving);
        given
    }

    /// Gives a piece, whole and of the right digest; returns when it is written. One that is here is not needed.
    ///
    /// # Errors
    /// Nothing fetches the content now.
    pub async fn give(&self, piece: u32, bytes: Vec<u8>, from: Arc<str>) -> Result<(), NotNow> {
        if self.has(piece) {
            return Ok(());
        }
        let giving = lock(&self.giving).clone().ok_or(NotNow)?;
        let (taken, answer) = oneshot::channel();
        giving.send(Gift::Piece(Given { piece, bytes, from, taken })).await.map_err(|_| NotNow)?;
        answer.await.map_err(|_| NotNow)
    }

    /// Tells whoever fetches it of others that have it, or get it.
    pub async fn tell_peers(&self, peers: Vec<String>) {
        let giving = lock(&self.giving).clone();
        if let Some(giving) = giving {
            // Nobody fetches it any more: nobody wants to know.
            let _ = giving.send(Gift::Peers(peers)).await;
        }
    }

    /// So many bytes of given pieces came.
    pub fn on_came(&self, bytes: u64) {
        self.came.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of given pieces that came since the start.
    pub fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    /// Copies that its pool shall have of it; 0: no pool's business.
    pub fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    /// So many copies shall there be.
    pub fn set_replicas(&self, replicas: u32) {
        self.replicas.store(replicas, Ordering::Relaxed);
    }
}
