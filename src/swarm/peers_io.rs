//! Watching peers: one task per peer asks for its bitmap, then waits for what is new.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::client::{ChokeWord, Client, ClientError, News};
use super::peers::PeerKey;
use crate::content::{Bitmap, ContentId};

/// How long one question waits for news.
const WAIT: Duration = Duration::from_secs(25);
/// Shortest time from one question to the next.
const SOON: Duration = Duration::from_millis(20);
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
    /// The address at which it answers.
    At(PeerKey, SocketAddr),
    /// Everything it has.
    Bitmap(PeerKey, Bitmap),
    /// What it has got since.
    Haves(PeerKey, Vec<u32>),
    /// Whether it serves us now.
    Choke(PeerKey, bool),
    /// It cannot be reached, or talks nonsense; the watcher tries again unless it is gone for good.
    Failed(PeerKey, ClientError),
    /// Given up.
    Gone(PeerKey, ClientError),
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
    let (mut choked, mut at) = (None, None);
    let mut failures = 0;
    let mut useless = 0u32;
    loop {
        let asked = Instant::now();
        let result = client.bitmap(&endpoint, &content, pieces, etag.as_deref(), WAIT).await;
        let message = match result {
            Ok(answer) => {
                failures = 0;
                let nothing = matches!(answer.what, News::Nothing);
                let brings_news = matches!(&answer.what, News::Added(new) if !new.is_empty());
                // Without an ETag there is nothing to wait for: asking again at once would spin.
                let can_wait = answer.etag.is_some();
                etag = answer.etag;
                if answer.from.is_some() && answer.from != at {
                    at = answer.from;
                    if let Some(at) = at
                        && news.send(PeerNews::At(key, at)).await.is_err()
                    {
                        return;
                    }
                }
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
                // A peer that answers at once, whatever it says, must not make us spin: the pause
                // grows while its answers bring nothing new.
                useless = if brings_news { 0 } else { useless.saturating_add(1) };
                let least = if can_wait { SOON * 2u32.pow(useless.min(7)) } else { WAIT };
                let pause = if nothing && asked.elapsed() > least { Duration::ZERO } else { least };
                tokio::time::sleep(pause.saturating_sub(asked.elapsed())).await;
                message
            }
            Err(error) => {
                // Not the network but the peer's sense of the protocol, or it does not have the
                // content: asking again soon is no use.
                let hopeless =
                    matches!(error, ClientError::Malformed(_) | ClientError::TooLarge(_) | ClientError::Url(_));
                let Some(pause) = RETRY.get(failures).filter(|_| !hopeless) else {
                    let _ = news.send(PeerNews::Gone(key, error)).await;
                    return;
                };
                failures += 1;
                etag = None;
                if news.send(PeerNews::Failed(key, error)).await.is_err() {
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
