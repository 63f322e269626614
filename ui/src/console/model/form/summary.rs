//! What Enter will do, in words, below the fields.

use skep_engine::control::{NodeRow, Preview, TransferRow};

use super::{FieldKey, Form, Purpose, Seen};
use crate::console::model::link::rate;
use crate::console::widgets::format::{Binary, Bytes, Count, Rate, Seconds};

/// How a line of the summary is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A fact.
    Fact,
    /// Not known yet.
    Open,
    /// Worth a look before Enter.
    Warning,
}

/// A line of the summary.
pub type Line = (Tone, String);

/// The lines for a form; empty while there is nothing to say.
pub fn lines(form: &Form, node: &NodeRow) -> Vec<Line> {
    if form.fields.iter().any(|field| form.remark(field.key).is_err()) && form.purpose != Purpose::Share {
        // What is known of the source is said below it.
        return Vec::new();
    }
    match form.purpose {
        Purpose::Add => added(form, node),
        Purpose::Share => shared(form),
        Purpose::Send => sent(form, node),
        Purpose::Sync => super::plan::lines(form, node),
        Purpose::Limit => Vec::new(),
        Purpose::Purge => form.purged(),
        Purpose::Node => form.node_listed(),
    }
}

fn files(preview: &Preview) -> String {
    let more = if preview.at_least { "more than " } else { "" };
    let s = if preview.files == 1 { "" } else { "s" };
    format!("{more}{} in {} file{s}", Bytes(preview.size), Count(preview.files))
}

fn shared(form: &Form) -> Vec<Line> {
    let Some((_, Seen::Known(preview))) = form.seen.first() else { return Vec::new() };
    let mut lines = vec![(Tone::Fact, format!("shares {}: {}", preview.name, files(preview)))];
    if preview.files == 0 && !preview.at_least {
        lines.push((Tone::Warning, "there is no file in it".to_owned()));
    }
    if let Some(id) = preview.existing {
        lines.push((Tone::Warning, format!("transfer #{id} shares it already: it looks at it again")));
    }
    lines.push((Tone::Fact, format!("via {}: {}", via(preview), preview.why)));
    let once = "every file is read once to make its digests; then c copies the link that others fetch it by";
    lines.push((Tone::Fact, once.to_owned()));
    lines
}

/// The strategy as rows call it.
fn via(preview: &Preview) -> String {
    TransferRow { strategy: preview.strategy.clone(), ..TransferRow::default() }.via().to_owned()
}

fn sent(form: &Form, node: &NodeRow) -> Vec<Line> {
    let preview = match form.seen.first() {
        Some((_, Seen::Known(preview))) => preview,
        Some((_, Seen::Asked)) => return vec![(Tone::Open, "asking the receiver over every path…".to_owned())],
        _ => return Vec::new(),
    };
    let limits = [rate(form.text(FieldKey::Up)).ok().flatten(), node.limit_up];
    let time = match (limits.into_iter().flatten().filter(|limit| *limit > 0).min(), preview.rate) {
        (Some(limit), earlier) if earlier.is_none_or(|earlier| earlier > limit) => {
            format!("; {} or more at the limit of {}", Seconds(preview.size / limit), Rate(limit))
        }
        (_, Some(earlier)) => {
            format!("; about {} at the {} of the last push there", Seconds(preview.size / earlier), Rate(earlier))
        }
        _ => String::new(),
    };
    let mut lines = vec![(Tone::Fact, format!("sends {} as {}: {}{time}", preview.name, preview.path, files(preview)))];
    if preview.files == 0 && !preview.at_least {
        lines.push((Tone::Warning, "there is no file in it".to_owned()));
    }
    if let Some(id) = preview.existing {
        lines.push((Tone::Warning, format!("transfer #{id} sends it there already: that one goes on")));
    }
    lines.extend(paths(preview));
    let (via, why, segment) = (via(preview), &preview.why, Binary(preview.segment));
    lines.push((Tone::Fact, format!("via {via}: {why}; segments of {segment}")));
    if !preview.refusal.is_empty() {
        let text = format!("the receiver would refuse it now: {}", preview.refusal);
        lines.push((Tone::Warning, text));
    } else if let Some(free) = preview.disk_free {
        lines.push(if preview.is_too_large() {
            (Tone::Warning, format!("only {} free at the receiver", Bytes(free)))
        } else {
            (Tone::Fact, format!("the receiver takes it: {} free there", Bytes(free)))
        });
    }
    lines
}

