//! `Command::SetPath`: a path of a push is taken out, let in again, or weighed.

use super::commands::{Core, internal};
use super::send_job::destination;
use crate::control::{CommandError, CommandErrorKind, PathRow, Reply, TransferId, TransferState};
use crate::push::paths::PathSpec;
use crate::push::plan::WEIGHTS;
use crate::store::{JobRecord, SendRecord};

fn error(kind: CommandErrorKind, message: impl Into<String>) -> CommandError {
    CommandError::new(kind, message)
}

impl Core {
    /// In force at once, and kept with the transfer.
    pub(super) async fn set_path(
        &self,
        id: TransferId,
        path: &str,
        enabled: Option<bool>,
        weight: Option<f64>,
    ) -> Result<Reply, CommandError> {
        let shared = self.handle(id)?.shared;
        let record = shared.record();
        let JobRecord::Send(send) = &record.job else {
            let what = format!("transfer {id} is no push: it has peers, not paths");
            return Err(error(CommandErrorKind::Conflict, what));
        };
        if matches!(shared.row().state, TransferState::Done | TransferState::Cancelled) {
            return Err(error(CommandErrorKind::Conflict, format!("transfer {id} is over: its paths are not used")));
        }
        if let Some(weight) = weight
            && !(weight.is_finite() && WEIGHTS.contains(&weight))
        {
            let what = format!("a weight of {weight}: use {} to {}, 1 is usual", WEIGHTS.start(), WEIGHTS.end());
            return Err(error(CommandErrorKind::Invalid, what));
        }
        let names = names(send, &record.name).map_err(|e| error(CommandErrorKind::Internal, e))?;
        if !names.iter().any(|name| name == path) {
            let what = format!("transfer {id} has no path {path:?}; it has: {}", names.join(", "));
            return Err(error(CommandErrorKind::NotFound, what));
        }
        let changed = shared.change_record(|record| {
            let JobRecord::Send(send) = &mut record.job else { return };
            let mut choice = send.choices.get(path).copied().unwrap_or_default();
            choice.enabled = enabled.unwrap_or(choice.enabled);
            choice.weight = weight.unwrap_or(choice.weight);
            send.choices.insert(path.to_owned(), choice);
            // Of paths that it had before it was sent again with others.
            send.choices.retain(|name, _| names.contains(name));
            shared.choices.send_replace(send.choices.clone());
        });
        let written = changed.await;
        let choice = shared.choices.borrow().get(path).copied().unwrap_or_default();
        tracing::info!(transfer = id.0, path, enabled = choice.enabled, weight = choice.weight, "path set");
        shared.update(|row| {
            // What runs shows it itself, as a fact.
            if row.state != TransferState::Running {
                row.paths.iter_mut().filter(|row| row.path == path).for_each(|row| row.choose(choice));
            }
        });
        written.map_err(|e| internal(&e))?;
        Ok(Reply::Done)
    }
}

/// What the paths of a push are called.
fn names(send: &SendRecord, name: &str) -> Result<Vec<String>, String> {
    Ok(destination(&send.request, name)?.paths.iter().map(PathSpec::to_string).collect())
}

/// The paths of a push that does not run.
pub(super) fn paths_at_rest(send: &SendRecord, name: &str) -> Vec<PathRow> {
    let Ok(destination) = destination(&send.request, name) else { return Vec::new() };
    let row = |spec: &PathSpec| {
        let mut row = PathRow { path: spec.to_string(), via: spec.via.clone(), ..PathRow::default() };
        row.choose(send.choices.get(&row.path).copied().unwrap_or_default());
        row
    };
    destination.paths.iter().map(row).collect()
}
