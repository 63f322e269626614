//! `skep delta`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use skep_engine::delta::librsync::{self, Kind, Strong, Weak};

use super::context::Context;
use crate::output::{Exit, Failure, human};

/// Signatures, deltas and patches in the formats of rdiff
///
/// For machines that no node runs on: make a signature of the old file where it is, a delta where the new one is,
/// and patch. Works together with Debian's rdiff (librsync 2). Transfers between nodes do all this by themselves.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    /// The signature of the old file
    Signature {
        /// The old file
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// Write it here
        #[arg(value_name = "SIGNATURE")]
        output: PathBuf,
        /// Bytes per block; default: about the square root of the file's size
        #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(64..=16_777_216))]
        block_size: Option<u32>,
        /// Bytes kept of each strong hash; default: all
        #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u8).range(1..=32))]
        sum_size: Option<u8>,
        /// The weak hash
        #[arg(long, value_enum, default_value_t = WeakHash::Rabinkarp)]
        rollsum: WeakHash,
        /// The strong hash; md4 is broken and for old files only
        #[arg(long, value_enum, default_value_t = StrongHash::Blake2)]
        hash: StrongHash,
    },
    /// What makes the new file of the one with this signature
    Delta {
        /// The old file's signature
        #[arg(value_name = "SIGNATURE")]
        signature: PathBuf,
        /// The new file
        #[arg(value_name = "NEW")]
        new: PathBuf,
        /// Write it here
        #[arg(value_name = "DELTA")]
        output: PathBuf,
    },
    /// The new file, of the old one and a delta
    Patch {
        /// The old file
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The delta
        #[arg(value_name = "DELTA")]
        delta: PathBuf,
        /// Write it here
        #[arg(value_name = "NEW")]
        output: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WeakHash {
    /// What rdiff takes unless told otherwise
    Rabinkarp,
    /// That of rdiff before 2.2
    Rollsum,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StrongHash {
    /// BLAKE2b
    Blake2,
    /// That of rdiff before 1.0
    Md4,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let mut matched = None;
    let output = match &args.step {
        Step::Signature { old, output, block_size, sum_size, rollsum, hash } => {
            let kind = Kind {
                weak: match rollsum {
                    WeakHash::Rabinkarp => Weak::RabinKarp,
                    WeakHash::Rollsum => Weak::Rollsum,
                },
                strong: match hash {
                    StrongHash::Blake2 => Strong::Blake2,
                    StrongHash::Md4 => Strong::Md4,
                },
            };
            let file = open(old)?;
            let size = file.metadata().map_err(|e| reading(old, e))?.len();
            let length = block_size.unwrap_or_else(|| librsync::block_length_for(size));
            let kept = sum_size.unwrap_or(kind.strong.length());
            write(output, |out| {
                librsync::write_signature(&file, kind, length, kept, out).map_err(|e| reading(old, e))
            })?;
            output
        }
        Step::Delta { signature, new, output } => {
            let from = BufReader::new(open(signature)?);
            let (kind, read) = librsync::read_signature(from).map_err(|e| reading(signature, e))?;
            let file = open(new)?;
            write(output, |out| {
                matched = Some(librsync::write_delta(kind, &read, &file, out).map_err(|e| reading(new, e))?);
                Ok(())
            })?;
            output
        }
        Step::Patch { old, delta, output } => {
            let (file, from) = (open(old)?, BufReader::with_capacity(256 << 10, open(delta)?));
            let apply = |from: &mut dyn Read, out: &mut dyn Write| librsync::apply_delta(&file, from, out);
            let mut from = from;
            write(output, |out| apply(&mut from, out).map(drop).map_err(|e| reading(delta, e)))?;
            output
        }
    };
    let bytes = std::fs::metadata(output).map_err(|e| reading(output, e))?.len();
    cx.out.result(
        || {
            let mut result = json!({ "type": "result", "output": output, "bytes": bytes });
            if let (Some(matched), Some(result)) = (matched, result.as_object_mut()) {
                result.insert("matched_bytes".into(), matched.into());
            }
            result
        },
        || format!("{}  {}", output.display(), human::bytes(bytes)),
    );
    Ok(Exit::Done)
}

fn open(path: &Path) -> Result<File, Failure> {
    let file = File::open(path).map_err(|e| reading(path, e))?;
    // A pipe has no size, and matching needs to look twice.
    match file.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(Failure::usage(format!("{} is not a file", path.display()))),
        _ => Ok(file),
    }
}

fn reading(path: &Path, error: io::Error) -> Failure {
    Failure::because(format!("cannot use {}", path.display()), error)
}

/// Writes a file whole or not at all: beside it, then renamed. A link is followed; what is no file (a device, a pipe) is
/// written to as it is.
fn write(path: &Path, make: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::because(format!("cannot write {}", path.display()), e);
    let real = path.canonicalize();
    let path = real.as_deref().unwrap_or(path);
    if path.metadata().is_ok_and(|stands| !stands.is_file()) {
        let file = File::options().write(true).open(path).map_err(failed)?;
        let mut out = BufWriter::with_capacity(256 << 10, file);
        make(&mut out)?;
        return out.flush().map_err(failed);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let file = tempfile::Builder::new().permissions(mode).tempfile_in(folder).map_err(failed)?;
    let mut out = BufWriter::with_capacity(256 << 10, file);
    make(&mut out)?;
    let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}
