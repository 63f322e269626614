//! What a form asks of the node: first what would happen, then that it happens.

use std::path::PathBuf;

use skep_engine::control::{AddTransfer, Command, PieceOrder, SendRequest, ShareRequest};

use super::{FieldKey, Form, Purpose};
use crate::console::effect::{Effect, PreviewAsk, PreviewFrom, PreviewKey};
use crate::console::model::link::{Typed, judge, rate};

/// Links of a paste whose sizes are asked for before they are added.
const MAX_PREVIEWS: usize = 8;

impl Form {
    /// What the form would add or share, as far as it is typed well.
    pub(super) fn asks(&self) -> Vec<PreviewAsk> {
        match self.purpose {
            Purpose::Limit | Purpose::Purge => Vec::new(),
            Purpose::Share => {
                let path = self.expanded(self.text(FieldKey::Path));
                let key = PreviewKey { what: path.clone(), dir: String::new() };
                let request = ShareRequest { path: PathBuf::from(path), ..ShareRequest::default() };
                let ask = PreviewAsk { key, from: PreviewFrom::Command(Command::PreviewShare(request)) };
                Vec::from_iter(ask.key.what.starts_with('/').then_some(ask))
            }
            Purpose::Send => {
                let request = self.request();
                let fields = [FieldKey::Dest, FieldKey::More, FieldKey::Via];
                let sound = request.path.is_absolute() && fields.iter().all(|key| self.remark(*key).is_ok());
                let SendRequest { path, dest, paths, via, strategy, on_taken, replicas, balancer, .. } = &request;
                let what = path.to_string_lossy().into_owned();
                let dir = format!("{dest} {paths:?} {via:?} {strategy:?} {on_taken:?} {replicas:?} {balancer:?}");
                let command = Command::PreviewSend(SendRequest { up: None, ..request });
                let ask = PreviewAsk { key: PreviewKey { what, dir }, from: PreviewFrom::Command(command) };
                Vec::from_iter(sound.then_some(ask))
            }
            Purpose::Sync => Vec::from_iter(self.sync_ask()),
            Purpose::Node => Vec::from_iter(self.node_ask()),
            Purpose::Add if self.remark(FieldKey::Folder).is_err() => Vec::new(),
            Purpose::Add => {
                let adds = self.adds().into_iter().filter(|add| judge(&add.link).is_ok()).take(MAX_PREVIEWS);
                let ask = |add: AddTransfer| {
                    let dir = self.text(FieldKey::Folder).to_owned();
                    let key = PreviewKey { what: add.link.clone(), dir };
                    let from = match judge(&add.link) {
                        Ok(Typed::Path) => {
                            let path = PathBuf::from(self.expanded(&add.link));
                            PreviewFrom::File(path, AddTransfer { link: String::new(), ..add })
                        }
                        _ => PreviewFrom::Command(Command::Preview(add)),
                    };
                    PreviewAsk { key, from }
                };
                adds.map(ask).collect()
            }
        }
    }

    /// The transfers in the form; paths of local files still in their links.
    fn adds(&self) -> Vec<AddTransfer> {
        let folder = self.text(FieldKey::Folder);
        let add = AddTransfer {
            dir: (!folder.is_empty()).then(|| PathBuf::from(self.expanded(folder))),
            order: match self.text(FieldKey::Order) {
                "sequential" => PieceOrder::Sequential,
                "random" => PieceOrder::Random,
                _ => PieceOrder::Rarest,
            },
            seed: self.text(FieldKey::Seed) != "no",
            ..AddTransfer::default()
        };
        self.links().into_iter().map(|link| AddTransfer { link: link.to_owned(), ..add.clone() }).collect()
    }

    /// What Enter does.
    ///
    /// # Errors
    /// The index of the first field that is wrong.
    pub fn submit(&self) -> Result<Vec<Effect>, usize> {
        if let Some(wrong) = self.fields.iter().position(|f| self.remark(f.key).is_err()) {
            return Err(wrong);
        }
        let limit = |key| rate(self.text(key)).unwrap_or(None);
        Ok(match self.purpose {
            Purpose::Add => {
                let effect = |add: AddTransfer| match judge(&add.link) {
                    Ok(Typed::Path) => {
                        let path = PathBuf::from(self.expanded(&add.link));
                        Effect::AddFile { path, add: AddTransfer { link: String::new(), ..add } }
                    }
                    _ => Effect::command(Command::Add(add), "add"),
                };
                self.adds().into_iter().map(effect).collect()
            }
            Purpose::Share => {
                let path = PathBuf::from(self.expanded(self.text(FieldKey::Path)));
                vec![Effect::command(Command::Share(ShareRequest { path, ..ShareRequest::default() }), "share")]
            }
            Purpose::Send => vec![Effect::command(Command::Send(self.request()), "send")],
            Purpose::Sync => vec![Effect::command(Command::Sync(self.sync_request()), "sync")],
            Purpose::Purge => vec![Effect::command(Command::PurgeQueue(self.purge_request()), "purge the queue")],
            Purpose::Node => vec![Effect::command(Command::PoolAdd(self.pool_node()), "list the node")],
            Purpose::Limit => {
                let (up, down) = (Some(limit(FieldKey::Up)), Some(limit(FieldKey::Down)));
                let effect = |id| Effect::command(Command::Limit { id, up, down }, "limit");
                if self.limited.is_empty() {
                    vec![effect(None)]
                } else {
                    self.limited.iter().map(|id| effect(Some(*id))).collect()
                }
            }
        })
    }
}
