//! What comes from the terminal, read on a thread of its own.
//!
//! The reader of the library does not come back from a terminal that is gone (it reads nothing, for
//! ever, on a whole core), nor from half an escape sequence (Alt-[) until the rest of it comes. On
//! the loop's thread either would be the end of signals, frames and data.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Events read ahead of the loop; a storm of more waits in the terminal.
const AHEAD: usize = 1_024;

/// Keys, pastes, sizes, clicks; ends when the terminal is gone. Dropped, it reads no more.
#[derive(Debug)]
pub struct Input {
    events: mpsc::Receiver<io::Result<Event>>,
    /// Told when the terminal is gone. Where that cannot be waited for the next frame finds out.
    gone: CancellationToken,
    _stop: DropGuard,
    /// Its end is the end of the thread that waits for the hangup.
    _watch: OwnedFd,
}

impl Input {
    /// Starts to read standard input, which is a terminal. Needs a tokio runtime.
    ///
    /// # Errors
    /// The system has no thread or no descriptor to give.
    pub fn start() -> io::Result<Self> {
        let (outbox, events) = mpsc::channel(AHEAD);
        let (stop, runtime) = (CancellationToken::new(), Handle::current());
        let stopped = stop.clone();
        thread::Builder::new().name("console-input".to_owned()).spawn(move || {
            runtime.block_on(stopped.run_until_cancelled(read(outbox)));
        })?;
        let line = io::stdin().as_fd().try_clone_to_owned()?;
        let (end, watch) = rustix::pipe::pipe()?;
        let gone = CancellationToken::new();
        let tell = gone.clone();
        thread::Builder::new().name("console-hangup".to_owned()).spawn(move || {
            if hung_up(&line, &end) {
                park_the_reader();
                tell.cancel();
            }
        })?;
        Ok(Self { events, gone, _stop: stop.drop_guard(), _watch: watch })
    }

    /// The next event; none once the terminal is gone. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<io::Result<Event>> {
        tokio::select! {
            biased;
            event = self.events.recv() => event,
            () = self.gone.cancelled() => None,
        }
    }

    /// An event that is there already.
    pub fn ready(&mut self) -> Option<io::Result<Event>> {
        self.events.try_recv().ok()
    }
}

async fn read(outbox: mpsc::Sender<io::Result<Event>>) {
    let mut stream = EventStream::new();
    while let Some(event) = stream.next().await {
        let failed = event.is_err();
        if outbox.send(event).await.is_err() || failed {
            return;
        }
    }
}

/// Waits until the other end of the line is gone; false if `end` came before.
fn hung_up(line: &OwnedFd, end: &OwnedFd) -> bool {
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    loop {
        // Asked for nothing: what ends a line is told in any case, and input is not for this thread.
        let mut both = [PollFd::new(line, PollFlags::empty()), PollFd::new(end, PollFlags::empty())];
        match poll(&mut both, None) {
            Ok(_) if both[0].revents().intersects(gone) => return true,
            Ok(_) if both[1].revents().intersects(gone) => return false,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                tracing::debug!(target: "console", "the end of the terminal cannot be waited for: {error}");
                return false;
            }
        }
    }
}

/// Gives the reader a standard input where nothing ever comes, so that it sleeps instead of asking a
/// dead terminal again and again until the process has cleaned up.
fn park_the_reader() {
    let parked = rustix::pipe::pipe().and_then(|(reader, writer)| {
        rustix::stdio::dup2_stdin(&reader)?;
        // Open until the process ends: a closed one would read as the end of the input.
        std::mem::forget(writer);
        Ok(())
    });
    if let Err(error) = parked {
        tracing::debug!(target: "console", "the reader of a lost terminal could not be stopped: {error}");
    }
}
