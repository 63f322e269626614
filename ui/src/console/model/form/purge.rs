//! The form that takes operations out of the queue: which, and what that comes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_engine::control::PriorityClass;
use skep_engine::control::queue::{PurgeRequest, QueueRow, QueueState, QueueView};

use super::summary::{Line, Tone};
use super::{Field, FieldKey, Form, Places, Proposal, Proposals, Purpose, Value};
use crate::console::effect::Effect;
use crate::console::model::input::Input;
use crate::console::model::link::amount;
use crate::console::model::overlay::{Confirm, TypedAnswer};
use crate::console::model::queue::class_name;
use crate::console::widgets::format::{Bytes, Count, Seconds};
use skep_engine::control::Command;

const CLASSES: &[&str] = &["any", "critical", "schema change", "high", "normal", "analytics", "background"];

impl Form {
    /// The purge form, of a queue as it was at a moment (ms since the epoch).
    pub fn purge(queue: Arc<QueueView>, now_ms: u64) -> Self {
        let text = |key, label| Field { key, label, value: Value::Text(Input::default()) };
        let fields = vec![
            Field { key: FieldKey::Class, label: "Class", value: Value::Choice(CLASSES, 0) },
            text(FieldKey::Target, "For"),
            text(FieldKey::Older, "Older"),
        ];
        let mut waiting: BTreeMap<&str, u64> = BTreeMap::new();
        for row in &queue.rows {
            *waiting.entry(&row.target).or_default() += 1;
        }
        let targets = waiting.into_iter().map(|(target, count)| {
            let note = format!("{} waiting", Count(count));
            Proposal { text: target.to_owned(), note }
        });
        let proposals = Proposals::called(targets.collect(), "what something waits for");
        let form = Self::new(Purpose::Purge, "Purge the queue".to_owned(), fields, Places::default());
        Self { proposals, queue: (queue, now_ms), ..form }
    }

    /// What is in the form, as it would be asked for.
    pub(super) fn purge_request(&self) -> PurgeRequest {
        let class = PriorityClass::ALL.into_iter().find(|class| class_name(*class) == self.text(FieldKey::Class));
        let target = Some(self.text(FieldKey::Target)).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        let max_age_s = seconds(self.text(FieldKey::Older)).unwrap_or(None);
        let all = class.is_none() && target.is_none() && max_age_s.is_none();
        PurgeRequest { ids: Vec::new(), class, max_age_s, target, all }
    }

    /// What to say below one of its fields.
    pub(super) fn remark_on_purge(&self, key: FieldKey) -> Result<String, String> {
        let text = self.text(key);
        match (key, text) {
            (FieldKey::Class, "any") => Ok("of every class".to_owned()),
            (FieldKey::Class, class) => Ok(format!("of the class {class}")),
            (FieldKey::Target, "") => Ok("for every endpoint; Down lists those that something waits for".to_owned()),
            (FieldKey::Target, _) if !self.queue.0.rows.iter().any(|row| row.target == text) => {
                Err(format!("nothing waits for {text:?}; Down lists what something waits for"))
            }
            (FieldKey::Target, _) => Ok("for this endpoint".to_owned()),
            _ => seconds(text).map(|age| match age {
                None => "however long they wait".to_owned(),
                Some(age) => format!("that have waited longer than {}", Seconds(age)),
            }),
        }
    }

    /// The operations that would go.
    fn going(&self) -> Vec<&Arc<QueueRow>> {
        let (queue, now_ms) = &self.queue;
        let request = self.purge_request();
        let goes = |row: &&Arc<QueueRow>| {
            row.state != QueueState::Running
                && request.class.is_none_or(|class| row.class == class)
                && request.target.as_ref().is_none_or(|target| row.target == *target)
                && request.max_age_s.is_none_or(|age| now_ms.saturating_sub(row.added_ms) / 1_000 > age)
        };
        queue.rows.iter().filter(goes).collect()
    }

