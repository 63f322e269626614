//! What came of a command.

use skep_engine::control::{CommandError, Reply, TransferId};

use super::actions::{refresh_rows, say};
use crate::console::model::Model;
use crate::console::model::toast::ToastLevel;
use crate::console::widgets::format::Count;
use crate::output::moves::going;

/// Takes an answer: refused wishes go back to what is, and the operator is told.
pub fn take(model: &mut Model, told: &'static str, ids: &[TransferId], result: Result<Reply, CommandError>) {
    match result {
        Ok(Reply::Added { ids: added, .. }) => {
            if let Some(first) = added.first() {
                // The row may be there already or come with a later snapshot.
                model.transfers.awaited = Some(*first);
                refresh_rows(model, false);
            }
            let text = match added.as_slice() {
                [one] => format!("{told}: it is transfer #{one}"),
                many => format!("{told}: {} transfers", many.len()),
            };
            say(model, ToastLevel::Info, text);
        }
        Ok(Reply::Kept(kept)) => say(model, ToastLevel::Warn, format!("{told}: {kept}")),
        Ok(Reply::Interfaces { interfaces }) => super::forms::interfaces(model, &interfaces),
        // Previews, probes and histories come another way.
        Ok(Reply::Preview(_) | Reply::SyncPlan(_) | Reply::Probed(_) | Reply::LinkHistory(_)) => {}
        Ok(Reply::Listed { name }) => {
            say(model, ToastLevel::Info, format!("{name} is listed: u takes it back"));
            model.undo.listed(told, &name);
            model.nodes.awaited = Some(name);
        }
        Ok(Reply::Placed(placement)) => {
            let nodes = placement.nodes.iter().map(|node| &**node).collect::<Vec<_>>().join(", ");
            say(model, ToastLevel::Info, format!("{} belongs to {nodes}", placement.key));
        }
        Ok(Reply::Moves(moves)) => {
            say(model, ToastLevel::Info, format!("{told}: {}", going(&moves).join("; ")));
        }
        Ok(Reply::Enqueued { id, again }) => {
            let words = if again { "is in the queue already" } else { "is in the queue" };
            say(model, ToastLevel::Info, format!("{told}: it {words}, as #{id}"));
        }
        Ok(Reply::Purged { count }) => {
            let s = if count == 1 { " was" } else { "s were" };
            say(model, ToastLevel::Info, format!("{} operation{s} taken out of the queue", Count(count)));
        }
        Ok(Reply::Done) => {
            if told == "lift the ban" {
                say(model, ToastLevel::Info, "the ban is lifted");
            }
        }
        Err(error) => {
            model.live_wishes().drop_all(ids);
            model.paths.refused(ids);
            model.queue.refused();
            model.nodes.refused();
            model.undo.refused(told, ids);
            say(model, ToastLevel::Error, format!("cannot {told}: {}", error.message));
        }
    }
}
