//! A model for this terminal, this node and this operator's files.

use std::env;
use std::path::Path;

use jiff::tz::TimeZone;

use crate::console::event::Event;
use crate::console::glyphs::detect_charset;
use crate::console::keymap::{self, Keymap};
use crate::console::model::looks::ThemeChoice;
use crate::console::model::{Model, Moment, Settings};
use crate::console::reduce::reduce;
use crate::console::runtime::Opening;
use crate::console::runtime::options::ConsoleOptions;
use crate::console::runtime::themes::ThemeFiles;
use crate::console::theme::{self, detect_depth};

/// Makes the model; what is wrong with the operator's files comes back in words, their themes to be watched.
pub fn model(opening: &Opening, options: &ConsoleOptions) -> (Model, ThemeFiles, Vec<String>) {
    let mut troubles = Vec::new();
    let env = |name: &str| env::var(name).ok();
    let mut files = ThemeFiles::default();
    if let Some(dir) = &options.theme_dir {
        troubles.extend(files.refresh(dir).into_iter().flatten());
    }
    let keymap = match &options.keys_file {
        Some(file) => keys(file, &mut troubles),
        None => Keymap::default(),
    };
    let settings = Settings {
        target: opening.control.target(),
        embedded: opening.control.is_embedded(),
        read_only: options.read_only,
        fleeting: options.fleeting,
        replay: opening.replay.is_some(),
        recorded: opening.replay.is_some() || options.recording.is_some(),
        targets: opening.switchboard.as_ref().map(|board| board.targets()).unwrap_or_default(),
        target_at: 0,
        home: env("HOME").filter(|h| h.starts_with('/')),
        current: std::env::current_dir().ok().and_then(|dir| Some(format!("{}/", dir.to_str()?.trim_end_matches('/')))),
        default_dir: options.default_dir.as_ref().map(|d| d.to_string_lossy().into_owned()),
        zone: TimeZone::system(),
        depth: detect_depth(options.color, env),
        charset: detect_charset(env),
        themes: files.themes(),
    };
    let wanted = options.theme.clone().unwrap_or_else(|| ThemeChoice::AUTO.to_owned());
    if ThemeChoice::from_name(&wanted).resolve(&settings.themes, false).is_none() {
        troubles.push(theme::ThemeError::NoSuchTheme(wanted.clone()).to_string());
    }
    let mut model = Model::new(settings, keymap, &wanted, options.glyphs);
    reduce(&mut model, Event::Ground { light: theme::detect_light(env) }, Moment::default());
    (model, files, troubles)
}

/// True if the terminal can be asked about itself: some old ones print what they do not know.
pub fn answers_questions() -> bool {
    env::var("TERM").is_ok_and(|term| !matches!(&*term, "" | "linux" | "dumb"))
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
