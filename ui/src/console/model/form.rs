//! Forms: a few fields, judged while they are typed, and a summary of what Enter will do.

use std::path::PathBuf;

use skep_engine::control::{AddTransfer, Command, PieceOrder, ShareRequest, TransferId};

use super::input::Input;
use super::link::{Typed, judge, rate};
use crate::console::effect::Effect;
use crate::console::widgets::format::Limit;

/// What a form is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Fetch something.
    Add,
    /// Make a path available.
    Share,
    /// Rate limits of a transfer, or of the node.
    Limit(Option<TransferId>),
}

/// Which field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKey {
    /// Link, URL or path of a manifest.
    Link,
    /// Target folder.
    Folder,
    /// Order of pieces.
    Order,
    /// Goes on serving when complete.
    Seed,
    /// Path to share.
    Path,
    /// Limit down.
    Down,
    /// Limit up.
    Up,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A line of text.
    Text(Input),
    /// One of some words.
    Choice(&'static [&'static str], usize),
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Which.
    pub key: FieldKey,
    /// Its label.
    pub label: &'static str,
    /// What it holds.
    pub value: Value,
}

/// What is known of a path that was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathFact {
    /// A file of this size.
    File(u64),
    /// A folder.
    Folder,
    /// It cannot be used, and why.
    Missing(String),
}

/// A form on screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// What for.
    pub purpose: Purpose,
    /// Its title.
    pub title: String,
    /// Its fields.
    pub fields: Vec<Field>,
    /// The field that takes keys.
    pub at: usize,
    /// What is known of the path in it.
    pub fact: Option<(String, PathFact)>,
    /// Enter was pressed on something wrong: say so louder.
    pub refused: bool,
    home: Option<String>,
}

const ORDERS: &[&str] = &["rarest", "sequential", "random"];
const YES_NO: &[&str] = &["yes", "no"];

impl Form {
    fn new(purpose: Purpose, title: String, fields: Vec<Field>, home: Option<String>) -> Self {
        Self { purpose, title, fields, at: 0, fact: None, refused: false, home }
    }

    /// The add form.
    pub fn add(default_dir: Option<&str>, home: Option<String>) -> Self {
        let text = |key, label, start: &str| Field { key, label, value: Value::Text(Input::new(start)) };
        let fields = vec![
            text(FieldKey::Link, "Link", ""),
            text(FieldKey::Folder, "Into", default_dir.unwrap_or_default()),
            Field { key: FieldKey::Order, label: "Order", value: Value::Choice(ORDERS, 0) },
            Field { key: FieldKey::Seed, label: "Serve", value: Value::Choice(YES_NO, 0) },
        ];
        Self::new(Purpose::Add, "Add a transfer".to_owned(), fields, home)
    }

    /// The share form.
    pub fn share(home: Option<String>) -> Self {
        let path = Field { key: FieldKey::Path, label: "Path", value: Value::Text(Input::default()) };
        Self::new(Purpose::Share, "Share a file or folder".to_owned(), vec![path], home)
    }

    /// The form of rate limits.
    pub fn limit(id: Option<TransferId>, name: &str, down: Option<u64>, up: Option<u64>) -> Self {
        let field = |key, label, value| {
            let text = Limit(value, "unlimited").to_string();
            Field { key, label, value: Value::Text(Input::new(&text)) }
        };
        let fields = vec![field(FieldKey::Down, "Down", down), field(FieldKey::Up, "Up", up)];
        Self::new(Purpose::Limit(id), format!("Rate limits of {name}"), fields, None)
    }

    /// The text of a field.
    pub fn text(&self, key: FieldKey) -> &str {
        let value = self.fields.iter().find(|f| f.key == key).map(|f| &f.value);
        match value {
            Some(Value::Text(input)) => input.text().trim(),
            Some(Value::Choice(words, at)) => words.get(*at).copied().unwrap_or_default(),
            None => "",
        }
    }

