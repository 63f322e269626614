//! What a sync would do, item by item and in all.

use std::fmt::Write as _;

use skep_engine::control::sync::{Act, Item, Totals, Was};
use skep_engine::control::{NodeRow, SyncPlan};

use super::summary::{Line, Tone};
use super::{FieldKey, Form, Seen};
use crate::console::model::link::rate;
use crate::console::widgets::format::{Bytes, Count, Rate, Seconds};

/// What happens to an entry: in the order in which they are listed, what matters most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It is deleted there.
    Delete,
    /// It stays there, though it should not.
    Left,
    /// It cannot be synced.
    Skipped,
    /// It was there otherwise.
    Changed,
    /// It was not there.
    New,
    /// It gets another name there.
    Moved,
    /// Its bytes come from another file there.
    Copied,
    /// A further name of a file.
    Linked,
    /// A symbolic link.
    Symlink,
    /// A folder is made.
    Folder,
    /// Mode or time is set.
    Touched,
}

impl Kind {
    /// A sign of one column, and a word.
    pub const fn word(self) -> (&'static str, &'static str) {
        match self {
            Self::Delete => ("-", "DELETE"),
            Self::Left => ("!", "left"),
            Self::Skipped => ("!", "skipped"),
            Self::Changed => ("~", "changed"),
            Self::New => ("+", "new"),
            Self::Moved => (">", "moved"),
            Self::Copied => ("=", "copied"),
            Self::Linked => ("=", "linked"),
            Self::Symlink => ("+", "symlink"),
            Self::Folder => ("+", "folder"),
            Self::Touched => (".", "touched"),
        }
    }
}

/// A line of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanLine<'a> {
    /// What happens.
    pub kind: Kind,
    /// To which path in the tree; empty for its top.
    pub path: &'a str,
    /// Its bytes, where they matter.
    pub size: Option<u64>,
    /// Word and text that belong to it: `from a.txt`.
    pub note: (&'static str, &'a str),
}

/// A plan in the order in which it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanView {
    /// The plan.
    pub plan: SyncPlan,
    /// Kinds, and places among the items or among what is skipped.
    order: Vec<(Kind, u32)>,
}

fn kind(item: &Item) -> Kind {
    match &item.act {
        Act::Delete { .. } => Kind::Delete,
        Act::Leave { .. } => Kind::Left,
        Act::Send { .. } if item.was == Was::File => Kind::Changed,
        Act::Send { .. } => Kind::New,
        Act::Reuse { copy: false, .. } => Kind::Moved,
        Act::Reuse { .. } => Kind::Copied,
        Act::Link { .. } => Kind::Linked,
        Act::Symlink { .. } => Kind::Symlink,
        Act::Folder => Kind::Folder,
        Act::Touch => Kind::Touched,
    }
}

impl PlanView {
    /// Puts a plan in order.
    pub fn new(plan: SyncPlan) -> Self {
        let items = plan.items.iter().enumerate().map(|(at, item)| (kind(item), at as u32));
        let skipped = (0..plan.skipped.len()).map(|at| (Kind::Skipped, at as u32));
        let mut order: Vec<(Kind, u32)> = items.chain(skipped).collect();
        order.sort_unstable();
        Self { plan, order }
    }

    /// Lines.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True if there is nothing to list.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// A line.
    pub fn line(&self, at: usize) -> Option<PlanLine<'_>> {
        let (kind, place) = *self.order.get(at)?;
        if kind == Kind::Skipped {
            let (path, why) = self.plan.skipped.get(place as usize)?;
            return Some(PlanLine { kind, path, size: None, note: ("", why) });
        }
        let Item { path, act, .. } = self.plan.items.get(place as usize)?;
        let (size, note) = match act {
            Act::Send { size, basis } => {
                // The old version of itself goes without saying.
                let like = basis.as_deref().filter(|basis| basis != path);
                (Some(*size), like.map_or(("", ""), |basis| ("like", basis)))
            }
            Act::Reuse { from, size, .. } => (Some(*size), ("from", from.as_str())),
            Act::Link { leader } => (None, ("of", leader.as_str())),
            Act::Symlink { target } => (None, ("to", target.as_str())),
            Act::Delete { size } => (Some(*size).filter(|size| *size > 0), ("", "")),
            Act::Leave { why } => (None, ("", why.as_str())),
            Act::Folder | Act::Touch => (None, ("", "")),
        };
        Some(PlanLine { kind, path, size, note })
    }
}

fn counted(counts: &[(u64, &str)]) -> String {
    let mut text = String::new();
    for (count, word) in counts.iter().filter(|(count, _)| *count > 0) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{word} {}", Count(*count));
    }
    text
}

