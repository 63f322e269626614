//! What runs the console: terminal, frames, signals, and carrying out effects.
//!
//! - [`driver`]: the loop; takes input first, then everything else.
//! - [`frames`]: when to draw and what, without a terminal or a clock of its own; [`scheduler`] and
//!   [`meter`] are its deciders.
//! - [`input`]: a thread that reads the terminal.
//! - [`screen`], [`encode`]: a frame as the bytes that change what is on screen.
//! - [`writer`]: a thread of its own, so that a slow terminal never blocks keys or signals.
//! - [`picture`]: the same without a terminal, for documentation.
//! - [`ground`]: asks the terminal whether its ground is light (a decider); [`themes`]: theme files that change.
//! - [`export`]: the screen as files.
//! - [`tty`], [`panics`], [`signals`]: the terminal is restored in every case.

pub mod driver;
pub mod encode;
pub mod export;
pub mod frames;
pub mod ground;
pub mod input;
pub mod meter;
pub mod options;
pub mod panics;
pub mod picture;
pub mod scheduler;
pub mod screen;
pub mod signals;
pub mod tasks;
pub mod themes;
pub mod tty;
pub mod writer;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use skep_engine::control::Control;

use options::{ConsoleError, ConsoleOptions, Exit};
use panics::PanicHook;
use tty::Tty;

use crate::console::recording::Tape;
use crate::console::targets::Switchboard;

/// What a console is opened on.
pub struct Opening {
    /// The node.
    pub control: Arc<dyn Control>,
    /// Other nodes; the first of them is the same as `control`.
    pub switchboard: Option<Arc<dyn Switchboard>>,
    /// A recording that is played instead.
    pub replay: Option<Tape>,
}

impl Opening {
    /// A node and no other.
    pub fn node(control: Arc<dyn Control>) -> Self {
        Self { control, switchboard: None, replay: None }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("target", &self.control.target()).finish_non_exhaustive()
    }
}

/// Runs the console on the terminal until the operator leaves it.
///
/// # Errors
/// The terminal is none or cannot be used; the console panicked (the terminal is restored then,
/// and the message tells where the log is).
pub async fn run(opening: Opening, options: ConsoleOptions) -> Result<Exit, ConsoleError> {
    let log_file = options.log_file.clone();
    let hook = PanicHook::install();
    let tty = Arc::new(Tty::enter(options.mouse)?);
    let outcome = AssertUnwindSafe(driver::drive(opening, options, Arc::clone(&tty), &hook)).catch_unwind().await;
    tty.leave();
    match outcome {
        Ok(result) => result,
        Err(_) => {
            let message = hook.take().pop().unwrap_or_else(|| "the console panicked".to_owned());
            Err(ConsoleError::Panicked { message, log_file })
        }
    }
}

/// CPU time of this thread, which does everything but reading and writing the terminal: those sleep.
fn cpu_us() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    used.tv_sec as u64 * 1_000_000 + used.tv_nsec as u64 / 1_000
}
