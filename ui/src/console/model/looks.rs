//! How the console looks here: the theme and the glyphs that were chosen, and what they come to on
//! this terminal.

use std::sync::Arc;

use super::Model;
use crate::console::glyphs::Glyphs;
use crate::console::theme::{Theme, ThemeSpec};

/// Which theme was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThemeChoice {
    /// As the terminal's ground is: `paper` on a light one, `slate` on a dark one.
    Auto,
    /// This one.
    Named(String),
}

impl ThemeChoice {
    /// What stands for [`ThemeChoice::Auto`] in the configuration and on screen.
    pub const AUTO: &str = "auto";

    /// The choice that a name stands for.
    pub fn from_name(name: &str) -> Self {
        if name == Self::AUTO { Self::Auto } else { Self::Named(name.to_owned()) }
    }

    /// Its name in the configuration and on screen.
    pub fn name(&self) -> &str {
        match self {
            Self::Auto => Self::AUTO,
            Self::Named(name) => name,
        }
    }

    /// The theme that it comes to.
    pub fn resolve<'a>(&self, themes: &'a [ThemeSpec], light: bool) -> Option<&'a ThemeSpec> {
        let wanted = match self {
            Self::Auto if light => "paper",
            Self::Auto => "slate",
            Self::Named(name) => name,
        };
        themes.iter().find(|t| t.name == wanted)
    }
}

/// Themes to choose from, each ready to be looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct ThemesView {
    /// The choices: `auto` first.
    pub rows: Vec<(ThemeChoice, Theme)>,
    /// The one under the cursor, which the screen shows.
    pub at: usize,
    /// What it was before, for Esc.
    pub before: ThemeChoice,
}

impl ThemesView {
    /// All themes of a model, the cursor on the one in use.
    pub fn of(model: &Model) -> Self {
        let settings = &model.settings;
        let named = settings.themes.iter().map(|t| ThemeChoice::Named(t.name.clone()));
        let rows: Vec<_> = std::iter::once(ThemeChoice::Auto)
            .chain(named)
            .filter_map(|choice| {
                let spec = choice.resolve(&settings.themes, model.light_ground)?;
                let theme = Theme::resolve(spec, settings.depth);
                Some((choice, theme))
            })
            .collect();
        let at = rows.iter().position(|(choice, _)| *choice == model.theme_choice).unwrap_or(0);
        Self { rows, at, before: model.theme_choice.clone() }
    }
}

impl Model {
    /// Chooses a theme. One that does not exist changes nothing on screen.
    pub fn choose_theme(&mut self, choice: ThemeChoice) {
        self.theme_choice = choice;
        self.refresh_theme();
    }

    /// Brings the theme up to date with what was chosen, the themes there are and the terminal's ground;
    /// false if the chosen one is not there, and what was shown stays.
    pub fn refresh_theme(&mut self) -> bool {
        let Some(spec) = self.theme_choice.resolve(&self.settings.themes, self.light_ground) else { return false };
        self.theme = Arc::new(Theme::resolve(spec, self.settings.depth));
        true
    }

    /// The glyphs in use.
    pub fn glyphs(&self) -> &'static Glyphs {
        self.glyph_choice.set(self.settings.charset)
    }
}
