//! zstd around instructions, for links where bytes are dear (RFC 8878).

use std::io::{self, Read, Write};

/// Log2 of the window: what a reader must hold in memory, 8 MiB at most (RFC 9659).
const WINDOW_LOG: u32 = 23;
/// zstd's own default.
const LEVEL: i32 = 3;

/// Compresses what is written; [`finish`](zstd::stream::write::Encoder::finish) ends the frame. `level`: zstd's; none: its
/// own default.
///
/// # Errors
/// No memory.
pub fn pack<W: Write>(out: W, level: Option<i32>) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    let mut encoder = zstd::stream::write::Encoder::new(out, level.unwrap_or(LEVEL))?;
    encoder.window_log(WINDOW_LOG)?;
    Ok(encoder)
}

/// Unpacks one frame. A bomb gains nothing: the window is bounded, and who reads takes no more than the instructions' header announced.
///
/// # Errors
/// No memory.
pub fn unpack<R: Read>(from: R) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::new(from)?.single_frame();
    decoder.window_log_max(WINDOW_LOG)?;
    Ok(decoder)
}

/// Stretches of a file that are looked at, and bytes of each.
const SAMPLES: u64 = 8;
const SAMPLE: u64 = 64 << 10;

/// What a byte of the first `size` bytes of a file takes if it is compressed, from a few samples: 1 if that gains nothing.
///
/// # Errors
/// It cannot be read, or is shorter.
pub fn ratio(file: &std::fs::File, size: u64) -> io::Result<f64> {
    use std::os::unix::fs::FileExt as _;
    let (mut sample, mut packed, mut all) = (vec![0; SAMPLE.min(size) as usize], 0, 0);
    for n in 0..SAMPLES {
        let at = (size / SAMPLES * n).min(size - sample.len() as u64);
        file.read_exact_at(&mut sample, at)?;
        packed += zstd::bulk::compress(&sample, LEVEL)?.len();
        all += sample.len();
    }
    Ok((packed as f64 / all.max(1) as f64).min(1.0))
}
