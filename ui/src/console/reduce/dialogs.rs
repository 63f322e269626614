//! Keys, pastes and answers in dialogs.

use crossterm::event::KeyCode;
use skep_engine::control::Command;

use super::actions::{self, set_filter};
use super::{forms, looks};
use crate::console::action::Action;
use crate::console::effect::Effect;
use crate::console::keymap::{Key, Lookup};
use crate::console::model::Model;
use crate::console::model::input::Input;
use crate::console::model::overlay::{Confirm, Overlay};
use crate::console::model::toast::ToastLevel;
use crate::console::model::wish::WishKind;
use crate::console::panes::PaneId;

/// Takes a key in the topmost dialog; false if it means nothing to it by itself.
pub fn typed(model: &mut Model, key: Key, effects: &mut Vec<Effect>) -> bool {
    let action = match model.keymap.lookup(model.layers(), &[key]) {
        Lookup::Action(action) => Some(action),
        _ => None,
    };
    match model.overlays.pop() {
        None => false,
        Some(Overlay::Palette(mut palette)) => {
            let matches = palette.matches();
            match (key.code, action) {
                (_, Some(Action::Accept)) => {
                    if let Some(entry) = matches.get(palette.at) {
                        actions::perform(model, entry.action, effects);
                    }
                    return true;
                }
                (KeyCode::Up, _) => palette.at = palette.at.saturating_sub(1),
                (KeyCode::Down, _) => palette.at = (palette.at + 1).min(matches.len().saturating_sub(1)),
                _ => {
                    edit(&mut palette.input, key);
                    palette.at = 0;
                }
            }
            model.overlays.push(Overlay::Palette(palette));
            true
        }
        Some(Overlay::Filter(mut filter)) => {
            if action == Some(Action::Accept) {
                // Half understood it would show what was not meant: it says what is wrong, and stays.
                if filter_error(model, filter.pane) {
                    model.overlays.push(Overlay::Filter(filter));
                }
                return true;
            }
            edit(&mut filter.input, key);
            let (pane, text) = (filter.pane, filter.input.text().to_owned());
            model.overlays.push(Overlay::Filter(filter));
            set_filter(model, pane, &text);
            true
        }
        Some(Overlay::Confirm(mut confirm)) => {
            if action == Some(Action::Accept) {
                confirmed(model, confirm, effects);
                return true;
            }
            match (&mut confirm.typed, key.typed()) {
                (Some(typed), _) => edit(&mut typed.input, key),
                (None, Some('y')) => {
                    confirmed(model, confirm, effects);
                    return true;
                }
                (None, Some('n' | 'q')) => return true,
                _ => {}
            }
            model.overlays.push(Overlay::Confirm(confirm));
            true
        }
        Some(Overlay::Form(form)) => {
            forms::typed(model, form, key, action, effects);
            true
        }
        Some(Overlay::Probe(view)) => {
            super::probe::typed(model, view, key, action, effects);
            true
        }
        Some(Overlay::Place(view)) => {
            super::place::typed(model, view, key, action, effects);
            true
        }
        Some(Overlay::Themes(_)) if action == Some(Action::Accept) => {
            looks::keep(model);
            true
        }
        Some(Overlay::Themes(view)) => {
            let count = view.rows.len();
            let (last, before) = (view.at + 1 >= count, view.before.clone());
            model.overlays.push(Overlay::Themes(view));
            match key.typed() {
                // The key that opened it goes on to the next, round and round.
                Some('t') if action.is_none() => {
                    looks::preview(model, if last { -(count as isize) } else { 1 });
                    true
                }
                Some('q') if action.is_none() => {
                    model.overlays.pop();
                    model.choose_theme(before);
                    true
                }
                _ => false,
            }
        }
        Some(other @ (Overlay::Help(_) | Overlay::Bans(_) | Overlay::Targets(_) | Overlay::Classes(_))) => {
            model.overlays.push(other);
            // q, ?, b, @ and c close what they or their like opened; everything else goes by the keymap.
            let closes = matches!(key.typed(), Some('q' | '?' | 'b' | '@' | 'c')) && action.is_none();
            if closes {
                model.overlays.pop();
            }
            closes
        }
    }
}

