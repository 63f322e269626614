//! The form that keeps a folder at another node equal to one here: what stands in it as a request, what is wrong with that, and
//! what is asked before anything is deleted.

use std::path::PathBuf;

use skep_engine::control::{Command, SyncRequest, TransferRow};
use skep_engine::sync::rules::{Compiled, Rules};

use super::plan::{Kind, PlanView, entries};
use super::send::used_before;
use super::{Field, FieldKey, Form, Places, Proposals, Purpose, Seen, Value};
use crate::console::effect::{Effect, PreviewAsk, PreviewFrom, PreviewKey};
use crate::console::model::input::Input;
use crate::console::model::link::rate;
use crate::console::model::overlay::{Confirm, TypedAnswer};
use crate::console::widgets::format::Count;
use crate::host::with_scheme;

const NO_YES: &[&str] = &["no", "yes"];
const COMPARE: &[&str] = &["size and time", "digests"];
/// Deletions that are named before they are done.
const NAMED: usize = 5;

impl Form {
    /// The sync form. `rows`: transfers of the node, whose destinations are proposed.
    pub fn sync<'a>(places: Places, rows: impl DoubleEndedIterator<Item = &'a TransferRow>) -> Self {
        let text = |key, label| Field { key, label, value: Value::Text(Input::default()) };
        let choice = |key, label, words| Field { key, label, value: Value::Choice(words, 0) };
        let fields = vec![
            text(FieldKey::Path, "Sync"),
            text(FieldKey::Dest, "To"),
            choice(FieldKey::Delete, "Delete", NO_YES),
            text(FieldKey::Except, "Except"),
            choice(FieldKey::Compare, "Compare", COMPARE),
            choice(FieldKey::Watch, "Watch", NO_YES),
            text(FieldKey::Up, "Limit"),
        ];
        let form = Self::new(Purpose::Sync, "Keep a folder at another node equal".to_owned(), fields, places);
        Self { proposals: Proposals::new(used_before(rows)), ..form }
    }

    /// What is in the form, as it would be asked for. Never deletes more than its plan showed.
    pub(super) fn sync_request(&self) -> SyncRequest {
        let delete = self.text(FieldKey::Delete) == "yes";
        let watch = self.text(FieldKey::Watch) == "yes";
        let shown = self.plan().map(|view| view.plan.totals.deleted);
        let dest = self.text(FieldKey::Dest);
        SyncRequest {
            path: PathBuf::from(self.expanded(self.text(FieldKey::Path))),
            dest: if dest.is_empty() { String::new() } else { with_scheme(dest) },
            delete,
            checksum: self.text(FieldKey::Compare) == "digests",
            // One that goes on deletes what is deleted here later, too.
            max_delete: shown.filter(|_| delete && !watch),
            rules: self.text(FieldKey::Except).split_whitespace().map(ToOwned::to_owned).collect(),
            watch,
            up: rate(self.text(FieldKey::Up)).unwrap_or(None),
            ..SyncRequest::default()
        }
    }

    /// What the sync would do, once that is known.
    pub fn plan(&self) -> Option<&PlanView> {
        match self.seen.first() {
            Some((_, Seen::Plan(view))) => Some(view),
            _ => None,
        }
    }

    /// What is to be found out before Enter.
    pub(super) fn sync_ask(&self) -> Option<PreviewAsk> {
        let request = SyncRequest { up: None, watch: false, max_delete: None, ..self.sync_request() };
        let fields = [FieldKey::Dest, FieldKey::Except];
        let sound = request.path.is_absolute() && fields.iter().all(|key| self.remark(*key).is_ok());
        let SyncRequest { path, dest, delete, checksum, rules, .. } = &request;
        let what = path.to_string_lossy().into_owned();
        let key = PreviewKey { what, dir: format!("{dest} {delete} {checksum} {rules:?}") };
        sound.then_some(PreviewAsk { key, from: PreviewFrom::Command(Command::PreviewSync(request)) })
    }

    /// What to say below one of its own fields.
    pub(super) fn remark_on_sync(&self, key: FieldKey) -> Result<String, String> {
        let text = self.text(key);
        Ok(match (key, text) {
            (FieldKey::Delete, "yes") => "what only the receiver has is deleted there; it is asked once more",
            (FieldKey::Delete, _) => "what only the receiver has stays",
            (FieldKey::Compare, "digests") => "reads every file at both ends",
            (FieldKey::Compare, _) => "a file of the same size and time is taken as equal",
            (FieldKey::Watch, "yes") => "goes on: what changes here is brought there soon after",
            (FieldKey::Watch, _) => "ends when both are equal",
            (FieldKey::Except, "") => "nothing but what .skepignore files say; such as *.tmp /target !keep.tmp",
            (FieldKey::Except, _) => {
                let lines: Vec<String> = text.split_whitespace().map(ToOwned::to_owned).collect();
                let count = lines.len();
                Compiled::new(&lines).map_err(|error| error.to_string())?;
                Rules::first(lines).check().map_err(|error| error.to_string())?;
                let s = if count == 1 { "" } else { "s" };
                return Ok(format!("{count} rule{s} as in .gitignore: what matches is neither sent nor deleted there"));
            }
            _ => "",
        }
        .to_owned())
    }

    /// What has to be asked before Enter does it: whether what only the receiver has shall really go. Without the word the sync
    /// keeps it.
    pub fn question(&self) -> Option<Confirm> {
        if self.purpose == Purpose::Purge {
            return Some(self.purge_question());
        }
        if self.purpose != Purpose::Sync || self.text(FieldKey::Delete) != "yes" {
            return None;
        }
        let request = self.sync_request();
        let lines = match self.plan() {
            Some(view) if view.plan.totals.deleted == 0 && !request.watch => return None,
            Some(view) if view.plan.totals.deleted == 0 => {
                vec!["Nothing is deleted there now; later, what is deleted here is.".to_owned()]
            }
            Some(view) => {
                let deleted = view.plan.totals.deleted;
                let mut lines = vec![format!("{} at the receiver would be deleted:", entries(deleted))];
                let named = (0..view.len()).filter_map(|at| view.line(at)).filter(|line| line.kind == Kind::Delete);
                lines.extend(named.take(NAMED).map(|line| format!("  {}", line.path)));
                let more = deleted.saturating_sub(lines.len() as u64 - 1);
                if more > 0 {
                    lines.push(format!("  and {} more", Count(more)));
                }
                lines
            }
            None => vec![
                "What would be deleted at the receiver is not known yet:".to_owned(),
                "Esc goes back, and the plan comes when both were compared.".to_owned(),
            ],
        };
        let sync = |delete| {
            let max_delete = request.max_delete.filter(|_| delete);
            Effect::command(Command::Sync(SyncRequest { delete, max_delete, ..request.clone() }), "sync")
        };
        Some(Confirm {
            awaits: None,
            title: "Delete at the receiver".to_owned(),
            lines,
            yes: vec![sync(false)],
            ids: Vec::new(),
            typed: Some(TypedAnswer {
                word: "delete",
                doc: "delete them there",
                answers: ["sync, and keep them", "sync, and DELETE them"],
                input: Input::default(),
                effects: vec![sync(true)],
            }),
        })
    }
}
