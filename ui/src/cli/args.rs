//! Command-line arguments made from the table of settings, so that a flag, its variable and its
//! key in the file are one thing.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Arg, ArgAction};

use crate::config::table::{self, GLOBAL, Setting};
use crate::config::{Kind, Value};

/// The arguments of these settings. Their ids are the settings' keys.
pub fn of(keys: &[&str]) -> Vec<Arg> {
    keys.iter().filter_map(|key| table::find(key)).filter_map(argument).collect()
}

fn argument(setting: &'static Setting) -> Option<Arg> {
    let flag = setting.flag?;
    let mut arg = Arg::new(setting.key).long(flag.long).help(summary(setting)).long_help(help(setting));
    if let Some(short) = flag.short {
        arg = arg.short(short);
    }
    if GLOBAL.contains(&setting.key) {
        arg = arg.global(true).help_heading("Global options");
    }
    if setting.key == "verbose" {
        return Some(arg.action(ArgAction::Count));
    }
    let kind = setting.kind;
    let parse = move |text: &str| kind.parse(text);
    arg = arg.value_name(flag.value).action(ArgAction::Set);
    Some(match kind {
        Kind::Bool => arg
            .value_parser(parse)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true),
        Kind::Choice(words) => arg.value_parser(PossibleValuesParser::new(words).map(Value::Text)),
        Kind::List | Kind::Schedule | Kind::Profiles => arg.value_parser(parse).action(ArgAction::Append),
        Kind::Path => arg.value_parser(parse).value_hint(clap::ValueHint::AnyPath),
        _ => arg.value_parser(parse),
    })
}

/// For `-h`: the first sentence.
fn summary(setting: &Setting) -> String {
    let end = [". ", "; "].iter().filter_map(|stop| setting.doc.find(stop)).min();
    format!("{}{}", &setting.doc[..end.unwrap_or(setting.doc.len())], default(setting))
}

/// For `--help`: everything, and its other names.
fn help(setting: &Setting) -> String {
    format!("{}{} [env: {}]", setting.doc, default(setting), setting.env())
}

fn default(setting: &Setting) -> String {
    match setting.default {
        "" | "false" | "0" | "none" => String::new(),
        default => format!(" [default: {default}]"),
    }
}
