//! Files that are changed in place of being sent anew: a delta is applied beside the old file, and takes its name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::admission::{self, Claim};
use super::assembly::{MAX_NUMBER, spelled, with_number};
use super::description::{Description, Policy, VERSION};
use super::error::UploadError;
use super::patching::{Patching, Patchings, Wanted};
use super::uploads::Uploads;
use crate::content::Digest;
use crate::content::manifest::{MAX_PIECE_LENGTH, MIN_PIECE_LENGTH};
use crate::content::name;
use crate::delta::instructions::{HEADER, Reader};
use crate::delta::patch::{PatchError, patch};
use crate::failpoint;
use crate::store::{Beside, FilesErrorKind, Found, Version};

/// A file that is to become another one.
#[derive(Debug, Clone)]
pub struct PatchRequest {
    /// Where it is below the root, in the manifest's spelling.
    pub path: String,
    /// The old file, if it is another one: that stays as it is, and nothing need be at `path`.
    pub basis: Option<String>,
    /// What happens to the file at `path`.
    pub policy: Policy,
    /// The [tag](Version::tag) of the old file, as it was when it was signed.
    pub tag: String,
    /// Bytes of the new one.
    pub size: u64,
    /// Its permission bits; none: those of the old one.
    pub mode: Option<u32>,
    /// Its time of modification.
    pub mtime: Option<jiff::Timestamp>,
    /// Who sends it, as the operator is shown it.
    pub from: Arc<str>,
}

/// A file that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchedFile {
    /// Where it is below the root, in the manifest's spelling.
    pub path: String,
    /// Bytes of it.
    pub bytes: u64,
    /// Of these, taken from the old file.
    pub matched_bytes: u64,
    /// Of these, sent.
    pub literal_bytes: u64,
    /// Of the whole new file, as it was written.
    pub sha256: Digest,
}

/// The claims of patches under way.
#[derive(Debug, Default)]
pub(super) struct Patches {
    claims: Mutex<BTreeMap<u64, Claim>>,
    next: AtomicU64,
    /// What is shown of them.
    pub(super) shown: Patchings,
}

impl Patches {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Claim>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What they lay claim to.
    pub(super) fn claims(&self) -> Vec<Claim> {
        self.lock().values().cloned().collect()
    }
}

/// Room and name for one new file, until it is dropped.
#[derive(Debug)]
pub struct Patch {
    uploads: Arc<Uploads>,
    claim: u64,
    request: PatchRequest,
    /// The folder from which a rename to the name stays on one mount, and the name below that.
    staged_in: PathBuf,
    name: PathBuf,
    old: Arc<File>,
    version: Version,
    /// What stands under the name, and may be replaced; none: nothing does.
    instead_of: Option<Version>,
    beside: Beside,
    shown: Arc<Patching>,
}

impl Drop for Patch {
    fn drop(&mut self) {
        self.shown.ended(Err("it broke off".into()));
        self.uploads.patches.lock().remove(&self.claim);
    }
}

impl Uploads {
    /// The file at this path below the root, as it is now. Blocks.
    ///
    /// # Errors
    /// There is none ([`UploadError::Absent`]), or it is none that could be changed.
    pub fn old_file(&self, path: &str) -> Result<(PathBuf, File, Version), UploadError> {
        let target = description(path, 0).check()?;
        match self.home.root.find(&target.path)? {
            Found::File(file, version) => Ok((target.path, file, version)),
            Found::Nothing => Err(UploadError::Absent("nothing of that name is here yet: send it whole".into())),
            Found::Other => Err(UploadError::Taken(format!("{:?} is no file", name::excerpt(path)))),
        }
    }

    /// Bytes that came and that were made so far of the delta that is applied to the file at this path; none: none is.
    ///
    /// # Errors
    /// A path that cannot be.
    pub fn applying(&self, path: &str) -> Result<Option<u64>, UploadError> {
        Ok(self.patches.shown.at_work(&description(path, 0).check()?.path))
    }

