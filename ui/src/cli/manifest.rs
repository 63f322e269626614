//! `skep manifest`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::ValueEnum;
use data_encoding::HEXLOWER;
use serde_json::json;
use skep_engine::content::name::printable;
use skep_engine::content::{self, FileEntry, Made, MakeOptions, Manifest, metalink};

use super::context::{Context, absolute};
use crate::output::{Exit, Failure, HashBar, human};

/// Settings that this command takes as flags.
pub const FLAGS: &[&str] = &["share.piece_length"];

/// Make the manifest of a file or tree
///
/// A manifest lists the files and the SHA-256 of every piece; `skep verify` checks data against it, `skep get`
/// fetches by it. As Metalink, aria2 and others can fetch by it, from the URLs given with --url.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file or folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Write it here; none: to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// json: the manifest of skep; metalink: Metalink 4 (RFC 5854)
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Metalink: where the files are served, as the URL that PATH's folder has; can be given several times
    #[arg(long = "url", value_name = "BASE")]
    urls: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The manifest of skep
    Json,
    /// Metalink 4 (RFC 5854)
    Metalink,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    if args.format == Format::Json && !args.urls.is_empty() {
        return Err(Failure::usage("--url goes with --format metalink"));
    }
    if let Some(bad) = args.urls.iter().find(|u| !u.starts_with("http://") && !u.starts_with("https://")) {
        return Err(Failure::usage(format!("{bad:?} is not an http(s):// URL")));
    }
    let made = make(cx, &absolute(&args.path)?)?;
    for skipped in &made.skipped {
        cx.out.say(&format!("left out {}: {}", printable(&skipped.path), skipped.why));
    }
    let manifest = &made.manifest;
    let mut text = match args.format {
        Format::Json => manifest.to_json(),
        Format::Metalink => as_metalink(manifest, &args.urls).into_bytes(),
    };
    text.push(b'\n');
    let Some(file) = &args.output else {
        cx.out.raw(&text)?;
        return Ok(Exit::Done);
    };
    write_whole(file, &text).map_err(|e| Failure::because(format!("cannot write {}", file.display()), e))?;
    let (id, pieces) = (manifest.id(), u64::from(manifest.piece_count()));
    cx.out.result(
        || {
            json!({
                "type": "result",
                "content_id": id,
                "name": printable(&manifest.name),
                "bytes": manifest.size(),
                "pieces": pieces,
                "piece_length_bytes": manifest.piece_length,
                "files": manifest.files.len(),
                "skipped": made.skipped.len(),
                "output": file,
            })
        },
        || format!("{id}  {}, {}", human::bytes(manifest.size()), human::counted(pieces, "piece")),
    );
    Ok(Exit::Done)
}

fn make(cx: &Context, path: &Path) -> Result<Made, Failure> {
    let bar = HashBar::new(&cx.out, "hashing");
    let progress = |p: content::HashProgress| bar.at(p.bytes_done, p.bytes_total);
    let options = MakeOptions { piece_length: cx.settings().share.piece_length, ..MakeOptions::default() };
    let made = content::make(path, &options, &progress, &AtomicBool::new(false));
    bar.clear();
    made.map_err(|e| Failure::because(format!("no manifest of {}", path.display()), e))
}

/// As Metalink. URLs are the base, then the content's name, then the path in it.
fn as_metalink(manifest: &Manifest, bases: &[String]) -> String {
    let single = manifest.is_single_file();
    let urls = |entry: &FileEntry| {
        let path = if single { entry.path.clone() } else { format!("{}/{}", manifest.name, entry.path) };
        bases.iter().map(|base| format!("{}/{}", base.trim_end_matches('/'), url_path(&path))).collect()
    };
    metalink::write(manifest, urls, |_| None)
}

/// A manifest's path as it stands in a URL: RFC 3986's unreserved characters as they are, everything
/// else in percent encoding of its bytes.
fn url_path(path: &str) -> String {
    let raw = content::name::unescape(path).map(|raw| raw.into_encoded_bytes()).unwrap_or_else(|_| path.into());
    let mut out = String::with_capacity(raw.len());
    for byte in raw {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(byte as char),
            _ => {
                out.push('%');
                out.push_str(&HEXLOWER.encode(&[byte]).to_ascii_uppercase());
            }
        }
    }
    out
}

/// Writes a file whole or not at all: beside it, then renamed.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_escaped_bytes() {
        assert_eq!(url_path("a b/naïve#.txt"), "a%20b/na%C3%AFve%23.txt");
        assert_eq!(url_path("\\xff"), "%FF", "bytes that are not UTF-8");
    }
}
