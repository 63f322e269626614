//! `skep send`.

use std::path::PathBuf;

use clap::ValueEnum;
use skep_engine::content::name::printable;
use skep_engine::control::queue::Operation;
use skep_engine::control::{OnTaken, SendRequest, SendStrategy};

use super::class::Queued;
use super::context::{Context, absolute};
use super::fetch;
use super::nodes::By;
use super::queue_follow;
use crate::config::units;
use crate::host::with_scheme;
use crate::output::{Exit, Failure};

/// Settings that this command takes as flags.
pub const FLAGS: &[&str] = &["limits.up"];

/// Which way to push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Strategy {
    /// What changed of a file that --if-taken lets go; else one path that answers: chunked; more: multipath
    Auto,
    /// What changed of a file, where an older version of it is there
    Delta,
    /// Over one path
    Chunked,
    /// Over all paths at once
    Multipath,
}

/// What the receiver does if the name is taken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IfTaken {
    /// Refuse before a byte is sent
    Refuse,
    /// Replace it, at once and only when everything is there
    Overwrite,
    /// Choose another name
    KeepBoth,
}

/// Push a file or folder to another node
///
/// DEST is http(s)://HOST:PORT/DIR/ (the name stays) or http(s)://HOST:PORT/NAME, under the receiver's root, or pool:NAME;
/// http2:// instead sends all segments over one connection, by HTTP/2.
/// What was acknowledged is never sent again: stopped, the same command goes on where it was, days later too.
/// With several paths to the receiver (--path for further endpoints, --via for local interfaces or addresses to
/// leave by) all that answer are used at once. The receiver verifies every segment and publishes the whole
/// under its name in one step.
/// To pool:NAME goes a copy to each of --replicas nodes of the pool that the node knows (`skep nodes`), the ring says to which:
/// each piece is sent once, and the nodes give it to one another. A copy that is lost later is made again elsewhere.
/// Of a file that is there in an older version only the differences are sent (--strategy delta; by itself with
/// --if-taken overwrite or keep-both), where that pays. The old one stays until the new one is whole and verified.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Where to
    #[arg(value_name = "DEST")]
    dest: String,
    /// One more endpoint of the same receiver, as URL or URL,via=IFACE|ADDR; can be given several times
    #[arg(long = "path", value_name = "URL")]
    paths: Vec<String>,
    /// Local interface or address to leave by, for every endpoint without its own; can be given several times
    #[arg(long = "via", value_name = "IFACE|ADDR")]
    via: Vec<String>,
    /// Which way
    #[arg(long, value_name = "WAY", default_value = "auto")]
    strategy: Strategy,
    /// What the receiver does if the name is taken there; default: refuse, with --strategy delta overwrite
    #[arg(long, value_name = "WHAT")]
    if_taken: Option<IfTaken>,
    /// Compress what is sent (zstd); default: where the link is slow
    #[arg(long, value_name = "WHEN", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    compress: Option<bool>,
    #[command(flatten)]
    queued: Queued,
    /// Copies on different nodes of a pool, 2 by default; needs a destination pool:NAME
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    replicas: Option<u32>,
    /// Who says on which nodes of a pool; without it the pool's own balancer
    #[arg(long, value_name = "BALANCER")]
    balancer: Option<By>,
    /// Bytes per segment; default: by size and paths
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    segment: Option<u64>,
}

/// Copies are made in pools only.
fn check_replicas(dest: &str, replicas: Option<u32>) -> Result<(), Failure> {
    match replicas {
        Some(replicas) if !dest.starts_with("pool:") => Err(Failure::new(
            Exit::Usage,
            format!(
                "--replicas {replicas} needs a pool as destination (pool:NAME); {} is one node: send to each node by itself",
                printable(dest)
            ),
        )),
        _ => Ok(()),
    }
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    check_replicas(&args.dest, args.replicas)?;
    if args.balancer.is_some() && !args.dest.starts_with("pool:") {
        return Err(Failure::usage("--balancer needs a pool as destination (pool:NAME)"));
    }
    let path = absolute(&args.path)?;
    if let Err(e) = std::fs::symlink_metadata(&path) {
        return Err(Failure::because(format!("cannot send {}", path.display()), e));
    }
    let request = SendRequest {
        path,
        dest: if args.dest.starts_with("pool:") { args.dest.clone() } else { with_scheme(&args.dest) },
        replicas: args.replicas,
        balancer: args.balancer.map(Into::into),
        paths: args.paths.iter().map(|p| with_scheme(p)).collect(),
        via: args.via.clone(),
        strategy: match args.strategy {
            Strategy::Auto => SendStrategy::Auto,
            Strategy::Delta => SendStrategy::Delta,
            Strategy::Chunked => SendStrategy::Chunked,
            Strategy::Multipath => SendStrategy::Multipath,
        },
        on_taken: match args.if_taken {
            // Who asks for a delta asks for a change of what is there.
            None if args.strategy == Strategy::Delta => OnTaken::Overwrite,
            None | Some(IfTaken::Refuse) => OnTaken::Refuse,
            Some(IfTaken::Overwrite) => OnTaken::Overwrite,
            Some(IfTaken::KeepBoth) => OnTaken::KeepBoth,
        },
        compress: args.compress,
        segment_length: args.segment,
        priority: args.queued.priority.map(Into::into),
        ..SendRequest::default()
    };
    if args.queued.queue {
        return cx.engine(queue_follow::run(cx, Operation::Send(request), &args.queued, None));
    }
    cx.engine(fetch::push(cx, Operation::Send(request), &args.queued))
}
