//! Themes: tokens (what a thing means) to styles (how it looks), for each colour depth.
//!
//! Built-in themes are the files in `themes/`, embedded at build time. Meaning is never carried by
//! colour alone: beside every token stands a glyph or a word. Where there is no colour at all the
//! modifiers of `mono` take over.

mod color;
mod detect;
mod file;
mod token;

use ratatui::style::{Color, Style};

pub use color::{Depth, Rgb};
pub use detect::{ColorChoice, detect_depth, detect_light};
pub use file::{ThemeSpec, TokenSpec, parse};
pub use token::Token;

/// The built-in themes: name and file.
const BUILTIN: &[(&str, &str)] = &[
    ("slate", include_str!("../../../../themes/slate.toml")),
    ("paper", include_str!("../../../../themes/paper.toml")),
    ("high-contrast", include_str!("../../../../themes/high-contrast.toml")),
    ("deutan", include_str!("../../../../themes/deutan.toml")),
    ("tritan", include_str!("../../../../themes/tritan.toml")),
    ("mono", include_str!("../../../../themes/mono.toml")),
    ("gruvbox", include_str!("../../../../themes/gruvbox.toml")),
    ("nord", include_str!("../../../../themes/nord.toml")),
    ("catppuccin", include_str!("../../../../themes/catppuccin.toml")),
    ("tokyo-night", include_str!("../../../../themes/tokyo-night.toml")),
];

/// What is wrong with a theme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThemeError {
    /// Not TOML, or not of a theme's shape.
    #[error("the theme file cannot be read: {0}")]
    Syntax(String),
    /// What is wrong at a line of the file, counted from 1.
    #[error("line {0}: {1}")]
    Line(usize, Box<ThemeError>),
    /// No built-in theme has this name.
    #[error("there is no theme {0:?}; `skep themes` lists them")]
    NoSuchTheme(String),
    /// A complete theme leaves a token out.
    #[error("the theme has no token {0:?} and no `base` to take it from")]
    MissingToken(&'static str),
    /// A name that nothing has.
    #[error("the theme uses an unknown {what} {name:?}")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// The name.
        name: String,
    },
}

impl ThemeError {
    /// The same, with the line that it is about.
    fn at(self, line: usize) -> Self {
        Self::Line(line, Box::new(self))
    }
}

/// Names of the built-in themes; the first is the default.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

/// A built-in theme by name.
pub fn builtin(name: &str) -> Option<ThemeSpec> {
    let (_, text) = BUILTIN.iter().find(|(n, _)| *n == name)?;
    parse(text).ok()
}

/// A theme made ready for one terminal: a style per token.
#[derive(Debug, Clone, PartialEq)]
pub struct Theme {
    /// Its name.
    pub name: String,
    /// Dark text on light ground.
    pub light: bool,
    styles: Vec<Style>,
}

impl Theme {
    /// Resolves a theme for a depth. Without colours the modifiers of `mono` are used, since most
    /// themes rely on colour where `mono` does not.
    pub fn resolve(spec: &ThemeSpec, depth: Depth) -> Self {
        let mono = (depth == Depth::None).then(|| builtin("mono")).flatten();
        let from = mono.as_ref().unwrap_or(spec);
        let styles = from
            .tokens
            .iter()
            .map(|t| Style {
                fg: color::at_depth(t.fg, t.ansi, depth),
                bg: color::at_depth(t.bg, t.ansi_bg, depth),
                add_modifier: t.mods,
                ..Style::default()
            })
            .collect();
        Self { name: spec.name.clone(), light: spec.light, styles }
    }

    /// How a token looks.
    pub fn style(&self, token: Token) -> Style {
        self.styles.get(token as usize).copied().unwrap_or_default()
    }

    /// The style a screen is cleared with: ground and ordinary text.
    pub fn ground(&self) -> Style {
        let base = self.style(Token::Base);
        Style::new().fg(self.style(Token::Text).fg.unwrap_or(Color::Reset)).bg(base.bg.unwrap_or(Color::Reset))
    }
}

#[cfg(test)]
mod tests;
