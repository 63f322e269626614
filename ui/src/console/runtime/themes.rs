//! The operator's theme files, read at the start and again when they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use crate::console::event::Event;
use crate::console::theme::{self, ThemeSpec, builtin, builtin_names};

/// Between two looks at the folder.
const EVERY: Duration = Duration::from_secs(1);
/// Largest file that is taken for a theme.
const MAX_FILE: u64 = 1 << 20;

/// What tells one state of a file from another: when it was written, and its length.
type Stamp = (Option<SystemTime>, u64);

/// The themes in a folder (`*.toml`), and what they were when they could last be read.
#[derive(Debug, Default)]
pub struct ThemeFiles {
    files: BTreeMap<PathBuf, (Stamp, Option<ThemeSpec>)>,
}

impl ThemeFiles {
    /// Looks at the folder. None if nothing changed since the last look; otherwise what is wrong with
    /// the files that changed, in words. A file that can no longer be read keeps what it was.
    pub fn refresh(&mut self, folder: &Path) -> Option<Vec<String>> {
        let found = stamps(folder);
        let before = self.files.len();
        self.files.retain(|path, _| found.contains_key(path));
        let mut changed = self.files.len() != before;
        let mut troubles = Vec::new();
        for (path, stamp) in found {
            if self.files.get(&path).is_some_and(|(known, _)| *known == stamp) {
                continue;
            }
            changed = true;
            let old = self.files.remove(&path).and_then(|(_, spec)| spec);
            let spec = match read(&path, stamp.1) {
                Ok(spec) => Some(spec),
                Err(error) => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let kept = if old.is_some() { "; the one before stays" } else { "" };
                    troubles.push(format!("{name}: {error}{kept}"));
                    old
                }
            };
            self.files.insert(path, (stamp, spec));
        }
        changed.then_some(troubles)
    }

    /// The built-in themes, and behind them the operator's in the order of their file names; one with the
    /// name of a built-in theme takes its place.
    pub fn themes(&self) -> Vec<ThemeSpec> {
        let mut themes: Vec<ThemeSpec> = builtin_names().filter_map(builtin).collect();
        for spec in self.files.values().filter_map(|(_, spec)| spec.as_ref()) {
            match themes.iter_mut().find(|t| t.name == spec.name) {
                Some(place) => *place = spec.clone(),
                None => themes.push(spec.clone()),
            }
        }
        themes
    }
}

fn stamps(folder: &Path) -> BTreeMap<PathBuf, Stamp> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeMap::new() };
    let files = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "toml"));
    // Followed, not looked at by itself: a link to a file is as good.
    files.filter_map(|p| std::fs::metadata(&p).ok().map(|m| (p, (m.modified().ok(), m.len())))).collect()
}

fn read(path: &Path, len: u64) -> Result<ThemeSpec, String> {
    if len > MAX_FILE {
        return Err("too large for a theme".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    theme::parse(&text).map_err(|e| e.to_string())
}

/// Looks at the folder now and then; every change comes as an event.
#[derive(Debug)]
pub struct ThemeWatch {
    events: mpsc::Receiver<Event>,
}

impl ThemeWatch {
    /// Starts to watch; without a folder nothing ever comes. Ends when it is dropped.
    pub fn start(folder: Option<PathBuf>, mut files: ThemeFiles) -> Self {
        let (sender, events) = mpsc::channel(1);
        if let Some(folder) = folder {
            tokio::spawn(async move {
                while !sender.is_closed() {
                    tokio::time::sleep(EVERY).await;
                    let folder = folder.clone();
                    let looked = tokio::task::spawn_blocking(move || {
                        let troubles = files.refresh(&folder);
                        let event = troubles.map(|troubles| Event::Themes { themes: files.themes(), troubles });
                        (files, event)
                    });
                    let Ok((back, event)) = looked.await else { return };
                    files = back;
                    if let Some(event) = event
                        && sender.send(event).await.is_err()
                    {
                        return;
                    }
                }
            });
        }
        Self { events }
    }

    /// The next change; for ever if none comes.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::theme::{Rgb, Token};

    #[test]
    fn a_broken_file_keeps_the_old_theme_and_says_where_it_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mine.toml");
        let mut files = ThemeFiles::default();
        assert_eq!(files.refresh(dir.path()), None);
        std::fs::write(&file, "name = 'mine'\nbase = 'slate'\n[tokens]\nrunning = { fg = '#010203' }\n").unwrap();
        assert_eq!(files.refresh(dir.path()), Some(Vec::new()));
        assert_eq!(files.refresh(dir.path()), None, "nothing changed");
        let running = |files: &ThemeFiles| {
            let mine = files.themes().into_iter().find(|t| t.name == "mine");
            mine.and_then(|t| t.tokens[Token::Running as usize].fg)
        };
        assert_eq!(running(&files), Some(Rgb(1, 2, 3)));
        std::fs::write(&file, "name = 'mine'\nbase = 'slate'\n[tokens]\nrunning = { fg = '#01020' }\n").unwrap();
        let troubles = files.refresh(dir.path()).unwrap();
        assert!(troubles[0].contains("mine.toml: line 4") && troubles[0].contains("#01020"), "{troubles:?}");
        assert_eq!(running(&files), Some(Rgb(1, 2, 3)));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(files.refresh(dir.path()), Some(Vec::new()));
        assert_eq!(running(&files), None);
    }

    #[test]
    fn ones_own_theme_takes_the_place_of_a_built_in_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.toml"), "name = 'nord'\nbase = 'paper'\n").unwrap();
        let mut files = ThemeFiles::default();
        files.refresh(dir.path());
        let nord: Vec<_> = files.themes().into_iter().filter(|t| t.name == "nord").collect();
        assert_eq!((nord.len(), nord[0].light), (1, true));
    }
}
