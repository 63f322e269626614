//! Whether one more upload may begin. Pure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::description::Policy;
use super::error::UploadError;
use crate::content::manifest::MAX_FILES;

/// What unfinished uploads may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Bytes of all unfinished uploads, as announced; none: what fits on the disk.
    pub quota: Option<u64>,
    /// An upload that nothing came for this long is removed.
    pub expiry: Duration,
    /// Unfinished uploads at once.
    pub open: usize,
    /// Entries of their trees, which are held in memory.
    pub entries: usize,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self { quota: None, expiry: Duration::from_secs(7 * 24 * 3600), open: 256, entries: 2 * MAX_FILES }
    }
}

/// What an unfinished upload lays claim to.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Below the root.
    pub path: PathBuf,
    /// If that is taken.
    pub policy: Policy,
    /// Bytes in all.
    pub size: u64,
    /// Of these, not here yet.
    pub missing: u64,
    /// Entries in its tree.
    pub entries: usize,
}

/// Lets an upload of `size` bytes (0: not known yet) and so many entries to `path` begin beside those under way, with `free` bytes on the disk.
///
/// # Errors
/// Another one writes its name, or it is too much.
pub fn admit(
    path: &Path,
    (size, new): (u64, usize),
    policy: Policy,
    others: &[Claim],
    limits: &UploadLimits,
    free: u64,
) -> Result<(), UploadError> {
    let rival =
        |other: &&Claim| policy != Policy::KeepBoth && other.policy != Policy::KeepBoth && overlaps(&other.path, path);
    if others.iter().any(|other| rival(&other)) {
        return Err(UploadError::Taken("another unfinished upload writes that name".into()));
    }
    if others.len() >= limits.open {
        return Err(UploadError::Busy(format!("{} uploads are unfinished, the most there may be", others.len())));
    }
    let entries: usize = others.iter().map(|other| other.entries).sum();
    if entries + new > limits.entries {
        return Err(UploadError::Quota(format!("unfinished uploads may have {} entries in all", limits.entries)));
    }
    let taken: u64 = others.iter().map(|other| other.size).fold(0, u64::saturating_add);
    if let Some(quota) = limits.quota
        && taken.saturating_add(size) > quota
    {
        return Err(UploadError::Quota(format!(
            "unfinished uploads may have {quota} bytes in all; {taken} are spoken for, this has {size}"
        )));
    }
    // What others still have to write is not free, whatever the disk says.
    let promised: u64 = others.iter().map(|other| other.missing).fold(0, u64::saturating_add);
    if size > free.saturating_sub(promised) {
        return Err(UploadError::NoSpace(format!(
            "{size} bytes do not fit: {free} are free here, {promised} of them promised to other uploads"
        )));
    }
    Ok(())
}

/// Lets an upload of unknown length, of which `here` bytes are here, go on beside those under way.
///
/// # Errors
/// It is too much.
pub fn go_on(here: u64, others: &[Claim], limits: &UploadLimits, free: u64) -> Result<(), UploadError> {
    let taken: u64 = others.iter().map(|other| other.size).fold(0, u64::saturating_add);
    if let Some(quota) = limits.quota
        && taken.saturating_add(here) > quota
    {
        return Err(UploadError::Quota(format!(
            "unfinished uploads may have {quota} bytes in all; {taken} are spoken for by others, and of this {here} are here"
        )));
    }
    let promised: u64 = others.iter().map(|other| other.missing).fold(0, u64::saturating_add);
    if promised >= free {
        return Err(UploadError::NoSpace(format!(
            "no more bytes fit: {free} are free here, {promised} of them promised to other uploads"
        )));
    }
    Ok(())
}

/// One is the other, or lies in it.
fn overlaps(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[cfg(test)]
mod tests {
    use super::super::description::{Description, Target};
    use super::*;

    fn target(path: &str, size: u64) -> Target {
        let json = format!(r#"{{"version":1,"path":"{path}","size":{size},"segment_length":1024}}"#);
        Description::from_reader(json.as_bytes()).unwrap().check().unwrap()
    }

    fn claim(path: &str, policy: Policy) -> Claim {
        Claim { path: path.into(), policy, size: 1_000, missing: 400, entries: 1 }
    }

    #[test]
    fn two_writers_of_one_name_only_if_both_can_be_kept() {
        let limits = UploadLimits::default();
        let admit = |path: &str, policy, other: Claim| {
            let new = target(path, 1);
            admit(&new.path, (new.manifest.size(), 1), policy, &[other], &limits, 1 << 30)
        };
        use Policy::{KeepBoth, Overwrite, Refuse};
        for (path, policy, other) in
            [("a", Refuse, "a"), ("a", Overwrite, "a"), ("a/b", Refuse, "a"), ("a", Overwrite, "a/b/c")]
        {
            assert!(matches!(admit(path, policy, claim(other, Refuse)), Err(UploadError::Taken(_))), "{path} {other}");
        }
        assert!(admit("a", KeepBoth, claim("a", Refuse)).is_ok());
        assert!(admit("a", Refuse, claim("a", KeepBoth)).is_ok());
        assert!(admit("ab", Refuse, claim("a", Refuse)).is_ok(), "names, not letters");
    }

    #[test]
    fn one_of_unknown_length_goes_on_within_quota_and_space() {
        let others = [claim("a", Policy::Refuse), claim("b", Policy::Refuse)];
        let limits = UploadLimits { quota: Some(2_500), ..UploadLimits::default() };
        assert!(go_on(500, &others, &limits, 801).is_ok());
        assert!(matches!(go_on(501, &others, &limits, 801), Err(UploadError::Quota(_))));
        assert!(matches!(go_on(500, &others, &limits, 800), Err(UploadError::NoSpace(_))), "800 are promised");
        assert!(matches!(go_on(u64::MAX, &others, &limits, 801), Err(UploadError::Quota(_))));
        assert!(go_on(1 << 40, &others, &UploadLimits::default(), 801).is_ok());
    }

    #[test]
    fn quota_space_and_numbers_hold() {
        let others = [claim("a", Policy::Refuse), claim("b", Policy::Refuse)];
        let admit = |size, limits: &UploadLimits, free| {
            let new = target("c", size);
            admit(&new.path, (new.manifest.size(), 1), Policy::Refuse, &others, limits, free)
        };
        let limits = UploadLimits::default();
        assert!(admit(200, &limits, 1_000).is_ok());
        assert!(matches!(admit(201, &limits, 1_000), Err(UploadError::NoSpace(_))), "800 are promised");
        let quota = UploadLimits { quota: Some(2_500), ..limits };
        assert!(admit(500, &quota, 1 << 30).is_ok());
        assert!(matches!(admit(501, &quota, 1 << 30), Err(UploadError::Quota(_))));
        let few = UploadLimits { open: 2, ..limits };
        assert!(matches!(admit(1, &few, 1 << 30), Err(UploadError::Busy(_))));
        let small = UploadLimits { entries: 2, ..limits };
        assert!(matches!(admit(1, &small, 1 << 30), Err(UploadError::Quota(_))));
    }
}
