//! `skep themes`.

use std::path::PathBuf;

use serde_json::json;

use super::console;
use super::context::Context;
use crate::console::model::looks::ThemeChoice;
use crate::console::theme;
use crate::output::{Exit, Failure};

/// List the console's themes
///
/// `auto` (slate, or paper where the terminal's ground is light), the built-in ones, and those in the folder `themes` beside the configuration file. Choose one with --theme, in the
/// configuration, or with `t` in the console.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) fn run(cx: &Context, _args: &Args) -> Result<Exit, Failure> {
    let chosen = &cx.settings().console.theme;
    let own = console::theme_dir(cx).and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let mut own: Vec<PathBuf> =
        own.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    own.sort();
    let builtin = std::iter::once(ThemeChoice::AUTO).chain(theme::builtin_names()).map(|name| (name.to_owned(), None));
    let own = own.into_iter().filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), Some(path))));
    for (name, path) in builtin.chain(own) {
        let name = skep_engine::content::name::printable(&name);
        cx.out.result(
            || json!({ "type": "theme", "name": name, "chosen": name == *chosen, "path": path }),
            || format!("{} {name}", if name == *chosen { "*" } else { " " }),
        );
    }
    Ok(Exit::Done)
}
