//! `skep sync`.

use std::path::PathBuf;

use clap::ArgMatches;
use serde_json::json;
use skep_engine::content::name::printable;
use skep_engine::control::queue::Operation;
use skep_engine::control::sync::{Act, Item, Was};
use skep_engine::control::{Command, Reply, SyncPlan, SyncRequest};

use super::class::Queued;
use super::context::{Context, absolute};
use super::{fetch, queue_follow, sync_watch};
use crate::config::units;
use crate::host::{self, Start, with_scheme};
use crate::logging;
use crate::output::{Exit, Failure, human, totals_line};

/// Make a folder or file at another node equal to one here
///
/// DEST is http(s)://HOST:PORT/DIR/ (the name stays) or http(s)://HOST:PORT/NAME, under the receiver's root.
/// Folders are compared by digests, so what is equal costs next to nothing; files that changed (by size and
/// time) are sent, those that merely moved are not. Stopped, the same command goes on where it was.
///
/// What --exclude, --include and every .skepignore in the folder leave out (gitignore syntax) is neither sent nor
/// deleted there. The command line comes before any file, a file nearer to what it is about before those above
/// it; of several lines the last that matches decides.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder or file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Where to; further endpoints of the same receiver may follow, separated by commas
    #[arg(value_name = "DEST")]
    dest: String,
    /// Delete what only the other end has; ignored files stay
    #[arg(long)]
    delete: bool,
    /// Delete nothing at all if more entries than this would be
    #[arg(long, value_name = "N", requires = "delete")]
    max_delete: Option<u64>,
    /// Delete even if the source holds no file
    #[arg(long, requires = "delete")]
    force: bool,
    /// Leave out what matches, in gitignore syntax; can be given several times
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Take in again what matches and an earlier rule leaves out; can be given several times
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Compare files by their digests instead of size and time: reads everything at both ends
    #[arg(long)]
    checksum: bool,
    /// Go on until Ctrl-C: whatever changes in the folder is there a moment later
    #[arg(long, conflicts_with = "dry_run")]
    watch: bool,
    /// Say what would be done, item by item, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Send no faster than this
    #[arg(long, value_name = "RATE", value_parser = units::size)]
    bwlimit: Option<u64>,
    #[command(flatten)]
    queued: Queued,
}

pub(super) fn run(cx: &Context, args: &Args, matches: &ArgMatches) -> Result<Exit, Failure> {
    let path = absolute(&args.path)?;
    if let Err(e) = std::fs::symlink_metadata(&path) {
        return Err(Failure::because(format!("cannot sync {}", path.display()), e));
    }
    let request = SyncRequest {
        path,
        dest: args.dest.split(',').map(with_scheme).collect::<Vec<_>>().join(","),
        delete: args.delete,
        checksum: args.checksum,
        force: args.force,
        max_delete: args.max_delete,
        watch: args.watch,
        priority: args.queued.priority.map(Into::into),
        rules: rules(args, matches),
        up: args.bwlimit,
        ..SyncRequest::default()
    };
    if args.queued.queue && (args.watch || args.dry_run) {
        return Err(Failure::usage("--queue is for a sync that comes to an end: not with --watch or --dry-run"));
    }
    if args.dry_run {
        return cx.engine(preview(cx, request));
    }
    if args.watch {
        return cx.engine(sync_watch::run(cx, request));
    }
    if args.queued.queue {
        return cx.engine(queue_follow::run(cx, Operation::Sync(request), &args.queued, None));
    }
    cx.engine(fetch::push(cx, Operation::Sync(request), &args.queued))
}

/// The lines of `--exclude` and `--include`, in the order of the command line.
fn rules(args: &Args, matches: &ArgMatches) -> Vec<String> {
    let at = |id: &str| matches.indices_of(id).into_iter().flatten().collect::<Vec<_>>();
    let excluded = at("exclude").into_iter().zip(args.exclude.iter().cloned());
    let included = at("include").into_iter().zip(args.include.iter().map(|glob| format!("!{glob}")));
    let mut all: Vec<(usize, String)> = excluded.chain(included).collect();
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, line)| line).collect()
}

