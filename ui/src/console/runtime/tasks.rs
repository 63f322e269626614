//! Effects that take time, each as a task whose result comes back as an event.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use ratatui::buffer::Buffer;
use skep_engine::control::link::{ProbeReport, ProbeRequest};
use skep_engine::control::pool::{Balancer, Placement};
use skep_engine::control::{AddTransfer, Command, CommandError, CommandErrorKind, Control, Reply, TransferId};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::export;
use crate::console::effect::{Effect, PreviewAsk, PreviewFrom, Told};
use crate::console::event::Event;
use crate::console::model::form::{Entry, Listing};
use crate::console::theme::Theme;

/// Effects under way at most; an operator has no more hands than that.
const MAX_TASKS: usize = 64;
/// Largest manifest or Metalink that is read from a file.
const MAX_DOCUMENT: u64 = 64 << 20;
/// Entries of a folder that are listed.
const MAX_ENTRIES: usize = 20_000;
/// How long nothing must be typed before the network or the disk is asked about it.
const TYPING: Duration = Duration::from_millis(300);
/// The same before a node is asked where a key belongs, which costs next to nothing.
const PLACING: Duration = Duration::from_millis(80);

/// Effects under way.
pub struct Tasks {
    control: Arc<dyn Control>,
    set: JoinSet<Event>,
    /// Number of the newest wish for previews: older ones are not asked, or waited for, any more.
    wished: watch::Sender<u64>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").field("running", &self.set.len()).finish_non_exhaustive()
    }
}

