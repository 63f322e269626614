//! `skep demo`.

use super::context::Context;
use crate::config::units;
use crate::output::{Exit, Failure};

/// Settings that this command takes as flags.
pub const FLAGS: &[&str] = &["console.theme", "console.glyphs"];

/// Show a live fleet of nodes on this machine
///
/// Several real nodes on loopback in a temporary folder, with shaped links and a hostile peer among
/// them, move real bytes; the console shows it. Nothing is left behind.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The same seed gives the same fleet, data and link weather
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Without the console: run it, say how it went
    #[arg(long)]
    pub headless: bool,
    /// End by itself after this time
    #[arg(long, value_name = "SECONDS", value_parser = units::duration)]
    pub seconds: Option<std::time::Duration>,
}

pub(super) fn run(_cx: &Context, _args: &Args) -> Result<Exit, Failure> {
    Err(Failure::failed("the demo is not part of this build yet"))
}
