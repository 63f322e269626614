//! Theme files. A built-in one names every token; any other may name a `base` and patch it.
//!
//! ```toml
//! name = "mine"
//! base = "slate"
//! [palette]
//! sky = "#7cc4ff"
//! [tokens]
//! running = { fg = "sky", ansi = "bright-cyan", mods = ["bold"] }
//! ```

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier};
use serde::Deserialize;
use toml::Spanned;

use super::color::{Rgb, ansi};
use super::{ThemeError, Token, builtin};

/// How one token looks at every depth.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TokenSpec {
    /// Foreground.
    pub fg: Option<Rgb>,
    /// Background.
    pub bg: Option<Rgb>,
    /// Foreground where there are sixteen colours.
    pub ansi: Option<Color>,
    /// Background where there are sixteen colours.
    pub ansi_bg: Option<Color>,
    /// Bold, dim, underlined, reversed: at every depth.
    pub mods: Modifier,
}

/// A theme as its file gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct ThemeSpec {
    /// Its name.
    pub name: String,
    /// Dark text on light ground.
    pub light: bool,
    /// By discriminant of [`Token`].
    pub tokens: Vec<TokenSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    base: Option<Spanned<String>>,
    light: Option<bool>,
    #[serde(default)]
    palette: BTreeMap<String, String>,
    #[serde(default)]
    tokens: BTreeMap<String, Spanned<RawToken>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    fg: Option<String>,
    bg: Option<String>,
    ansi: Option<String>,
    ansi_bg: Option<String>,
    #[serde(default)]
    mods: Vec<String>,
}

/// Reads a theme file.
///
/// # Errors
/// TOML that does not parse; a token, colour, modifier or base that does not exist; a theme
/// without base that leaves a token out. Where it is about a place in the file, with its line.
pub fn parse(text: &str) -> Result<ThemeSpec, ThemeError> {
    let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let file: File = toml::from_str(text).map_err(|e| {
        let error = ThemeError::Syntax(e.message().to_owned());
        match e.span() {
            Some(span) => error.at(line(span.start)),
            None => error,
        }
    })?;
    let mut spec = match &file.base {
        Some(base) => builtin(base.as_ref())
            .ok_or_else(|| ThemeError::NoSuchTheme(base.as_ref().clone()).at(line(base.span().start)))?,
        None => ThemeSpec { name: String::new(), light: false, tokens: vec![TokenSpec::default(); Token::COUNT] },
    };
    if file.base.is_none()
        && let Some(missing) = Token::ALL.iter().find(|t| !file.tokens.contains_key(t.name()))
    {
        return Err(ThemeError::MissingToken(missing.name()));
    }
    for (name, raw) in &file.tokens {
        let here = |error: ThemeError| error.at(line(raw.span().start));
        let token = Token::ALL
            .iter()
            .find(|t| t.name() == name)
            .ok_or_else(|| here(ThemeError::Unknown { what: "token", name: name.clone() }))?;
        spec.tokens[*token as usize] = token_spec(raw.as_ref(), &file.palette).map_err(here)?;
    }
    spec.name = file.name;
    spec.light = file.light.unwrap_or(spec.light);
    Ok(spec)
}

fn token_spec(raw: &RawToken, palette: &BTreeMap<String, String>) -> Result<TokenSpec, ThemeError> {
    let rgb = |value: &Option<String>| -> Result<Option<Rgb>, ThemeError> {
        let Some(value) = value else { return Ok(None) };
        let text = palette.get(value).unwrap_or(value);
        Rgb::parse(text).map(Some).ok_or_else(|| ThemeError::Unknown { what: "colour", name: value.clone() })
    };
    let named = |value: &Option<String>| -> Result<Option<Color>, ThemeError> {
        let Some(value) = value else { return Ok(None) };
        ansi(value).map(Some).ok_or_else(|| ThemeError::Unknown { what: "ANSI colour", name: value.clone() })
    };
    let mut mods = Modifier::empty();
    for name in &raw.mods {
        mods |= match name.as_str() {
            "bold" => Modifier::BOLD,
            "dim" => Modifier::DIM,
            "italic" => Modifier::ITALIC,
            "underlined" => Modifier::UNDERLINED,
            "reversed" => Modifier::REVERSED,
            _ => return Err(ThemeError::Unknown { what: "modifier", name: name.clone() }),
        };
    }
    Ok(TokenSpec { fg: rgb(&raw.fg)?, bg: rgb(&raw.bg)?, ansi: named(&raw.ansi)?, ansi_bg: named(&raw.ansi_bg)?, mods })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_file_is_a_patch() {
        let patch = "name='mine'\nbase='slate'\n[palette]\nsky='#102030'\n[tokens]\nrunning={fg='sky',mods=['bold']}";
        let spec = parse(patch).unwrap();
        let slate = builtin("slate").unwrap();
        assert_eq!(spec.tokens[Token::Running as usize].fg, Some(Rgb(16, 32, 48)));
        assert_eq!(spec.tokens[Token::Text as usize], slate.tokens[Token::Text as usize]);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("name='a'\nbase='nope'", "nope"),
            ("name='a'\n[tokens]", "base"),
            ("name='a'\nbase='slate'\n[tokens]\nrunnin={}", "runnin"),
            ("name='a'\nbase='slate'\n[tokens]\ntext={fg='sky'}", "sky"),
            ("name='a'\nbase='slate'\n[tokens]\ntext={mods=['blink']}", "blink"),
            ("name='a'\nbase='slate'\n[tokens]\ntext={foreground='#000000'}", "foreground"),
        ];
        for (text, named) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
            assert!(!error.contains('\n'), "one line, as a toast shows it: {error}");
        }
        let text = "name='a'\nbase='slate'\n[tokens]\ntext={}\nmuted={fg='sky'}";
        assert!(parse(text).unwrap_err().to_string().starts_with("line 5: "), "{}", parse(text).unwrap_err());
        let torn = parse("name='a'\nbase=").unwrap_err().to_string();
        assert!(torn.starts_with("line 2: "), "{torn}");
    }
}