impl Tasks {
    /// Carries effects out on this node.
    pub fn new(control: Arc<dyn Control>) -> Self {
        Self { control, set: JoinSet::new(), wished: watch::Sender::new(0) }
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
            Effect::ListFolder(dir) => {
                if self.set.len() < MAX_TASKS {
                    self.set.spawn_blocking(move || {
                        let listing = list(&dir);
                        Event::Listing(dir, listing)
                    });
                }
                None
            }
            Effect::Preview(asks) => {
                self.wished.send_modify(|wish| *wish += 1);
                for ask in asks {
                    if self.set.len() >= MAX_TASKS {
                        break;
                    }
                    let (control, mut wished) = (Arc::clone(&self.control), self.wished.subscribe());
                    let asked = async move {
                        tokio::time::sleep(TYPING).await;
                        preview(control.as_ref(), ask).await
                    };
                    self.set.spawn(async move {
                        tokio::select! {
                            event = asked => event,
                            // A tree is compared for long: nobody wants to know any more.
                            Ok(()) = wished.changed() => Event::Tick,
                        }
                    });
                }
                None
            }
            Effect::Probe { number, request } => {
                self.spawn(async move { Event::Probed { number, result: probe(control.as_ref(), request).await } });
                None
            }
            Effect::Place { number, key, replicas } => {
                self.wished.send_modify(|wish| *wish += 1);
                let mut wished = self.wished.subscribe();
                let asked = async move {
                    tokio::time::sleep(PLACING).await;
                    let ask = |balancer| place(control.as_ref(), &key, replicas, balancer);
                    let (ring, resource) = (ask(Balancer::ConsistentHash).await, ask(Balancer::ResourceAware).await);
                    Event::Placed { number, answers: [ring, resource] }
                };
                self.spawn(async move {
                    tokio::select! {
                        event = asked => event,
                        Ok(()) = wished.changed() => Event::Tick,
                    }
                });
                None
            }
            Effect::LinkHistory { endpoint, window_s } => {
                self.spawn(async move { history(control.as_ref(), endpoint, window_s).await });
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

    /// Carries effects out on another node from now on; what is under way ends where it began.
    pub fn switch(&mut self, control: Arc<dyn Control>) {
        self.control = control;
    }

    /// Waits for something else whose result is an event, unless too much is under way.
    pub fn spawn(&mut self, work: impl Future<Output = Event> + Send + 'static) {
        if self.set.len() < MAX_TASKS {
            self.set.spawn(work);
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

async fn probe(control: &dyn Control, request: ProbeRequest) -> Result<Box<ProbeReport>, CommandError> {
    match control.command(Command::Probe(request)).await? {
        Reply::Probed(report) => Ok(report),
        other => Err(CommandError::new(CommandErrorKind::Internal, format!("no report of a probe: {other:?}"))),
    }
}

async fn place(
    control: &dyn Control,
    key: &str,
    replicas: u32,
    balancer: Balancer,
) -> Result<Box<Placement>, CommandError> {
    let command = Command::Place { key: key.to_owned(), replicas: Some(replicas), balancer: Some(balancer) };
    match control.command(command).await? {
        Reply::Placed(placement) => Ok(placement),
        _ => Err(CommandError::new(CommandErrorKind::Internal, "the node does not tell")),
    }
}

/// Charts begin with what the console saw itself where the node does not tell what was before.
async fn history(control: &dyn Control, endpoint: String, window_s: u64) -> Event {
    match control.command(Command::LinkHistory { endpoint: endpoint.clone(), window_s }).await {
        Ok(Reply::LinkHistory(history)) => Event::LinkHistory { endpoint, history },
        _ => Event::Tick,
    }
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

async fn preview(control: &dyn Control, ask: PreviewAsk) -> Event {
    if let PreviewFrom::Command(command @ Command::PreviewSync(_)) = ask.from {
        let planned = match control.command(command).await {
            Ok(Reply::SyncPlan(plan)) => Ok(plan),
            Ok(_) => Err(CommandError::new(CommandErrorKind::Internal, "the node does not tell")),
            Err(error) => Err(error),
        };
        return Event::Plan(ask.key, planned);
    }
    if let PreviewFrom::Command(command @ Command::PreviewPool { .. }) = ask.from {
        let found = match control.command(command).await {
            Ok(Reply::Moves(moves)) => Ok(moves),
            Ok(_) => Err(CommandError::new(CommandErrorKind::Internal, "the node does not tell")),
            Err(error) => Err(error),
        };
        return Event::Moves(ask.key, found);
    }
    let command = match ask.from {
        PreviewFrom::Command(command) => Ok(command),
        PreviewFrom::File(path, add) => match tokio::task::spawn_blocking(move || read_document(&path)).await {
            Ok(document) => document.map(|text| Command::Preview(AddTransfer { document: Some(text), ..add })),
            Err(error) => Err(error.to_string()),
        },
    };
    let found = match command {
        Ok(command) => match control.command(command).await {
            Ok(Reply::Preview(preview)) => Ok(Box::new(preview)),
            Ok(_) => Err("the node does not tell".to_owned()),
            Err(error) => Err(error.message),
        },
        Err(why) => Err(why),
    };
    Event::Preview(ask.key, found)
}

/// What a folder holds: folders first, then by name, letter case aside.
fn list(dir: &Path) -> Listing {
    let listed = match std::fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(error) => return Listing::Failed(error.to_string()),
    };
    let (mut entries, mut omitted) = (Vec::new(), 0);
    for entry in listed.flatten() {
        // A name that is not text could not be typed, nor sent to the node.
        let Some(name) = entry.file_name().to_str().map(str::to_owned).filter(|_| entries.len() < MAX_ENTRIES) else {
            omitted += 1;
            continue;
        };
        // A link is what it leads to; one that leads nowhere is an empty file.
        let meta = std::fs::metadata(entry.path()).or_else(|_| entry.metadata()).ok();
        let modified = meta.as_ref().and_then(|m| m.modified().ok()).and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        entries.push(Entry {
            name,
            folder: meta.as_ref().is_some_and(std::fs::Metadata::is_dir),
            size: meta.map_or(0, |m| m.len()),
            modified_ms: modified.map_or(0, |t| t.as_millis() as u64),
        });
    }
    entries.sort_by_cached_key(|entry| (!entry.folder, entry.name.to_lowercase(), entry.name.clone()));
    Listing::Read { entries: Arc::new(entries), omitted }
}

fn ids_of(command: &Command) -> Vec<TransferId> {
    match command {
        Command::Pause { ids }
        | Command::Resume { ids }
        | Command::Cancel { ids }
        | Command::Remove { ids, .. }
        | Command::Prioritise { ids, .. }
        | Command::Verify { ids } => ids.clone(),
        Command::Move { id, .. } | Command::SetPath { id, .. } => vec![*id],
        Command::Limit { id, .. } => id.iter().copied().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_listed_folders_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.txt", "A.txt", ".dot"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        std::fs::create_dir(dir.path().join("zoo")).unwrap();
        std::os::unix::fs::symlink("zoo", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("broken")).unwrap();
        let Listing::Read { entries, omitted: 0 } = list(dir.path()) else { panic!() };
        let names: Vec<(&str, bool)> = entries.iter().map(|e| (e.name.as_str(), e.folder)).collect();
        let expected =
            [("link", true), ("zoo", true), (".dot", false), ("A.txt", false), ("b.txt", false), ("broken", false)];
        assert_eq!(names, expected);
        assert_eq!(entries[4].size, 5);
        assert!(entries[4].modified_ms > 0);
        assert!(matches!(list(&dir.path().join("missing")), Listing::Failed(_)));
    }
}
