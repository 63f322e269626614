//! The form that pushes something: what stands in it as a request, and what is wrong with that.

use std::path::PathBuf;
use std::sync::Arc;

use skep_engine::control::pool::PoolView;
use skep_engine::control::{OnTaken, SendRequest, SendStrategy, TransferRow};
use skep_engine::push::paths::{Destination, resolve};

use super::pool::to_pool;
use super::proposals::{Proposal, words};
use super::{Field, FieldKey, Form, Places, Proposals, Purpose, Value};
use crate::console::model::input::Input;
use crate::console::model::link::rate;
use crate::host::with_scheme;

const WAYS: &[&str] = &["auto", "chunked", "multipath", "delta"];
const TAKEN: &[&str] = &["refuse", "overwrite", "keep both"];
/// Destinations that are proposed.
const MAX_DESTS: usize = 20;

impl Form {
    /// The send form. `rows`: transfers of the node, whose destinations are proposed; so is its pool.
    pub fn send<'a>(
        places: Places,
        rows: impl DoubleEndedIterator<Item = &'a TransferRow>,
        pool: &Arc<PoolView>,
    ) -> Self {
        let text = |key, label| Field { key, label, value: Value::Text(Input::default()) };
        let fields = vec![
            text(FieldKey::Path, "Send"),
            text(FieldKey::Dest, "To"),
            text(FieldKey::More, "Also at"),
            text(FieldKey::Via, "Via"),
            Field { key: FieldKey::Way, label: "Way", value: Value::Choice(WAYS, 0) },
            Field { key: FieldKey::Taken, label: "Taken", value: Value::Choice(TAKEN, 0) },
            text(FieldKey::Up, "Limit"),
        ];
        let form = Self::new(Purpose::Send, "Send to another node".to_owned(), fields, places);
        Self { proposals: Proposals::new(used_before(rows)), pool: Arc::clone(pool), ..form }
    }

    /// What is in the form, as it would be asked for.
    pub(super) fn request(&self) -> SendRequest {
        let dest = self.text(FieldKey::Dest);
        let pool = to_pool(dest).and_then(Result::ok);
        let (replicas, balancer) = pool.as_ref().map(|to| (to.replicas, to.balancer)).unwrap_or_default();
        SendRequest {
            path: PathBuf::from(self.expanded(self.text(FieldKey::Path))),
            replicas,
            balancer,
            dest: match pool {
                Some(to) => to.pool,
                None if dest.is_empty() => String::new(),
                None => with_scheme(dest),
            },
            paths: self.text(FieldKey::More).split_whitespace().map(with_scheme).collect(),
            via: words(self.text(FieldKey::Via)).map(ToOwned::to_owned).collect(),
            strategy: match self.text(FieldKey::Way) {
                "chunked" => SendStrategy::Chunked,
                "multipath" => SendStrategy::Multipath,
                "delta" => SendStrategy::Delta,
                _ => SendStrategy::Auto,
            },
            on_taken: match self.text(FieldKey::Taken) {
                "overwrite" => OnTaken::Overwrite,
                "keep both" => OnTaken::KeepBoth,
                _ => OnTaken::Refuse,
            },
            up: rate(self.text(FieldKey::Up)).unwrap_or(None),
            ..SendRequest::default()
        }
    }

    fn resolved(&self, more: &[String], via: &[String]) -> Result<Destination, String> {
        let request = self.request();
        let path = request.path.to_string_lossy();
        let name = path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty());
        resolve(&request.dest, more, via, name.unwrap_or("NAME"))
    }

    /// What to say below one of its own fields.
    pub(super) fn remark_on_send(&self, key: FieldKey) -> Result<String, String> {
        let (text, request) = (self.text(key), self.request());
        match key {
            FieldKey::Dest if text.is_empty() => {
                Err("http://HOST:7070/FOLDER/ keeps the name, http://HOST:7070/NAME gives another; pool:NAME"
                    .to_owned())
            }
            FieldKey::Dest if to_pool(text).is_some() => match to_pool(text) {
                Some(Ok(to)) => Ok(to.remark()),
                Some(Err(why)) => Err(why),
                None => Ok(String::new()),
            },
            FieldKey::More | FieldKey::Via if to_pool(self.text(FieldKey::Dest)).is_some() => match text {
                "" => Ok("not of a pool: each piece goes to one of its nodes".to_owned()),
                _ => Err("to a pool there are no ways to choose: leave it empty".to_owned()),
            },
            FieldKey::Way | FieldKey::Taken if to_pool(self.text(FieldKey::Dest)).is_some() => match text {
                "auto" | "refuse" => Ok("a content goes to a pool as a whole".to_owned()),
                _ => Err("not of a pool: a content goes there as a whole".to_owned()),
            },
            FieldKey::Dest => self.resolved(&[], &[]).map(|found| format!("as {}, under its root", found.target)),
            FieldKey::More if text.is_empty() => {
                Ok("further addresses of the same receiver, used at once with the first; URL,via=IFACE too".to_owned())
            }
            // What is wrong with the first address is said there.
            FieldKey::More if self.resolved(&[], &[]).is_err() => Ok("once it is known where to".to_owned()),
            FieldKey::More => self.resolved(&request.paths, &[]).map(|found| format!("{} in all", found.paths.len())),
            FieldKey::Via if text.is_empty() => {
                Ok("as the system chooses; or interfaces and addresses of the node (Down lists them)".to_owned())
            }
            FieldKey::Via => self.remark_on_vias(&request),
            FieldKey::Way => Ok(match text {
                "chunked" => "over one path, the one that answers best",
                "multipath" => "over all paths at once, if two answer",
                "delta" => "what changed of a file that is there in an older version (Taken: overwrite)",
                _ => "one path that answers: over that; more: over all at once",
            }
            .to_owned()),
            FieldKey::Taken => Ok(match text {
                "overwrite" => "what stands there is replaced in one step, when everything is there",
                "keep both" => "it appears as NAME (2)",
                _ => "the receiver refuses before a byte is sent",
            }
            .to_owned()),
            _ => Ok(String::new()),
        }
    }

    fn remark_on_vias(&self, request: &SendRequest) -> Result<String, String> {
        if let Some(unknown) = request.via.iter().find(|via| !self.proposals.is_via(via)) {
            return Err(format!("the node has no {unknown:?}: choose among {}", self.proposals.interfaces()));
        }
        match self.resolved(&request.paths, &request.via) {
            Ok(found) => {
                let count = found.paths.len();
                let s = if count == 1 { "" } else { "s" };
                Ok(format!("{count} path{s}: each address over each of these"))
            }
            Err(_) if self.resolved(&request.paths, &[]).is_err() => Ok("once it is known where to".to_owned()),
            Err(why) => Err(why),
        }
    }
}

/// Destinations of earlier pushes, the newest first, each once.
pub(super) fn used_before<'a>(rows: impl DoubleEndedIterator<Item = &'a TransferRow>) -> Vec<Proposal> {
    let mut dests: Vec<Proposal> = Vec::new();
    for row in rows.rev().filter(|row| !row.dest.is_empty()) {
        if dests.len() < MAX_DESTS && dests.iter().all(|known| known.text != row.dest) {
            dests.push(Proposal { text: row.dest.clone(), note: row.name.clone() });
        }
    }
    dests
}
