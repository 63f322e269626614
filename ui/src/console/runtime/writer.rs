//! A thread that writes frames. The loop hands over a frame and goes on: a terminal that takes no
//! bytes delays the next frame, never a key or a signal.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::tty::Tty;

/// A frame is out.
#[derive(Debug)]
pub struct Flushed {
    /// Its buffer, empty, to be used again.
    pub buffer: Vec<u8>,
    /// How long the terminal took.
    pub took: Duration,
    /// Bytes written.
    pub bytes: usize,
    /// The terminal is gone.
    pub error: Option<io::Error>,
}

/// The way to the thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Writer {
    frames: SyncSender<Vec<u8>>,
    flushed: mpsc::Receiver<Flushed>,
    busy: bool,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(tty: Arc<Tty>) -> io::Result<Self> {
        let (frames, inbox) = sync_channel::<Vec<u8>>(1);
        let (outbox, flushed) = mpsc::channel(2);
        std::thread::Builder::new().name("console-writer".to_owned()).spawn(move || {
            while let Ok(mut buffer) = inbox.recv() {
                let start = Instant::now();
                let error = tty.write(&buffer).err();
                let bytes = buffer.len();
                buffer.clear();
                if outbox.blocking_send(Flushed { buffer, took: start.elapsed(), bytes, error }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { frames, flushed, busy: false })
    }

    /// True while a frame is on its way.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Hands a frame over; call only when not busy.
    pub fn send(&mut self, frame: Vec<u8>) {
        match self.frames.try_send(frame) {
            Ok(()) => self.busy = true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.busy = false,
        }
    }

    /// Waits until the frame on its way is out; for ever if there is none.
    pub async fn flushed(&mut self) -> Flushed {
        match self.flushed.recv().await {
            Some(flushed) => {
                self.busy = false;
                flushed
            }
            None => std::future::pending().await,
        }
    }
}
