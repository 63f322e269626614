//! Nodes by name: `console.targets`.

use std::path::{Path, PathBuf};

use skep_engine::content::name::printable;

use super::{Config, Folders, Source};

/// A node that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTarget {
    /// As it is called.
    pub name: String,
    /// `http://HOST:PORT`.
    pub url: String,
    /// The file with its token; none: the one of the setting `token_file`.
    pub token_file: Option<PathBuf>,
    /// Only to be looked at.
    pub read_only: bool,
}

/// Reads `NAME=URL [token=FILE] [read-only]`.
///
/// # Errors
/// In words, what it should have been.
pub fn parse(text: &str) -> Result<NamedTarget, String> {
    let wrong =
        |why: &str| format!("console.targets: {:?} {why}: write NAME=URL [token=FILE] [read-only]", printable(text));
    let mut words = text.split_whitespace();
    let (name, url) = words.next().and_then(|word| word.split_once('=')).ok_or_else(|| wrong("names no URL"))?;
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(wrong("has no plain name"));
    }
    if url.is_empty() {
        return Err(wrong("names no URL"));
    }
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let url = url.trim_end_matches('/').to_owned();
    let mut target = NamedTarget { name: name.to_owned(), url, token_file: None, read_only: false };
    for word in words {
        match word.split_once('=') {
            Some(("token", file)) if !file.is_empty() => target.token_file = Some(PathBuf::from(file)),
            None if word == "read-only" => target.read_only = true,
            _ => return Err(wrong("has a word too many")),
        }
    }
    Ok(target)
}

/// All of them; token files of the configuration file start at that file.
///
/// # Errors
/// One is not written as it should be, or two have the same name.
pub fn all(config: &Config) -> Result<Vec<NamedTarget>, String> {
    let file = match (config.source("console.targets"), &config.file) {
        (Some(Source::File(_)), Some(file)) => Some(file.as_path()),
        _ => None,
    };
    let mut targets: Vec<NamedTarget> = Vec::new();
    for text in &config.settings.console.targets {
        let mut target = parse(text)?;
        target.token_file = target.token_file.map(|path| anchored(path, config.folders.as_ref(), file));
        if targets.iter().any(|known| known.name == target.name) {
            return Err(format!("console.targets: {} is there twice", target.name));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn anchored(path: PathBuf, folders: Option<&Folders>, file: Option<&Path>) -> PathBuf {
    match file {
        Some(file) => Folders::from_file(folders, &path, file),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_as_people_write_them() {
        let plain = parse("attic=10.0.0.5:7070").unwrap();
        assert_eq!((plain.name.as_str(), plain.url.as_str()), ("attic", "http://10.0.0.5:7070"));
        assert!(plain.token_file.is_none() && !plain.read_only);
        let full = parse("lab-2=http://[::1]:7070/ token=/etc/skep/lab.token read-only").unwrap();
        assert_eq!(full.url, "http://[::1]:7070");
        assert!(full.read_only && full.token_file.as_deref() == Some(Path::new("/etc/skep/lab.token")));
        for wrong in ["", "attic", "=http://x", "attic=", "a/b=http://x", "attic=x readonly", "attic=x token="] {
            let said = parse(wrong).unwrap_err();
            assert!(said.contains("console.targets") && said.contains("NAME=URL"), "{wrong}: {said}");
        }
    }
}