    /// Where a path is below the root, and the file that stands there.
    fn taken_by(&self, path: &str) -> Result<(PathBuf, Option<Version>), UploadError> {
        let target = description(path, 0).check()?;
        match self.home.root.find(&target.path)? {
            Found::File(_, version) => Ok((target.path, Some(version))),
            Found::Nothing => Ok((target.path, None)),
            Found::Other => Err(UploadError::Taken(format!("{:?} is no file", name::excerpt(path)))),
        }
    }

    /// Makes room for a new version of a file.
    ///
    /// # Errors
    /// The old one is gone or is not the one that was signed ([`UploadError::Changed`]); somebody else writes that name; it is
    /// too much.
    pub async fn patch(self: &Arc<Self>, request: PatchRequest) -> Result<Patch, UploadError> {
        let _one = self.opening.lock().await;
        let uploads = self.clone();
        let begun = tokio::task::spawn_blocking(move || uploads.patch_now(request)).await;
        begun.unwrap_or_else(|error| Err(UploadError::Disk(format!("internal: {error}"))))
    }

    fn patch_now(self: Arc<Self>, request: PatchRequest) -> Result<Patch, UploadError> {
        let asked =
            Description { policy: request.policy, mode: request.mode, ..description(&request.path, request.size) };
        asked.check()?;
        let (found, old, version) = self.old_file(request.basis.as_ref().unwrap_or(&request.path))?;
        if version.tag() != request.tag {
            return Err(changed());
        }
        let (path, instead_of) = match request.basis {
            None => (found, Some(version)),
            Some(_) => self.taken_by(&request.path)?,
        };
        if request.policy == Policy::Refuse && instead_of.is_some() {
            return Err(UploadError::Taken(format!("{:?} is taken", name::excerpt(&request.path))));
        }
        let others = self.claims();
        // As of uploads: only on its own mount can it take the name by a rename.
        let staged_in = self.home.root.staging(&path)?;
        let base = self.home.root.within(&staged_in)?;
        let name = path.strip_prefix(&staged_in).unwrap_or(&path).to_owned();
        let free = Beside::free_space(&base)?;
        admission::admit(&path, (request.size, 1), request.policy, &others, &self.limits, free)?;
        let beside = Beside::create(&base, &name)?
            .ok_or_else(|| UploadError::Locked("another delta of that file is being applied".into()))?;
        let claim = self.patches.next.fetch_add(1, Ordering::Relaxed);
        let (size, policy) = (request.size, request.policy);
        let claimed = Claim { path: path.clone(), policy, size, missing: size, entries: 1 };
        self.patches.lock().insert(claim, claimed);
        let number = self.home.state.next_id()?;
        let sizes = (version.size, request.size);
        let shown = Patching::new(number, path, request.from.clone(), sizes, self.home.news.clone());
        self.patches.shown.add(shown.clone());
        Ok(Patch {
            uploads: self,
            claim,
            request,
            staged_in,
            name,
            old: old.into(),
            version,
            instead_of,
            beside,
            shown,
        })
    }
}

/// The whole of a description that a delta has no use for.
fn description(path: &str, size: u64) -> Description {
    let segment = size.div_ceil(1 << 20).next_power_of_two().clamp(MIN_PIECE_LENGTH, MAX_PIECE_LENGTH);
    Description {
        version: VERSION,
        path: path.into(),
        policy: Policy::Overwrite,
        size,
        segment_length: segment,
        files: None,
        mode: None,
        mtime: None,
        metadata: None,
        part: false,
        deferred: false,
    }
}

fn changed() -> UploadError {
    UploadError::Changed("what is here is not what the delta was made for: ask for signatures again".into())
}

impl Patch {
    /// Applies instructions while they come. The old file keeps its name until the new one is whole, has the right SHA-256 and is on
    /// the disk. Blocks.
    ///
    /// # Errors
    /// The instructions are no good or break off; the old file changed meanwhile; the new one is not what it should be; the
    /// disk refused. Nothing has changed then.
    pub fn apply(mut self, instructions: impl Read) -> Result<PatchedFile, UploadError> {
        let shown = self.shown.clone();
        let applied = self.apply_now(Wanted { from: instructions, patching: shown.clone() });
        shown.ended(applied.as_ref().map(|_| ()).map_err(ToString::to_string));
        if applied.is_err() && shown.is_stopped() { Err(UploadError::Cancelled) } else { applied }
    }

