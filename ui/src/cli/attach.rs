//! `skep attach`.

use std::sync::Arc;

use super::console;
use super::context::Context;
use crate::host::{self, ReadOnly};
use crate::output::{Exit, Failure};

/// Settings that this command takes as flags.
pub const FLAGS: &[&str] = &["console.theme", "console.glyphs"];

/// Open the console on a running node
///
/// Ending the console leaves the node as it is. A node beyond loopback asks for its token: --token-file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its URL, or HOST:PORT; none: the node that runs on this state folder
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Only look: nothing can be changed
    #[arg(long)]
    read_only: bool,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    cx.talk(async {
        console::need_terminal()?;
        let control = match &args.url {
            None => host::require(cx).await?.control,
            Some(url) => host::remote(cx, host::with_scheme(url).trim_end_matches('/')).await?,
        };
        let control = if args.read_only { Arc::new(ReadOnly(control)) } else { control };
        console::show(cx, control, args.read_only, None).await
    })
}
