//! `skep keys`.

use serde_json::json;

use super::context::Context;
use crate::console::action::{Entry, Scope, TABLE};
use crate::console::keymap::{self, Keymap};
use crate::output::{Align, Exit, Failure, Table};

/// List the console's keys and what they do
///
/// With the changes of the file that the setting console.keys names. Such a file has a section per scope, and in
/// it lines like "ctrl-x" = "transfer.cancel", or "x" = false to free a key.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The defaults as a page of the documentation
    #[arg(long, hide = true)]
    markdown: bool,
}

/// What stands above the tables of the page.
const PAGE_HEAD: &str = "\
# Keys

The console's keys as they are without a key file; `skep keys` lists them with yours, `?` shows
those that work where you are. Change them in the file that the setting `console.keys` names: a
section per scope, in it lines like `\"ctrl-x\" = \"transfer.cancel\"`, or `\"x\" = false` to free a key.

Generated from the console's table of actions by `skep keys --markdown`: change the table, not this page.";

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    if args.markdown {
        cx.out.line(&page(&Keymap::default()));
        return Ok(Exit::Done);
    }
    let mut exit = Exit::Done;
    let keymap = match &cx.settings().console.keys {
        None => Keymap::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Failure::because(format!("cannot read the keys in {}", path.display()), e))?;
            let (keymap, issues) = keymap::apply(&text);
            exit = if issues.is_empty() { Exit::Done } else { Exit::Usage };
            for issue in issues {
                cx.out.say(&format!("{}: {issue}", path.display()));
            }
            keymap
        }
    };
    for (nth, scope) in Scope::ALL.into_iter().filter(|scope| shown(*scope).next().is_some()).enumerate() {
        let mut table = Table::new(&[("KEYS", Align::Left), ("ACTION", Align::Left), ("WHAT IT DOES", Align::Left)]);
        for entry in shown(scope) {
            let keys = keymap.label(entry.action);
            if cx.out.json {
                let keys: Vec<String> = keymap.chords(entry.action).map(keymap::chord_name).collect();
                let object = json!({ "type": "key", "scope": scope.name(), "action": entry.id, "title": entry.title, "doc": entry.doc, "keys": keys });
                cx.out.object(&object);
            } else {
                table.row(vec![keys, entry.id.into(), entry.doc.into()]);
            }
        }
        if !cx.out.json {
            let gap = if nth == 0 { "" } else { "\n" };
            cx.out.line(&format!("{gap}{} [{}]", cx.out.paint_out(scope.title(), "1"), scope.name()));
            for line in table.lines() {
                cx.out.line(&format!("  {line}"));
            }
        }
    }
    Ok(exit)
}

/// The actions of a scope that are of use to operators.
fn shown(scope: Scope) -> impl Iterator<Item = &'static Entry> {
    TABLE.iter().filter(move |entry| entry.scope == scope && !entry.is_hidden())
}

/// `docs/KEYS.md`: a table per scope.
fn page(keymap: &Keymap) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let mut page = PAGE_HEAD.to_owned();
    for scope in Scope::ALL.into_iter().filter(|scope| shown(*scope).next().is_some()) {
        page += &format!(
            "\n\n## {} (`[{}]`)\n\n| Keys | Action | What it does |\n|---|---|---|",
            scope.title(),
            scope.name()
        );
        for entry in shown(scope) {
            let keys: Vec<String> =
                keymap.chords(entry.action).map(|chord| format!("`{}`", cell(&keymap::chord_name(chord)))).collect();
            page += &format!("\n| {} | `{}` | {} |", keys.join(" "), entry.id, cell(entry.doc));
        }
    }
    page
}
