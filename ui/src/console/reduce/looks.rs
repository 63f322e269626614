//! Themes and glyphs: choosing, previewing, and what the terminal and the operator's files say.

use std::path::PathBuf;

use super::actions::say;
use crate::console::glyphs::GlyphChoice;
use crate::console::model::Model;
use crate::console::model::looks::{ThemeChoice, ThemesView};
use crate::console::model::overlay::Overlay;
use crate::console::model::toast::ToastLevel;
use crate::console::theme::ThemeSpec;

/// Opens the list of themes.
pub fn open_themes(model: &mut Model) {
    let view = ThemesView::of(model);
    model.overlays.push(Overlay::Themes(view));
}

/// Moves in the list of themes; the screen shows what the cursor is on.
pub fn preview(model: &mut Model, lines: isize) {
    let Some(Overlay::Themes(view)) = model.overlays.last_mut() else { return };
    view.at = view.at.saturating_add_signed(lines).min(view.rows.len().saturating_sub(1));
    if let Some((choice, _)) = view.rows.get(view.at) {
        let choice = choice.clone();
        model.choose_theme(choice);
    }
}

/// Keeps the theme under the cursor, and says how to keep it for good.
pub fn keep(model: &mut Model) {
    let name = model.theme_choice.name();
    let text = format!("theme: {name} until you quit; for good: theme = {name:?} under [console] in the configuration");
    say(model, ToastLevel::Info, text);
}

/// The operator's theme files changed.
pub fn take_themes(model: &mut Model, themes: Vec<ThemeSpec>, troubles: Vec<String>) {
    model.settings.themes = themes;
    if !model.refresh_theme() {
        let text = format!("the theme {:?} is gone; what it looked like stays", model.theme_choice.name());
        say(model, ToastLevel::Warn, text);
    } else if troubles.is_empty() {
        say(model, ToastLevel::Info, "your themes were read anew");
    }
    for trouble in troubles {
        say(model, ToastLevel::Error, trouble);
    }
    if let Some(Overlay::Themes(view)) = model.overlays.last() {
        let before = view.before.clone();
        let view = ThemesView { before, ..ThemesView::of(model) };
        model.overlays.pop();
        model.overlays.push(Overlay::Themes(view));
    }
}

/// The terminal told the colour of its ground.
pub fn take_ground(model: &mut Model, light: bool) {
    model.light_ground = light;
    if model.theme_choice == ThemeChoice::Auto {
        model.refresh_theme();
    }
}

/// The name of the files that the screen is written to: the time of day where the operator is.
pub fn export_stem(model: &Model) -> String {
    let ms = i64::try_from(model.now.wall_ms).unwrap_or(0);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(model.settings.zone.clone());
    format!("skep-{}", time.strftime("%Y%m%d-%H%M%S"))
}

/// The screen was written, or was not.
pub fn exported(model: &mut Model, result: Result<PathBuf, String>) {
    match result {
        Ok(path) => {
            let text = format!("the screen is in {}, .ans and .svg beside it", path.display());
            say(model, ToastLevel::Info, text);
        }
        Err(error) => say(model, ToastLevel::Error, format!("the screen was not written: {error}")),
    }
}

/// Goes to the next glyph set.
pub fn next_glyphs(model: &mut Model) {
    let at = GlyphChoice::ALL.iter().position(|g| *g == model.glyph_choice).unwrap_or(0);
    model.glyph_choice = GlyphChoice::ALL[(at + 1) % GlyphChoice::ALL.len()];
    let text = match model.glyph_choice {
        GlyphChoice::Auto => format!("glyphs: auto, which is {} here", model.glyphs().name),
        GlyphChoice::Octant => "glyphs: octant; if you see boxes or gaps, your font has none: e goes on".to_owned(),
        other => format!("glyphs: {}", other.name()),
    };
    say(model, ToastLevel::Info, text);
}
