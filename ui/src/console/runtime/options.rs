//! What a console is started with, and how it ends.

use std::path::PathBuf;

use crate::console::glyphs::GlyphChoice;
use crate::console::recording::RecordingOptions;
use crate::console::theme::ColorChoice;

/// What a console is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleOptions {
    /// Nothing may be changed.
    pub read_only: bool,
    /// The node and its data are gone for good once the console ends.
    pub fleeting: bool,
    /// Where what is shown is recorded; none: it is not.
    pub recording: Option<RecordingOptions>,
    /// Theme by name; the default if none or unknown.
    pub theme: Option<String>,
    /// A folder with the user's themes (`*.toml`).
    pub theme_dir: Option<PathBuf>,
    /// The user's key file, if there is one.
    pub keys_file: Option<PathBuf>,
    /// Glyphs.
    pub glyphs: GlyphChoice,
    /// `--color`.
    pub color: ColorChoice,
    /// Clicks and the wheel are for the console.
    pub mouse: bool,
    /// Frames of data per second at most, 1 to 30.
    pub fps: u32,
    /// Bytes per second that may be written to the terminal before data is drawn less often.
    pub byte_budget: u64,
    /// Start in eco mode.
    pub eco: bool,
    /// Where the log is: named when the console panics.
    pub log_file: Option<PathBuf>,
    /// Where transfers land unless told otherwise.
    pub default_dir: Option<PathBuf>,
}

impl Default for ConsoleOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            fleeting: false,
            recording: None,
            theme: None,
            theme_dir: None,
            keys_file: None,
            glyphs: GlyphChoice::Auto,
            color: ColorChoice::Auto,
            mouse: true,
            fps: 4,
            byte_budget: 20_000,
            eco: false,
            log_file: None,
            default_dir: None,
        }
    }
}

/// How a console ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The operator left.
    Quit,
    /// SIGTERM, SIGINT or SIGHUP: shut down what is embedded.
    Terminated,
}

/// Why a console could not run on.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Standard input or output is no terminal.
    #[error("the console needs a terminal; in scripts use the subcommands (skep --help)")]
    NotATerminal,
    /// The terminal refused something.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] std::io::Error),
    /// A bug.
    #[error("the console failed ({message}){}; the terminal was restored",
        log_file.as_ref().map(|f| format!(", see {}", f.display())).unwrap_or_default())]
    Panicked {
        /// What the panic said, and where.
        message: String,
        /// Where the log is.
        log_file: Option<PathBuf>,
    },
}
