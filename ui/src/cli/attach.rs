//! `skep attach`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::console::{self, Show};
use super::context::Context;
use crate::config::targets;
use crate::console::recording::{RecordingError, Tape};
use crate::host::{self, ReadOnly};
use crate::output::{Exit, Failure};
use crate::replay::NoNode;
use skep_engine::content::name::printable;

/// Settings that this command takes as flags.
pub const FLAGS: &[&str] = &["console.theme", "console.glyphs"];

/// Open the console on a running node, or on a recording
///
/// Ending the console leaves the node as it is. A node beyond loopback asks for its token: --token-file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its URL, HOST:PORT, or name in console.targets; none: the node that runs on this state folder
    #[arg(value_name = "NODE")]
    node: Option<String>,
    /// Only look: nothing can be changed
    #[arg(long)]
    read_only: bool,
    /// Play a recording of the console instead (W in the console writes one)
    #[arg(long, value_name = "FILE", conflicts_with = "node")]
    replay: Option<PathBuf>,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    if let Some(file) = &args.replay {
        // A wrong file is said before the terminal is asked for.
        let tape = Tape::open(file).map_err(unplayable)?;
        return cx.talk(replay(cx, file, tape));
    }
    let named = targets::all(&cx.config).map_err(Failure::usage)?;
    let named = named.into_iter().find(|target| Some(&target.name) == args.node.as_ref());
    let read_only = args.read_only || named.as_ref().is_some_and(|target| target.read_only);
    cx.talk(async {
        console::need_terminal()?;
        let control = match (&named, &args.node) {
            (Some(target), _) => host::remote_with(cx, &target.url, target.token_file.as_deref()).await?,
            (None, Some(url)) => host::remote(cx, host::with_scheme(url).trim_end_matches('/')).await?,
            (None, None) => host::require(cx).await?.control,
        };
        let control = if read_only { Arc::new(ReadOnly(control)) } else { control };
        let name = named.map(|target| target.name);
        console::show(cx, Show { name, read_only, ..Show::node(control) }).await
    })
}

async fn replay(cx: &Context, file: &Path, tape: Tape) -> Result<Exit, Failure> {
    console::need_terminal()?;
    if tape.is_torn() {
        cx.out.say("the end of the recording is missing or damaged: it is played as far as it goes");
    }
    let name = file.file_name().map(|name| printable(&name.to_string_lossy())).unwrap_or_default();
    let show = Show::node(Arc::new(NoNode::new(name)));
    console::show(cx, Show { replay: Some(tape), read_only: true, ..show }).await
}

fn unplayable(error: RecordingError) -> Failure {
    Failure::because("cannot play it", error)
}