pub(super) fn entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{} entries", Count(count)) }
}

/// The lines below a sync form.
pub(super) fn lines(form: &Form, node: &NodeRow) -> Vec<Line> {
    match form.seen.first() {
        Some((_, Seen::Plan(view))) => planned(form, &view.plan, node),
        Some((_, Seen::Asked)) => vec![(Tone::Open, "comparing both trees: nothing is changed by that…".to_owned())],
        Some((_, Seen::Away(why))) => {
            vec![(Tone::Warning, format!("not known yet: {why}; Enter syncs all the same, as soon as it answers"))]
        }
        _ => Vec::new(),
    }
}

fn planned(form: &Form, plan: &SyncPlan, node: &NodeRow) -> Vec<Line> {
    let totals = plan.totals;
    let Totals { new, changed, moved, copied, linked, symlinks, folders, touched, .. } = totals;
    let mut lines = Vec::new();
    if totals.is_nothing() {
        let text = format!("nothing to do: {} here, and equal as {} there", entries(totals.entries), plan.to);
        lines.push((Tone::Fact, text));
    } else {
        let limits = [rate(form.text(FieldKey::Up)).ok().flatten(), node.limit_up];
        let time = match limits.into_iter().flatten().filter(|limit| *limit > 0).min() {
            Some(limit) if totals.send_bytes > 0 => {
                format!("; {} or more at the limit of {}", Seconds(totals.send_bytes / limit), Rate(limit))
            }
            _ => String::new(),
        };
        let (bytes, all) = (Bytes(totals.send_bytes), entries(totals.entries));
        let s = if new + changed == 1 { "" } else { "s" };
        let files = match (new, changed) {
            (0, 0) => "no file".to_owned(),
            (_, 0) => format!("{} new file{s}, {bytes}", Count(new)),
            (0, _) => format!("{} changed file{s}, {bytes}", Count(changed)),
            _ => format!("{} files ({} new, {} changed), {bytes}", Count(new + changed), Count(new), Count(changed)),
        };
        lines.push((Tone::Fact, format!("sends {files}, of {all} to {}{time}", plan.to)));
    }
    if totals.deleted > 0 {
        lines.push((Tone::Warning, format!("DELETES {} there: Enter asks once more", entries(totals.deleted))));
    }
    let rest = counted(&[
        (moved, "moved"),
        (copied, "copied"),
        (linked, "linked"),
        (symlinks, "symlinks"),
        (folders, "folders"),
        (touched, "modes and times"),
    ]);
    if !rest.is_empty() {
        let saved = match totals.reused_bytes {
            0 => String::new(),
            bytes => format!("; {} are there already and not sent", Bytes(bytes)),
        };
        lines.push((Tone::Fact, format!("there: {rest}{saved}")));
    }
    if let Some((path, why)) = plan.skipped.first() {
        let count = plan.skipped.len() as u64;
        lines.push((Tone::Warning, format!("{} cannot be synced, first {path}: {why}", Count(count))));
    }
    if totals.left > 0 {
        let left = if totals.left == 1 { "is left there as it is" } else { "are left there as they are" };
        lines.push((Tone::Warning, format!("{} {left}, and should not be", entries(totals.left))));
    }
    if totals.extra > 0 {
        lines.push((Tone::Fact, format!("{} only there, and kept", entries(totals.extra))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deleted_comes_first_and_what_is_touched_last() {
        let item = |path: &str, act, was| Item { path: path.into(), act, was };
        let send = |size| Act::Send { size, basis: None };
        let plan = SyncPlan {
            items: vec![
                item("", Act::Touch, Was::Folder),
                item("a", send(5), Was::Nothing),
                item("b", send(6), Was::File),
                item("c", Act::Delete { size: 7 }, Was::File),
                item("d", Act::Reuse { from: "c2".into(), size: 8, copy: false }, Was::Nothing),
                item("e", Act::Send { size: 9, basis: Some("e-old".into()) }, Was::Nothing),
            ],
            skipped: vec![("pipe".into(), "it is a pipe".into())],
            ..SyncPlan::default()
        };
        let view = PlanView::new(plan);
        let told: Vec<String> = (0..view.len())
            .filter_map(|at| view.line(at))
            .map(|line| format!("{} {} {} {:?}", line.kind.word().0, line.path, line.note.1, line.size))
            .collect();
        let expected = [
            "- c  Some(7)",
            "! pipe it is a pipe None",
            "~ b  Some(6)",
            "+ a  Some(5)",
            "+ e e-old Some(9)",
            "> d c2 Some(8)",
            ".   None",
        ];
        assert_eq!(told, expected);
        assert!(view.line(7).is_none());
    }
}
