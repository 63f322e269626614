//! Getting a manifest from whoever gives it first.
//!
//! Nodes are asked one after another, the next as soon as one fails or has kept us waiting for
//! `STAGGER` (as RFC 8305 does with addresses), at most `AT_ONCE` at a time; the first sound answer wins
//! and the others are dropped. A manifest is parsed while it comes: its text is never held, and it ends at
//! the caps of [`crate::content::manifest`] whatever its sender goes on to say.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use tokio::task::JoinSet;

use super::client::{Client, ClientError};
use crate::chunks::Chunks;
use crate::content::{ContentId, Manifest};

/// A node that has not answered after this long is not waited for alone.
const STAGGER: Duration = Duration::from_millis(500);
/// Nodes asked at the same time.
const AT_ONCE: usize = 4;
/// A node that sends nothing for this long has failed. Until the first byte it may have to read and write
/// out a large manifest.
const STALL: Duration = Duration::from_secs(20);
/// Longest time for a manifest, so that nobody holds a place by dripping.
const LONGEST: Duration = Duration::from_secs(300);

/// The manifest of `id`, checked, from one of `nodes`; else why each of them did not give it, in the order
/// of `nodes`.
///
/// # Errors
/// Nobody gave it.
pub async fn fetch_manifest(
    client: &Arc<Client>,
    nodes: &[String],
    id: ContentId,
) -> Result<Manifest, Vec<ClientError>> {
    let mut errors: Vec<Option<ClientError>> = nodes.iter().map(|_| None).collect();
    let mut to_ask = nodes.iter().enumerate();
    let mut asked = JoinSet::new();
    loop {
        if asked.len() < AT_ONCE
            && let Some((at, node)) = to_ask.next()
        {
            let (client, node) = (client.clone(), node.clone());
            asked.spawn(async move { (at, ask(&client, &node, id).await) });
        }
        if asked.is_empty() {
            let none = || ClientError::Network("internal: the task that asked failed".into());
            return Err(errors.into_iter().map(|error| error.unwrap_or_else(none)).collect());
        }
        // Without another to ask there is nothing to hurry for: each ends by itself.
        let patience = if to_ask.len() > 0 && asked.len() < AT_ONCE { STAGGER } else { LONGEST };
        match tokio::time::timeout(patience, asked.join_next()).await {
            Ok(Some(Ok((_, Ok(manifest))))) => return Ok(manifest),
            Ok(Some(Ok((at, Err(error))))) => errors[at] = Some(error),
            _ => {}
        }
    }
}

async fn ask(client: &Client, node: &str, id: ContentId) -> Result<Manifest, ClientError> {
    let late = |after: Duration| ClientError::Network(format!("{node} did not send the manifest within {after:?}"));
    let asking = async {
        let response = tokio::time::timeout(STALL, client.manifest(node, &id)).await.map_err(|_| late(STALL))??;
        read(response, node, id).await
    };
    tokio::time::timeout(LONGEST, asking).await.map_err(|_| late(LONGEST))?
}

/// Parses the body while it comes, off the async threads.
async fn read(mut response: Response, node: &str, id: ContentId) -> Result<Manifest, ClientError> {
    let (chunks, reader) = Chunks::new();
    let parsing = tokio::task::spawn_blocking(move || {
        let manifest = Manifest::from_reader(reader).map_err(|e| e.to_string())?;
        let got = manifest.id();
        Ok((got == id).then_some(manifest).ok_or(got))
    });
    loop {
        match tokio::time::timeout(STALL, response.chunk()).await {
            // More than the parser wants to see?
            Ok(Ok(Some(chunk))) => {
                if chunks.send(chunk).await.is_err() {
                    break;
                }
            }
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(ClientError::Network(format!("{node} sent nothing of the manifest for {STALL:?}"))),
        }
    }
    drop(chunks);
    let parsed: Result<Result<Manifest, ContentId>, String> =
        parsing.await.map_err(|e| ClientError::Network(format!("internal: {e}")))?;
    match parsed {
        Ok(Ok(manifest)) => Ok(manifest),
        Ok(Err(got)) => {
            Err(ClientError::Malformed(format!("{node} answered with the manifest of another content ({got})")))
        }
        Err(error) => Err(ClientError::Malformed(format!("the manifest that {node} gave is refused: {error}"))),
    }
}
