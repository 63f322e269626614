//! `skep pause`.

use skep_engine::control::{Command, TransferState};

use super::context::Context;
use super::settle::{Ids, settle};
use crate::output::{Exit, Failure};

/// Pause transfers of the running node
///
/// Stops moving bytes and keeps everything; `skep resume` goes on. Returns when they are paused.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    ids: Ids,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let ids = args.ids.ids.clone();
    settle(cx, &ids, Command::Pause { ids: ids.clone() }, "removed", |row| {
        row.is_none_or(|row| row.state.is_settled() && row.state != TransferState::Seeding)
    })
}
