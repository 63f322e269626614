//! Where things lie unless told otherwise: the XDG base folders.

use std::path::{Path, PathBuf};

use etcetera::{BaseStrategy as _, base_strategy::Xdg};

/// The folders of this user.
#[derive(Debug, Clone)]
pub struct Folders {
    /// `skep/` in the XDG config folder.
    pub config: PathBuf,
    /// `skep/` in the XDG data folder.
    pub data: PathBuf,
    /// `skep/` in the XDG state folder.
    pub state: PathBuf,
    /// What `~/` stands for.
    pub home: PathBuf,
}

impl Folders {
    /// From `HOME` and the `XDG_…` variables; none for a user without a home.
    pub fn find() -> Option<Self> {
        let xdg = Xdg::new().ok()?;
        Some(Self {
            config: xdg.config_dir().join("skep"),
            data: xdg.data_dir().join("skep"),
            state: xdg.state_dir().unwrap_or_else(|| xdg.data_dir()).join("skep"),
            home: xdg.home_dir().to_path_buf(),
        })
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// A path from a configuration file: `~/` is the home, a relative one starts at the file.
    pub fn from_file(this: Option<&Self>, path: &Path, file: &Path) -> PathBuf {
        match (path.strip_prefix("~"), this) {
            (Ok(rest), Some(folders)) => folders.home.join(rest),
            _ => file.parent().unwrap_or(Path::new(".")).join(path),
        }
    }
}
