//! `skep config`.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use crate::config::{Entry, Settings, Source, template};
use crate::output::{Exit, Failure};

/// Show settings and where they come from
///
/// A flag comes before an environment variable, a variable before the file, the file before the default.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print every setting as it stands, with its source; the output is a configuration file
    Show,
    /// Print the path of the configuration file
    Path,
    /// Print a configuration file that documents every setting with its default
    Template,
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<Exit, Failure> {
    match args.what {
        What::Show if cx.out.json => {
            for entry in &cx.config.entries {
                let (key, value) = (entry.setting.key, entry.value.to_toml());
                let mut object = json!({ "key": key, "value": value, "source": entry.source.to_string() });
                if let (Some(path), Some(object)) = (in_force(cx.settings(), key), object.as_object_mut()) {
                    object.insert("in_force".into(), path.to_string_lossy().into());
                }
                cx.out.object(&object);
            }
        }
        What::Show => cx.out.raw(show(&cx.config.entries, cx.settings()).as_bytes())?,
        What::Path => {
            let none = || Failure::failed("no home folder to look for a configuration in: name one with --config");
            let path = cx.config.file.as_ref().ok_or_else(none)?;
            let there = cx.config.file_found;
            cx.out.result(|| json!({ "path": path, "exists": there }), || path.display().to_string());
            if !there {
                cx.out.say("(not there: `skep config template` writes one)");
            }
        }
        What::Template => cx.out.raw(template().as_bytes())?,
    }
    Ok(Exit::Done)
}

/// The settings as a configuration file, with sources as comments.
fn show(entries: &[Entry], settings: &Settings) -> String {
    let line = |entry: &Entry| format!("{} = {}", entry.setting.place().1, entry.value.to_toml());
    let width = entries.iter().map(|e| line(e).chars().count()).filter(|w| *w <= 60).max().unwrap_or(0);
    let mut out = String::new();
    let mut section = None;
    for entry in entries {
        let of = entry.setting.place().0;
        if of != section {
            section = of;
            out += &format!("\n[{}]\n", of.unwrap_or_default());
        }
        let source = match (&entry.source, in_force(settings, entry.setting.key)) {
            (Source::Default, Some(path)) => format!("default: {}", path.display()),
            (other, _) => other.to_string(),
        };
        out += &format!("{:width$}  # {source}\n", line(entry));
    }
    out
}

/// The folder that an empty setting stands for.
fn in_force<'a>(settings: &'a Settings, key: &str) -> Option<&'a Path> {
    match key {
        "state_dir" => settings.state_dir.as_deref(),
        "root" => settings.root.as_deref(),
        "log_file" if settings.log_file.is_none() => settings.log_dir.as_deref(),
        _ => None,
    }
}
