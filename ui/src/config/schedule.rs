//! Rules of `limits.schedule`: `mon-fri 08:00-18:00 up=2M down=5M`, `link=HOST:PORT up=500K`.

use skep_engine::schedule::{DAY, Rule};

use super::units;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Reads a rule: days (`mon-fri`, `sat`, `mon;wed`), a time (`08:00-18:00`) and a link, each of which may be left out, and one
/// limit or both, in any order.
///
/// # Errors
/// In words, which part is wrong and what it should be.
pub fn rule(text: &str) -> Result<Rule, String> {
    let mut rule = Rule { days: [true; 7], minutes: (0, DAY), link: None, up: None, down: None };
    for word in text.split_whitespace() {
        let rate = |text| units::rate(text).map_err(|e| format!("{word:?} in {text:?}: {e}"));
        if let Some(limit) = word.strip_prefix("up=") {
            rule.up = Some(rate(limit)?);
        } else if let Some(limit) = word.strip_prefix("down=") {
            rule.down = Some(rate(limit)?);
        } else if let Some(link) = word.strip_prefix("link=") {
            rule.link = Some(host_and_port(link).ok_or_else(|| format!("{link:?} is not HOST:PORT"))?);
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            rule.minutes = minutes(word).ok_or_else(|| format!("{word:?} is no time such as 08:00-18:00"))?;
        } else {
            rule.days = days(word).ok_or_else(|| {
                format!("{word:?} is neither days such as mon-fri or sat;sun, nor a time, link=, up= or down=")
            })?;
        }
    }
    if rule.up.is_none() && rule.down.is_none() {
        return Err(format!("{text:?} limits nothing: add up=RATE or down=RATE"));
    }
    Ok(rule)
}

fn host_and_port(text: &str) -> Option<String> {
    let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let (host, port) = text.rsplit_once(':')?;
    (!host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()).then(|| text.to_ascii_lowercase())
}

fn minutes(text: &str) -> Option<(u16, u16)> {
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from < DAY && from != to).then_some((from, to))
}

fn days(text: &str) -> Option<[bool; 7]> {
    let day = |text: &str| DAYS.iter().position(|day| text.eq_ignore_ascii_case(day));
    let mut all = [false; 7];
    for part in text.split(';') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (day(from)?, day(to)?);
        let count = (to + 7 - from) % 7;
        (0..=count).for_each(|n| all[(from + n) % 7] = true);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_as_they_are_meant() {
        let all = Rule { days: [true; 7], minutes: (0, DAY), link: None, up: None, down: None };
        let week = [true, true, true, true, true, false, false];
        for (text, is) in [
            (
                "mon-fri 08:00-18:00 up=2M down=unlimited",
                Rule { days: week, minutes: (480, 1_080), up: Some(Some(2_000_000)), down: Some(None), ..all.clone() },
            ),
            (
                "up=1K link=http://Far:7070/",
                Rule { link: Some("far:7070".into()), up: Some(Some(1_000)), ..all.clone() },
            ),
            (
                "22:00-06:00 sat;sun-mon down=5M",
                Rule {
                    days: [true, false, false, false, false, true, true],
                    minutes: (1_320, 360),
                    down: Some(Some(5_000_000)),
                    ..all.clone()
                },
            ),
            ("00:00-24:00 up=1M", Rule { up: Some(Some(1_000_000)), ..all.clone() }),
        ] {
            assert_eq!(rule(text).unwrap(), is, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("", "limits nothing"),
            ("mon-fri 08:00-18:00", "limits nothing"),
            ("mondays up=1M", "mondays"),
            ("25:00-26:00 up=1M", "25:00-26:00"),
            ("08:61-09:00 up=1M", "08:61"),
            ("08:00-08:00 up=1M", "08:00-08:00"),
            ("up=fast", "up=fast"),
            ("link=far up=1M", "HOST:PORT"),
            ("99999999:00-1:00 up=1", "99999999"),
        ] {
            let error = rule(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
