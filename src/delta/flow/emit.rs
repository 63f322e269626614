//! The last stage: what is decided, as instructions, in order of the new file.

use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{Batch, Delta, check, common_grain};
use crate::aligned::Aligned;
use crate::delta::instructions::{Header, MAX_LITERAL, Writer};

/// When nothing was decided for so long a sign of life is sent: a receiver takes a body that stalls for dead.
const SIGN_OF_LIFE: Duration = if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(5) };
/// How often it is looked whether somebody wants it to end.
const LOOK: Duration = Duration::from_millis(100);

/// Writes all batches; the writer has then everything but the end. Fails with `Interrupted` if not all of them came.
pub(super) fn run<W: Write>(delta: &Delta<'_>, grain: u32, batches: &Receiver<Batch>, out: W) -> io::Result<Writer<W>> {
    let header = Header {
        block_length: common_grain(grain),
        destination_size: delta.destination_size,
        source_size: delta.source_size,
    };
    let mut writer = Writer::new(out, header)?;
    let (mut buffer, mut at) = (Aligned::new(MAX_LITERAL), 0);
    while at < delta.source_size {
        let batch = match batches.recv_timeout(SIGN_OF_LIFE) {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => {
                writer.alive()?;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::Interrupted.into()),
        };
        let ends = batch.runs.iter().map(|run| (run.source, Some(run))).chain([(batch.source.end, None)]);
        for (end, run) in ends {
            while at < end {
                check(delta)?;
                let want = (end - at).min(MAX_LITERAL as u64) as usize;
                delta.source.read_exact_at(&mut buffer[..want], at)?;
                writer.literal(&buffer[..want])?;
                at += want as u64;
            }
            if let Some(run) = run {
                writer.matched(run)?;
                at = run.source_end();
            }
        }
        writer.flush()?;
    }
    Ok(writer)
}

/// Sends signs of life until whoever works has let go of the other end. Fails with `Interrupted` if somebody wants it to end before.
pub(super) fn alive_until<W: Write>(delta: &Delta<'_>, writer: &mut Writer<W>, over: &Receiver<()>) -> io::Result<()> {
    let mut told = Instant::now();
    while let Err(RecvTimeoutError::Timeout) = over.recv_timeout(LOOK.min(SIGN_OF_LIFE)) {
        check(delta)?;
        if told.elapsed() >= SIGN_OF_LIFE {
            writer.alive()?;
            told = Instant::now();
        }
    }
    Ok(())
}
