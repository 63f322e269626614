//! The command line: one file per command, and what they share.
//!
//! `args` makes flags from the table of settings, `follow` watches transfers until they end,
//! [`crate::host`] finds or starts the node that carries a command out.

mod args;
mod attach;
mod ban;
mod cancel;
mod class;
mod completions;
mod config;
mod console;
mod context;
mod delta;
mod demo;
mod fetch;
mod follow;
mod get;
mod keys;
mod limit;
mod ls;
mod man;
mod manifest;
mod nodes;
mod path;
mod pause;
mod place;
mod probe;
mod queue;
mod queue_follow;
mod remove;
mod resume;
mod send;
mod serve;
mod settle;
mod share;
mod sync;
mod sync_watch;
mod themes;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use serde_json::json;

use crate::config::table::GLOBAL;
use crate::output::{Exit, Failure, Out};
pub use context::{Context, absolute};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line is wrong
  3  not complete, can be resumed (also after Ctrl-C)
  4  data is not what its digest says
  5  refused: token or permissions

Sizes and rates take K M G (thousands) and KiB MiB GiB, rates are per second;
durations take ms s m h d. Every setting can also stand in the environment
(SKEP_…) or in the configuration file: see `skep config template`.";

/// Moves large data between machines over links of every quality.
///
/// Without a command it opens the console: on the node that runs on this state folder, else on one
/// of its own that ends with the console.
#[derive(Debug, Parser)]
#[command(name = "skep", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// Configuration file; default: skep/config.toml in the XDG config folder [env: SKEP_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Attach(attach::Args),
    Share(share::Args),
    Get(get::Args),
    Send(send::Args),
    Sync(sync::Args),
    Ls(ls::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Cancel(cancel::Args),
    Remove(remove::Args),
    Limit(limit::Args),
    Path(path::Args),
    Probe(probe::Args),
    Queue(queue::Args),
    Nodes(nodes::Args),
    Place(place::Args),
    Ban(ban::Args),
    Verify(verify::Args),
    Manifest(manifest::Args),
    Delta(delta::Args),
    Config(config::Args),
    Keys(keys::Args),
    Themes(themes::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// The whole command line, for parsing, help, completions and man pages.
pub fn command() -> clap::Command {
    let mut command = Cli::command().args(args::of(GLOBAL)).args(args::of(console::FLAGS));
    for (name, flags) in [
        ("serve", serve::FLAGS),
        ("attach", attach::FLAGS),
        ("share", share::FLAGS),
        ("get", get::FLAGS),
        ("send", send::FLAGS),
        ("manifest", manifest::FLAGS),
        ("demo", demo::FLAGS),
    ] {
        command = command.mut_subcommand(name, |sub| sub.args(args::of(flags)));
    }
    command
}

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let matches = match command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => return usage(&error, &arguments).into(),
    };
    let config = match crate::config::load(&matches, &|name| std::env::var_os(name), needs_settings(&matches)) {
        Ok(config) => config,
        Err(error) => {
            let out = Out::new(wants_json(&arguments), 0, "auto");
            return ended(&out, Err(Failure::usage(error.to_string())));
        }
    };
    let settings = &config.settings;
    let out = Out::new(settings.json, settings.verbose, &settings.color);
    let context = Context { config, out };
    ended(&out, dispatch(&matches, &context))
}

/// False for commands that must work with a broken configuration, if only to mend it.
fn needs_settings(matches: &ArgMatches) -> bool {
    match matches.subcommand() {
        Some(("completions" | "man", _)) => false,
        Some(("config", inner)) => inner.subcommand_name() == Some("show"),
        _ => true,
    }
}

