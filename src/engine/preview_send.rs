//! What a push would do: counts the source, probes every way, and asks the receiver whether it would take it.

use std::time::Duration;

use futures_util::future::join_all;

use super::adapt::Adapt;
use super::commands::Core;
use super::preview::count;
use super::replicating::REPLICAS;
use super::send_job::{description_of, destination};
use crate::content::name::{escape, printable};
use crate::content::piece_length_for;
use crate::control::{CommandError, CommandErrorKind, PathPreview, Preview, SendRequest, TransferRow, TransferState};
use crate::push::paths::PathSpec;
use crate::push::wire::{Checked, Wire, WireError};
use crate::push::{PushError, segment_for};
use crate::store::{JobRecord, PushRecord, SendRecord};

/// How long the ways and the receiver may take: somebody waits at a form.
const PATIENCE: Duration = Duration::from_secs(6);

fn error(kind: CommandErrorKind, message: impl Into<String>) -> CommandError {
    CommandError::new(kind, message)
}

impl Core {
    /// What [`send`](Core::command) would do with this request.
    pub(super) async fn preview_send(&self, request: SendRequest) -> Result<Preview, CommandError> {
        let given = request.path.clone();
        let counted = tokio::task::spawn_blocking(move || count(&given)).await;
        let (path, size, files, at_least) = counted
            .map_err(|e| error(CommandErrorKind::Internal, e.to_string()))?
            .map_err(|e| error(CommandErrorKind::NotFound, format!("cannot send it: {e}")))?;
        let Some(name) = path.file_name().map(escape) else {
            return Err(error(
                CommandErrorKind::Invalid,
                "the whole file system (/) cannot be sent; choose a folder in it",
            ));
        };
        if request.pool().is_some() {
            let (request, _, _) = super::send::checked(request).await?;
            let there = self.services.pool.size();
            let wanted = request.replicas.unwrap_or(REPLICAS) as usize;
            let short = || format!("{wanted} copies need {wanted} nodes, the pool has {there}");
            let mut preview = Preview {
                name: printable(&path.file_name().unwrap_or_default().to_string_lossy()),
                contents: 1,
                size,
                files,
                at_least,
                path: printable(&name),
                segment: request.segment_length.unwrap_or_else(|| piece_length_for(size)),
                existing: self.find_send(&path, &request.dest).map(|handle| handle.shared.id),
                refusal: if wanted > there { short() } else { String::new() },
                ..Preview::default()
            };
            self.strategy_for(&JobRecord::Send(SendRecord { request, ..SendRecord::default() }), &mut preview)?;
            return Ok(preview);
        }
        let found = destination(&request, &name).map_err(|e| error(CommandErrorKind::Invalid, e))?;
        let headers = self.services.swarm.client.node_headers();
        let wires: Vec<Result<Wire, PushError>> =
            found.paths.iter().map(|path| Wire::new(path, &found.target, headers.clone())).collect();
        let probes = join_all(wires.iter().map(|wire| probe(wire.as_ref())));
        let latencies = tokio::time::timeout(PATIENCE, probes).await.unwrap_or_else(|_| {
            let silent = || Err(format!("no answer within {} s", PATIENCE.as_secs()));
            found.paths.iter().map(|_| silent()).collect()
        });
        let answering = latencies.iter().filter(|latency| latency.is_ok()).count() as u32;
        let send = SendRecord {
            request: SendRequest { path: path.clone(), ..request },
            paths: found.paths.len() as u32,
            answering: Some(answering),
            ..SendRecord::default()
        };
        let nearest = latencies.iter().flatten().min().copied().unwrap_or_default();
        let chunk = Adapt::of(&self.services, &send.request.dest).chunk();
        let segment = send.request.segment_length;
        let segment = segment.unwrap_or_else(|| segment_for(size, answering.max(1).into(), nearest, chunk));
        let best = (0..wires.len()).filter(|n| latencies[*n].is_ok()).min_by_key(|n| latencies[*n].clone().ok());
        let checked = match best.and_then(|n| wires[n].as_ref().ok()) {
            Some(wire) => {
                let push = PushRecord { target: found.target.clone(), bytes: size, segment, ..PushRecord::default() };
                let body = description_of(&send, &push);
                tokio::time::timeout(PATIENCE, wire.check(body)).await.ok()
            }
            None => None,
        };
        let mut preview = Preview {
            name: printable(&path.file_name().unwrap_or_default().to_string_lossy()),
            contents: 1,
            size,
            files,
            at_least,
            path: printable(&found.target),
            paths: found.paths.iter().zip(latencies).map(|(spec, latency)| way(spec, latency)).collect(),
            segment,
            existing: self.find_send(&path, &send.request.dest).map(|handle| handle.shared.id),
            rate: earlier_rate(&self.rows(), &found.paths),
            ..Preview::default()
        };
        match checked {
            Some(Ok(Checked { free })) => preview.disk_free = Some(free),
            // The same push, begun before: it has the name.
            Some(Err(_)) if preview.existing.is_some() => {}
            Some(Err(WireError::Status { detail, .. } | WireError::Refused(detail) | WireError::Malformed(detail))) => {
                preview.refusal = detail
            }
            // An older node cannot be asked; that it cannot be reached is told by the paths.
            Some(Err(_)) | None => {}
        }
        self.strategy_for(&JobRecord::Send(send), &mut preview)?;
        Ok(preview)
    }
}

