//! Sources that somebody works on while they are pushed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use skep_engine::control::{Command, TransferState};

use super::common::noise;
use super::{Halfway, SEGMENT, is, order};

type Harm = fn(&Path);

/// What somebody does to a file of 50 segments, five of which are sent.
const HARMS: [(&str, Harm); 6] = [
    ("truncated", |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(1_000_000).unwrap()),
    ("grown", |path| fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap()),
    ("rewritten", |path| rewrite(path)),
    ("rewritten, with its time put back", |path| {
        let before = fs::metadata(path).unwrap();
        rewrite(path);
        fs::OpenOptions::new().write(true).open(path).unwrap().set_modified(before.modified().unwrap()).unwrap();
    }),
    ("replaced by another of the same size and time", |path| {
        let before = fs::metadata(path).unwrap();
        let other = path.with_extension("new");
        fs::write(&other, noise(before.len() as usize, 7)).unwrap();
        fs::OpenOptions::new().write(true).open(&other).unwrap().set_modified(before.modified().unwrap()).unwrap();
        fs::rename(other, path).unwrap();
    }),
    ("deleted", |path| fs::remove_file(path).unwrap()),
];

/// Other bytes in every segment, those that were sent and those that were not.
fn rewrite(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    for segment in 0..50 {
        file.write_all_at(b"other", segment * SEGMENT).unwrap();
    }
}

#[tokio::test]
async fn a_source_that_changes_is_reported_and_never_mixed() {
    for (what, harm) in HARMS {
        let push = Halfway::new().await;
        harm(&push.file);
        push.let_through();
        let row = push.node.wait(push.id, is(TransferState::Failed)).await;
        let error = row.error.unwrap();
        assert!(error.contains("changed since the transfer began") || error.contains("cannot read"), "{what}: {error}");
        push.resume().await;
        // Whoever resumes hears what to do.
        let row = push.node.wait(push.id, |row| row.state == TransferState::Failed && row.error.is_some()).await;
        assert!(!row.verified, "{what}: {row:#?}");
        order(&push.node, Command::Cancel { ids: vec![push.id] }).await;
        push.node.wait(push.id, is(TransferState::Cancelled)).await;
        push.receiver.with(|r| assert!(r.aborted && r.published.is_none(), "{what}"));
    }
}
