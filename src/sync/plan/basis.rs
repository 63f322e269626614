//! A file there that one of ours is probably a newer version or a sibling of, so that only the difference need be sent.
//! A wrong guess costs a signature, some thousandths of the file, and some hashing.

use std::collections::HashMap;

use crate::sync::entry::{Entry, join, split};

/// A basis is worth a look from this size on.
pub(super) const BASIS_FROM: u64 = 16 << 10;
/// Files of a folder, or of a name, that are looked at.
const LOOKED_AT: usize = 512;
/// Of [`score`], for a basis.
const ENOUGH: u64 = 60;

/// Files there, by what they may be found by.
#[derive(Default)]
pub(super) struct Bases<'a> {
    by_folder: HashMap<&'a str, Vec<Basis<'a>>>,
    by_name: HashMap<&'a str, Vec<Basis<'a>>>,
}

#[derive(Clone, Copy)]
struct Basis<'a> {
    folder: &'a str,
    entry: &'a Entry,
    is_gone: bool,
}

impl<'a> Bases<'a> {
    pub(super) fn add(&mut self, folder: &'a str, entry: &'a Entry, is_gone: bool) {
        let basis = Basis { folder, entry, is_gone };
        for list in [self.by_folder.entry(folder).or_default(), self.by_name.entry(&entry.name).or_default()] {
            if list.len() < LOOKED_AT {
                list.push(basis);
            } else if is_gone {
                // What was renamed and edited is one of these.
                list.rotate_right(1);
                list[0] = basis;
            }
        }
    }

    /// The best one for a file that is new there: of the same name elsewhere, or in the same folder.
    pub(super) fn of(&self, path: &str, entry: &Entry) -> Option<String> {
        let (folder, name) = split(path);
        let beside = self.by_folder.get(folder).into_iter().flatten();
        let namesakes = self.by_name.get(name).into_iter().flatten();
        beside
            .chain(namesakes)
            .filter_map(|basis| Some((score(name, entry.size(), basis)?, basis)))
            .filter(|(score, _)| *score >= ENOUGH)
            .max_by(|(a, one), (b, other)| a.cmp(b).then_with(|| place(other).cmp(&place(one))))
            .map(|(_, basis)| join(basis.folder, &basis.entry.name))
    }
}

fn place<'a>(basis: &Basis<'a>) -> (&'a str, &'a str) {
    (basis.folder, &basis.entry.name)
}

/// How much speaks for a basis: 100 for the same name, 40 for one that is gone (it may have been renamed and edited), up to
/// 30 for the same size. None: nothing to be hoped for.
fn score(name: &str, size: u64, basis: &Basis<'_>) -> Option<u64> {
    let other = basis.entry.size();
    let (less, more) = (size.min(other), size.max(other));
    let like = likeness(name, &basis.entry.name) as u64;
    // One that stays is a sibling at best: of pictures and archives these have nothing in common.
    let is_stranger = !basis.is_gone && (like < ENOUGH || (like < 100 && is_packed(name)));
    if less < more / 4 || is_stranger {
        return None;
    }
    let near = (less * 100 / more.max(1)).saturating_sub(70);
    Some(like + 40 * u64::from(basis.is_gone) + near)
}

/// Names of what is compressed as a whole.
fn is_packed(name: &str) -> bool {
    const PACKED: [&str; 22] = [
        "7z", "aac", "avif", "br", "bz2", "flac", "gif", "gz", "heic", "jpeg", "jpg", "m4a", "mkv", "mov", "mp3",
        "mp4", "ogg", "png", "webm", "webp", "xz", "zip",
    ];
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    PACKED.iter().any(|packed| packed.eq_ignore_ascii_case(end))
}

/// How much of the longer of two names the other begins and ends with, in percent: `app-1.2.tar` and
/// `app-1.3.tar` share 10 of 11 bytes.
fn likeness(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let rest = a.len().min(b.len()) - head;
    let tail = a.iter().rev().zip(b.iter().rev()).take(rest).take_while(|(x, y)| x == y).count();
    (head + tail) * 100 / a.len().max(b.len()).max(1)
}
