//! `skep verify`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde_json::json;
use skep_engine::content::name::{counted, printable};
use skep_engine::content::{self, Layout, Manifest, Report, VerifyError};
use skep_engine::control::{AddTransfer, OnExisting};

use super::context::{Context, absolute};
use super::fetch::{self, Wanted};
use super::get;
use crate::output::{Exit, Failure, HashBar, human};

/// Lines of the list of what is wrong, unless `-v` asks for all.
const LISTED: usize = 20;

/// Check data against a manifest, and mend it
///
/// Exits with 4 if anything differs: content, names, kinds, permissions, link targets. With `--repair` only the
/// wrong pieces are fetched. Files that the manifest does not know are left alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file or folder to check
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The manifest, as `skep manifest` or a node gives it; or a Metalink of a single file
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Mend what is wrong from this content: a link, URL, manifest or Metalink as `skep get` takes
    #[arg(long, value_name = "LINK")]
    repair: Option<OsString>,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    let manifest = read_manifest(&args.manifest)?;
    let path = absolute(&args.path)?;
    let report = check(cx, &path, &manifest)?;
    let (Some(link), Some(what)) = (&args.repair, &report) else { return Ok(conclude(cx, &path, &manifest, &report)) };
    if what.is_intact() {
        return Ok(conclude(cx, &path, &manifest, &report));
    }
    list(cx, &manifest, what);
    repair(cx, &path, &manifest, link)
}

fn read_manifest(path: &Path) -> Result<Manifest, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::failed(format!("{}: {e}", path.display()));
    let text = get::document(path)?;
    match content::sniff(text.as_bytes()).map_err(|e| wrong(&e))? {
        content::link::Description::Manifest => Manifest::from_json(text.as_bytes()).map_err(|e| wrong(&e)),
        content::link::Description::Metalink => {
            let files = content::metalink::parse(text.as_bytes(), &content::metalink::Caps::default());
            match files.map_err(|e| wrong(&e))?.as_slice() {
                [file] => file.to_manifest().map_err(|e| wrong(&e)),
                _ => Err(wrong(&"a Metalink of several files describes no tree: use the manifest (JSON)")),
            }
        }
    }
}

