//! `skep get`.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;

use skep_engine::content::link::Link;
use skep_engine::content::manifest::MAX_JSON;
use skep_engine::control::{AddTransfer, OnExisting};

use super::context::{Context, absolute};
use super::fetch::{self, Wanted};
use crate::host::with_scheme;
use crate::output::{Exit, Failure};

/// Settings that this command takes as flags.
pub const FLAGS: &[&str] = &["get.dir", "trackers", "get.order", "get.seed", "get.listen"];

/// Fetch content from many peers at once
///
/// LINK is skep://HOST:PORT/CONTENT_ID, an http(s):// URL of a manifest, a manifest file, or a Metalink
/// (.meta4) file or URL with plain HTTP mirrors. The node that runs on this state folder fetches it, else one
/// of our own that ends with the command. Every piece is checked against its SHA-256. Stopped, the same
/// command goes on where it was.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to fetch
    #[arg(required = true, value_name = "LINK")]
    links: Vec<OsString>,
    /// One more node or mirror to fetch from; can be given several times
    #[arg(long = "peer", value_name = "URL")]
    peers: Vec<String>,
    /// If the name is taken: mend what stands there, keeping the pieces that are right
    #[arg(long)]
    overwrite: bool,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let settings = cx.settings();
    let dir = absolute(settings.get.dir.as_deref().unwrap_or(Path::new(".")))?;
    let mut wanted = Vec::with_capacity(args.links.len());
    for link in &args.links {
        let (link, document) = source(link)?;
        let request = AddTransfer {
            link,
            document,
            dir: Some(dir.clone()),
            peers: args.peers.iter().map(|p| with_scheme(p)).collect(),
            trackers: settings.trackers.iter().map(|t| with_scheme(t)).collect(),
            order: settings.get.order,
            seed: settings.get.seed,
            on_existing: if args.overwrite { OnExisting::Repair } else { OnExisting::Refuse },
            ..AddTransfer::default()
        };
        wanted.push(Wanted::new(request));
    }
    cx.engine(fetch::run(cx, wanted, settings.get.seed))
}

/// A link as the engine takes it: what a local file holds goes along, as the node may run elsewhere.
///
/// # Errors
/// Not a link; a file that cannot be read.
pub(super) fn source(argument: &OsString) -> Result<(String, Option<String>), Failure> {
    match Link::parse(argument).map_err(|e| Failure::usage(e.to_string()))? {
        Link::File(path) => Ok((String::new(), Some(document(&path)?))),
        link => Ok((link.to_string(), None)),
    }
}

/// The text of a manifest or Metalink file.
pub(super) fn document(path: &Path) -> Result<String, Failure> {
    let cannot = |e| Failure::because(format!("cannot read {} (neither a link nor a file)", path.display()), e);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(MAX_JSON as u64 + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() > MAX_JSON {
        return Err(Failure::failed(format!("{} is too large for a manifest or Metalink", path.display())));
    }
    Ok(text)
}
