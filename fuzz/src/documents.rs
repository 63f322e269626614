//! Documents: manifests, trees, announces, names.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use serde::Serialize;
use serde::de::DeserializeOwned;
use skep_engine::content::link::Link;
use skep_engine::content::manifest::target_stays_inside;
use skep_engine::content::metalink::{Caps, parse};
use skep_engine::content::{Bitmap, Manifest, name};
use skep_engine::swarm::announce::{Announce, AnnounceReply};
use skep_engine::sync::wire::{self, Apply, Compare, Compared, Digested, Digests, List, Listed};
use skep_engine::upload::{Assembly, Description};

/// A path that was found good stays inside.
fn stays_inside(path: &Path) {
    assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
    assert!(!path.as_os_str().is_empty());
}

/// A manifest.
pub fn manifest(data: &[u8]) -> bool {
    let Ok(manifest) = Manifest::from_json(data) else { return false };
    manifest.files.iter().for_each(|entry| stays_inside(Path::new(&entry.os_path().unwrap())));
    let size: u64 = manifest.files.iter().map(|entry| entry.size).sum();
    assert_eq!(manifest.size(), size);
    let pieces: u64 = (0..manifest.piece_count()).map(|index| manifest.piece_size(index)).sum();
    assert_eq!(pieces, size);
    let again = Manifest::from_json(&manifest.to_json()).unwrap();
    assert_eq!((&again, again.id()), (&manifest, manifest.id()));
    true
}

/// A Metalink.
pub fn metalink(data: &[u8]) -> bool {
    let caps = Caps { files: 100, pieces: 10_000, ..Caps::default() };
    let Ok(files) = parse(data, &caps) else { return false };
    assert!(files.len() <= caps.files);
    for file in &files {
        stays_inside(Path::new(&name::checked_path(&file.name).unwrap()));
        if let Ok(manifest) = file.to_manifest() {
            manifest.check().unwrap();
        }
    }
    true
}

/// Read, written and read again it is the same.
fn again<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let document: T = wire::read(data).ok()?;
    let bytes = serde_json::to_vec(&document).unwrap();
    assert_eq!(wire::read::<T>(&bytes[..]).unwrap(), document);
    Some(document)
}

/// What the two ends of a sync say: the first byte tells which document.
pub fn sync(data: &[u8]) -> bool {
    let Some((kind, rest)) = data.split_first() else { return false };
    match kind % 7 {
        0 => again::<Compare>(rest).is_some(),
        1 => again::<Compared>(rest).is_some(),
        2 => again::<List>(rest).is_some(),
        3 => {
            let Some(listed) = again::<Listed>(rest) else { return false };
            for folder in listed.folders.into_iter().flatten() {
                let Ok(folder) = folder.check() else { return false };
                for entry in &folder.entries {
                    stays_inside(Path::new(&name::checked_path(&entry.name).unwrap()));
                    assert!(!entry.name.contains('/') && entry.mode <= 0o777);
                }
                assert!(folder.entries.windows(2).all(|pair| pair[0].name < pair[1].name), "none twice");
            }
            true
        }
        4 => again::<Digests>(rest).is_some(),
        5 => again::<Digested>(rest).is_some(),
        _ => again::<Apply>(rest).is_some(),
    }
}

/// The description of an upload, or the digests of its segments: the first byte tells which.
pub fn upload(data: &[u8]) -> bool {
    let Some((kind, rest)) = data.split_first() else { return false };
    if kind % 2 == 1 {
        return Assembly::from_reader(rest).is_ok();
    }
    let Ok(target) = Description::from_reader(rest).and_then(Description::check) else { return false };
    stays_inside(&target.path);
    target.manifest.files.iter().for_each(|entry| stays_inside(Path::new(&entry.os_path().unwrap())));
    true
}

/// What a node tells a tracker, hears from it, or the bitmap that is in both: the first byte tells which.
pub fn announce(data: &[u8]) -> bool {
    let Some((kind, rest)) = data.split_first() else { return false };
    match kind % 3 {
        0 => {
            let Ok(announce) = serde_json::from_slice::<Announce>(rest) else { return false };
            announce.check([127, 0, 0, 1].into()).is_ok()
        }
        1 => serde_json::from_slice::<AnnounceReply>(rest).is_ok(),
        _ => {
            let Some((len, bytes)) = rest.split_first_chunk() else { return false };
            let len = u32::from_le_bytes(*len);
            let Ok(bitmap) = Bitmap::from_bytes(bytes.to_vec(), len) else { return false };
            assert_eq!(bitmap.ones().count() + bitmap.zeros().count(), len as usize);
            assert_eq!(bitmap.count() as usize, bitmap.ones().count());
            assert_eq!(Bitmap::from_bytes(bitmap.as_bytes().to_vec(), len).unwrap(), bitmap);
            true
        }
    }
}

/// Names and links.
pub fn names(data: &[u8]) -> bool {
    let raw = OsStr::from_bytes(data);
    let mut taken = Link::parse(raw).is_ok();
    let escaped = name::escape(raw);
    assert_eq!(name::unescape(&escaped).unwrap(), raw);
    let Ok(text) = std::str::from_utf8(data) else { return taken };
    if let Ok(path) = name::checked_path(text) {
        taken = true;
        stays_inside(Path::new(&path));
        assert_eq!(name::escape(&path), text, "one spelling");
    }
    assert!(!name::printable(text).chars().any(char::is_control));
    // A link and its target, apart by a line's end.
    let Some((path, target)) = text.split_once('\n') else { return taken };
    if name::checked_path(path).is_ok() && target_stays_inside(path, target) {
        let mut depth = path.matches('/').count() as i64;
        let target = name::unescape(target).unwrap();
        for part in Path::new(&target).components() {
            match part {
                Component::Normal(_) => depth += 1,
                Component::ParentDir => depth -= 1,
                Component::CurDir => {}
                _ => panic!("{target:?}"),
            }
            assert!(depth >= 0, "{path:?} leads out by {target:?}");
        }
        taken = true;
    }
    taken
}
