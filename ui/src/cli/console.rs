//! `skep` without a command: the console.

use std::io::IsTerminal as _;
use std::sync::Arc;

use skep_engine::control::Control;

use super::context::Context;
use crate::console::glyphs::GlyphChoice;
use crate::console::theme::ColorChoice;
use crate::console::{self, ConsoleOptions};
use crate::host::{self, Start};
use crate::logging;
use crate::output::{Exit, Failure};
use crate::signals::Stop;

/// Settings that it takes as flags.
pub const FLAGS: &[&str] = &["console.theme", "console.glyphs", "listen", "root", "name"];

pub(super) fn run(cx: &Context) -> Result<Exit, Failure> {
    need_terminal()?;
    cx.engine(async {
        let logging = logging::start(cx.settings(), false)?;
        let host = host::open(cx, Start { listen: cx.settings().listen, resume: true, logging: &logging }).await?;
        let shown = show(cx, host.control(), false).await;
        let mut stop = Stop::listen()?;
        stop.cleaning_up(Exit::Done, host.close()).await;
        shown
    })
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

/// Shows a node until the operator leaves.
///
/// # Errors
/// The terminal cannot be used, a setting of the console is wrong, or the console failed.
pub(super) async fn show(cx: &Context, control: Arc<dyn Control>, read_only: bool) -> Result<Exit, Failure> {
    let options = options(cx, read_only)?;
    match console::run(control, options).await {
        Ok(console::Exit::Quit | console::Exit::Terminated) => Ok(Exit::Done),
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

fn options(cx: &Context, read_only: bool) -> Result<ConsoleOptions, Failure> {
    let settings = cx.settings();
    let set = &settings.console.glyphs;
    let glyphs = GlyphChoice::from_name(set)
        .ok_or_else(|| Failure::usage(format!("{set:?} is not a set of glyphs this console can draw with")))?;
    let color = match settings.color.as_str() {
        "always" => ColorChoice::Always,
        "never" => ColorChoice::Never,
        _ => ColorChoice::Auto,
    };
    Ok(ConsoleOptions {
        read_only,
        theme: Some(settings.console.theme.clone()).filter(|name| !name.is_empty()),
        keys_file: settings.console.keys.clone(),
        theme_dir: cx.config.file.as_ref().and_then(|file| Some(file.parent()?.join("themes"))),
        glyphs,
        color,
        mouse: settings.console.mouse,
        fps: settings.console.fps,
        log_file: settings.log_file.clone().or_else(|| settings.log_dir.clone()),
        default_dir: settings.get.dir.clone().or_else(|| settings.root.clone()),
        ..ConsoleOptions::default()
    })
}
