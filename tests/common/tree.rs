//! What a tree on disk is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A path below the top, mode, seconds and nanoseconds of its time, and what it is: the content of a file and the
/// count of its names, the target of a link.
pub type Listed = (PathBuf, u32, i64, i64, Vec<u8>);

/// All that is below a folder, sorted.
pub fn listing(dir: &Path) -> Vec<Listed> {
    listed(dir).unwrap()
}

/// The same of a folder that may change meanwhile.
///
/// # Errors
/// Something went before it was looked at.
pub fn listed(dir: &Path) -> io::Result<Vec<Listed>> {
    let (mut found, mut next) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = next.pop() {
        for child in fs::read_dir(&folder)? {
            let path = child?.path();
            let meta = path.symlink_metadata()?;
            let content = if meta.is_symlink() {
                fs::read_link(&path)?.into_os_string().into_encoded_bytes()
            } else if meta.is_dir() {
                next.push(path.clone());
                Vec::new()
            } else {
                let mut content = fs::read(&path)?;
                content.push(meta.nlink() as u8);
                content
            };
            found.push((path.strip_prefix(dir).unwrap().into(), meta.mode(), meta.mtime(), meta.mtime_nsec(), content));
        }
    }
    found.sort();
    Ok(found)
}
