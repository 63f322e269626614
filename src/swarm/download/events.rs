//! What happens to the requests of a download: pieces, lies, ends.

use std::time::Instant;

use super::uses::{WRONG, is_fault};
use super::{DownloadError, Running};
use crate::swarm::fetch::{FetchError, FetchEvent};
use crate::swarm::held::{Gift, Given};
use crate::swarm::leech::{Failure, RequestId};
use crate::swarm::peers::PeerKind;

impl Running {
    pub(super) fn on_fetch(&mut self, event: FetchEvent) -> Result<(), DownloadError> {
        let now = Instant::now();
        match event {
            FetchEvent::Piece { id, piece, bytes } if self.active.contains(id) => self.on_piece(id, piece, bytes, now),
            FetchEvent::Corrupt { id, piece } if self.active.contains(id) => {
                self.on_corrupt(id, piece, now);
                Ok(())
            }
            FetchEvent::Ended { id, result } if self.active.contains(id) => self.on_ended(id, result, now),
            // Of a request that was cancelled meanwhile.
            _ => Ok(()),
        }
    }

    fn on_piece(
        &mut self,
        id: RequestId,
        piece: u32,
        bytes: Option<Vec<u8>>,
        now: Instant,
    ) -> Result<(), DownloadError> {
        let new = self.active.account_one(id, &mut self.leech, now);
        self.flow.add(new, now);
        self.gave_us(id);
        let range = self.job.files.piece(piece);
        let size = range.end - range.start;
        if self.leech.have().get(piece) {
            self.wasted += size;
            return Ok(());
        }
        if let Some(bytes) = bytes {
            self.active.take_piece(piece);
            self.job.files.write_at(range.start, &bytes)?;
        }
        if let Some(endpoint) = self.active.peer(id).and_then(|peer| self.endpoints.get(&peer)) {
            *self.bytes_per_peer.entry(endpoint.name.clone()).or_default() += size;
            // What a peer gives us earns it an upload slot.
            self.job.held.received(&endpoint.id, size);
        }
        let losers = self.leech.on_piece(id, piece, now);
        self.failed.remove(&piece);
        self.job.held.mark_have(&[piece]);
        self.durable.on_written(piece, size, now);
        self.cancel(&losers);
        Ok(())
    }

    pub(super) fn on_gift(&mut self, gift: Gift, now: Instant) -> Result<(), DownloadError> {
        self.job.held.take_told().iter().for_each(|peer| self.add_peer(peer, PeerKind::Swarm, now));
        match gift {
            Gift::Piece(given) => self.on_given(given, now),
            Gift::Told => Ok(()),
            Gift::Spared(endpoints) => {
                self.spare(&endpoints, now);
                Ok(())
            }
        }
    }

    /// Somebody gave a piece, whole and verified.
    fn on_given(&mut self, given: Given, now: Instant) -> Result<(), DownloadError> {
        let Given { piece, bytes, from, taken } = given;
        let range = self.job.files.piece(piece);
        let size = range.end - range.start;
        self.flow.add(size, now);
        if self.leech.have().get(piece) {
            self.wasted += size;
        } else {
            // From now on nobody else writes there.
            self.active.take_piece(piece);
            self.job.files.write_at(range.start, &bytes)?;
            *self.bytes_per_peer.entry(from).or_default() += size;
            let losers = self.leech.on_given(piece, now);
            self.failed.remove(&piece);
            self.job.held.mark_have(&[piece]);
            self.durable.on_written(piece, size, now);
            self.cancel(&losers);
        }
        let _ = taken.send(());
        Ok(())
    }

    fn on_corrupt(&mut self, id: RequestId, piece: u32, now: Instant) {
        let new = self.active.account_one(id, &mut self.leech, now);
        self.flow.add(new, now);
        self.failed.insert(piece);
        self.job.swarm.hash_failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let range = self.job.files.piece(piece);
        self.wasted += range.end - range.start;
        let Some(peer) = self.active.peer(id) else { return };
        self.failed_us(peer, WRONG);
        let Some(endpoint) = self.endpoints.get(&peer) else { return };
        let reason = format!("piece {piece} of {} did not match its digest", self.job.held.id().short());
        self.job.swarm.bans.ban(&endpoint.name, &reason);
        self.shut_out(peer, now);
    }

    fn on_ended(&mut self, id: RequestId, result: Result<(), FetchError>, now: Instant) -> Result<(), DownloadError> {
        let new = self.active.account_one(id, &mut self.leech, now);
        self.flow.add(new, now);
        self.overhead += self.active.overhead(id);
        let peer = self.active.peer(id);
        self.active.ended(id);
        if let (Some(peer), Err(error)) = (peer, &result)
            && is_fault(error)
        {
            self.failed_us(peer, 1);
        }
        let failure = match result {
            Ok(()) => {
                self.leech.on_finished(id, now);
                return Ok(());
            }
            Err(FetchError::Disk(error)) => return Err(error.into()),
            Err(FetchError::Revoked | FetchError::Corrupt) => return Ok(()),
            Err(FetchError::Choked(retry_after)) => Failure::Choked(retry_after),
            Err(FetchError::Elsewhere(retry_after)) => Failure::Elsewhere(retry_after),
            Err(FetchError::Missing) => Failure::Refused,
            Err(FetchError::Status(status)) => Failure::Status(status),
            Err(FetchError::Length { wanted, got }) if got < wanted => Failure::ShortBody,
            Err(FetchError::Length { .. }) => Failure::TooMuch,
            Err(FetchError::Stalled(_)) => Failure::Stall,
            Err(FetchError::Client(_)) => Failure::Broken,
        };
        if let (Some(peer), Err(error)) = (peer, &result)
            && !matches!(error, FetchError::Choked(_) | FetchError::Elsewhere(_) | FetchError::Revoked)
            && let Some(endpoint) = self.endpoints.get_mut(&peer)
        {
            endpoint.note = error.to_string();
            tracing::debug!(transfer = self.job.id.0, peer = %endpoint.name, %error, "request failed");
        }
        self.leech.on_failed(id, failure, now);
        Ok(())
    }
}
