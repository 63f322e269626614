//! The signals that ask a command to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output::{Exit, Failure};

/// Waits for SIGINT, SIGTERM or SIGHUP. Once it exists, none of them ends the process by itself.
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    /// Starts to listen; inside a runtime.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|e| Failure::because("cannot listen for signals", e));
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Resolves with the signal's name. Cancel safe.
    pub async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }

    /// Runs what there is to clean up; a second signal meanwhile ends the process at once, which is
    /// safe: the state on disk is sound at every moment.
    pub async fn cleaning_up<T>(&mut self, exit: Exit, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            _ = self.wait() => std::process::exit(exit as i32),
        }
    }
}
