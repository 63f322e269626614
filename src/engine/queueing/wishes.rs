//! The queue's commands: checked here, decided by the book.

use std::path::Path;

use super::Wish;
use crate::content::name::printable;
use crate::control::queue::{Operation, PurgeRequest, QueueId, QueueMove};
use crate::control::{CommandError, CommandErrorKind, PriorityClass, Reply};
use crate::engine::adapt::{Adapt, Turn};
use crate::engine::commands::Core;
use crate::engine::{send, sync};
use crate::queue::book::Wanted;

/// Entries of a folder that are looked at to know its size.
const MAX_LOOK: usize = 20_000;

impl Core {
    /// Starts a push or a sync at once, or puts it into the queue where its link has it wait; one that goes on for good
    /// waits by itself.
    pub(in crate::engine) async fn start(&self, operation: Operation) -> Result<Reply, CommandError> {
        let (dest, class, stays) = match &operation {
            Operation::Send(send) => {
                (&send.dest, send.priority, self.find_send(&send.path, &send.dest).is_some() || send.pool().is_some())
            }
            Operation::Sync(sync) => (&sync.dest, sync.priority, sync.watch),
        };
        let is_sync = matches!(operation, Operation::Sync(_));
        let turn =
            if stays { Turn::Now } else { Adapt::of(&self.services, dest).turn(class.unwrap_or_default(), is_sync) };
        if let Turn::Queue(why) = turn {
            tracing::info!(target: "queue", "{}: {why}", printable(dest));
            return self.enqueue(operation, class).await;
        }
        match operation {
            Operation::Send(request) => self.send(request, None).await,
            Operation::Sync(request) => self.sync(request, None).await,
        }
    }

    /// Puts an operation into the queue.
    pub(in crate::engine) async fn enqueue(
        &self,
        operation: Operation,
        class: Option<PriorityClass>,
    ) -> Result<Reply, CommandError> {
        let (operation, name, destination, class) = match operation {
            Operation::Send(request) => {
                let (request, name, destination) = send::checked(request).await?;
                let class = class.or(request.priority);
                (Operation::Send(request), name, destination, class)
            }
            Operation::Sync(request) if request.watch => {
                let words = "a sync that goes on for good has no turn to wait for: start it with `skep sync --watch`";
                return Err(CommandError::new(CommandErrorKind::Invalid, words));
            }
            Operation::Sync(request) => {
                let (request, name, destination) = sync::checked(request).await?;
                let class = class.or(request.priority);
                (Operation::Sync(request), name, destination, class)
            }
        };
        let path = match &operation {
            Operation::Send(send) => send.path.clone(),
            Operation::Sync(sync) => sync.path.clone(),
        };
        // What it holds when its turn comes counts; this is for who looks at the queue.
        let bytes = tokio::task::spawn_blocking(move || size_of(&path)).await.unwrap_or(0);
        let dest = match &operation {
            Operation::Send(send) => &send.dest,
            Operation::Sync(sync) => &sync.dest,
        };
        let target = destination.paths.first().map_or(dest.as_str(), |path| &path.endpoint).into();
        let wanted = Wanted { operation, class, target, name: printable(&name), bytes };
        self.queueing.wish(Wish::Enqueue(Box::new(wanted))).await
    }

    pub(in crate::engine) async fn set_class(
        &self,
        ids: Vec<QueueId>,
        class: PriorityClass,
    ) -> Result<Reply, CommandError> {
        self.queueing.wish(Wish::Class(ids, class)).await
    }

    pub(in crate::engine) async fn move_queued(&self, id: QueueId, to: QueueMove) -> Result<Reply, CommandError> {
        self.queueing.wish(Wish::Move(id, to)).await
    }

    pub(in crate::engine) async fn retry_queued(&self, ids: Vec<QueueId>) -> Result<Reply, CommandError> {
        self.queueing.wish(Wish::Retry(ids)).await
    }

    pub(in crate::engine) async fn purge_queue(&self, request: PurgeRequest) -> Result<Reply, CommandError> {
        self.queueing.wish(Wish::Purge(request)).await
    }
}

/// Bytes of a file or of what a folder holds, as far as a short look tells. Blocks.
fn size_of(path: &Path) -> u64 {
    let Ok(top) = std::fs::symlink_metadata(path) else { return 0 };
    if !top.is_dir() {
        return top.len();
    }
    let (mut folders, mut looked, mut bytes) = (vec![path.to_owned()], 0, 0u64);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            looked += 1;
            if looked > MAX_LOOK {
                return bytes;
            }
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) if meta.is_file() => bytes = bytes.saturating_add(meta.len()),
                _ => {}
            }
        }
    }
    bytes
}
