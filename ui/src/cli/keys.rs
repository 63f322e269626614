//! `skep keys`.

use super::context::Context;
use crate::output::{Exit, Failure};

/// List the console's keys
///
/// With the changes of the file that `console.keys` names.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) fn run(_cx: &Context, _args: &Args) -> Result<Exit, Failure> {
    Err(Failure::failed("keys: pending"))
}