async fn preview(cx: &Context, request: SyncRequest) -> Result<Exit, Failure> {
    let logging = logging::start(cx.settings(), false)?;
    let host = host::open(cx, Start { listen: cx.settings().get.listen, resume: false, logging: &logging }).await?;
    let reply = host.control().command(Command::PreviewSync(request)).await;
    host.close().await;
    let Reply::SyncPlan(plan) = reply? else { return Err(Failure::failed("the node gave another answer")) };
    show(cx, &plan);
    Ok(Exit::Done)
}

fn show(cx: &Context, plan: &SyncPlan) {
    for item in &plan.items {
        cx.out.result(
            || {
                let mut object = json!(item);
                object["type"] = "item".into();
                object
            },
            || line(item),
        );
    }
    if plan.more > 0 {
        cx.out.say(&format!("… and {}", human::counted(plan.more, "further item")));
    }
    for (path, why) in &plan.skipped {
        cx.out.say(&format!("not synced: {path}: {why}"));
    }
    cx.out.result(
        || json!({ "type": "result", "dry_run": true, "to": plan.to, "totals": plan.totals, "wire_bytes": plan.wire_bytes }),
        || format!("{} → {}", totals_line(&plan.totals), plan.to),
    );
}

/// `+ path`: new, `~`: changed, `>`: moved, `=`: copied there, `.`: mode or time, `-`: deleted, `!`: left.
fn line(item: &Item) -> String {
    let path = if item.path.is_empty() { ".".to_owned() } else { printable(&item.path) };
    match &item.act {
        Act::Folder => format!("+ {path}/"),
        Act::Send { size, .. } if item.was == Was::File => format!("~ {path}  {}", human::bytes(*size)),
        Act::Send { size, .. } => format!("+ {path}  {}", human::bytes(*size)),
        Act::Reuse { from, copy: false, .. } => format!("> {path}  from {}", printable(from)),
        Act::Reuse { from, .. } => format!("= {path}  from {}", printable(from)),
        Act::Link { leader } => format!("= {path}  another name of {}", printable(leader)),
        Act::Symlink { target } => format!("+ {path} → {}", printable(target)),
        Act::Touch => format!(". {path}"),
        Act::Delete { .. } if item.was == Was::Folder => format!("- {path}/"),
        Act::Delete { .. } => format!("- {path}"),
        Act::Leave { why } => format!("! {path}  {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches as _};
    use skep_engine::control::sync::Totals;

    #[test]
    fn rules_keep_the_order_of_the_command_line() {
        let command = Args::augment_args(clap::Command::new("sync"));
        let matches = command
            .try_get_matches_from([
                "sync",
                "--exclude",
                "*.o",
                "--include",
                "a.o",
                "here",
                "http://h/",
                "--exclude",
                "b",
            ])
            .unwrap();
        let args = Args::from_arg_matches(&matches).unwrap();
        assert_eq!(rules(&args, &matches), ["*.o", "!a.o", "b"]);
    }

    #[test]
    fn a_plan_reads_as_what_it_does() {
        let item = |act, was| line(&Item { path: "a/b".into(), act, was });
        assert_eq!(item(Act::Send { size: 5, basis: None }, Was::Nothing), "+ a/b  5 B");
        assert_eq!(item(Act::Send { size: 5, basis: None }, Was::File), "~ a/b  5 B");
        assert_eq!(item(Act::Reuse { from: "c".into(), size: 5, copy: false }, Was::Nothing), "> a/b  from c");
        assert_eq!(item(Act::Delete { size: 0 }, Was::Folder), "- a/b/");
        assert!(totals_line(&Totals { entries: 7, ..Totals::default() }).starts_with("nothing to do"));
        let totals = Totals { entries: 7, new: 1, moved: 2, send_bytes: 5, ..Totals::default() };
        assert!(totals_line(&totals).starts_with("1 new, 2 moved; 5 B to send"), "{}", totals_line(&totals));
    }
}