async fn probe(wire: Result<&Wire, &PushError>) -> Result<Duration, String> {
    match wire {
        Ok(wire) => wire.probe(None).await.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn way(spec: &PathSpec, latency: Result<Duration, String>) -> PathPreview {
    let (latency_us, error) = match latency {
        Ok(latency) => (Some(latency.as_micros() as u64), String::new()),
        Err(error) => (None, printable(&error)),
    };
    PathPreview { path: spec.to_string(), via: spec.via.clone(), latency_us, error }
}

/// What the newest push that was completed over some of these ways and no others had.
fn earlier_rate(rows: &[TransferRow], paths: &[PathSpec]) -> Option<u64> {
    let names: Vec<String> = paths.iter().map(PathSpec::to_string).collect();
    let like = |row: &&TransferRow| {
        row.state == TransferState::Done
            && row.duration_s > 0.5
            && row.paths.iter().any(|path| path.bytes > 0)
            && row.paths.iter().all(|path| names.contains(&path.path))
    };
    let newest = rows.iter().filter(like).max_by_key(|row| row.ended_ms)?;
    Some((newest.bytes_up as f64 / newest.duration_s) as u64).filter(|rate| *rate > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::PathRow;

    #[test]
    fn an_earlier_push_tells_how_fast_it_will_be() {
        let spec = |host: &str| PathSpec { endpoint: format!("http://{host}"), via: None };
        let row = |ended, bytes_up, state, names: &[&str]| TransferRow {
            ended_ms: Some(ended),
            bytes_up,
            duration_s: 2.0,
            state,
            paths: names.iter().map(|n| PathRow { path: (*n).into(), bytes: 1, ..PathRow::default() }).collect(),
            ..TransferRow::default()
        };
        let rows = [
            row(1, 2_000, TransferState::Done, &["a:1"]),
            row(3, 8_000, TransferState::Done, &["a:1", "b:1"]),
            row(2, 4_000, TransferState::Done, &["a:1"]),
            row(9, 9_000, TransferState::Failed, &["a:1"]),
        ];
        assert_eq!(earlier_rate(&rows, &[spec("a:1")]), Some(2_000), "the other one had more ways");
        assert_eq!(earlier_rate(&rows, &[spec("a:1"), spec("b:1")]), Some(4_000));
        assert_eq!(earlier_rate(&rows, &[spec("c:1")]), None);
    }
}
