//! A segment that goes as it is while its link becomes one where bytes are dear: it is compressed after all, and begins anew, if
//! less goes then than is left of it.
//!
//! A segment is short where bytes are dear, and long where they are not: one that was begun on fiber would keep a satellite link
//! for minutes.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::pack::Wish;
use super::send::{self, Common, Segment};
use super::wire::Content;
use crate::content::Digest;

/// Part of what is left that the compressed segment may have: what the system took of the old one goes in vain, and its connection
/// begins anew.
const WORTH: f64 = 0.75;

/// What is sent instead.
pub(super) struct Anew {
    /// The segment.
    pub segment: Segment,
    /// Bytes of it that went before.
    pub gone: u64,
}

/// Whether `packed` bytes are worth beginning anew where `left` bytes are to go.
fn is_worth_it(packed: u64, left: u64) -> bool {
    (packed as f64) < left as f64 * WORTH
}

/// Waits until it is better to send the segment anew; with it the bytes that were left. `content` and digest: what is sent now, of
/// which the system has not taken `left` bytes.
pub(super) async fn shorter(
    common: &Arc<Common>,
    run: &Range<u64>,
    (content, digest): (Content, Digest),
    left: &AtomicU64,
    mut wishes: watch::Receiver<Option<Wish>>,
) -> (Segment, u64) {
    while content == Content::Plain && wishes.changed().await.is_ok() {
        if wishes.borrow_and_update().is_none() || !common.packer.is_understood() {
            continue;
        }
        let Ok(_permit) = common.packer.again.acquire().await else { break };
        // It was closing while others were compressed.
        if left.load(Ordering::Relaxed) == 0 {
            break;
        }
        // What cannot be read any more, or is something else by now, goes on as it was read.
        let Ok(segment) = send::read(common, run.clone()).await else { continue };
        // Before the request is dropped, and everything of it.
        let (packed, left) = (segment.bytes.len() as u64, left.load(Ordering::Relaxed));
        if segment.content == Content::Packed && segment.digest == digest && is_worth_it(packed, left) {
            tracing::debug!(start = run.start, left, packed, "begins anew, compressed");
            return (segment, left);
        }
    }
    std::future::pending().await
}
