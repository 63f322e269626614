//! `skep` without a command: the console.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use skep_engine::control::Control;
use skep_engine::engine::StartError;
use skep_engine::node::NodeError;

use super::context::Context;
use crate::config::Source;
use crate::console::glyphs::GlyphChoice;
use crate::console::recording::{RecordingOptions, Tape};
use crate::console::theme::ColorChoice;
use crate::console::{self, ConsoleError, ConsoleOptions, Opening};
use crate::host::{self, Start};
use crate::logging;
use crate::output::{Exit, Failure};
use crate::signals::Stop;
use crate::switchboard::Nodes;

/// Settings that it takes as flags.
pub const FLAGS: &[&str] = &["console.theme", "console.glyphs", "listen", "root", "name"];

pub(super) fn run(cx: &Context) -> Result<Exit, Failure> {
    need_terminal()?;
    cx.engine(async {
        let logging = logging::start(cx.settings(), false)?;
        let start = Start { listen: cx.settings().listen, resume: true, logging: &logging };
        let host = match host::open(cx, start).await {
            // Another user or state folder has the usual port: nobody asked for just this one.
            Err(failure) if port_is_taken(&failure) && cx.config.source("listen") == Some(&Source::Default) => {
                let mut any = start;
                any.listen.set_port(0);
                host::open(cx, any).await?
            }
            host => host?,
        };
        let shown = show(cx, Show { log_file: logging.file.clone(), ..Show::node(host.control()) }).await;
        let mut stop = Stop::listen()?;
        stop.cleaning_up(Exit::Done, host.close()).await;
        shown
    })
}

fn port_is_taken(failure: &Failure) -> bool {
    failure.cause::<StartError>().is_some_and(|error| match error {
        StartError::Node(NodeError::Bind { source, .. } | NodeError::Datagrams { source, .. }) => {
            source.kind() == io::ErrorKind::AddrInUse
        }
        _ => false,
    })
}

/// The console draws on stdout and reads keys from stdin.
///
/// # Errors
/// One of them is no terminal, or one that cannot place text.
pub(super) fn need_terminal() -> Result<(), Failure> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::usage("the console needs a terminal; without one use the commands: see `skep --help`"));
    }
    if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return Err(Failure::usage(
            "the console needs a terminal that can place text, and TERM=dumb says that this one cannot; use the commands: see `skep --help`",
        ));
    }
    Ok(())
}

/// What the console is to show, and how.
pub(super) struct Show {
    /// The node.
    pub(super) control: Arc<dyn Control>,
    /// Its name among the targets.
    pub(super) name: Option<String>,
    /// Nothing may be changed.
    pub(super) read_only: bool,
    /// The folder for recordings of a node that leaves nothing behind.
    pub(super) fleeting: Option<PathBuf>,
    /// Where this process logs.
    pub(super) log_file: Option<PathBuf>,
    /// A recording to play instead.
    pub(super) replay: Option<Tape>,
}

impl Show {
    pub(super) fn node(control: Arc<dyn Control>) -> Self {
        Self { control, name: None, read_only: false, fleeting: None, log_file: None, replay: None }
    }
}

/// Runs the console on a node until the operator leaves.
///
/// # Errors
/// The terminal cannot be used, or the console failed.
pub(super) async fn show(cx: &Context, show: Show) -> Result<Exit, Failure> {
    let mut options = options(cx, show.read_only);
    options.log_file = show.log_file;
    options.fleeting = show.fleeting.is_some();
    let max_bytes = cx.settings().console.recording;
    if show.replay.is_none() && max_bytes > 0 {
        let dir = show.fleeting.or_else(|| Some(cx.settings().log_dir.as_ref()?.join("recordings")));
        options.recording = dir.map(|dir| RecordingOptions { dir, max_bytes });
    }
    let Show { control, name, read_only, replay, .. } = show;
    let mut opening = Opening { replay, ..Opening::node(Arc::clone(&control)) };
    if opening.replay.is_none() {
        opening.switchboard = Some(Arc::new(Nodes::new(cx, control, name.as_deref(), read_only)?));
    }
    match console::run(opening, options).await {
        Ok(console::Exit::Quit | console::Exit::Terminated) => Ok(Exit::Done),
        Err(error @ ConsoleError::NotATerminal) => Err(Failure::usage(error.to_string())),
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

/// Where the user's own themes lie: beside the configuration.
pub(super) fn theme_dir(cx: &Context) -> Option<PathBuf> {
    cx.config.file.as_ref()?.parent().map(|folder| folder.join("themes"))
}

/// The settings as the console takes them.
fn options(cx: &Context, read_only: bool) -> ConsoleOptions {
    let settings = cx.settings();
    let set = &settings.console;
    ConsoleOptions {
        read_only,
        theme: Some(set.theme.clone()),
        theme_dir: theme_dir(cx),
        keys_file: set.keys.clone(),
        glyphs: GlyphChoice::from_name(&set.glyphs).unwrap_or_default(),
        color: match settings.color.as_str() {
            "always" => ColorChoice::Always,
            "never" => ColorChoice::Never,
            _ => ColorChoice::Auto,
        },
        mouse: set.mouse,
        fps: set.fps,
        default_dir: settings.get.dir.clone().or_else(|| settings.root.clone()),
        ..ConsoleOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Kind, table};

    /// The words that the setting takes are those that the console knows.
    #[test]
    fn glyph_sets_are_the_consoles() {
        let Kind::Choice(words) = table::find("console.glyphs").unwrap().kind else { panic!("not a choice") };
        assert_eq!(words, GlyphChoice::ALL.map(GlyphChoice::name));
        let defaults = ConsoleOptions::default();
        assert_eq!(table::find("console.glyphs").unwrap().default, defaults.glyphs.name());
        assert_eq!(table::find("console.fps").unwrap().default, defaults.fps.to_string());
    }
}
