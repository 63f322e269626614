//! Keys and pastes in forms, and what is found out for them.

use std::path::Path;

use crossterm::event::KeyCode;
use skep_engine::control::{CommandError, InterfaceRow, Preview, SyncPlan};

use super::dialogs::edit;
use crate::console::action::Action;
use crate::console::effect::{Effect, PreviewKey};
use crate::console::keymap::Key;
use crate::console::model::form::{Form, Listing, Places, Value};
use crate::console::model::input;
use crate::console::model::link::judge;
use crate::console::model::overlay::Overlay;
use crate::console::model::{Model, Settings};
use crate::console::overlays::plan_rows;

/// Lines of a page in a folder's list.
const PAGE: isize = 10;

/// Where paths typed here lie.
pub fn places(settings: &Settings) -> Places {
    Places {
        home: settings.home.clone(),
        current: settings.current.clone(),
        here: settings.embedded || is_loopback(&settings.target),
    }
}

/// A node that is reached by loopback is taken to see this machine's folders. Behind a tunnel that
/// is wrong, but harmless: what it would share or add is always asked of the node itself.
fn is_loopback(target: &str) -> bool {
    let host = target.split_once("://").map_or(target, |(_, rest)| rest);
    ["127.", "localhost:", "[::1]"].iter().any(|start| host.starts_with(start))
}

/// Opens a form.
pub fn open(model: &mut Model, mut form: Form, effects: &mut Vec<Effect>) {
    effects.extend(form.update());
    model.overlays.push(Overlay::Form(Box::new(form)));
}

/// Takes a key in a form that was taken off the stack; puts it back unless it is done.
pub fn typed(model: &mut Model, mut form: Box<Form>, key: Key, action: Option<Action>, effects: &mut Vec<Effect>) {
    match action {
        Some(Action::Accept) if form.take_chosen() => {}
        Some(Action::Accept) => match form.submit() {
            Ok(done) => match form.question() {
                None => return effects.extend(done),
                Some(question) => {
                    model.overlays.push(Overlay::Form(form));
                    return model.overlays.push(Overlay::Confirm(question));
                }
            },
            Err(wrong) => {
                form.at = wrong;
                form.refused = true;
            }
        },
        Some(Action::NextField) => {
            if !form.complete() {
                form.go(false);
            }
        }
        Some(Action::PreviousField) => form.go(true),
        Some(Action::HiddenFiles) => {
            if let Some(browser) = &mut form.browser {
                browser.toggle_hidden();
            }
        }
        _ => key_in_field(&mut form, key, model.size),
    }
    effects.extend(form.update());
    model.overlays.push(Overlay::Form(form));
}

fn key_in_field(form: &mut Form, key: Key, size: (u16, u16)) {
    form.refused = false;
    if form.browser.is_none() && form.proposals.shown.is_empty() && plan_scrolled(form, key, size) {
        return;
    }
    let lines = match key.code {
        KeyCode::Up => Some(-1),
        KeyCode::Down => Some(1),
        KeyCode::PageUp => Some(-PAGE),
        KeyCode::PageDown => Some(PAGE),
        _ => None,
    };
    if let Some(lines) = lines {
        if !form.proposals.shown.is_empty() && (lines > 0 || form.proposals.at.is_some()) {
            return form.proposals.move_by(lines);
        }
        // Above the first entry there is the field before this one.
        if let Some(browser) = form.browser.as_mut().filter(|browser| lines > 0 || browser.at.is_some()) {
            return browser.move_by(lines);
        }
        if lines < 0 || !form.start_browsing() {
            form.go(lines < 0);
        }
        return;
    }
    if key.code == KeyCode::Backspace && form.go_up() {
        return;
    }
    match form.field_mut().map(|f| &mut f.value) {
        Some(Value::Text(input)) => edit(input, key),
        Some(Value::Choice(words, at)) => match key.code {
            KeyCode::Right | KeyCode::Char(' ') => *at = (*at + 1) % words.len().max(1),
            KeyCode::Left => *at = (*at + words.len().saturating_sub(1)) % words.len().max(1),
            _ => {}
        },
        None => {}
    }
}

/// Scrolls what a sync would do; false if the key is none for that.
fn plan_scrolled(form: &mut Form, key: Key, size: (u16, u16)) -> bool {
    let Some(view) = form.plan() else { return false };
    let page = plan_rows(size, form.fields.len());
    let last = view.len().saturating_sub(page);
    form.top = match key.code {
        KeyCode::PageDown => form.top.saturating_add(page.max(1)).min(last),
        KeyCode::PageUp => form.top.saturating_sub(page.max(1)),
        _ => return false,
    };
    true
}

/// Pastes into the field that takes keys; several lines become words. False if it is too much: half
/// a list of links would be worse than none.
pub fn paste(form: &mut Form, text: &str, effects: &mut Vec<Effect>) -> bool {
    form.refused = false;
    if let Some(Value::Text(field)) = form.field_mut().map(|f| &mut f.value) {
        if field.text().len() + text.len() > input::MAX_LEN {
            return false;
        }
        // A second paste of links goes behind the first, not into it.
        if field.text().contains("://") && text.contains("://") && !field.before_cursor().ends_with(' ') {
            field.insert(" ");
        }
        field.insert(text.trim());
    }
    effects.extend(form.update());
    true
}

/// True if pasted text is something to add: a link, or several, one a line.
pub fn is_link(text: &str) -> bool {
    let mut lines = text.split_whitespace().filter(|word| word.contains("://"));
    judge(text.trim()).is_ok() || lines.clone().next().is_some() && lines.all(|word| judge(word).is_ok())
}

/// Takes what a folder holds.
pub fn listing(model: &mut Model, dir: &Path, listing: Listing) {
    if let Some(Overlay::Form(form)) = model.overlays.last_mut() {
        form.take_listing(dir, listing);
    }
}

/// Takes what the node can leave by.
pub fn interfaces(model: &mut Model, interfaces: &[InterfaceRow]) {
    if let Some(Overlay::Form(form)) = model.overlays.last_mut() {
        form.take_interfaces(interfaces);
    }
}

/// Takes what a sync would do.
pub fn plan(model: &mut Model, key: &PreviewKey, found: Result<Box<SyncPlan>, CommandError>) {
    // A question may stand before the form.
    let forms = model.overlays.iter_mut().rev().filter_map(|overlay| match overlay {
        Overlay::Form(form) => Some(form),
        _ => None,
    });
    for form in forms {
        form.take_plan(key, found.clone());
    }
}

/// Takes what something would be.
pub fn preview(model: &mut Model, key: &PreviewKey, found: Result<Box<Preview>, String>) {
    if let Some(Overlay::Form(form)) = model.overlays.last_mut() {
        form.take_preview(key, found);
    }
}
