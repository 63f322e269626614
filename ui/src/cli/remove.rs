//! `skep remove`.

use skep_engine::control::Command;

use super::context::Context;
use super::settle::{Ids, settle};
use crate::output::{Exit, Failure};

/// Forget transfers of the running node
///
/// Takes them off the list and stops serving them. The data stays, unless `--data` is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    ids: Ids,
    /// Delete the data that was fetched, too; never what was shared in place, nor what was added or changed since
    #[arg(long)]
    data: bool,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let ids = args.ids.ids.clone();
    settle(cx, &ids, Command::Remove { ids: ids.clone(), data: args.data }, "removed", |row| row.is_none())
}
