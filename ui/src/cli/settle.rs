//! Commands on transfers of the running node (`pause`, `resume`, `cancel`, `remove`): send, wait
//! until it is a fact, say so.

use std::time::Duration;

use serde_json::json;
use skep_engine::control::{Command, Focus, Reply, TransferId, TransferRow};

use super::context::Context;
use crate::host;
use crate::output::{Exit, Failure, state_word};

/// Longest wait for a command to become a fact.
const PATIENCE: Duration = Duration::from_secs(15);

/// One or more transfers, as numbers of `skep ls`.
#[derive(Debug, clap::Args)]
pub struct Ids {
    /// Transfers by their number in `skep ls`
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<TransferId>,
}

/// Sends a command that concerns these transfers and waits until `is_fact` holds for each one's row
/// (none: it is gone).
///
/// # Errors
/// No node runs; it refuses; it takes too long.
pub fn settle(
    cx: &Context,
    ids: &[TransferId],
    command: Command,
    gone_word: &str,
    is_fact: fn(Option<&TransferRow>) -> bool,
) -> Result<Exit, Failure> {
    cx.talk(async {
        let node = host::require(cx).await?;
        let control = node.control.as_ref();
        let mut view = control.view(Focus::default());
        let before = host::snapshot(&mut view).await?;
        for id in ids {
            if !before.transfers.iter().any(|row| row.id == *id) {
                return Err(Failure::failed(format!("no transfer {id} on this node: see `skep ls --all`")));
            }
        }
        let reply = control.command(command).await?;
        let settled = view.snapshots.wait_for(|now| {
            let row = |id: &TransferId| now.transfers.iter().find(|row| row.id == *id);
            ids.iter().all(|id| is_fact(row(id).map(AsRef::as_ref)))
        });
        let now = match tokio::time::timeout(PATIENCE, settled).await {
            Ok(Ok(snapshot)) => snapshot.clone(),
            Ok(Err(_)) => return Err(Failure::failed("the node stopped meanwhile")),
            Err(_) => {
                let s = PATIENCE.as_secs();
                return Err(Failure::failed(format!(
                    "the node took the command, but {s} s later it is not done: see `skep ls --all`"
                )));
            }
        };
        for id in ids {
            let row = now.transfers.iter().find(|row| row.id == *id);
            let state = row.map_or(gone_word, |row| state_word(row.state));
            let name = row.or_else(|| before.transfers.iter().find(|row| row.id == *id)).map(|row| row.name.clone());
            let name = name.unwrap_or_default();
            cx.out.result(
                || json!({ "type": "result", "id": id, "state": state, "name": name }),
                || format!("{id}  {state}  {name}"),
            );
        }
        if let Reply::Kept(kept) = reply {
            cx.out.say(&kept.to_string());
        }
        Ok(Exit::Done)
    })
}
