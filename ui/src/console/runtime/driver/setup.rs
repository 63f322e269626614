//! A model for this terminal, this node and this operator's files.

use std::env;
use std::path::Path;

use jiff::tz::TimeZone;
use skep_engine::control::Control;

use crate::console::glyphs::detect_unicode;
use crate::console::keymap::{self, Keymap};
use crate::console::model::{Model, Settings};
use crate::console::runtime::options::ConsoleOptions;
use crate::console::theme::{self, ThemeSpec, builtin, builtin_names, detect_depth};

/// Makes the model; what is wrong with the operator's files comes back in words.
pub fn model(control: &dyn Control, options: &ConsoleOptions) -> (Model, Vec<String>) {
    let mut troubles = Vec::new();
    let env = |name: &str| env::var(name).ok();
    let mut themes: Vec<ThemeSpec> = builtin_names().filter_map(builtin).collect();
    if let Some(dir) = &options.theme_dir {
        user_themes(dir, &mut themes, &mut troubles);
    }
    let keymap = match &options.keys_file {
        Some(file) => keys(file, &mut troubles),
        None => Keymap::default(),
    };
    let settings = Settings {
        target: control.target(),
        embedded: control.is_embedded(),
        read_only: options.read_only,
        home: env("HOME").filter(|h| h.starts_with('/')),
        default_dir: options.default_dir.as_ref().map(|d| d.to_string_lossy().into_owned()),
        zone: TimeZone::system(),
        depth: detect_depth(options.color, env),
        unicode: detect_unicode(env),
        themes,
    };
    let wanted = options.theme.clone().unwrap_or_else(|| "slate".to_owned());
    if !settings.themes.iter().any(|t| t.name == wanted) {
        troubles.push(theme::ThemeError::NoSuchTheme(wanted.clone()).to_string());
    }
    (Model::new(settings, keymap, &wanted, options.glyphs), troubles)
}

/// The operator's themes, in the order of their file names, behind the built-in ones; one with the
/// name of a built-in theme takes its place.
fn user_themes(dir: &Path, themes: &mut Vec<ThemeSpec>, troubles: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut files: Vec<_> = entries.flatten().map(|e| e.path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
    files.sort();
    for file in files {
        let parsed = std::fs::read_to_string(&file).map_err(|e| e.to_string());
        match parsed.and_then(|text| theme::parse(&text).map_err(|e| e.to_string())) {
            Ok(spec) => match themes.iter_mut().find(|t| t.name == spec.name) {
                Some(place) => *place = spec,
                None => themes.push(spec),
            },
            Err(error) => troubles.push(format!("{}: {error}", file.display())),
        }
    }
}

fn keys(file: &Path, troubles: &mut Vec<String>) -> Keymap {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let (map, issues) = keymap::apply(&text);
            troubles.extend(issues.iter().map(|issue| format!("{}: {issue}", file.display())));
            map
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Keymap::default(),
        Err(error) => {
            troubles.push(format!("{}: {error}", file.display()));
            Keymap::default()
        }
    }
}
