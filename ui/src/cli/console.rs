//! `skep` without a command: the console.

use std::io::IsTerminal as _;
use std::sync::Arc;

use skep_engine::control::Control;

use super::context::Context;
use crate::output::{Exit, Failure};

/// Settings that it takes as flags.
pub const FLAGS: &[&str] = &["console.theme", "console.glyphs", "listen", "root", "name"];

pub(super) fn run(_cx: &Context) -> Result<Exit, Failure> {
    need_terminal()?;
    Err(Failure::failed("console: pending"))
}

/// The console draws on stdout and reads keys from stdin.
///
/// # Errors
/// One of them is no terminal.
pub(super) fn need_terminal() -> Result<(), Failure> {
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage("the console needs a terminal; without one use the commands: see `skep --help`"))
}

pub(super) async fn show(_cx: &Context, _control: Arc<dyn Control>, _read_only: bool) -> Result<Exit, Failure> {
    Err(Failure::failed("console: pending"))
}
