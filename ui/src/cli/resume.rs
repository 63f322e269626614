//! `skep resume`.

use skep_engine::control::{Command, TransferState};

use super::context::Context;
use super::settle::{Ids, settle};
use crate::output::{Exit, Failure};

/// Resume paused or failed transfers of the running node
///
/// Goes on with what is missing. Returns as soon as they move or wait for their turn; follow them with
/// `skep ls` or the console.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    ids: Ids,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let ids = args.ids.ids.clone();
    settle(cx, &ids, Command::Resume { ids: ids.clone() }, "removed", |row| {
        row.is_none_or(|row| !matches!(row.state, TransferState::Paused | TransferState::Pausing))
    })
}
