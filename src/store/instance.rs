//! The note that a running node leaves in its state folder, so that other processes find it, and
//! the token that they show it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// File names below the state folder.
const NOTE: &str = "node.json";
const TOKEN: &str = "token";

/// A node that runs, or ran, on a state folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its URL for local clients.
    pub url: String,
    /// Its process.
    pub pid: u32,
    /// Holds its control token.
    pub token_file: PathBuf,
}

/// The node that left its note here, whether it still runs or not.
pub fn find(state_dir: &Path) -> Option<Instance> {
    let text = fs::read(state_dir.join(NOTE)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Leaves the note, atomically.
///
/// # Errors
/// The folder cannot be written.
pub fn leave(state_dir: &Path, instance: &Instance) -> io::Result<()> {
    let json = serde_json::to_vec(instance)?;
    write_private(&state_dir.join(NOTE), &json)
}

/// Takes the note away; fine if it is gone.
pub fn remove(state_dir: &Path) {
    let _ = fs::remove_file(state_dir.join(NOTE));
}

/// The token of this state folder, made on first use: 256 random bits in hex, mode 0600.
///
/// # Errors
/// The folder cannot be read or written, or others may read the token.
pub fn own_token(state_dir: &Path) -> io::Result<String> {
    let path = token_file(state_dir);
    match fs::read_to_string(&path) {
        Ok(token) if token.trim().len() >= 32 => {
            if fs::metadata(&path)?.permissions().mode() & 0o077 != 0 {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            }
            Ok(token.trim().to_owned())
        }
        Ok(_) => make_token(&path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => make_token(&path),
        Err(e) => Err(e),
    }
}

/// Where [`own_token`] keeps it.
pub fn token_file(state_dir: &Path) -> PathBuf {
    state_dir.join(TOKEN)
}

fn make_token(path: &Path) -> io::Result<String> {
    let mut bytes = [0u8; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    let token = data_encoding::HEXLOWER.encode(&bytes);
    write_private(path, token.as_bytes())?;
    Ok(token)
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temp = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(temp, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let token = own_token(dir.path()).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(own_token(dir.path()).unwrap(), token);
        fs::set_permissions(token_file(dir.path()), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(own_token(dir.path()).unwrap(), token);
        let mode = fs::metadata(token_file(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "made private again");
    }

    #[test]
    fn the_note_comes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(find(dir.path()), None);
        let note = Instance { url: "http://127.0.0.1:1".into(), pid: 7, token_file: token_file(dir.path()) };
        leave(dir.path(), &note).unwrap();
        assert_eq!(find(dir.path()), Some(note));
        remove(dir.path());
        assert_eq!(find(dir.path()), None);
    }
}