    /// The field that takes keys.
    pub fn field_mut(&mut self) -> Option<&mut Field> {
        self.fields.get_mut(self.at)
    }

    /// Goes to the next or previous field.
    pub fn go(&mut self, back: bool) {
        let count = self.fields.len();
        self.at = if back { self.at + count - 1 } else { self.at + 1 } % count;
    }

    /// A path in the form that somebody should look up, unless it is known already.
    pub fn wants_fact(&self) -> Option<PathBuf> {
        let text = match self.purpose {
            Purpose::Add if judge(self.text(FieldKey::Link)) == Ok(Typed::Path) => self.text(FieldKey::Link),
            Purpose::Share => self.text(FieldKey::Path),
            _ => return None,
        };
        let path = self.expanded(text);
        let known = self.fact.as_ref().is_some_and(|(of, _)| *of == path);
        (!known && !path.is_empty()).then(|| PathBuf::from(path))
    }

    /// Takes what was found out about a path, if it is still the one typed.
    pub fn take_fact(&mut self, path: &std::path::Path, fact: PathFact) {
        if self.wants_fact().as_deref() == Some(path) {
            self.fact = Some((path.to_string_lossy().into_owned(), fact));
        }
    }

    /// A path with `~/` made the home folder.
    fn expanded(&self, text: &str) -> String {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => format!("{}/{rest}", home.trim_end_matches('/')),
            _ => text.to_owned(),
        }
    }

    fn fact_of(&self, text: &str) -> Option<&PathFact> {
        let path = self.expanded(text);
        self.fact.as_ref().filter(|(of, _)| *of == path).map(|(_, fact)| fact)
    }

    /// What to say below a field: `Ok` when it is well, `Err` when it is not.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn remark(&self, key: FieldKey) -> Result<String, String> {
        let text = self.text(key);
        match key {
            FieldKey::Link => Ok(match judge(text)? {
                Typed::Skep { host, id } => format!("content {id}… from {host}"),
                Typed::Url => "a manifest or Metalink is fetched from there".to_owned(),
                Typed::Path => match self.fact_of(text) {
                    Some(PathFact::File(size)) => {
                        format!("a file of {}", crate::console::widgets::format::Bytes(*size))
                    }
                    Some(PathFact::Folder) => return Err("a folder; a manifest or .meta4 file is needed".to_owned()),
                    Some(PathFact::Missing(why)) => return Err(why.clone()),
                    None => "looking…".to_owned(),
                },
            }),
            FieldKey::Folder if text.is_empty() => Ok("the node's root folder".to_owned()),
            FieldKey::Folder => {
                if self.expanded(text).starts_with('/') {
                    Ok("on the node's disk".to_owned())
                } else {
                    Err("write the whole path, from / or ~/".to_owned())
                }
            }
            FieldKey::Path => match self.fact_of(text) {
                _ if text.is_empty() => Err("the path of a file or folder".to_owned()),
                _ if !self.expanded(text).starts_with('/') => Err("write the whole path, from / or ~/".to_owned()),
                Some(PathFact::File(size)) => Ok(format!(
                    "a file of {}, read once to make its digests",
                    crate::console::widgets::format::Bytes(*size)
                )),
                Some(PathFact::Folder) => Ok("a folder, read once to make its digests".to_owned()),
                Some(PathFact::Missing(why)) => Err(why.clone()),
                None => Ok("looking…".to_owned()),
            },
            FieldKey::Down | FieldKey::Up => rate(text).map(|r| match r {
                Some(bytes) => format!("{} at most", crate::console::widgets::format::Rate(bytes)),
                None => "as fast as it goes".to_owned(),
            }),
            FieldKey::Order => Ok(match text {
                "sequential" => "from the first piece to the last",
                "random" => "any piece",
                _ => "the piece that the fewest peers have, first",
            }
            .to_owned()),
            FieldKey::Seed => Ok(match text {
                "no" => "stops when it is complete",
                _ => "goes on serving others when it is complete",
            }
            .to_owned()),
        }
    }

    /// True if a field is wrong only because nothing was typed yet: that is a hint, no mistake.
    pub fn is_untouched(&self, key: FieldKey) -> bool {
        !self.refused && self.text(key).is_empty()
    }

    /// What Enter does.
    ///
    /// # Errors
    /// The index of the first field that is wrong.
    pub fn submit(&self) -> Result<Effect, usize> {
        if let Some(wrong) = self.fields.iter().position(|f| self.remark(f.key).is_err()) {
            return Err(wrong);
        }
        let limit = |key| rate(self.text(key)).unwrap_or(None);
        Ok(match self.purpose {
            Purpose::Add => {
                let folder = self.text(FieldKey::Folder);
                let add = AddTransfer {
                    link: self.text(FieldKey::Link).to_owned(),
                    dir: (!folder.is_empty()).then(|| PathBuf::from(self.expanded(folder))),
                    order: match self.text(FieldKey::Order) {
                        "sequential" => PieceOrder::Sequential,
                        "random" => PieceOrder::Random,
                        _ => PieceOrder::Rarest,
                    },
                    seed: self.text(FieldKey::Seed) != "no",
                    ..AddTransfer::default()
                };
                match judge(&add.link) {
                    Ok(Typed::Path) => {
                        let path = PathBuf::from(self.expanded(&add.link));
                        Effect::AddFile { path, add: AddTransfer { link: String::new(), ..add } }
                    }
                    _ => Effect::command(Command::Add(add), "add"),
                }
            }
            Purpose::Share => {
                let path = PathBuf::from(self.expanded(self.text(FieldKey::Path)));
                Effect::command(Command::Share(ShareRequest { path, ..ShareRequest::default() }), "share")
            }
            Purpose::Limit(id) => {
                let (up, down) = (Some(limit(FieldKey::Up)), Some(limit(FieldKey::Down)));
                Effect::command(Command::Limit { id, up, down }, "limit")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(form: &mut Form, text: &str) {
        if let Some(Field { value: Value::Text(input), .. }) = form.field_mut() {
            *input = Input::new(text);
        }
    }

    #[test]
    fn a_wrong_field_is_named_and_nothing_is_sent() {
        let mut form = Form::add(Some("/data"), None);
        assert_eq!(form.submit(), Err(0));
        type_in(&mut form, &format!("skep://h:1/{}", "0".repeat(64)));
        form.go(false);
        type_in(&mut form, "relative/dir");
        assert_eq!(form.submit(), Err(1));
        type_in(&mut form, "/srv");
        let Ok(Effect::Command { command: Command::Add(add), .. }) = form.submit() else { panic!() };
        assert_eq!((add.dir, add.seed), (Some(PathBuf::from("/srv")), true));
    }

    #[test]
    fn a_local_manifest_is_looked_up_and_read_here() {
        let mut form = Form::add(None, Some("/home/op".into()));
        type_in(&mut form, "~/x.meta4");
        let path = form.wants_fact().unwrap();
        assert_eq!(path, PathBuf::from("/home/op/x.meta4"));
        form.take_fact(&path, PathFact::Missing("there is no such file".into()));
        assert_eq!(form.wants_fact(), None);
        assert_eq!(form.submit(), Err(0));
        form.fact = Some((path.to_string_lossy().into_owned(), PathFact::File(10)));
        assert!(matches!(form.submit(), Ok(Effect::AddFile { path: p, add }) if p == path && add.link.is_empty()));
    }

    #[test]
    fn limits_start_from_what_they_are() {
        let mut form = Form::limit(Some(TransferId(3)), "x", Some(5_000_000), None);
        assert_eq!(form.text(FieldKey::Down), "5.00 MB/s");
        type_in(&mut form, "unlimited");
        let Ok(Effect::Command { command, .. }) = form.submit() else { panic!() };
        assert_eq!(command, Command::Limit { id: Some(TransferId(3)), up: Some(None), down: Some(None) });
    }
}