fn filter_error(model: &Model, pane: PaneId) -> bool {
    match pane {
        PaneId::Transfers => model.transfers.filter.error().is_some(),
        PaneId::Queue => model.queue.filter.error().is_some(),
        PaneId::Nodes => model.nodes.filter.error().is_some(),
        _ => model.log.filter.error().is_some(),
    }
}

/// A key in a line of text: characters, and the usual keys of a shell.
pub fn edit(input: &mut Input, key: Key) {
    match key.code {
        KeyCode::Char('w') if key.ctrl => input.delete_word(),
        KeyCode::Char('u') if key.ctrl => input.delete_to_start(),
        KeyCode::Char('a') if key.ctrl => input.home(),
        KeyCode::Char('e') if key.ctrl => input.end(),
        KeyCode::Backspace => input.backspace(),
        KeyCode::Delete => input.delete(),
        KeyCode::Left => input.left(),
        KeyCode::Right => input.right(),
        KeyCode::Home => input.home(),
        KeyCode::End => input.end(),
        _ => {
            if let Some(c) = key.typed() {
                input.insert(c.encode_utf8(&mut [0; 4]));
            }
        }
    }
}

/// Text was pasted: into the field that takes text, or, where none is open and it is a link, into
/// a new add form.
pub fn paste(model: &mut Model, text: &str, effects: &mut Vec<Effect>) {
    match model.overlays.last_mut() {
        Some(Overlay::Form(form)) => {
            let taken = forms::paste(form, text, effects);
            if !taken {
                actions::say(model, ToastLevel::Warn, "too much to paste: nothing was taken; paste it in parts");
            }
        }
        Some(Overlay::Palette(palette)) => palette.input.insert(text),
        Some(Overlay::Probe(view)) => super::probe::paste(view, text),
        Some(Overlay::Place(_)) => super::place::paste(model, text, effects),
        Some(Overlay::Filter(filter)) => {
            filter.input.insert(text);
            let (pane, text) = (filter.pane, filter.input.text().to_owned());
            set_filter(model, pane, &text);
        }
        Some(_) => {}
        None if forms::is_link(text) => {
            actions::perform(model, Action::Add, effects);
            if matches!(model.overlays.last(), Some(Overlay::Form(_))) {
                paste(model, text, effects);
            }
        }
        None => {}
    }
}

/// Esc: the topmost dialog goes, and with it what it did so far.
pub fn close(model: &mut Model) {
    match model.overlays.pop() {
        Some(Overlay::Filter(filter)) => set_filter(model, filter.pane, &filter.before),
        Some(Overlay::Themes(view)) => model.choose_theme(view.before),
        _ => {}
    }
}

/// Ctrl-C in a dialog: closes it, or answers the question whether to quit with yes.
pub fn ctrl_c(model: &mut Model, effects: &mut Vec<Effect>) {
    match model.overlays.last() {
        Some(Overlay::Confirm(confirm)) if confirm.yes == [Effect::Quit] => effects.push(Effect::Quit),
        _ => close(model),
    }
}

/// The question was answered with yes.
fn confirmed(model: &mut Model, confirm: Confirm, effects: &mut Vec<Effect>) {
    let Confirm { yes, ids, typed, .. } = confirm;
    let chosen = match typed {
        Some(typed) if typed.is_given() => typed.effects,
        // Something else stands there: neither answer was meant.
        Some(typed) if !typed.input.text().trim().is_empty() => {
            let text = format!("nothing was done: type {} or leave the field empty", typed.word);
            return actions::say(model, ToastLevel::Warn, text);
        }
        _ => yes,
    };
    for effect in &chosen {
        let kind = match effect {
            Effect::Command { command: Command::Cancel { .. }, .. } => WishKind::Cancel,
            Effect::Command { command: Command::Remove { .. }, .. } => WishKind::Remove,
            Effect::Command { command: Command::PoolDrain { name, on: true }, .. } => {
                super::nodes::drained(model, name);
                continue;
            }
            _ => continue,
        };
        model.wishes.add(&ids, kind, model.now.mono_ms);
    }
    model.transfers.marked.clear();
    // The form that asked has its answer.
    if !chosen.is_empty() && matches!(model.overlays.last(), Some(Overlay::Form(_))) {
        model.overlays.pop();
    }
    effects.extend(chosen);
}
