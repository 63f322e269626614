//! The value of a setting: what kinds there are, how text and TOML become one, how it is spelled.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::profiles::{self, Profiles};
use super::{schedule, units};

/// What a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number in a range.
    Count(u64, u64),
    /// A whole number in a range, or `auto`.
    AutoCount(u64, u64),
    /// Bytes: 0, or at least 1 MiB.
    Size,
    /// Bytes, or `auto`.
    AutoSize,
    /// Bytes per second, or `unlimited`.
    Rate,
    /// A span of time.
    Duration,
    /// A span of time, or `none`.
    MaybeDuration,
    /// A number above 0, or `none`.
    MaybeRatio,
    /// A number in a range.
    Number(f64, f64),
    /// A number in a range, or `none`.
    MaybeNumber(f64, f64),
    /// So many numbers, none below 0 and not all of them 0: a TOML array, a comma-separated variable.
    Weights(usize),
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A file or folder; empty: not set.
    Path,
    /// `ADDR:PORT`.
    Address,
    /// Several texts: a TOML array, a comma-separated variable, a flag given several times.
    List,
    /// Rules for limits, given as a list.
    Schedule,
    /// What is different about classes of links.
    Profiles,
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Count`].
    Count(u64),
    /// Of [`Kind::AutoCount`]; none is `auto`.
    AutoCount(Option<u64>),
    /// Of [`Kind::Size`].
    Size(u64),
    /// Of [`Kind::AutoSize`]; none is `auto`.
    AutoSize(Option<u64>),
    /// Of [`Kind::Rate`]; none is `unlimited`.
    Rate(Option<u64>),
    /// Of [`Kind::Duration`] and [`Kind::MaybeDuration`]; none is `none`.
    Duration(Option<Duration>),
    /// Of [`Kind::MaybeRatio`] and [`Kind::MaybeNumber`]; none is `none`.
    Ratio(Option<f64>),
    /// Of [`Kind::Number`].
    Number(f64),
    /// Of [`Kind::Weights`].
    Weights(Vec<f64>),
    /// Of [`Kind::Profiles`].
    Profiles(Profiles),
    /// Of [`Kind::Text`] and [`Kind::Choice`].
    Text(String),
    /// Of [`Kind::Path`].
    Path(Option<PathBuf>),
    /// Of [`Kind::Address`].
    Address(SocketAddr),
    /// Of [`Kind::List`].
    List(Vec<String>),
}

impl Kind {
    /// Reads a value from a flag or variable.
    ///
    /// # Errors
    /// In words, what it should have been.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        let words = |e: units::UnitError| e.to_string();
        Ok(match self {
            Self::Bool => Value::Bool(match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => true,
                "false" | "0" | "no" | "off" => false,
                _ => return Err(format!("{text:?} is neither true nor false")),
            }),
            Self::Count(least, most) => Value::Count(count(text, least, most)?),
            Self::AutoCount(..) if text == "auto" => Value::AutoCount(None),
            Self::AutoCount(least, most) => Value::AutoCount(Some(count(text, least, most)?)),
            Self::Size => match units::size(text).map_err(words)? {
                bytes @ (0 | 0x10_0000..) => Value::Size(bytes),
                _ => return Err(format!("{text:?} is neither 0 nor 1MiB or more")),
            },
            Self::AutoSize if text == "auto" => Value::AutoSize(None),
            Self::AutoSize => Value::AutoSize(Some(units::size(text).map_err(words)?)),
            Self::Rate => Value::Rate(units::rate(text).map_err(words)?),
            Self::MaybeDuration if text == "none" => Value::Duration(None),
            Self::Duration | Self::MaybeDuration => Value::Duration(Some(units::duration(text).map_err(words)?)),
            Self::MaybeRatio if text == "none" => Value::Ratio(None),
            Self::MaybeRatio => match text.parse::<f64>() {
                Ok(ratio) if ratio.is_finite() && ratio > 0.0 => Value::Ratio(Some(ratio)),
                _ => return Err(format!("{text:?} is neither a ratio such as 1.5 nor `none`")),
            },
            Self::Number(least, most) => match text.trim().parse::<f64>() {
                Ok(number) if (least..=most).contains(&number) => Value::Number(number),
                _ => return Err(format!("{text:?} is not a number from {least} to {most}")),
            },
            Self::MaybeNumber(..) if text == "none" => Value::Ratio(None),
            Self::MaybeNumber(least, most) => match text.trim().parse::<f64>() {
                Ok(number) if (least..=most).contains(&number) => Value::Ratio(Some(number)),
                _ => return Err(format!("{text:?} is neither a number from {least} to {most} nor `none`")),
            },
            Self::Weights(count) => Value::Weights(weights(text, count)?),
            Self::Profiles => Value::Profiles(profiles::parse(text)?),
            Self::Text => Value::Text(text.into()),
            Self::Choice(words) if words.contains(&text) => Value::Text(text.into()),
            Self::Choice(words) => return Err(format!("{text:?} is none of: {}", words.join(", "))),
            Self::Path => Value::Path((!text.is_empty()).then(|| PathBuf::from(text))),
            Self::Address => {
                Value::Address(text.parse().map_err(|_| format!("{text:?} is not ADDR:PORT such as 127.0.0.1:7070"))?)
            }
            Self::List | Self::Schedule => {
                let items =
                    Value::List(text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(Into::into).collect());
                self.checked(items)?
            }
        })
    }

    /// Reads a value from the configuration file.
    ///
    /// # Errors
    /// In words, what it should have been.
    pub fn from_toml(self, value: &toml::Value) -> Result<Value, String> {
        match (self, value) {
            (Self::List | Self::Schedule, toml::Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| format!("{item} is not a text in quotes")))
                .collect::<Result<_, _>>()
                .and_then(|items| self.checked(Value::List(items))),
            (Self::Weights(_), toml::Value::Array(items)) => {
                self.parse(&items.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
            (Self::List | Self::Schedule, _) => Err("it takes a list: [\"…\", \"…\"]".into()),
            (Self::Profiles, toml::Value::Table(classes)) => profiles::from_toml(classes).map(Value::Profiles),
            (Self::Profiles, _) => Err("it takes sections: [link.profiles.satellite]".into()),
            (_, toml::Value::Table(_)) => Err("it does not take a table".into()),
            (Self::Bool, toml::Value::Boolean(yes)) => Ok(Value::Bool(*yes)),
            (Self::Bool, _) => Err("it takes true or false, without quotes".into()),
            (_, toml::Value::String(text)) => self.parse(text),
            (Self::Text | Self::Choice(_) | Self::Path | Self::Address, _) => Err("it takes a text in quotes".into()),
            (_, toml::Value::Integer(number)) => self.parse(&number.to_string()),
            (Self::MaybeRatio | Self::Number(..) | Self::MaybeNumber(..), toml::Value::Float(number)) => {
                self.parse(&number.to_string())
            }
            (_, other) => Err(format!("it does not take {other}")),
        }
    }
}

impl Kind {
    /// A list, if each of its items is what this kind takes.
    fn checked(self, list: Value) -> Result<Value, String> {
        if let (Self::Schedule, Value::List(items)) = (self, &list) {
            items.iter().try_for_each(|item| schedule::rule(item).map(drop))?;
        }
        Ok(list)
    }
}

fn count(text: &str, least: u64, most: u64) -> Result<u64, String> {
    match text.parse() {
        Ok(n) if (least..=most).contains(&n) => Ok(n),
        _ => Err(format!("{text:?} is not a whole number from {least} to {most}")),
    }
}

/// So many numbers that say how much of each.
fn weights(text: &str, count: usize) -> Result<Vec<f64>, String> {
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|item| item.trim().parse::<f64>()).collect();
    match numbers {
        Ok(all)
            if all.len() == count
                && all.iter().all(|weight| (0.0..=1e6).contains(weight))
                && all.iter().sum::<f64>() > 1e-6 =>
        {
            Ok(all)
        }
        _ => Err(format!("{text:?} is not {count} numbers from 0 on, some of them above it")),
    }
}

impl Value {
    /// As the configuration file spells it.
    pub fn to_toml(&self) -> toml::Value {
        let text = |t: String| toml::Value::String(t);
        match self {
            Self::Bool(yes) => toml::Value::Boolean(*yes),
            Self::Count(n) | Self::AutoCount(Some(n)) => toml::Value::Integer(i64::try_from(*n).unwrap_or(i64::MAX)),
            Self::AutoCount(None) | Self::AutoSize(None) => text("auto".into()),
            Self::AutoSize(Some(n)) | Self::Size(n) => text(units::show_size(*n)),
            Self::Rate(rate) => text(units::show_rate(*rate)),
            Self::Duration(None) | Self::Ratio(None) => text("none".into()),
            Self::Duration(Some(span)) => text(units::show_duration(*span)),
            Self::Ratio(Some(ratio)) => toml::Value::Float(*ratio),
            Self::Number(number) if number.fract() == 0.0 => toml::Value::Integer(*number as i64),
            Self::Number(number) => toml::Value::Float(*number),
            Self::Weights(all) => toml::Value::Array(all.iter().copied().map(toml::Value::Float).collect()),
            Self::Profiles(profiles) => profiles::to_toml(profiles),
            Self::Text(t) => text(t.clone()),
            Self::Path(path) => text(path.as_deref().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default()),
            Self::Address(address) => text(address.to_string()),
            Self::List(items) => toml::Value::Array(items.iter().cloned().map(toml::Value::String).collect()),
        }
    }
}
