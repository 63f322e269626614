//! `Command::Send`: a push is added, or goes on.

use std::path::Path;

use super::commands::{Core, Handle, internal, new_record, queued};
use super::send_job::destination;
use super::steer::paths_at_rest;
use super::transfer::Order;
use crate::content::manifest::{MAX_PIECE_LENGTH, MIN_PIECE_LENGTH};
use crate::control::queue::QueueId;
use crate::control::{CommandError, CommandErrorKind, OnTaken, PriorityClass, Reply, SendRequest, SendStrategy};
use crate::pool::replica::MAX_REPLICAS;
use crate::push::paths::Destination;
use crate::store::{JobRecord, Phase, SendRecord, TransferRecord};

fn error(kind: CommandErrorKind, message: impl Into<String>) -> CommandError {
    CommandError::new(kind, message)
}

/// The request with its path as the system knows it, the source's name, and where it goes.
pub(super) async fn checked(request: SendRequest) -> Result<(SendRequest, String, Destination), CommandError> {
    if let Some(length) = request.segment_length
        && !(MIN_PIECE_LENGTH..=MAX_PIECE_LENGTH).contains(&length)
    {
        return Err(error(CommandErrorKind::Invalid, format!("a segment of {length} bytes: use 1KiB to 64MiB")));
    }
    let given = request.path.clone();
    let path = tokio::task::spawn_blocking(move || std::fs::canonicalize(&given))
        .await
        .map_err(|e| error(CommandErrorKind::Internal, e.to_string()))?
        .map_err(|e| error(CommandErrorKind::NotFound, format!("cannot send {:?}: {e}", request.path)))?;
    let Some(name) = path.file_name().map(crate::content::name::escape) else {
        return Err(error(
            CommandErrorKind::Invalid,
            "the whole file system (/) cannot be sent; choose a folder in it",
        ));
    };
    if let Some(pool) = request.pool() {
        to_pool(&request, pool)?;
        return Ok((SendRequest { path, ..request }, name.clone(), Destination { paths: Vec::new(), target: name }));
    }
    if request.balancer.is_some() {
        let words = format!("a balancer chooses among the nodes of a pool (pool:NAME); {} is one node", request.dest);
        return Err(error(CommandErrorKind::Invalid, words));
    }
    if let Some(replicas) = request.replicas {
        let words = format!("{replicas} replicas need a pool as destination (pool:NAME); {} is one node", request.dest);
        return Err(error(CommandErrorKind::Invalid, words));
    }
    let found = destination(&request, &name).map_err(|e| error(CommandErrorKind::Invalid, e))?;
    Ok((SendRequest { path, ..request }, name, found))
}

/// Whether a push can go to a pool as asked.
fn to_pool(request: &SendRequest, pool: &str) -> Result<(), CommandError> {
    let invalid = |words: String| Err(error(CommandErrorKind::Invalid, words));
    if pool.is_empty() {
        return invalid("pool: needs the pool's name, as in pool:default; `skep nodes` shows it".into());
    }
    if !request.paths.is_empty() || !request.via.is_empty() {
        return invalid("to a pool, each piece goes to one of its nodes: --path and --via are for one receiver".into());
    }
    if !matches!(request.strategy, SendStrategy::Auto) || request.on_taken != OnTaken::Refuse {
        return invalid("to a pool goes a content as a whole: --strategy and --if-taken are for one receiver".into());
    }
    match request.replicas {
        Some(replicas) if !(1..=MAX_REPLICAS).contains(&replicas) => {
            invalid(format!("{replicas} replicas: 1 to {MAX_REPLICAS}"))
        }
        _ => Ok(()),
    }
}

impl Core {
    /// Pushes a path. The same path to the same destination, if it is not over, goes on with the paths
    /// and limits of this request. `operation`: that of the queue that it is.
    pub(super) async fn send(&self, request: SendRequest, operation: Option<QueueId>) -> Result<Reply, CommandError> {
        let (request, name, found) = checked(request).await?;
        if let Some(pool) = request.pool()
            && pool != self.services.pool.name()
        {
            let words = format!("this node knows the pool {:?}, not {pool:?}", self.services.pool.name());
            return Err(error(CommandErrorKind::NotFound, words));
        }
        let path = request.path.clone();
        let paths = found.paths.len() as u32;
        let priority = request.priority.map(PriorityClass::priority);
        let _one_at_a_time = self.adding.lock().await;
        let again = self.find_send(&path, &request.dest);
        let Some(handle) = again else {
            let dir = path.parent().map(Into::into).unwrap_or_default();
            let job = JobRecord::Send(SendRecord { request, paths, ..SendRecord::default() });
            let record = |id| TransferRecord {
                priority: priority.unwrap_or(0),
                queued: operation,
                ..new_record(id, job, Phase::Active, None, name, dir)
            };
            let id = self.begin(record).await?;
            return Ok(Reply::Added { ids: vec![id], contents: vec![] });
        };
        let shared = &handle.shared;
        let changed = shared.change_record(|record| {
            record.priority = priority.unwrap_or(record.priority);
            record.queued = operation.or(record.queued);
            let JobRecord::Send(send) = &mut record.job else { return };
            let up = request.up.or(send.request.up);
            shared.limits.up[0].set(up);
            send.request = SendRequest { up, ..request };
            send.paths = paths;
        });
        changed.await.map_err(|e| internal(&e))?;
        let record = shared.record();
        if let JobRecord::Send(send) = &record.job {
            shared.update(|row| (row.paths, row.path_changes) = (paths_at_rest(send, &record.name), Vec::new()));
        }
        shared.update(|row| {
            row.priority = priority.unwrap_or(row.priority);
            row.queued = record.queued;
        });
        let is_settled = shared.row().state.is_settled();
        shared.update(queued);
        handle.send(if is_settled { Order::Resume } else { Order::Restart }).await?;
        Ok(Reply::Added { ids: vec![shared.id], contents: vec![] })
    }

    /// The push of this path to this destination that is not over.
    pub(super) fn find_send(&self, path: &Path, dest: &str) -> Option<Handle> {
        let same = |job: &JobRecord| matches!(job, JobRecord::Send(send) if send.request.path == path && send.request.dest == dest);
        let open = |phase| matches!(phase, Phase::Active | Phase::Paused | Phase::Failed);
        let handles = self.lock();
        let found = handles.values().find(|handle| {
            let record = handle.shared.record();
            same(&record.job) && open(record.phase)
        });
        found.cloned()
    }
}
