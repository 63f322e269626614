//! `skep man`.

use std::path::PathBuf;

use clap_mangen::Man;

use super::context::Context;
use crate::output::{Exit, Failure};

/// Print the manual page, or write all of them
///
/// Read it at once: `skep man | man -l -`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The page of this command
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    page: Option<String>,
    /// Write a page per command into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let mut command = super::command();
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command, dir))
            .map_err(|e| Failure::because(format!("cannot write pages into {}", dir.display()), e))?;
        cx.out.say(&format!("pages written to {}", dir.display()));
        return Ok(Exit::Done);
    }
    command.build();
    let page = match &args.page {
        None => command,
        Some(name) => command
            .find_subcommand(name)
            .cloned()
            .map(|sub| sub.name(format!("skep-{name}")))
            .ok_or_else(|| Failure::usage(format!("no command {name}: see `skep --help`")))?,
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text).map_err(|e| Failure::because("cannot make the page", e))?;
    cx.out.raw(&text)?;
    Ok(Exit::Done)
}
