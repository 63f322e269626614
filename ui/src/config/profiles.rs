//! Profiles: what syncs over links of a class do instead of the built-in table. Sections of the file
//! (`[link.profiles.satellite]`), or one text for each class: `satellite chunk=32KiB compression=12`.

use std::collections::BTreeMap;

use skep_engine::control::link::{LinkClass, SyncMode};
use skep_engine::link::params::Patch;

use super::units;

/// What is different, by class.
pub type Profiles = BTreeMap<LinkClass, Patch>;

/// Bytes per chunk, at least and at most.
const CHUNK: std::ops::RangeInclusive<u64> = 4 << 10..=64 << 20;
/// Transfers at a time, at most.
const CONCURRENT: u32 = 1_000;
/// Levels of zstd.
const LEVELS: std::ops::RangeInclusive<i32> = 1..=22;
/// What can be set.
const NAMES: &str = "mode, summary_only, compression, chunk, interval, concurrent, queued";

/// The class of that name.
///
/// # Errors
/// In words, which there are.
pub fn class(name: &str) -> Result<LinkClass, String> {
    let found = LinkClass::ALL.into_iter().find(|class| class.name() == name);
    found.ok_or_else(|| format!("{name:?} is no class of links: {}", LinkClass::ALL.map(LinkClass::name).join(", ")))
}

/// Sets one thing of a profile.
///
/// # Errors
/// In words, what it should have been.
pub fn set(patch: &mut Patch, name: &str, value: &str) -> Result<(), String> {
    let yes = || match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{value:?} is neither true nor false")),
    };
    match name {
        "mode" => {
            let mode = SyncMode::ALL.into_iter().find(|mode| mode.name() == value);
            let names = || SyncMode::ALL.map(SyncMode::name).join(", ");
            patch.mode = Some(mode.ok_or_else(|| format!("{value:?} is none of: {}", names()))?);
        }
        "summary_only" => patch.summary_only = Some(yes()?),
        "queued" => patch.queued = Some(yes()?),
        "compression" => {
            patch.compression = Some(match value {
                "none" => None,
                _ => Some(value.parse().ok().filter(|level| LEVELS.contains(level)).ok_or_else(|| {
                    format!(
                        "{value:?} is neither a level of zstd from {} to {} nor `none`",
                        LEVELS.start(),
                        LEVELS.end()
                    )
                })?),
            });
        }
        "chunk" => {
            let bytes = units::size(value).map_err(|e| e.to_string())?;
            let fits = CHUNK.contains(&bytes).then_some(bytes);
            patch.chunk_bytes = Some(fits.ok_or_else(|| format!("{value:?} is not from 4KiB to 64MiB"))?);
        }
        "interval" => {
            patch.interval_ms = Some(match value {
                "none" => None,
                _ => Some(
                    u64::try_from(units::duration(value).map_err(|e| e.to_string())?.as_millis()).unwrap_or(u64::MAX),
                ),
            });
        }
        "concurrent" => {
            let count = value.parse().ok().filter(|count| (1..=CONCURRENT).contains(count));
            patch.concurrent =
                Some(count.ok_or_else(|| format!("{value:?} is not a whole number from 1 to {CONCURRENT}"))?);
        }
        _ => return Err(format!("{name:?} is nothing that a profile has: {NAMES}")),
    }
    Ok(())
}

/// Reads profiles from a text: one after a comma, each a class and what is different.
///
/// # Errors
/// In words, what is wrong.
pub fn parse(text: &str) -> Result<Profiles, String> {
    let mut profiles = Profiles::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let mut words = part.split_whitespace();
        let patch = profiles.entry(class(words.next().unwrap_or_default())?).or_default();
        for word in words {
            let (name, value) =
                word.split_once('=').ok_or_else(|| format!("{word:?} in {part:?} is not NAME=VALUE"))?;
            set(patch, name, value).map_err(|problem| format!("{name} in {part:?}: {problem}"))?;
        }
    }
    Ok(profiles)
}

/// As the configuration file spells them.
pub fn to_toml(profiles: &Profiles) -> toml::Value {
    let text = |text: String| toml::Value::String(text);
    let table = |patch: &Patch| {
        let mut table = toml::Table::new();
        let mut put = |name: &str, value: Option<toml::Value>| {
            if let Some(value) = value {
                table.insert(name.into(), value);
            }
        };
        put("mode", patch.mode.map(|mode| text(mode.name().into())));
        put("summary_only", patch.summary_only.map(toml::Value::Boolean));
        let level =
            |level: Option<i32>| level.map_or_else(|| text("none".into()), |level| toml::Value::Integer(level.into()));
        put("compression", patch.compression.map(level));
        put("chunk", patch.chunk_bytes.map(|bytes| text(units::show_size(bytes))));
        let time = |ms| text(units::show_duration(std::time::Duration::from_millis(ms)));
        put("interval", patch.interval_ms.map(|ms| ms.map_or_else(|| text("none".into()), time)));
        put("concurrent", patch.concurrent.map(|count| toml::Value::Integer(count.into())));
        put("queued", patch.queued.map(toml::Value::Boolean));
        toml::Value::Table(table)
    };
    toml::Value::Table(profiles.iter().map(|(class, patch)| (class.name().to_owned(), table(patch))).collect())
}

/// Reads profiles from tables in a table.
///
/// # Errors
/// In words, what is wrong, and with which.
pub fn from_toml(classes: &toml::Table) -> Result<Profiles, String> {
    let mut profiles = Profiles::new();
    for (name, fields) in classes {
        let patch = profiles.entry(class(name)?).or_default();
        let fields = fields.as_table().ok_or_else(|| format!("{name}: it takes a section [link.profiles.{name}]"))?;
        for (field, value) in fields {
            set(patch, field, &word(value)?).map_err(|problem| format!("{name}.{field}: {problem}"))?;
        }
    }
    Ok(profiles)
}

/// A value as a word.
///
/// # Errors
/// It is none.
pub fn word(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(yes) => Ok(yes.to_string()),
        other => Err(format!("it does not take {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_and_its_tables_are_the_same() {
        let text = "satellite chunk=32KiB compression=12 mode=delta_only interval=2m, mobile queued=false compression=none \
                    concurrent=4 summary_only=true, intermittent interval=none";
        let profiles = parse(text).unwrap();
        let satellite = Patch {
            mode: Some(SyncMode::DeltaOnly),
            compression: Some(Some(12)),
            chunk_bytes: Some(32 << 10),
            interval_ms: Some(Some(120_000)),
            ..Patch::default()
        };
        assert_eq!(profiles[&LinkClass::Satellite], satellite);
        assert_eq!(profiles[&LinkClass::Intermittent].interval_ms, Some(None));
        let toml::Value::Table(tables) = to_toml(&profiles) else { panic!("no table") };
        assert_eq!(from_toml(&tables), Ok(profiles));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("dsl chunk=1MiB", "no class"),
            ("fiber chunk", "NAME=VALUE"),
            ("fiber chunk=1", "4KiB"),
            ("fiber chunk=1X", "unknown unit"),
            ("fiber color=red", "summary_only"),
            ("fiber mode=fast", "store_and_forward"),
            ("fiber compression=99", "from 1 to 22"),
            ("fiber concurrent=0", "from 1 to 1000"),
            ("fiber queued=maybe", "neither true nor false"),
            ("fiber interval=soon", "duration"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
