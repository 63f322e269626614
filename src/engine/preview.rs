//! What a command would do: looks at manifests, folders and free space, and changes nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::commands::Core;
use super::resolve::{self, Resolved};
use crate::content::Manifest;
use crate::content::name::{printable, unescape};
use crate::control::{AddTransfer, CommandError, CommandErrorKind, Preview, ShareRequest};
use crate::store::JobRecord;
use crate::swarm::fetch_manifest;

/// How long nodes may take to give a manifest: somebody waits at a form.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long the entries of a folder are counted, and how many.
const COUNTING: Duration = Duration::from_millis(1_500);
const MAX_COUNTED: u64 = 200_000;

fn error(kind: CommandErrorKind, message: impl Into<String>) -> CommandError {
    CommandError::new(kind, message)
}

impl Core {
    /// What [`add`](Core::command) would do with this request.
    pub(super) async fn preview_add(&self, request: &AddTransfer) -> Result<Preview, CommandError> {
        let dir = self.target_dir(request)?;
        let resolved = resolve::resolve(&self.services.swarm.client, &self.services.pool, request).await?;
        let mut preview = Preview { contents: resolved.len() as u32, ..Preview::default() };
        let mut names = Vec::new();
        for content in &resolved {
            let manifest = match &content.manifest {
                Some(manifest) => manifest.clone(),
                None => self.manifest_of(content).await?,
            };
            preview.size = preview.size.saturating_add(manifest.size());
            preview.files += manifest.files.len() as u64;
            preview.existing = preview.existing.or(self.find_fetch(content, &dir).map(|handle| handle.shared.id));
            names.push(manifest.name);
        }
        let Some(first) = resolved.into_iter().next() else {
            return Err(error(CommandErrorKind::Invalid, "it describes no content"));
        };
        preview.name = names.first().map(|name| printable(name)).unwrap_or_default();
        self.strategy_for(&JobRecord::Fetch(first.fetch), &mut preview)?;
        let looked_at = tokio::task::spawn_blocking(move || {
            let at = |name: &String| dir.join(unescape(name).unwrap_or_default());
            let taken = names.iter().any(|name| std::fs::symlink_metadata(at(name)).is_ok());
            let path = if names.len() == 1 { at(&names[0]) } else { dir.clone() };
            (printable(&path.display().to_string()), taken, free_at(&dir))
        })
        .await;
        (preview.path, preview.taken, preview.disk_free) =
            looked_at.map_err(|e| error(CommandErrorKind::Internal, e.to_string()))?;
        Ok(preview)
    }

    /// What sharing this path would do.
    pub(super) async fn preview_share(&self, request: &ShareRequest) -> Result<Preview, CommandError> {
        let given = request.path.clone();
        let counted = tokio::task::spawn_blocking(move || count(&given)).await;
        let (path, size, files, at_least) = counted
            .map_err(|e| error(CommandErrorKind::Internal, e.to_string()))?
            .map_err(|e| error(CommandErrorKind::NotFound, format!("cannot share it: {e}")))?;
        let Some(name) = path.file_name() else {
            return Err(error(
                CommandErrorKind::Invalid,
                "the whole file system (/) cannot be shared; choose a folder in it",
            ));
        };
        let mut preview = Preview {
            name: printable(&name.to_string_lossy()),
            contents: 1,
            size,
            files,
            at_least,
            path: printable(&path.display().to_string()),
            existing: self.find_share(&path),
            ..Preview::default()
        };
        self.strategy_for(&JobRecord::Share(request.clone()), &mut preview)?;
        Ok(preview)
    }

    pub(super) fn strategy_for(&self, job: &JobRecord, preview: &mut Preview) -> Result<(), CommandError> {
        let strategy = self.strategies.choose(job).map_err(|why| error(CommandErrorKind::Conflict, why))?;
        preview.strategy = strategy.id().to_owned();
        preview.why = strategy.why(job);
        Ok(())
    }

    /// The manifest of a content: kept, or the first that a known node gives in time.
    async fn manifest_of(&self, content: &Resolved) -> Result<Manifest, CommandError> {
        let (state, id) = (self.services.state.clone(), content.id);
        if let Ok(Ok(Some(kept))) = tokio::task::spawn_blocking(move || state.manifest(&id)).await {
            return Ok(kept);
        }
        let mut nodes: Vec<String> = Vec::new();
        for node in content.fetch.peers.iter().chain(&self.services.join) {
            if !nodes.contains(node) {
                nodes.push(node.clone());
            }
        }
        match tokio::time::timeout(PATIENCE, fetch_manifest(&self.services.swarm.client, &nodes, id)).await {
            Ok(Ok(manifest)) => Ok(manifest),
            Ok(Err(errors)) => {
                let why = errors.last().map_or_else(|| "no node is known to ask".to_owned(), ToString::to_string);
                Err(error(CommandErrorKind::Unavailable, printable(&why)))
            }
            Err(_) => Err(error(
                CommandErrorKind::Unavailable,
                format!("no answer within {} s; it can be added and waits for one", PATIENCE.as_secs()),
            )),
        }
    }
}

/// Free bytes in the folder that would be made, by its nearest parent that exists.
fn free_at(dir: &Path) -> Option<u64> {
    let disk = dir.ancestors().find_map(|at| rustix::fs::statvfs(at).ok())?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The path itself, its bytes and files, and whether there are more. Links are not followed, as
/// sharing does not follow them.
pub(super) fn count(path: &Path) -> std::io::Result<(PathBuf, u64, u64, bool)> {
    let path = std::fs::canonicalize(path)?;
    let meta = std::fs::metadata(&path)?;
    if !meta.is_dir() {
        std::fs::File::open(&path)?;
        return Ok((path, meta.len(), 1, false));
    }
    let (until, mut entries) = (Instant::now() + COUNTING, 0u64);
    let (mut size, mut files) = (0u64, 0u64);
    let mut folders = vec![path.clone()];
    while let Some(folder) = folders.pop() {
        let listed = match std::fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(e) if folder == path => return Err(e),
            // Sharing says what it leaves out; here it is a matter of size.
            Err(_) => continue,
        };
        for entry in listed.flatten() {
            entries += 1;
            if entries > MAX_COUNTED || Instant::now() > until {
                return Ok((path, size, files, true));
            }
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files += 1;
                size = size.saturating_add(entry.metadata().map_or(0, |m| m.len()));
            }
        }
    }
    Ok((path, size, files, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_counted_without_following_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("deep")).unwrap();
        std::fs::write(dir.path().join("a"), [0; 10]).unwrap();
        std::fs::write(dir.path().join("deep/b"), [0; 5]).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("all")).unwrap();
        let (path, size, files, more) = count(dir.path()).unwrap();
        assert_eq!((size, files, more), (15, 2, false));
        assert_eq!(path, dir.path().canonicalize().unwrap());
        assert_eq!(count(&dir.path().join("a")).unwrap().1, 10);
        assert!(count(&dir.path().join("missing")).is_err());
    }

    #[test]
    fn space_is_known_where_a_folder_would_be_made() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_at(&dir.path().join("not/made/yet")).is_some());
    }
}
