//! `skep cancel`.

use skep_engine::control::{Command, TransferState};

use super::context::Context;
use super::settle::{Ids, settle};
use crate::output::{Exit, Failure};

/// Cancel transfers of the running node
///
/// Stops them for good and drops partial data. A complete one only stops seeding and keeps its data.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    ids: Ids,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let ids = args.ids.ids.clone();
    settle(cx, &ids, Command::Cancel { ids: ids.clone() }, "removed", |row| {
        row.is_none_or(|row| matches!(row.state, TransferState::Cancelled | TransferState::Done))
    })
}