    /// What Enter would do, in words.
    pub(super) fn purged(&self) -> Vec<Line> {
        let going = self.going();
        let queue = &self.queue.0;
        // Of a long queue the first rows alone are known here.
        let least = if queue.count() > queue.rows.len() as u64 { "at least " } else { "" };
        if going.is_empty() && least.is_empty() {
            return vec![(Tone::Warning, "nothing in the queue is like that".to_owned())];
        }
        let bytes = going.iter().fold(0u64, |sum, row| sum.saturating_add(row.bytes));
        let (count, all) = (Count(going.len() as u64), Count(queue.count()));
        let mut lines = vec![(Tone::Fact, format!("takes out {least}{count} of {all} operations, {}", Bytes(bytes)))];
        let names: Vec<&str> = going.iter().take(3).map(|row| row.name.as_str()).collect();
        let more = going.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {} more", Count(more as u64)) } else { String::new() };
        if !names.is_empty() {
            lines.push((Tone::Fact, format!("{}{more}", names.join(", "))));
        }
        let running = queue.rows.iter().filter(|row| row.state == QueueState::Running).count();
        if running > 0 {
            lines.push((Tone::Fact, format!("what is transferred just now stays: {running}")));
        }
        lines
    }

    /// The question before it is done: dropped operations do not come back.
    pub(super) fn purge_question(&self) -> Confirm {
        let mut lines: Vec<String> = self.purged().into_iter().map(|(_, line)| line).collect();
        lines.push("They will not be done, and this cannot be undone.".to_owned());
        Confirm {
            awaits: None,
            title: "Purge the queue".to_owned(),
            lines,
            yes: Vec::new(),
            ids: Vec::new(),
            typed: Some(TypedAnswer {
                word: "purge",
                doc: "take them out",
                answers: ["keep them", "yes, take them out"],
                input: Input::default(),
                effects: vec![Effect::command(Command::PurgeQueue(self.purge_request()), "purge the queue")],
            }),
        }
    }
}

/// A time as it is typed; none where nothing is.
fn seconds(text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let fits = text.ends_with(['s', 'm', 'h', 'd']);
    match amount(text).filter(|seconds| fits && (0.0..1e12).contains(seconds)) {
        Some(seconds) => Ok(Some(seconds as u64)),
        None => Err(format!("{text:?} is no time: 90s, 10m, 2h or 3d")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let row = |name: &str, class, target: &str, age_s: u64, state| {
            let (name, target, added_ms) = (name.to_owned(), target.to_owned(), 1_000_000 - age_s * 1_000);
            Arc::new(QueueRow { name, class, target, added_ms, state, bytes: 10, ..QueueRow::default() })
        };
        let rows = vec![
            row("a", PriorityClass::High, "h:1", 5, QueueState::Running),
            row("b", PriorityClass::High, "h:1", 900, QueueState::Waiting),
            row("c", PriorityClass::Background, "h:2", 10, QueueState::Stored),
        ];
        let mut queue = QueueView { rows, ..QueueView::default() };
        (queue.classes[2].count, queue.classes[5].count) = (2, 1);
        Form::purge(Arc::new(queue), 1_000_000)
    }

    fn names(form: &Form) -> Vec<&str> {
        form.going().iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn what_would_go_is_what_is_asked_for() {
        let mut all = form();
        assert!(all.purge_request().all);
        assert_eq!(names(&all), ["b", "c"], "what is transferred stays");
        assert!(all.purged()[0].1.starts_with("takes out 2 of 3 operations, 20 B"), "{:?}", all.purged());
        all.fields[2].value = Value::Text(Input::new("10m"));
        assert_eq!((names(&all), all.purge_request().max_age_s), (vec!["b"], Some(600)));
        assert!(!all.purge_request().all);
        let mut target = form();
        target.fields[1].value = Value::Text(Input::new("h:2"));
        assert_eq!((names(&target), target.purge_request().target.as_deref()), (vec!["c"], Some("h:2")));
        target.fields[0].value = Value::Choice(CLASSES, 1);
        assert_eq!(target.purge_request().class, Some(PriorityClass::Critical));
        assert_eq!(target.purged(), [(Tone::Warning, "nothing in the queue is like that".to_owned())]);
    }

    #[test]
    fn times_and_endpoints_are_judged_while_typed() {
        assert_eq!((seconds(""), seconds("90s"), seconds("2h")), (Ok(None), Ok(Some(90)), Ok(Some(7_200))));
        for wrong in ["90", "m", "-5m", "5M", "soon"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        let mut wrong = form();
        wrong.fields[1].value = Value::Text(Input::new("nowhere:1"));
        assert!(wrong.remark(FieldKey::Target).is_err());
    }
}