    fn apply_now(&mut self, mut instructions: impl Read) -> Result<PatchedFile, UploadError> {
        let mut head = [0; HEADER];
        let cut = |error: io::Error| UploadError::Bad(format!("cannot read the instructions: {error}"));
        instructions.read_exact(&mut head).map_err(cut)?;
        let told = Reader::new(&head[..]).map_err(cut)?.header().source_size;
        if told != self.request.size {
            return Err(UploadError::Bad(format!("the instructions make {told} bytes, not {}", self.request.size)));
        }
        let all = (&head[..]).chain(instructions);
        let shown = self.shown.clone();
        let (uploads, claim, size) = (self.uploads.clone(), self.claim, self.request.size);
        let report = |matched, literal| {
            failpoint::step("delta:applying");
            shown.made(matched, literal);
            // What is written is not free any more, and must not be counted twice.
            if let Some(claim) = uploads.patches.lock().get_mut(&claim) {
                claim.missing = size.saturating_sub(matched + literal);
            }
        };
        let patched = patch(&self.old, all, self.beside.file(), report).map_err(|error| match error {
            // Somebody wrote into the old file while it was read.
            PatchError::Mismatch { .. } if !self.is_unchanged() => changed(),
            other => other.into(),
        })?;
        failpoint::step("delta:patched");
        let mode = match self.request.mode {
            Some(mode) => mode,
            None => mode_of(&self.old).map_err(|e| UploadError::Disk(e.to_string()))?,
        };
        self.beside.finish(mode, self.request.mtime)?;
        failpoint::step("delta:synced");
        let path = self.land()?;
        failpoint::step("delta:landed");
        tracing::info!(
            target: "upload", path = %name::printable(&spelled(&path)), matched = patched.matched, literal = patched.literal,
            "changed by a delta"
        );
        Ok(PatchedFile {
            path: spelled(&path),
            bytes: self.request.size,
            matched_bytes: patched.matched,
            literal_bytes: patched.literal,
            sha256: patched.digest,
        })
    }

    /// The old file. Once the new one has its name, who holds it last lets its pages go.
    pub fn old(&self) -> Arc<File> {
        self.old.clone()
    }

    /// What is shown of it.
    pub fn shown(&self) -> &Arc<Patching> {
        &self.shown
    }

    fn is_unchanged(&self) -> bool {
        Version::of(&self.old).is_ok_and(|version| version == self.version)
    }

    fn land(&mut self) -> Result<PathBuf, UploadError> {
        // Whoever wrote into the old file after it was signed gets no thanks for it: it is looked at once more.
        if !self.is_unchanged() {
            return Err(changed());
        }
        if self.request.policy != Policy::KeepBoth || self.instead_of.is_none() {
            return match self.beside.land(&self.name, self.instead_of.as_ref()) {
                Ok(()) => Ok(self.staged_in.join(&self.name)),
                Err(error) if error.kind == FilesErrorKind::Changed => Err(changed()),
                Err(error) => Err(error.into()),
            };
        }
        for number in 2..MAX_NUMBER {
            let name = with_number(&self.name, number);
            match self.beside.land(&name, None) {
                Err(error) if error.kind == FilesErrorKind::Exists => {}
                Err(error) => return Err(error.into()),
                Ok(()) => return Ok(self.staged_in.join(name)),
            }
        }
        Err(UploadError::Taken(format!("{MAX_NUMBER} of that name are here")))
    }
}

fn mode_of(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o777)
}

impl From<PatchError> for UploadError {
    fn from(error: PatchError) -> Self {
        let detail = error.to_string();
        match error {
            PatchError::Instructions(_) => Self::Bad(detail),
            PatchError::Changed { .. } | PatchError::Old(_) => changed(),
            PatchError::New(error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    Self::NoSpace("the disk is full".into())
                }
                _ => Self::Disk(format!("the disk refused: {error}")),
            },
            PatchError::Mismatch { .. } => Self::Mismatch { detail, segments: Vec::new() },
        }
    }
}
