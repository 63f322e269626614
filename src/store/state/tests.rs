use super::*;
use crate::content::{Digest, FileEntry};
use crate::control::ShareRequest;
use crate::store::{Chosen, JobRecord, Phase};

fn record(id: u64) -> TransferRecord {
    TransferRecord {
        id: TransferId(id),
        job: JobRecord::Share(ShareRequest::default()),
        phase: Phase::Active,
        seeding: false,
        published: false,
        mend: false,
        priority: 2,
        moved_to: None,
        queued: None,
        content: Some(ContentId([3; 32])),
        name: "x".into(),
        dir: "/tmp".into(),
        added_ms: 1,
        ended_ms: None,
        error: None,
        bytes_down: 0,
        bytes_up: 0,
        saved_bytes: 0,
        wire_bytes: 0,
        running_ms: 0,
    }
}

#[test]
fn what_was_recorded_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let mut have = Bitmap::empty(9);
    have.set(4);
    let stamp = FileStamp { size: 1, mtime_ns: -1, inode: 2, device: 3 };
    {
        let state = State::open(&path).unwrap();
        assert_eq!(state.next_id().unwrap(), TransferId(1));
        assert_eq!(state.stamps(TransferId(1)).unwrap(), None);
        state.put_transfer(&record(1), Some(&have), Some(&[stamp])).unwrap();
        let ban = BanRow { peer: "10.0.0.1:7".into(), reason: "bad piece".into(), since_ms: 1, until_ms: 2 };
        state.put_bans(std::slice::from_ref(&ban)).unwrap();
    }
    let state = State::open(&path).unwrap();
    assert_eq!(state.next_id().unwrap(), TransferId(2), "ids are never given twice");
    assert_eq!(state.transfers().unwrap(), (vec![record(1)], vec![]));
    assert_eq!(state.bitmap(TransferId(1), 9).unwrap(), Some(have));
    assert_eq!(state.bitmap(TransferId(1), 99).unwrap(), None, "of another content");
    assert_eq!(state.stamps(TransferId(1)).unwrap(), Some(vec![stamp]));
    assert_eq!(state.bans().unwrap().len(), 1);
    state.remove_transfer(TransferId(1)).unwrap();
    assert_eq!(state.transfers().unwrap().0.len(), 0);
    assert_eq!(state.bitmap(TransferId(1), 9).unwrap(), None);
    assert_eq!(state.stamps(TransferId(1)).unwrap(), None);
}

#[test]
fn what_no_transfer_uses_is_purged_a_bounded_number_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(&dir.path().join("state.redb")).unwrap();
    let mut contents = Vec::new();
    for n in 0..7u8 {
        let entry = FileEntry { mode: 0o644, mtime: None, path: "f".into(), size: 1, symlink: None };
        let manifest = Manifest {
            files: vec![entry],
            name: "f".into(),
            piece_length: 1024,
            pieces: vec![Digest([n; 32])],
            tree: false,
            version: 1,
        };
        state.put_manifest(&manifest.id(), &manifest).unwrap();
        state.put_hashed(&dir.path().join(n.to_string()), &n).unwrap();
        contents.push(manifest.id());
    }
    let fetch = TransferRecord { content: Some(contents[2]), ..record(1) };
    let path = dir.path().join("4");
    let share = TransferRecord {
        job: JobRecord::Share(ShareRequest { path: path.clone(), ..ShareRequest::default() }),
        ..record(2)
    };
    let used = [fetch, share];
    assert_eq!(state.purge(&used, 4).unwrap(), 8, "four of each");
    assert_eq!(state.purge(&used, 4).unwrap(), 4);
    assert_eq!(state.purge(&used, 4).unwrap(), 0);
    assert!(state.manifest(&contents[2]).unwrap().is_some() && state.manifest(&contents[3]).unwrap().is_none());
    assert_eq!(state.hashed::<u8>(&path).unwrap(), Some(4));
    assert_eq!(state.hashed::<u8>(&dir.path().join("5")).unwrap(), None);
}

#[test]
fn a_chosen_limit_holds_until_the_configuration_changes() {
    let chosen = Some(Chosen { instead_of: Some(5), rate: None });
    assert_eq!(Chosen::over(None, Some(5)), Some(5));
    assert_eq!(Chosen::over(chosen, Some(5)), None, "chosen: unlimited");
    assert_eq!(Chosen::over(chosen, Some(9)), Some(9), "said since");
    assert_eq!(Chosen::over(chosen, None), None);
}

#[test]
fn a_second_opener_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let _held = State::open(&path).unwrap();
    assert!(matches!(State::open(&path), Err(StateError::Busy(_))));
}

#[test]
fn a_damaged_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    drop(State::open(&path).unwrap());
    let sound = std::fs::read(&path).unwrap();
    let mut swapped = sound.clone();
    let half = swapped.len() / 2;
    swapped.truncate(half);
    let short = sound[..100].to_vec();
    for garbage in [b"not a database at all".to_vec(), vec![0; 4096], swapped, short] {
        std::fs::write(&path, &garbage).unwrap();
        let error = State::open(&path).unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains("state.redb"), "{error}");
        assert!(std::fs::read(&path).unwrap() == garbage, "not touched");
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let error = State::open(&path).unwrap_err().to_string();
    assert!(error.contains("cannot open") && error.contains("state.redb"), "{error}");
}
