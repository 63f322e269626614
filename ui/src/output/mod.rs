//! What a command prints: results on stdout, everything else on stderr; with `--json` one object
//! per line on stdout and nothing on stderr.

mod exit;
pub mod human;
pub mod moves;
mod progress;
mod screen;
mod table;
mod transfer;

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::{Value, json};

pub use exit::{Exit, Failure};
pub use progress::{Bar, HashBar, Throttle, bars};
pub use table::{Align, Table};
pub use transfer::{
    listed, path_line, path_object, phases_line, progress_event, result_event, result_line, state_word, totals_line,
};

/// How this run prints.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    /// One JSON object per line.
    pub json: bool,
    /// Causes of errors, and more.
    pub verbose: u8,
    /// Colours on stdout.
    pub color_out: bool,
    /// Colours on stderr.
    pub color_err: bool,
    /// Bars move on stderr.
    pub bars: bool,
}

impl Out {
    /// Decides by the flags, the terminals and `NO_COLOR`.
    pub fn new(json: bool, verbose: u8, color: &str) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let wanted = |terminal: bool| match color {
            "always" => true,
            "never" => false,
            _ => terminal && !no_color && !dumb,
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            json,
            verbose,
            color_out: !json && wanted(out),
            color_err: !json && wanted(err),
            bars: !json && err && !dumb,
        }
    }

    /// A line of the result. A reader that went away (a closed pipe) is no error of ours: the work
    /// goes on without one.
    pub fn line(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    }

    /// Text as it is, such as a template or a man page.
    ///
    /// # Errors
    /// The disk behind stdout is full, say; a closed pipe is fine.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::because("cannot write to stdout", e)),
            _ => Ok(()),
        }
    }

    /// An object of the JSON stream.
    pub fn object(&self, object: &Value) {
        self.line(&object.to_string());
    }

    /// The result, in the form that was asked for.
    pub fn result(&self, object: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
        if self.json { self.object(&object()) } else { self.line(&text()) }
    }

    /// A message for people, on stderr; silent with `--json`.
    pub fn say(&self, text: &str) {
        if !self.json {
            let mut err = io::stderr().lock();
            let _ = err.write_all(text.as_bytes()).and_then(|()| err.write_all(b"\n"));
        }
    }

    /// A failure, in the form that was asked for.
    pub fn failure(&self, failure: &Failure) {
        let line = failure.line();
        if self.json {
            if !failure.told {
                self.object(&json!({ "type": "error", "error": line, "exit_code": failure.exit as u8 }));
            }
            return;
        }
        self.say(&format!("{} {line}", self.paint_err("skep:", "1;31")));
        let causes = failure.causes();
        if self.verbose > 0 {
            for cause in causes {
                self.say(&format!("  caused by: {cause}"));
            }
        }
    }

    /// Text in a colour on stderr (an SGR code), if there are any.
    pub fn paint_err(&self, text: &str, sgr: &str) -> String {
        if self.color_err { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.into() }
    }

    /// Text in a colour on stdout (an SGR code), if there are any.
    pub fn paint_out(&self, text: &str, sgr: &str) -> String {
        if self.color_out { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.into() }
    }
}
