//! The configuration file: reading it strictly, and writing its template.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use skep_engine::content::name::printable;
use skep_engine::link::params::Patch;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::nearest::nearest;
use super::profiles;
use super::table::{self, SETTINGS};
use super::value::{Kind, Value};

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Settings of a file by key, each with its line.
pub type FileValues = BTreeMap<&'static str, (Value, usize)>;

/// Reads a file; none if there is no such file.
///
/// # Errors
/// It cannot be read, is not TOML, has a key that does not exist or a value that its key does not take.
pub fn read(path: &Path) -> Result<Option<FileValues>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.into(), source };
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
        Ok(meta) if meta.len() > MAX_BYTES => {
            return Err(unreadable(std::io::Error::other("larger than 1 MiB: not a configuration")));
        }
        Ok(_) => {}
    }
    parse(&std::fs::read_to_string(path).map_err(unreadable)?, path).map(Some)
}

/// Reads the text of a file; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, path: &Path) -> Result<FileValues, ConfigError> {
    let line_of = |offset: usize| 1 + text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count();
    let document = DeTable::parse(text).map_err(|e| ConfigError::Syntax {
        path: path.into(),
        line: e.span().map_or(1, |span| line_of(span.start)),
        problem: printable(e.message()),
    })?;
    let mut values = FileValues::new();
    for (name, value) in document.get_ref() {
        let line = line_of(name.span().start);
        match value.get_ref() {
            DeValue::Table(section) if table::find(name.get_ref()).is_none() => {
                if !SETTINGS.iter().any(|s| s.place().0 == Some(name.get_ref())) {
                    return Err(unknown(name.get_ref(), line, path));
                }
                for (inner, value) in section {
                    if let (Kind::Profiles, DeValue::Table(classes)) =
                        (kind(name.get_ref(), inner.get_ref()), value.get_ref())
                    {
                        check_profiles(classes, &line_of, path)?;
                    }
                    let key = format!("{}.{}", name.get_ref(), inner.get_ref());
                    take(&key, value.get_ref(), line_of(inner.span().start), path, &mut values)?;
                }
            }
            value => take(name.get_ref(), value, line, path, &mut values)?,
        }
    }
    Ok(values)
}

fn kind(section: &str, name: &str) -> Kind {
    table::find(&format!("{section}.{name}")).map_or(Kind::Text, |setting| setting.kind)
}

/// Profiles are tables in a table: what is wrong stands in a line of its own.
fn check_profiles(classes: &DeTable<'_>, line_of: &dyn Fn(usize) -> usize, path: &Path) -> Result<(), ConfigError> {
    let wrong = |key: &str, offset: usize, problem: String| {
        let key = printable(key);
        ConfigError::Value {
            origin: format!("link.profiles.{key} in {} line {}", path.display(), line_of(offset)),
            problem,
        }
    };
    for (class, fields) in classes {
        profiles::class(class.get_ref()).map_err(|problem| wrong(class.get_ref(), class.span().start, problem))?;
        let DeValue::Table(fields) = fields.get_ref() else {
            return Err(wrong(class.get_ref(), class.span().start, "it takes a section of its own".into()));
        };
        for (name, value) in fields {
            let set = plain(value.get_ref()).and_then(|value| profiles::word(&value));
            let set = set.and_then(|value| profiles::set(&mut Patch::default(), name.get_ref(), &value));
            set.map_err(|problem| {
                wrong(&format!("{}.{}", class.get_ref(), name.get_ref()), name.span().start, problem)
            })?;
        }
    }
    Ok(())
}

fn unknown(key: &str, line: usize, path: &Path) -> ConfigError {
    ConfigError::UnknownKey { key: printable(key), line, path: path.into(), nearest: nearest(key) }
}

fn take(key: &str, value: &DeValue<'_>, line: usize, path: &Path, into: &mut FileValues) -> Result<(), ConfigError> {
    let setting = table::find(key).ok_or_else(|| unknown(key, line, path))?;
    let wrong = |problem| ConfigError::Value { origin: format!("{key} in {} line {line}", path.display()), problem };
    let value = setting.kind.from_toml(&plain(value).map_err(wrong)?).map_err(wrong)?;
    into.insert(setting.key, (value, line));
    Ok(())
}

