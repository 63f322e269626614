//! `skep keys`.

use serde_json::json;

use super::context::Context;
use crate::console::action::{Scope, TABLE};
use crate::console::keymap::{Keymap, apply};
use crate::output::{Exit, Failure};

/// List the console's keys
///
/// With the changes of the file that `console.keys` names.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) fn run(cx: &Context, _args: &Args) -> Result<Exit, Failure> {
    let (keymap, issues) = match &cx.settings().console.keys {
        None => (Keymap::default(), Vec::new()),
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|e| Failure::because(format!("cannot read the key file {}", file.display()), e))?;
            apply(&text)
        }
    };
    for scope in Scope::ALL {
        let entries = || TABLE.iter().filter(move |entry| entry.scope == scope && !entry.is_hidden());
        if entries().next().is_none() {
            continue;
        }
        cx.out.result(
            || json!({ "type": "scope", "scope": scope.name(), "title": scope.title() }),
            || format!("{}:", scope.title()),
        );
        for entry in entries() {
            let keys = keymap.label(entry.action);
            cx.out.result(
                || json!({ "type": "key", "action": entry.id, "keys": keys, "scope": scope.name(), "doc": entry.doc }),
                || format!("  {keys:<16} {:<24} {}", entry.id, entry.doc),
            );
        }
    }
    for issue in &issues {
        cx.out.say(&format!("key file: {issue}"));
    }
    Ok(if issues.is_empty() { Exit::Done } else { Exit::Usage })
}
