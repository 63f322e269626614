//! The terminal itself: taken over, and given back as it was in every case.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use super::options::ConsoleError;

/// Alternate screen, bracketed paste, focus events, hidden cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?2004h\x1b[?1004h\x1b[?25l\x1b[0m\x1b[2J";
/// Presses and the wheel with SGR coordinates; no motion, which would flood a slow line.
const ENTER_MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
/// Everything back, whatever was on, also in the middle of a synchronized frame.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[0m\x1b[?1006l\x1b[?1000l\x1b[?1004l\x1b[?2004l\x1b[?25h\x1b[?1049l";
/// How long to wait for a terminal that takes no bytes (XOFF, a dead line) before giving up on it.
const PATIENCE: Duration = Duration::from_millis(500);

/// The terminal in the console's hands.
#[derive(Debug)]
pub struct Tty {
    /// Unbuffered, so that a frame is one write.
    out: Mutex<File>,
    entered: AtomicBool,
    mouse: bool,
}

impl Tty {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// Standard input or output is no terminal, or refuses raw mode.
    pub fn enter(mouse: bool) -> Result<Self, ConsoleError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(ConsoleError::NotATerminal);
        }
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let tty = Self { out: Mutex::new(out), entered: AtomicBool::new(false), mouse };
        tty.resume()?;
        Ok(tty)
    }

    /// Takes it over again after [`Tty::leave`].
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn resume(&self) -> io::Result<()> {
        // What counts as "before" is made anew: a shell had the terminal meanwhile.
        if self.entered.swap(true, Ordering::SeqCst) {
            disable_raw_mode()?;
        }
        enable_raw_mode()?;
        self.write(ENTER)?;
        if self.mouse { self.write(ENTER_MOUSE) } else { Ok(()) }
    }

    /// Gives the terminal back. Does nothing if that is done already; never blocks for long.
    pub fn leave(&self) {
        if !self.entered.swap(false, Ordering::SeqCst) {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        // A frame may be on its way: it goes out whole, or the terminal takes no bytes anyway.
        if let Some(mut out) = self.lock_until(deadline)
            && let Err(error) = write_until(&mut out, LEAVE, Some(deadline))
        {
            tracing::debug!(target: "console", "the terminal did not take the last bytes: {error}");
        }
        if let Err(error) = disable_raw_mode() {
            tracing::debug!(target: "console", "the terminal's mode could not be restored: {error}");
        }
    }

    fn lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, File>> {
        loop {
            match self.out.try_lock() {
                Ok(out) => return Some(out),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Writes all bytes; blocks as long as the terminal does.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        write_until(&mut out, bytes, None)?;
        // Whoever gave the terminal back could not wait for this frame: do it in their place.
        if self.entered.load(Ordering::SeqCst) { Ok(()) } else { write_until(&mut out, LEAVE, None) }
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.leave();
    }
}

/// `write_all` that also copes with a terminal somebody made non-blocking.
fn write_until(out: &mut File, mut bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock && deadline.is_none_or(|d| Instant::now() < d) => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