fn dispatch(matches: &ArgMatches, cx: &Context) -> Result<Exit, Failure> {
    let cli = Cli::from_arg_matches(matches).map_err(|e| Failure::usage(e.to_string()))?;
    match cli.command {
        None => console::run(cx),
        Some(Command::Demo(args)) => demo::run(cx, &args),
        Some(Command::Serve(args)) => serve::run(cx, &args),
        Some(Command::Attach(args)) => attach::run(cx, &args),
        Some(Command::Share(args)) => share::run(cx, &args),
        Some(Command::Get(args)) => get::run(cx, &args),
        Some(Command::Send(args)) => send::run(cx, &args),
        Some(Command::Sync(args)) => sync::run(cx, &args, matches.subcommand_matches("sync").unwrap_or(matches)),
        Some(Command::Ls(args)) => ls::run(cx, &args),
        Some(Command::Pause(args)) => pause::run(cx, &args),
        Some(Command::Resume(args)) => resume::run(cx, &args),
        Some(Command::Cancel(args)) => cancel::run(cx, &args),
        Some(Command::Remove(args)) => remove::run(cx, &args),
        Some(Command::Limit(args)) => limit::run(cx, &args),
        Some(Command::Path(args)) => path::run(cx, &args),
        Some(Command::Probe(args)) => probe::run(cx, &args),
        Some(Command::Queue(args)) => queue::run(cx, &args),
        Some(Command::Nodes(args)) => nodes::run(cx, &args),
        Some(Command::Place(args)) => place::run(cx, &args),
        Some(Command::Ban(args)) => ban::run(cx, &args),
        Some(Command::Verify(args)) => verify::run(cx, &args),
        Some(Command::Manifest(args)) => manifest::run(cx, &args),
        Some(Command::Delta(args)) => delta::run(cx, &args),
        Some(Command::Config(args)) => config::run(cx, &args),
        Some(Command::Keys(args)) => keys::run(cx, &args),
        Some(Command::Themes(args)) => themes::run(cx, &args),
        Some(Command::Completions(args)) => completions::run(cx, &args),
        Some(Command::Man(args)) => man::run(cx, &args),
    }
}

fn ended(out: &Out, result: Result<Exit, Failure>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            out.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Help and version go to stdout with 0, anything wrong to stderr (or as JSON) with 2.
fn usage(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if !error.use_stderr() {
        let _ = error.print();
        return Exit::Done;
    }
    if wants_json(arguments) {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix("error: ").unwrap_or(line);
        Out::new(true, 0, "never").object(&json!({ "type": "error", "error": line, "exit_code": Exit::Usage as u8 }));
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

/// Was JSON asked for by a command line that could not be parsed as a whole?
fn wants_json(arguments: &[OsString]) -> bool {
    let before_dashes = arguments.iter().take_while(|a| *a != "--");
    let asked = before_dashes.filter_map(|a| a.to_str()).filter_map(|a| match a {
        "--json" => Some(true),
        other => other.strip_prefix("--json=").map(|v| matches!(v, "true" | "1" | "yes" | "on")),
    });
    let env = || std::env::var("SKEP_JSON").is_ok_and(|v| matches!(v.as_str(), "true" | "1" | "yes" | "on"));
    asked.last().unwrap_or_else(env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    /// The help is the manual: no command, no argument without a word on it.
    #[test]
    fn everything_has_help() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {} says nothing", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }

    /// A setting's flag that no command takes would be documented and useless.
    #[test]
    fn every_flag_of_the_table_is_taken_by_some_command() {
        let command = command();
        for setting in crate::config::table::SETTINGS.iter().filter(|s| s.flag.is_some()) {
            let takes = |c: &clap::Command| c.get_arguments().any(|a| a.get_id() == setting.key);
            assert!(takes(&command) || command.get_subcommands().any(takes), "{}", setting.key);
        }
    }

    #[test]
    fn json_is_noticed_in_broken_command_lines() {
        let asked = |args: &[&str]| wants_json(&args.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(asked(&["skep", "get", "--json", "--nonsense"]));
        assert!(!asked(&["skep", "get", "--", "--json"]));
        assert!(!asked(&["skep", "--json", "--json=false"]));
    }
}