/// What differs; none if nothing stands there at all.
fn check(cx: &Context, path: &Path, manifest: &Manifest) -> Result<Option<Report>, Failure> {
    let bar = HashBar::new(&cx.out, "checking");
    let progress = |p: content::HashProgress| bar.at(p.bytes_done, p.bytes_total);
    let result = content::verify(path, manifest, 0, &progress, &AtomicBool::new(false));
    bar.clear();
    match result {
        Ok(report) => Ok(Some(report)),
        Err(VerifyError::Root { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error @ VerifyError::Shape { .. }) => {
            Err(Failure::because(path.display(), error).with_exit(Exit::Integrity))
        }
        Err(error) => Err(Failure::because(format!("cannot check {}", path.display()), error)),
    }
}

/// Prints the verdict.
fn conclude(cx: &Context, path: &Path, manifest: &Manifest, report: &Option<Report>) -> Exit {
    let shown = printable(&path.to_string_lossy());
    let Some(report) = report else {
        let failure = Failure::new(Exit::Integrity, format!("{shown} is not there: fetch it with `skep get`"));
        cx.out.failure(&failure);
        return failure.exit;
    };
    let pieces = manifest.piece_count();
    if cx.out.json {
        let wrong =
            report.wrong.iter().map(|w| json!({ "path": printable(&w.path), "problem": w.difference.to_string() }));
        let mut object = json!({
            "type": "result",
            "path": shown,
            "content_id": manifest.id(),
            "verified": report.is_intact(),
            "bytes": manifest.size(),
            "pieces": pieces,
            "pieces_good": report.good.count(),
            "missing": report.missing.iter().map(|p| printable(p)).collect::<Vec<_>>(),
            "wrong": wrong.collect::<Vec<_>>(),
            "wrong_content": damaged(manifest, report),
        });
        if let (false, Some(object)) = (report.is_intact(), object.as_object_mut()) {
            object.insert("error".into(), verdict(&shown, manifest, report).into());
        }
        cx.out.object(&object);
    } else if report.is_intact() {
        let size = human::bytes(manifest.size());
        cx.out.line(&format!("{shown}  {size}, {}, verified", human::counted(u64::from(pieces), "piece")));
    } else {
        list(cx, manifest, report);
        cx.out.failure(&Failure::new(Exit::Integrity, verdict(&shown, manifest, report)));
    }
    if report.is_intact() { Exit::Done } else { Exit::Integrity }
}

fn verdict(shown: &str, manifest: &Manifest, report: &Report) -> String {
    let bad = u64::from(manifest.piece_count() - report.good.count());
    let mut words = Vec::new();
    if bad > 0 {
        words.push(format!("{bad} of {} wrong", human::counted(u64::from(manifest.piece_count()), "piece")));
    }
    if !report.missing.is_empty() {
        words.push(format!("{} missing", counted(report.missing.len() as u64, "entry", "entries")));
    }
    if !report.wrong.is_empty() {
        words.push(format!("{} of another kind, size or mode", report.wrong.len()));
    }
    format!("{shown} is not what the manifest says: {}; mend it with --repair LINK", words.join(", "))
}

/// Lists what is wrong on stdout.
fn list(cx: &Context, manifest: &Manifest, report: &Report) {
    if cx.out.json {
        return;
    }
    let missing = report.missing.iter().map(|path| format!("missing  {}", printable(path)));
    let wrong = report.wrong.iter().map(|w| format!("differs  {}: {}", printable(&w.path), w.difference));
    let damaged = damaged(manifest, report);
    let damaged = damaged.iter().map(|path| format!("damaged  {path}"));
    let lines: Vec<String> = missing.chain(wrong).chain(damaged).collect();
    let limit = if cx.out.verbose > 0 { usize::MAX } else { LISTED };
    for line in lines.iter().take(limit) {
        cx.out.line(line);
    }
    if lines.len() > limit {
        cx.out.say(&format!("and {} more: -v lists all", lines.len() - limit));
    }
}

/// Files, printable, that are there at the right length and overlap a piece that is wrong.
fn damaged(manifest: &Manifest, report: &Report) -> Vec<String> {
    let told: std::collections::HashSet<&str> =
        report.missing.iter().map(String::as_str).chain(report.wrong.iter().map(|w| w.path.as_str())).collect();
    let layout = Layout::new(manifest);
    let mut files = std::collections::BTreeSet::new();
    for piece in (0..manifest.piece_count()).filter(|i| !report.good.get(*i)) {
        files.extend(layout.extents(layout.piece(piece)).map(|extent| extent.file));
    }
    let paths = files.into_iter().filter_map(|index| manifest.files.get(index)).map(|f| f.path.as_str());
    paths.filter(|path| !told.contains(path)).map(printable).collect()
}

/// Fetches what is wrong into place and checks again.
fn repair(cx: &Context, path: &Path, manifest: &Manifest, link: &OsString) -> Result<Exit, Failure> {
    let parent = path.parent().ok_or_else(|| Failure::usage("the root folder cannot be repaired"))?;
    let name = path.file_name().map(content::name::escape).unwrap_or_default();
    if name != manifest.name {
        let (is, should) = (printable(&name), printable(&manifest.name));
        return Err(Failure::usage(format!("{is} is named {should} in the manifest: rename it to repair it")));
    }
    let (link, document) = get::source(link)?;
    if let Ok(content::Link::Node(node)) = link.parse::<content::Link>()
        && node.id != manifest.id()
    {
        let words = format!("the link is of another content, {}; the manifest describes {}", node.id, manifest.id());
        return Err(Failure::usage(words));
    }
    let request = AddTransfer {
        link,
        document,
        dir: Some(parent.into()),
        trackers: cx.settings().trackers.clone(),
        on_existing: OnExisting::Repair,
        ..AddTransfer::default()
    };
    let exit = cx.engine(fetch::run(cx, vec![Wanted::new(request)], false))?;
    if exit != Exit::Done {
        return Ok(exit);
    }
    let report = check(cx, path, manifest)?;
    Ok(conclude(cx, path, manifest, &report))
}
