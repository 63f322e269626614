//! What the add form makes of the text typed into it, while it is typed.
//!
//! This judges form only, so that a mistake shows at once; the engine has the last word.

/// What a typed link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// `skep://HOST:PORT/CONTENT_ID`.
    Skep {
        /// Host and port.
        host: String,
        /// The first digits of the content id.
        id: String,
    },
    /// `pool:NAME/CONTENT`: this content, by id or name.
    Pool(String),
    /// A URL of a manifest or Metalink.
    Url,
    /// A manifest or Metalink file where the console runs.
    Path,
}

/// Judges a link as far as typed.
///
/// # Errors
/// What is wrong or missing, in words for the line below the field.
pub fn judge(text: &str) -> Result<Typed, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a skep:// link, an http(s) URL, or the path of a manifest or .meta4 file".to_owned());
    }
    if let Some(rest) = text.strip_prefix("pool:") {
        return match rest.split_once('/') {
            Some((pool, content)) if !pool.is_empty() && !content.is_empty() => Ok(Typed::Pool(content.to_owned())),
            _ => Err("pool:NAME/CONTENT, by its name or its content id".to_owned()),
        };
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let is_path = text.starts_with(['/', '.', '~']) || text.contains('/') || text.contains('.');
        return if is_path {
            Ok(Typed::Path)
        } else {
            Err("neither a link nor a path (./name for a file here)".into())
        };
    };
    match scheme.to_ascii_lowercase().as_str() {
        "skep" => {
            let (host, id) = rest.split_once('/').ok_or("the content id is missing: skep://HOST:PORT/CONTENT_ID")?;
            check_host(host)?;
            if !id.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err("the content id has digits that are not hex".to_owned());
            }
            if id.len() != 64 {
                return Err(format!("the content id has {} of 64 hex digits", id.len()));
            }
            Ok(Typed::Skep { host: host.to_owned(), id: id[..12].to_ascii_lowercase() })
        }
        "http" | "https" => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            if host.is_empty() || host.contains(char::is_whitespace) {
                return Err("the host is missing".to_owned());
            }
            Ok(Typed::Url)
        }
        other => Err(format!("{other}:// is not spoken here (skep://, http:// or https://)")),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let (name, port) = host.rsplit_once(':').ok_or("the port is missing: skep://HOST:PORT/CONTENT_ID")?;
    let bracketed = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let named = match bracketed {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)),
    };
    if !named {
        return Err(format!("{name:?} is no host name or address (IPv6 goes in brackets)"));
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err(format!("{port:?} is no port")),
    }
}

/// Parses a rate: `5M`, `1.5 MiB`, `800k`, `unlimited`. K is 1000, Ki is 1024; `/s` may follow.
///
/// # Errors
/// Text that is no rate, in words.
pub fn rate(text: &str) -> Result<Option<u64>, String> {
    let text = text.trim();
    let text = text.strip_suffix("/s").unwrap_or(text).trim();
    if text.is_empty() || ["unlimited", "none", "∞", "-"].contains(&text.to_ascii_lowercase().as_str()) {
        return Ok(None);
    }
    let fail = || format!("{text:?} is no rate: 5M, 1.5MiB, 800k or unlimited");
    let bytes = bytes(text).ok_or_else(fail)?;
    if !(1.0..=1e15).contains(&bytes) {
        return Err("a limit is at least 1 B/s; `unlimited` for none, p to pause".to_owned());
    }
    Ok(Some(bytes as u64))
}

/// A number with a unit of bytes behind it.
fn bytes(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let value: f64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    let factor: u64 = match unit.trim_end_matches('b') {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        "ti" => 1 << 40,
        _ => return None,
    };
    Some(value * factor as f64)
}

/// A number as a filter has it: bytes as in [`rate`], or seconds as `90s`, `5m` (a small m: five
/// minutes; `5M` are megabytes), `2h`, `1d`. May be negative.
pub fn amount(text: &str) -> Option<f64> {
    if let Some(text) = text.strip_prefix('-') {
        return amount(text).filter(|_| !text.starts_with('-')).map(|value| -value);
    }
    let text = text.strip_suffix("/s").unwrap_or(text);
    let times = [('s', 1.0), ('m', 60.0), ('h', 3_600.0), ('d', 86_400.0)];
    match times.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, seconds))) {
        Some((count, seconds)) => bytes(count).filter(|_| !count.is_empty()).map(|value| value * seconds),
        None => bytes(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn says_what_is_missing_while_it_is_typed() {
        let id = "ab".repeat(32);
        let cases = [
            ("", "skep://"),
            ("hello", "neither"),
            ("skep://host", "content id is missing"),
            ("skep://host/ab", "port is missing"),
            ("skep://host:70/ab", "2 of 64"),
            ("skep://host:70/xy", "not hex"),
            ("skep://host:0/ab", "no port"),
            ("skep://::1:70/ab", "brackets"),
            ("ftp://host/x", "ftp://"),
            ("http:///x", "host is missing"),
            ("pool:x", "pool:NAME/CONTENT"),
            ("pool:/y", "pool:NAME/CONTENT"),
        ];
        for (text, said) in cases {
            let error = judge(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert_eq!(
            judge(&format!("skep://[::1]:7070/{id}")),
            Ok(Typed::Skep { host: "[::1]:7070".into(), id: "abababababab".into() })
        );
        assert_eq!(judge("https://example.org/x.meta4"), Ok(Typed::Url));
        assert_eq!(judge("pool:default/a.img"), Ok(Typed::Pool("a.img".into())));
        assert_eq!(judge("~/x.json"), Ok(Typed::Path));
    }

    #[test]
    fn rates_as_people_write_them() {
        assert_eq!(rate("5M"), Ok(Some(5_000_000)));
        assert_eq!(rate("1.5 MiB/s"), Ok(Some(1_572_864)));
        assert_eq!(rate("800kB"), Ok(Some(800_000)));
        assert_eq!(rate(" unlimited "), Ok(None));
        for wrong in ["fast", "5X", "0", "-5", "1e99", "..", "0.2"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC*") {
            let _ = judge(&text);
            let _ = judge(&format!("skep://{text}"));
            let _ = rate(&text);
        }
    }
}
