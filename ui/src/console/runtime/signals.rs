//! Signals of the outside world.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM, SIGINT, SIGHUP: leave.
    Leave,
    /// SIGTSTP: back to the shell.
    Suspend,
    /// SIGCONT: somebody else may have used the terminal.
    Continue,
}

/// Signals that the console listens to.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    stop: Signal,
    cont: Signal,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        let raw = |s: rustix::process::Signal| signal(SignalKind::from_raw(s.as_raw()));
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            stop: raw(rustix::process::Signal::TSTP)?,
            cont: raw(rustix::process::Signal::CONT)?,
        })
    }

    /// Waits for the next one. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.term.recv() => Asked::Leave,
            _ = self.int.recv() => Asked::Leave,
            _ = self.hup.recv() => Asked::Leave,
            _ = self.stop.recv() => Asked::Suspend,
            _ = self.cont.recv() => Asked::Continue,
        }
    }

    /// Stops the process (`group`: with everything the shell started along with it) and comes back
    /// when it is continued.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn sleep(&mut self, group: bool) -> io::Result<()> {
        use rustix::process::{Signal, getpid, kill_current_process_group, kill_process};
        if group {
            kill_current_process_group(Signal::STOP)?;
        } else {
            kill_process(getpid(), Signal::STOP)?;
        }
        // The stop may come a moment after the call; what says that it is over is SIGCONT.
        let patience = std::time::Duration::from_secs(1);
        let _ = tokio::time::timeout(patience, self.cont.recv()).await;
        Ok(())
    }
}
