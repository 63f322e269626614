//! Bodies that come compressed, unpacked as they come: a bomb gets no more memory than the window, and what reads says when it
//! has enough.

use std::io;

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

/// Log2 of the window that a sender may use: 8 MiB (RFC 9659).
const WINDOW_LOG: u32 = 23;
/// Bytes unpacked at a time.
const STEP: usize = 128 << 10;

/// Unpacks one zstd frame (RFC 8878) piece by piece.
pub struct Unpacker {
    decoder: Decoder<'static>,
    out: Vec<u8>,
    ended: bool,
}

impl Unpacker {
    /// # Errors
    /// No memory.
    pub fn new() -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        Ok(Self { decoder, out: vec![0; STEP], ended: false })
    }

    /// The next bytes that come of `packed`, which becomes what is left of it; none: more has to come.
    ///
    /// # Errors
    /// Not such a frame, or something behind it.
    pub fn next(&mut self, packed: &mut &[u8]) -> io::Result<Option<&[u8]>> {
        if self.ended {
            let nothing = packed.is_empty();
            return if nothing { Ok(None) } else { Err(io::Error::other("something follows the compressed bytes")) };
        }
        let mut from = InBuffer::around(packed);
        let mut to = OutBuffer::around(&mut self.out[..]);
        self.ended = self.decoder.run(&mut from, &mut to)? == 0;
        let (read, written) = (from.pos(), to.pos());
        *packed = &packed[read..];
        Ok((written > 0 || read > 0 && !packed.is_empty()).then_some(&self.out[..written]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpack(packed: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let (mut unpacker, mut all) = (Unpacker::new()?, Vec::new());
        for mut piece in packed.chunks(piece) {
            while let Some(bytes) = unpacker.next(&mut piece)? {
                all.extend_from_slice(bytes);
            }
            assert!(piece.is_empty());
        }
        Ok(all)
    }

    #[test]
    fn what_comes_in_pieces_is_the_same() {
        let plain: Vec<u8> = (0..700_000u32).map(|n| (n / 1000) as u8 ^ (n % 7) as u8).collect();
        let packed = zstd::bulk::compress(&plain, 3).unwrap();
        for piece in [1, 7, 1_000, packed.len()] {
            assert!(unpack(&packed, piece).unwrap() == plain, "{piece}");
        }
        let tail = [&packed[..], b"x"].concat();
        assert!(unpack(&tail, 1_000).is_err());
        assert!(unpack(b"no such frame at all", 5).is_err());
        assert!(unpack(&packed[..packed.len() - 9], 100).unwrap().len() < plain.len());
    }

    #[test]
    fn wide_windows_are_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(27).unwrap();
        std::io::Write::write_all(&mut encoder, &vec![7; 20 << 20]).unwrap();
        assert!(unpack(&encoder.finish().unwrap(), 1_000).is_err());
    }
}
