//! Pieces that somebody gives, unasked: who places a content in a pool sends each piece to one of its nodes
//! ([`crate::pool::replica`]), and these have the others from one another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::{Held, lock};

/// Given pieces that wait for the download.
const WAITING: usize = 4;

/// Endpoints that are told at once.
const MAX_TOLD: usize = 256;

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
    /// There are others that have it, or get it: [`Held::take_told`] has them.
    Told,
    /// Endpoints that are not to be asked for it now, those told of before no longer among them.
    Spared(Vec<String>),
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

    /// Tells whoever fetches it of others that have it, or get it: their endpoints. Waits for nobody, since who tells may be
    /// who has to take the gifts.
    pub fn tell_peers(&self, peers: Vec<String>) {
        let giving = lock(&self.giving).clone();
        let Some(giving) = giving else { return };
        {
            let mut told = lock(&self.told);
            for peer in peers {
                if told.len() < MAX_TOLD && !told.contains(&peer) {
                    told.push(peer);
                }
            }
        }
        // Full of pieces: whoever takes one looks at what was told, too.
        let _ = giving.try_send(Gift::Told);
    }

    /// Whom we were told of since the last call.
    pub fn take_told(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.told))
    }

    /// Tells whoever fetches it whom not to ask now. Waits for nobody either: what finds no place is told again by the next look.
    pub fn spare_peers(&self, spared: Vec<String>) {
        let giving = lock(&self.giving).clone();
        if let Some(giving) = giving {
            let _ = giving.try_send(Gift::Spared(spared));
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
