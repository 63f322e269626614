//! Watching peers: one task per peer asks for its bitmap, then waits for what is new.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::client::{ChokeWord, Client, ClientError, News};
use super::peers::PeerKey;
use crate::content::{Bitmap, ContentId};

/// How long one question waits for news.
const WAIT: Duration = Duration::from_secs(25);
/// Pauses between attempts to reach a peer that fails.
const RETRY: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

/// What a watched peer tells.
#[derive(Debug)]
pub(super) enum PeerNews {
    /// Everything it has.
    Bitmap(PeerKey, Bitmap),
    /// What it has got since.
    Haves(PeerKey, Vec<u32>),
    /// Whether it serves us now.
    Choke(PeerKey, bool),
    /// It cannot be reached, or talks nonsense; the watcher tries again unless it is gone for good.
    Failed(PeerKey, String),
    /// Given up.
    Gone(PeerKey, String),
}

/// Watches one peer until it is given up or nobody listens.
pub(super) async fn watch_peer(
    client: Arc<Client>,
    key: PeerKey,
    endpoint: Arc<str>,
    content: ContentId,
    pieces: u32,
    news: mpsc::Sender<PeerNews>,
) {
    let mut etag: Option<String> = None;
    let mut choked = None;
    let mut failures = 0;
    loop {
        let result = client.bitmap(&endpoint, &content, pieces, etag.as_deref(), WAIT).await;
        let message = match result {
            Ok(answer) => {
                failures = 0;
                let nothing = matches!(answer.what, News::Nothing);
                // Without an ETag there is nothing to wait for: asking again at once would spin.
                let can_wait = answer.etag.is_some();
                etag = answer.etag;
                let choke = answer.choke.map(|word| word == ChokeWord::Choked);
                if choke.is_some() && choke != choked {
                    choked = choke;
                    if news.send(PeerNews::Choke(key, choke == Some(true))).await.is_err() {
                        return;
                    }
                }
                let message = match answer.what {
                    News::Whole(bitmap) => Some(PeerNews::Bitmap(key, bitmap)),
                    News::Added(haves) if !haves.is_empty() => Some(PeerNews::Haves(key, haves)),
                    _ => None,
                };
                if !can_wait || nothing {
                    // A peer that answers "nothing new" at once must not make us spin.
                    tokio::time::sleep(if can_wait { Duration::from_millis(100) } else { WAIT }).await;
                }
                message
            }
            Err(error) => {
                // Not the network but the peer's sense of the protocol, or it does not have the
                // content: asking again soon is no use.
                let hopeless =
                    matches!(error, ClientError::Malformed(_) | ClientError::TooLarge(_) | ClientError::Url(_));
                let Some(pause) = RETRY.get(failures).filter(|_| !hopeless) else {
                    let _ = news.send(PeerNews::Gone(key, error.to_string())).await;
                    return;
                };
                failures += 1;
                etag = None;
                if news.send(PeerNews::Failed(key, error.to_string())).await.is_err() {
                    return;
                }
                tokio::time::sleep(*pause).await;
                None
            }
        };
        if let Some(message) = message
            && news.send(message).await.is_err()
        {
            return;
        }
    }
}