/// Which paths answer and how fast, and which do not and why.
fn paths(preview: &Preview) -> Vec<Line> {
    let (answer, silent): (Vec<_>, Vec<_>) = preview.paths.iter().partition(|path| path.latency_us.is_some());
    let mut lines = Vec::new();
    let latency =
        |us: u64| if us < 9_950 { format!("{:.1} ms", us as f64 / 1e3) } else { format!("{} ms", us / 1_000) };
    if !answer.is_empty() {
        let each: Vec<String> =
            answer.iter().map(|path| format!("{} {}", path.path, latency(path.latency_us.unwrap_or(0)))).collect();
        lines.push((Tone::Fact, format!("answers: {}", each.join(", "))));
    }
    if !silent.is_empty() {
        let each: Vec<String> = silent.iter().map(|path| format!("{} ({})", path.path, path.error)).collect();
        let all = if answer.is_empty() { "; Enter sends it all the same" } else { "" };
        lines.push((Tone::Warning, format!("no answer: {}{all}", each.join(", "))));
    }
    lines
}

fn added(form: &Form, node: &NodeRow) -> Vec<Line> {
    let known: Vec<&Preview> = form.seen.iter().filter_map(|(_, seen)| seen.known()).collect();
    let mut lines = Vec::new();
    let all = form.seen.len();
    if let Some(first) = known.first() {
        let size: u64 = known.iter().map(|preview| preview.size).sum();
        let whole = Preview { size, files: known.iter().map(|preview| preview.files).sum(), ..Preview::default() };
        let contents: u32 = known.iter().map(|preview| preview.contents).sum();
        let what = if contents == 1 { first.name.clone() } else { format!("{contents} contents") };
        let eta = match node.limit_down {
            Some(limit) if limit > 0 => {
                format!("; {} or more at the node's limit of {}", Seconds(size / limit), Rate(limit))
            }
            _ => String::new(),
        };
        lines.push((Tone::Fact, format!("fetches {what}: {}{eta}", files(&whole))));
        lines.push(place(first, size, known.len()));
        if let Some(id) = first.existing {
            lines.push((Tone::Warning, format!("transfer #{id} fetches it already: that one goes on")));
        } else if known.iter().any(|preview| preview.taken) {
            let text = "the name is taken there: used if it is this content already, else refused";
            lines.push((Tone::Warning, text.to_owned()));
        }
        lines.push((Tone::Fact, format!("via {}: {}", via(first), first.why)));
    }
    let asked = form.seen.iter().filter(|(_, seen)| *seen == Seen::Asked).count();
    match asked {
        0 => {}
        1 if all == 1 => lines.push((Tone::Open, "asking how large it is…".to_owned())),
        n => lines.push((Tone::Open, format!("asking how large {n} of {all} are…"))),
    }
    for (link, seen) in &form.seen {
        if let Seen::Failed(why) = seen {
            let of = if all == 1 { String::new() } else { format!(" ({link})") };
            lines.push((Tone::Warning, format!("not known yet{of}: {why}; Enter adds it all the same")));
        }
    }
    let many = form.links().len();
    if many > all {
        lines.push((Tone::Open, format!("and {} more links that are asked when they are added", many - all)));
    }
    lines
}

fn place(first: &Preview, size: u64, contents: usize) -> Line {
    let path = if contents == 1 {
        first.path.as_str()
    } else {
        first.path.rsplit_once('/').map_or(first.path.as_str(), |(folder, _)| folder)
    };
    match first.disk_free {
        Some(free) if size > free && first.existing.is_none() => {
            (Tone::Warning, format!("into {path}: only {} free there, {} too little", Bytes(free), Bytes(size - free)))
        }
        Some(free) => (Tone::Fact, format!("into {path}; {} free there", Bytes(free))),
        None => (Tone::Fact, format!("into {path}")),
    }
}

/// What Enter does now, for the border.
pub fn accept_word(form: &Form) -> &'static str {
    if form.proposals.chosen().is_some() || form.browser.as_ref().is_some_and(|browser| browser.chosen().is_some()) {
        return "Enter takes it";
    }
    match form.purpose {
        Purpose::Add if form.links().len() > 1 => "Enter adds them",
        Purpose::Add if form.text(FieldKey::Link).is_empty() => "paste or type a link",
        Purpose::Add => "Enter adds it",
        Purpose::Share if form.text(FieldKey::Path).is_empty() => "choose what to share",
        Purpose::Share => "Enter shares it",
        Purpose::Send if form.text(FieldKey::Path).is_empty() => "choose what to send",
        Purpose::Send if form.text(FieldKey::Dest).is_empty() => "say where to",
        Purpose::Send => "Enter sends it",
        Purpose::Sync if form.text(FieldKey::Path).is_empty() => "choose what to sync",
        Purpose::Sync if form.text(FieldKey::Dest).is_empty() => "say where to",
        Purpose::Sync if form.question().is_some() => "Enter asks about deletions",
        Purpose::Sync => "Enter syncs it",
        Purpose::Purge => "Enter asks once more",
        Purpose::Node => "Enter lists it",
        Purpose::Limit => "Enter sets them",
    }
}
