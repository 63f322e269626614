//! From what an operator typed to contents that can be fetched.

use super::pooling::Pool;
use crate::content::link::PoolLink;
use crate::content::{ContentId, Description, Link, Manifest, metalink, name, sniff};
use crate::control::{AddTransfer, CommandError, CommandErrorKind};
use crate::store::FetchRecord;
use crate::swarm::{Client, ClientError};

/// One content to fetch.
#[derive(Debug)]
pub(super) struct Resolved {
    pub id: ContentId,
    /// Its manifest, where the link led to one.
    pub manifest: Option<Manifest>,
    pub fetch: FetchRecord,
}

/// What `request` means; asks the network where the link is a URL.
pub(super) async fn resolve(
    client: &Client,
    pool: &Pool,
    request: &AddTransfer,
) -> Result<Vec<Resolved>, CommandError> {
    let invalid = |e: String| CommandError::new(CommandErrorKind::Invalid, e);
    let mut base = FetchRecord {
        kept: false,
        peers: request.peers.clone(),
        mirrors: Vec::new(),
        trackers: request.trackers.clone(),
        replicas: 0,
        // The document goes into the state as a manifest; kept here it would be written twice.
        request: AddTransfer { document: None, ..request.clone() },
    };
    for url in base.peers.iter().chain(&base.trackers) {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(invalid(format!("{url:?} is not a node's URL; write http://HOST:PORT")));
        }
    }
    if let Some(document) = &request.document {
        return from_document(document.as_bytes(), base);
    }
    match request.link.parse::<Link>().map_err(|e| invalid(e.to_string()))? {
        Link::Node(link) => {
            let (node, id) = (link.node_url(), link.id);
            base.peers.insert(0, node.clone());
            base.trackers.insert(0, node);
            Ok(vec![Resolved { id, manifest: None, fetch: base }])
        }
        Link::Url(url) => {
            let document = client.document(&url).await.map_err(|e| unavailable(&e))?;
            // A node's manifest URL: the node is a peer and a tracker too.
            if let Some((node, _)) = url.split_once("/swarm/manifest/") {
                base.peers.insert(0, node.to_owned());
                base.trackers.insert(0, node.to_owned());
            }
            // What a server sends is not the fault of whoever typed its URL.
            let refused = |e: CommandError| {
                CommandError::new(CommandErrorKind::Unavailable, format!("what {url} gave is refused: {e}"))
            };
            from_document(&document, base).map_err(refused)
        }
        Link::Pool(link) => {
            let id = in_pool(pool, &link)?;
            base.peers.extend(pool.sources(&id.to_string()).into_iter().map(|(_, endpoint)| endpoint));
            Ok(vec![Resolved { id, manifest: None, fetch: base }])
        }
        Link::File(path) => {
            Err(invalid(format!("{path:?} is a file on your side: send what it holds (`skep get` does), not its name")))
        }
    }
}

/// Which content of the pool is meant.
fn in_pool(pool: &Pool, link: &PoolLink) -> Result<ContentId, CommandError> {
    let not_found = |words: String| Err(CommandError::new(CommandErrorKind::NotFound, words));
    if link.pool != pool.name() {
        return not_found(format!("this node knows the pool {:?}, not {:?}", pool.name(), name::excerpt(&link.pool)));
    }
    // Nobody may say that it has it (a list without gossip): those that the ring gives it to are asked.
    if let Ok(id) = link.content.parse() {
        return Ok(id);
    }
    let what = name::excerpt(&link.content);
    match &pool.find(&link.content)[..] {
        [] => not_found(format!("no node of the pool that is there says that it has {what:?}")),
        [one] => one.content.parse().or_else(|_| not_found(format!("{what:?} has no content id"))),
        several => {
            let ids: Vec<_> = several.iter().take(5).map(|one| one.content.as_str()).collect();
            let words =
                format!("{} contents are called {what:?}: name one by its id: {}", several.len(), ids.join(", "));
            Err(CommandError::new(CommandErrorKind::Conflict, words))
        }
    }
}

fn from_document(document: &[u8], base: FetchRecord) -> Result<Vec<Resolved>, CommandError> {
    let invalid = |e: String| CommandError::new(CommandErrorKind::Invalid, e);
    match sniff(document).map_err(|e| invalid(e.to_string()))? {
        Description::Manifest => {
            let manifest = Manifest::from_json(document).map_err(|e| invalid(e.to_string()))?;
            Ok(vec![Resolved { id: manifest.id(), manifest: Some(manifest), fetch: base }])
        }
        Description::Metalink => {
            let files = metalink::parse(document, &metalink::Caps::default()).map_err(|e| invalid(e.to_string()))?;
            let resolved = files.into_iter().map(|file| {
                let manifest = file.to_manifest().map_err(|e| invalid(e.to_string()))?;
                let mut fetch = base.clone();
                fetch.mirrors = file.urls;
                Ok(Resolved { id: manifest.id(), manifest: Some(manifest), fetch })
            });
            resolved.collect()
        }
    }
}

fn unavailable(error: &ClientError) -> CommandError {
    let kind = match error {
        ClientError::Unauthorized { .. } => CommandErrorKind::Refused,
        ClientError::Url(_) => CommandErrorKind::Invalid,
        ClientError::Status { status: 404, .. } => CommandErrorKind::NotFound,
        _ => CommandErrorKind::Unavailable,
    };
    CommandError::new(kind, error.to_string())
}