/// The value without its place in the text.
fn plain(value: &DeValue<'_>) -> Result<toml::Value, String> {
    Ok(match value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Boolean(yes) => toml::Value::Boolean(*yes),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(toml::Value::Integer)
            .map_err(|_| format!("{number} is too large"))?,
        DeValue::Float(number) => {
            number.as_str().parse().map(toml::Value::Float).map_err(|_| format!("{number} is not a number"))?
        }
        DeValue::Array(items) => {
            toml::Value::Array(items.iter().map(|item| plain(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(fields) => {
            let field = |(name, value): (_, &Spanned<DeValue<'_>>)| Ok((name, plain(value.get_ref())?));
            let named = fields.iter().map(|(name, value)| field((name.get_ref().to_string(), value)));
            toml::Value::Table(named.collect::<Result<_, String>>()?)
        }
        DeValue::Datetime(_) => return Err("it does not take a date".into()),
    })
}

/// A configuration file with every setting, its meaning, its variable and its default, all commented out.
pub fn template() -> String {
    let mut out = String::from(
        "# Configuration of skep. Every line below is a default: remove the # to change it.\n\
         # A flag comes before a variable, a variable before this file.\n\
         # Sizes and rates take K M G KiB MiB GiB, durations ms s m h d.\n",
    );
    let mut section = None;
    for setting in SETTINGS {
        let (of, name) = setting.place();
        if of != section {
            section = of;
            let _ = write!(out, "\n[{}]\n", of.unwrap_or_default());
        }
        out.push('\n');
        for line in wrap(&format!("{}.", setting.doc), 96) {
            let _ = writeln!(out, "# {line}");
        }
        if let super::value::Kind::Choice(words) = setting.kind {
            let _ = writeln!(out, "# One of: {}.", words.join(", "));
        }
        let _ = writeln!(out, "# Variable: {}{}", setting.env(), flag_words(setting));
        let _ = writeln!(out, "#{name} = {}", setting.default_value().to_toml());
    }
    out
}

fn flag_words(setting: &table::Setting) -> String {
    setting.flag.map(|f| format!(", flag: --{}", f.long)).unwrap_or_default()
}

/// Breaks a text at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template with its settings in force.
    fn in_force() -> String {
        let setting = |line: &str| line.strip_prefix('#').filter(|l| !l.starts_with(' ')).map(str::to_owned);
        template().lines().map(|line| setting(line).unwrap_or_else(|| line.into()) + "\n").collect()
    }

    #[test]
    fn the_template_holds_every_setting_at_its_default() {
        let values = parse(&in_force(), Path::new("template")).unwrap();
        assert_eq!(values.len(), SETTINGS.len());
        for setting in SETTINGS {
            assert_eq!(values[setting.key].0, setting.default_value(), "{}", setting.key);
        }
        assert!(parse(&template(), Path::new("template")).unwrap().is_empty(), "as it is, it changes nothing");
    }

    #[test]
    fn unknown_keys_are_named_with_file_line_and_neighbour() {
        for (text, key, nearest) in [
            ("\nlistne = \"127.0.0.1:1\"\n", "listne", "`listen`"),
            ("[share]\n\npiece_len = 5\n", "share.piece_len", "`share.piece_length`"),
            ("[limit]\nup = \"5M\"\n", "limit", ""),
            ("[limits]\nup.x = \"5M\"\n", "limits.up", ""),
        ] {
            let error = parse(text, Path::new("/x/config.toml")).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("/x/config.toml") && error.contains(nearest), "{error}");
            assert!(error.contains("line "), "{error}");
        }
    }

    #[test]
    fn values_are_checked_with_their_place() {
        for (text, words) in [
            ("listen = 7070", "text in quotes"),
            ("[limits]\nup = \"5X\"", "unknown unit"),
            ("color = \"purple\"", "auto, always, never"),
            ("json = \"yes\"", "true or false"),
            ("trackers = \"http://x\"", "list"),
            ("verbose = 99999999999999999999", "too large"),
            ("listen = ", "line 1"),
        ] {
            let error = parse(text, Path::new("c.toml")).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("c.toml"), "{text}: {error}");
        }
    }

    #[test]
    fn profiles_are_sections_and_what_is_wrong_in_them_has_its_line() {
        let text =
            "[link]\nbudget = 2.5\n[link.profiles.satellite]\nchunk = \"32KiB\"\ncompression = 12\nqueued = false\n";
        let values = parse(text, Path::new("c.toml")).unwrap();
        assert_eq!(values["link.budget"].0, Value::Number(2.5));
        let read = profiles::parse("satellite chunk=32KiB compression=12 queued=false").unwrap();
        assert_eq!(values["link.profiles"].0, Value::Profiles(read));
        for (text, words) in [
            (
                "[link.profiles.satellite]\nchunk = \"32KiB\"\ncompression = 99\n",
                "link.profiles.satellite.compression in c.toml line 3",
            ),
            ("[link.profiles.dsl]\nchunk = \"32KiB\"\n", "link.profiles.dsl in c.toml line 1"),
            ("[link]\n\nprofiles.mobile.color = 5\n", "line 3: \"color\" is nothing that a profile has"),
            ("[link.profiles]\nfiber = 5\n", "line 2"),
            ("[link]\nprofiles = \"x\"\n", "it takes sections"),
            ("[link]\nbudget = 90\n", "from 0.1 to 50"),
        ] {
            let error = parse(text, Path::new("c.toml")).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn numbers_stand_for_themselves() {
        let values = parse("[limits]\nup = 1_000\ndown = \"1.5MiB\"\n[share]\nratio = 2\n", Path::new("c")).unwrap();
        assert_eq!(values["limits.up"].0, Value::Rate(Some(1000)));
        assert_eq!(values["limits.down"].0, Value::Rate(Some(3 << 19)));
        assert_eq!(values["share.ratio"].0, Value::Ratio(Some(2.0)));
    }
}
