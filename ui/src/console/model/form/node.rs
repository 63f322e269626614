//! The form that puts a node on the pool's list: which, and what would belong to it.

use std::sync::Arc;

use skep_engine::control::pool::{MAX_NAME, Moves, PoolNode};
use skep_engine::control::{Command, CommandError, Snapshot};
use skep_engine::pool::ring::WEIGHTS;

use super::summary::{Line, Tone};
use super::{Field, FieldKey, Form, Places, Proposal, Proposals, Purpose, Seen, Value};
use crate::console::effect::{PreviewAsk, PreviewFrom, PreviewKey};
use crate::console::model::input::Input;
use crate::console::model::links::authority;
use crate::console::model::probe;
use crate::output::moves::coming;

impl Form {
    /// The form of a node; proposes endpoints that are watched and in no pool.
    pub fn node(snapshot: &Snapshot) -> Self {
        let text = |key, label, value| Field { key, label, value: Value::Text(value) };
        let fields = vec![
            text(FieldKey::Url, "URL", Input::default()),
            text(FieldKey::Name, "Name", Input::default()),
            text(FieldKey::Weight, "Weight", Input::proposing("1")),
        ];
        let pool = Arc::clone(&snapshot.pool);
        let known = |url: &str| pool.nodes.iter().any(|row| authority(&row.endpoint) == authority(url));
        let links = snapshot.links.iter().filter(|link| !known(&link.endpoint));
        let proposals = links.map(|link| Proposal { text: link.endpoint.clone(), note: "watched".to_owned() });
        let proposals = Proposals::called(proposals.collect(), "known here, in no pool");
        let form = Self::new(Purpose::Node, "List a node".to_owned(), fields, Places::default());
        Self { proposals, pool, ..form }
    }

    /// What is in the form, as it would be asked for.
    pub(super) fn pool_node(&self) -> PoolNode {
        let endpoint = probe::url(self.text(FieldKey::Url)).unwrap_or_default();
        PoolNode { name: self.text(FieldKey::Name).to_owned(), endpoint, weight: self.weight().ok() }
    }

    fn weight(&self) -> Result<f64, String> {
        let text = self.text(FieldKey::Weight);
        let weight = text.parse::<f64>().ok().filter(|weight| WEIGHTS.contains(weight));
        weight.ok_or_else(|| format!("{text:?} is no weight: 0.01 to 100; 2 is twice as much as 1"))
    }

    /// What to say below one of its fields.
    pub(super) fn remark_on_node(&self, key: FieldKey) -> Result<String, String> {
        let text = self.text(key);
        match key {
            FieldKey::Url => match probe::url(text) {
                Err(why) => Err(why.to_owned()),
                Ok(url) => Ok(match self.pool.nodes.iter().find(|row| authority(&row.endpoint) == authority(&url)) {
                    Some(row) => format!("{} is in the pool from there", row.name),
                    None => "it is asked how it is every few seconds".to_owned(),
                }),
            },
            FieldKey::Name if text.is_empty() => Ok("it is asked for its name when it is listed".to_owned()),
            FieldKey::Name if text.chars().count() > MAX_NAME => {
                Err(format!("a name has {MAX_NAME} characters at most"))
            }
            FieldKey::Name => match self.pool.nodes.iter().find(|row| *row.name == *text) {
                Some(row) if row.is_listed() => {
                    let at = probe::url(self.text(FieldKey::Url)).unwrap_or_default();
                    match authority(&at) == authority(&row.endpoint) {
                        true => Ok("listed already: it gets this weight".to_owned()),
                        false => Err(format!("listed already, at {}: give another name", row.endpoint)),
                    }
                }
                Some(_) => Ok("it is in the pool by gossip; the list keeps it if that ends".to_owned()),
                None => Ok("as it calls itself".to_owned()),
            },
            _ => self.weight().map(|weight| match weight {
                1.0 => "as much as the others".to_owned(),
                weight => format!("{weight} times as much as one of weight 1"),
            }),
        }
    }

    /// What has to be asked before it is told what would belong to it.
    pub(super) fn node_ask(&self) -> Option<PreviewAsk> {
        let name = self.text(FieldKey::Name);
        if name.is_empty() || self.fields.iter().any(|field| self.remark(field.key).is_err()) {
            return None;
        }
        let weight = self.weight().ok()?;
        let key = PreviewKey { what: name.to_owned(), dir: weight.to_string() };
        let command = Command::PreviewPool { name: name.to_owned(), weight: Some(weight), drain: false };
        Some(PreviewAsk { key, from: PreviewFrom::Command(command) })
    }

    /// Takes what would follow, if that still stands in the form.
    pub fn take_moves(&mut self, of: &PreviewKey, found: &Result<Moves, CommandError>) {
        if let Some((_, seen)) = self.seen.iter_mut().find(|(key, _)| key == of) {
            *seen = match found {
                Ok(moves) => Seen::Moves(*moves),
                Err(error) => Seen::Away(error.message.clone()),
            };
        }
    }

    /// What Enter would do, in words.
    pub(super) fn node_listed(&self) -> Vec<Line> {
        match self.seen.first() {
            Some((_, Seen::Moves(found))) => coming(found).into_iter().map(|line| (Tone::Fact, line)).collect(),
            Some((_, Seen::Away(why))) => vec![(Tone::Warning, format!("what would belong to it is not known: {why}"))],
            Some(_) => vec![(Tone::Open, "asking what would belong to it…".to_owned())],
            None => vec![(Tone::Open, "with its name given it is told here what would belong to it".to_owned())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::control::pool::{Known, PoolNodeRow, PoolView};

    fn form(url: &str, name: &str, weight: &str) -> Form {
        let row = |name: &str, endpoint: &str, known| {
            let row = PoolNodeRow { name: name.into(), endpoint: endpoint.into(), known, ..PoolNodeRow::default() };
            Arc::new(row)
        };
        let nodes = vec![row("alder", "http://a:1", Known::Listed), row("birch", "http://b:1", Known::Gossip)];
        let pool = Arc::new(PoolView { nodes, ..PoolView::default() });
        let mut form = Form::node(&Snapshot { pool, ..Snapshot::default() });
        for (field, text) in form.fields.iter_mut().zip([url, name, weight]) {
            field.value = Value::Text(Input::new(text));
        }
        form
    }

    #[test]
    fn a_node_is_judged_while_it_is_typed() {
        let node = form("cedar:7070", "cedar", "2.5").pool_node();
        assert_eq!((&*node.endpoint, &*node.name, node.weight), ("http://cedar:7070", "cedar", Some(2.5)));
        assert!(form("", "", "1").remark(FieldKey::Url).is_err());
        for wrong in ["", "0", "-1", "101", "NaN", "x"] {
            assert!(form("c:1", "", wrong).remark(FieldKey::Weight).is_err(), "{wrong}");
        }
        assert!(form("c:1", "alder", "1").remark(FieldKey::Name).is_err(), "that one is elsewhere");
        assert_eq!(form("a:1", "alder", "2").remark(FieldKey::Name).unwrap(), "listed already: it gets this weight");
        assert!(form("c:1", "birch", "1").remark(FieldKey::Name).is_ok());
    }

    #[test]
    fn what_would_be_its_is_asked_once_there_is_a_name() {
        assert!(form("c:1", "", "1").node_ask().is_none());
        assert!(form("c:1", "cedar", "x").node_ask().is_none());
        let ask = form("c:1", "cedar", "2").node_ask().unwrap();
        let expected = Command::PreviewPool { name: "cedar".into(), weight: Some(2.0), drain: false };
        assert_eq!(ask.from, PreviewFrom::Command(expected));
    }
}
