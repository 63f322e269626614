//! Effects that take time, each as a task whose result comes back as an event.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ratatui::buffer::Buffer;
use skep_engine::control::{AddTransfer, Command, CommandError, CommandErrorKind, Control, TransferId};
use tokio::task::JoinSet;

use super::export;
use crate::console::effect::{Effect, Told};
use crate::console::event::Event;
use crate::console::model::form::PathFact;
use crate::console::theme::Theme;

/// Effects under way at most; an operator has no more hands than that.
const MAX_TASKS: usize = 64;
/// Largest manifest or Metalink that is read from a file.
const MAX_DOCUMENT: u64 = 64 << 20;

/// Effects under way.
pub struct Tasks {
    control: Arc<dyn Control>,
    set: JoinSet<Event>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").field("running", &self.set.len()).finish_non_exhaustive()
    }
}

impl Tasks {
    /// Carries effects out on this node.
    pub fn new(control: Arc<dyn Control>) -> Self {
        Self { control, set: JoinSet::new() }
    }

    /// Starts an effect; gives it back if it is none of this kind.
    pub fn start(&mut self, effect: Effect) -> Option<Effect> {
        let control = Arc::clone(&self.control);
        match effect {
            Effect::Command { command, told } => {
                if self.set.len() >= MAX_TASKS {
                    let busy = CommandError::new(CommandErrorKind::Unavailable, "too much is under way already");
                    let ids = ids_of(&command);
                    self.set.spawn(async move { Event::Answer { told, ids, result: Err(busy) } });
                } else {
                    self.set.spawn(async move { send(control.as_ref(), command, told).await });
                }
                None
            }
            Effect::AddFile { path, add } => {
                self.set.spawn(async move { add_file(control.as_ref(), path, add).await });
                None
            }
            Effect::LookUp(path) => {
                if self.set.len() < MAX_TASKS {
                    self.set.spawn_blocking(move || {
                        let fact = look_up(&path);
                        Event::PathFact(path, fact)
                    });
                }
                None
            }
            other => Some(other),
        }
    }

    /// Writes the screen to files in the folder where the console was started.
    pub fn export(&mut self, frame: Buffer, theme: Arc<Theme>, stem: String) {
        if self.set.len() < MAX_TASKS {
            self.set.spawn_blocking(move || {
                let folder = std::env::current_dir().map_err(|e| format!("the current folder: {e}"));
                Event::Exported(folder.and_then(|folder| export::save(&folder, &stem, &frame, &theme)))
            });
        }
    }

    /// Waits for the next result; for ever if nothing is under way.
    pub async fn next(&mut self) -> Event {
        match self.set.join_next().await {
            Some(Ok(event)) => event,
            Some(Err(error)) => Event::Trouble(format!("a command was lost: {error}")),
            None => std::future::pending().await,
        }
    }
}

async fn send(control: &dyn Control, command: Command, told: Told) -> Event {
    let ids = ids_of(&command);
    Event::Answer { told, ids, result: control.command(command).await }
}

async fn add_file(control: &dyn Control, path: PathBuf, add: AddTransfer) -> Event {
    let read = tokio::task::spawn_blocking(move || read_document(&path)).await;
    let document = match read {
        Ok(Ok(text)) => text,
        Ok(Err(message)) => {
            let result = Err(CommandError::new(CommandErrorKind::Invalid, message));
            return Event::Answer { told: "add", ids: Vec::new(), result };
        }
        Err(error) => return Event::Trouble(format!("the file could not be read: {error}")),
    };
    send(control, Command::Add(AddTransfer { document: Some(document), ..add }), "add").await
}

fn read_document(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|e| format!("{shown}: {e}"))?;
    let mut text = String::new();
    let read = file.take(MAX_DOCUMENT + 1).read_to_string(&mut text).map_err(|e| format!("{shown}: {e}"))?;
    if read as u64 > MAX_DOCUMENT {
        return Err(format!("{shown} is larger than any manifest may be (64 MiB)"));
    }
    Ok(text)
}

fn look_up(path: &Path) -> PathFact {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => PathFact::Folder,
        Ok(meta) if meta.is_file() => PathFact::File(meta.len()),
        Ok(_) => PathFact::Missing("neither a file nor a folder".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            PathFact::Missing("there is no such file or folder here".to_owned())
        }
        Err(error) => PathFact::Missing(error.to_string()),
    }
}

fn ids_of(command: &Command) -> Vec<TransferId> {
    match command {
        Command::Pause { ids }
        | Command::Resume { ids }
        | Command::Cancel { ids }
        | Command::Remove { ids, .. }
        | Command::Verify { ids } => ids.clone(),
        Command::Limit { id, .. } => id.iter().copied().collect(),
        _ => Vec::new(),
    }
}
