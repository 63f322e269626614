//! `skep completions`.

use clap_complete::Shell;

use super::context::Context;
use crate::output::{Exit, Failure};

/// Print a completion script for a shell
///
/// bash: `skep completions bash > ~/.local/share/bash-completion/completions/skep`;
/// zsh: into a file `_skep` in a folder of `$fpath`; fish: `~/.config/fish/completions/skep.fish`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "skep", &mut script);
    cx.out.raw(&script)?;
    Ok(Exit::Done)
}
