//! Settings: a flag comes before the environment, the environment before the file, the file before
//! the default.
//!
//! [`table`] lists them all; [`load`] finds each one's value and remembers where it came from;
//! [`Settings`] is what the rest of the program reads.

mod file;
mod folders;
mod nearest;
mod profiles;
mod schedule;
mod settings;
pub mod table;
pub mod targets;
pub mod units;
mod value;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;

pub use file::template;
pub use folders::Folders;
pub use settings::Settings;
pub use value::{Kind, Value};

use skep_engine::link::Misplaced;
use table::{SETTINGS, Setting};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// Line of the configuration file.
    File(usize),
    /// This variable.
    Environment(String),
    /// This flag.
    Flag(&'static str),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => write!(f, "file, line {line}"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag(long) => write!(f, "flag --{long}"),
        }
    }
}

/// A setting as it stands.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which.
    pub setting: &'static Setting,
    /// What it is.
    pub value: Value,
    /// Where that came from.
    pub source: Source,
}

/// What a configuration can be wrong about.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `--config` names a file that is not there.
    #[error("no configuration file {}: make one with `skep config template > FILE`", .0.display())]
    Missing(PathBuf),
    /// It is there and cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("{} line {line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}` in {} line {line}{}", path.display(), did_you_mean(*nearest))]
    UnknownKey {
        /// As it stands there.
        key: String,
        /// Where.
        line: usize,
        /// The file.
        path: PathBuf,
        /// A key that is spelled alike.
        nearest: Option<&'static str>,
    },
    /// A value that its setting does not take.
    #[error("{origin}: {problem}")]
    Value {
        /// The setting and where it was given.
        origin: String,
        /// What is wrong.
        problem: String,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    match nearest {
        Some(key) => format!(": did you mean `{key}`?"),
        None => ": `skep config template` lists those there are".into(),
    }
}

/// The settings with their sources.
#[derive(Debug, Clone)]
pub struct Config {
    /// In the order of the table.
    pub entries: Vec<Entry>,
    /// The configuration file, there or not; none for a user without a home.
    pub file: Option<PathBuf>,
    /// True if the file is there.
    pub file_found: bool,
    /// The user's folders.
    pub folders: Option<Folders>,
    /// The values.
    pub settings: Settings,
}

impl Config {
    /// Where a setting's value came from.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.entries.iter().find(|entry| entry.setting.key == key).map(|entry| &entry.source)
    }
}

/// How [`load`] asks for a variable; a parameter so that tests need no global state.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Finds every setting's value. Without `read_file` the configuration file is left alone, for the
/// commands that help to mend a broken one.
///
/// # Errors
/// A file or variable that is wrong; flags were checked when they were parsed.
pub fn load(matches: &ArgMatches, env: Environment<'_>, read_file: bool) -> Result<Config, ConfigError> {
    let folders = Folders::find();
    let env = |name: &str| env(name).filter(|v| !v.is_empty());
    let given = flag::<PathBuf>(matches, "config").or_else(|| env("SKEP_CONFIG").map(PathBuf::from));
    let file = given.clone().or_else(|| folders.as_ref().map(Folders::config_file));
    let found = file.as_deref().filter(|_| read_file).map(file::read).transpose()?.flatten();
    if let (Some(path), None, true) = (given, &found, read_file) {
        return Err(ConfigError::Missing(path));
    }
    let mut entries = Vec::with_capacity(SETTINGS.len());
    for setting in SETTINGS {
        let (value, source) = if let (Some(value), Some(flag)) = (flag_value(matches, setting), setting.flag) {
            (value, Source::Flag(flag.long))
        } else if let Some(text) = env(&setting.env()) {
            (variable(setting, &text)?, Source::Environment(setting.env()))
        } else if let Some((value, line)) = found.as_ref().and_then(|f| f.get(setting.key)) {
            (anchored(value.clone(), folders.as_ref(), file.as_deref()), Source::File(*line))
        } else {
            (setting.default_value(), Source::Default)
        };
        entries.push(Entry { setting, value, source });
    }
    let settings = Settings::new(&entries, folders.as_ref());
    settings.link.check().map_err(|misplaced| out_of_place(&entries, file.as_deref(), &misplaced))?;
    let file_found = file.as_deref().is_some_and(Path::is_file);
    Ok(Config { entries, file_found, file, folders, settings })
}

/// A setting that does not fit to another one: which, and where it was given. Of two the one that somebody gave.
fn out_of_place(entries: &[Entry], file: Option<&Path>, misplaced: &Misplaced) -> ConfigError {
    let entry = |name: &str| entries.iter().find(|entry| entry.setting.key == format!("link.{name}"));
    let given = |entry: &&Entry| entry.source != Source::Default;
    let own = entry(misplaced.name);
    let other = misplaced.other.and_then(entry).filter(given);
    let at = own.filter(given).or(other).or(own);
    let origin = match at.map(|entry| (&entry.source, entry.setting.key)) {
        Some((Source::File(line), key)) => {
            let path = file.unwrap_or_else(|| Path::new("the configuration"));
            format!("{key} in {} line {line}", path.display())
        }
        Some((source, key)) => format!("{key} ({source})"),
        None => format!("link.{}", misplaced.name),
    };
    ConfigError::Value { origin, problem: misplaced.to_string() }
}

/// A variable's value.
fn variable(setting: &Setting, text: &std::ffi::OsStr) -> Result<Value, ConfigError> {
    if let Kind::Path = setting.kind {
        return Ok(Value::Path(Some(PathBuf::from(text))));
    }
    let parsed = text.to_str().ok_or_else(|| "it is not UTF-8".to_owned()).and_then(|text| setting.kind.parse(text));
    parsed.map_err(|problem| ConfigError::Value { origin: format!("environment variable {}", setting.env()), problem })
}

/// Paths in a file start at the file.
fn anchored(value: Value, folders: Option<&Folders>, file: Option<&Path>) -> Value {
    match (value, file) {
        (Value::Path(Some(path)), Some(file)) => Value::Path(Some(Folders::from_file(folders, &path, file))),
        (value, _) => value,
    }
}

/// The matches of the command itself and of the commands below it, outermost first.
fn levels(matches: &ArgMatches) -> impl Iterator<Item = &ArgMatches> {
    std::iter::successors(Some(matches), |m| m.subcommand().map(|(_, inner)| inner))
}

/// A flag that was given on the command line, at whatever level.
fn flag<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<T> {
    levels(matches).filter_map(|m| m.try_get_one::<T>(id).ok().flatten()).last().cloned()
}

/// A setting's flag, if it was given.
fn flag_value(matches: &ArgMatches, setting: &Setting) -> Option<Value> {
    let level = levels(matches)
        .filter(|m| m.try_contains_id(setting.key).unwrap_or(false))
        .filter(|m| m.value_source(setting.key) == Some(ValueSource::CommandLine))
        .last()?;
    if setting.key == "verbose" {
        return level.try_get_one::<u8>(setting.key).ok().flatten().map(|n| Value::Count(u64::from(*n)));
    }
    let values = level.try_get_many::<Value>(setting.key).ok().flatten()?;
    // A list's flag may be given several times, each with one or more items.
    values.cloned().reduce(|before, next| match (before, next) {
        (Value::List(mut all), Value::List(more)) => {
            all.extend(more);
            Value::List(all)
        }
        (_, next) => next,
    })
}

#[cfg(test)]
mod tests;
