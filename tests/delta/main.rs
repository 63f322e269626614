//! Files that change by deltas: real engines over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

mod bad_days;
#[path = "../common/mod.rs"]
mod common;
mod liars;
mod routes;
mod shown;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{PATIENCE, TestNode, noise};
use skep_engine::control::{Command, OnTaken, SendRequest, SendStrategy, TransferId, TransferRow};
use skep_engine::push::retry::Pace;

const DELTA: &str = "transit-delta-differential";

/// A sender, a receiver, and a file that is there in an older version.
struct Pair {
    from: TestNode,
    to: TestNode,
    dir: tempfile::TempDir,
}

impl Pair {
    async fn new(old: &[u8], new: &[u8]) -> Self {
        let from = TestNode::start_with(|config| config.pace = Pace(0.02)).await;
        let (to, dir) = (TestNode::start().await, tempfile::tempdir().unwrap());
        fs::create_dir_all(to.root().join("d")).unwrap();
        fs::write(to.root().join("d/f"), old).unwrap();
        fs::write(dir.path().join("f"), new).unwrap();
        Self { from, to, dir }
    }

    fn new_file(&self) -> PathBuf {
        self.dir.path().join("f")
    }

    fn old_file(&self) -> PathBuf {
        self.to.root().join("d/f")
    }

    async fn begin(&self, change: impl FnOnce(&mut SendRequest)) -> TransferId {
        self.begin_to(&self.to.url(), change).await
    }

    async fn begin_to(&self, url: &str, change: impl FnOnce(&mut SendRequest)) -> TransferId {
        let mut request = SendRequest {
            path: self.new_file(),
            dest: format!("{url}/d/"),
            strategy: SendStrategy::Delta,
            on_taken: OnTaken::Overwrite,
            ..SendRequest::default()
        };
        change(&mut request);
        self.from.added(Command::Send(request)).await
    }

    async fn send(&self, change: impl FnOnce(&mut SendRequest)) -> TransferRow {
        let id = self.begin(change).await;
        self.from.done(id).await
    }

    #[track_caller]
    fn is_the_same(&self) {
        assert!(fs::read(self.old_file()).unwrap() == fs::read(self.new_file()).unwrap());
        self.nothing_is_left();
    }

    /// No half-made file.
    #[track_caller]
    fn nothing_is_left(&self) {
        assert_eq!(left(&self.to.root()), [""; 0]);
    }

    /// The same before long: a receiver finds out by itself that nobody sends any more.
    async fn nothing_stays(&self) {
        let gone = async {
            while !left(&self.to.root()).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("something is left");
    }
}

fn left(root: &Path) -> Vec<String> {
    let names = root.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".skep-")).collect()
}

/// 4 MB with a few edits, an insertion and a new end.
fn versions() -> (Vec<u8>, Vec<u8>) {
    let old = noise(4_000_000, 1);
    let mut new = old.clone();
    new[100_000..104_096].copy_from_slice(&noise(4096, 2));
    new[3_000_000] ^= 1;
    new.splice(2_000_000..2_000_000, noise(333, 3));
    new.extend_from_slice(&noise(20_000, 4));
    (old, new)
}

#[tokio::test]
async fn what_changed_is_sent_and_nothing_else() {
    let (old, new) = versions();
    let pair = Pair::new(&old, &new).await;
    fs::set_permissions(pair.new_file(), fs::Permissions::from_mode(0o640)).unwrap();
    let row = pair.send(|_| ()).await;
    pair.is_the_same();
    assert_eq!((row.strategy.as_str(), row.verified), (DELTA, true));
    let delta = row.delta.unwrap();
    assert_eq!(delta.matched + delta.literal, new.len() as u64);
    // 25 KB are new; the rest is signatures, what is left around the edits, and heads.
    assert!(row.wire_bytes > 24_000 && row.wire_bytes < 90_000, "{}", row.wire_bytes);
    assert!(delta.savings_percent.unwrap() > 97.0, "{delta:?}");
    let (there, here) = (fs::metadata(pair.old_file()).unwrap(), fs::metadata(pair.new_file()).unwrap());
    assert_eq!(there.permissions().mode() & 0o777, 0o640);
    assert_eq!((there.mtime(), there.mtime_nsec()), (here.mtime(), here.mtime_nsec()));
    // Once more: nothing to be sent but what that is.
    let row = pair.send(|_| ()).await;
    assert!(row.wire_bytes < 60_000, "{}", row.wire_bytes);
    assert_eq!(row.delta.unwrap().literal, 0);
}

#[tokio::test]
async fn auto_takes_a_delta_where_the_file_may_go_and_one_is_there() {
    let (old, new) = versions();
    let pair = Pair::new(&old, &new).await;
    let auto = |on_taken| move |r: &mut SendRequest| (r.strategy, r.on_taken) = (SendStrategy::Auto, on_taken);
    let row = pair.send(auto(OnTaken::KeepBoth)).await;
    assert_eq!(row.strategy, DELTA);
    assert!(fs::read(pair.old_file()).unwrap() == old);
    assert!(fs::read(pair.to.root().join("d/f (2)")).unwrap() == new);
    let row = pair.send(auto(OnTaken::Overwrite)).await;
    assert_eq!(row.strategy, DELTA);
    pair.is_the_same();
    fs::remove_file(pair.old_file()).unwrap();
    let row = pair.send(auto(OnTaken::Refuse)).await;
    assert_eq!(row.strategy, "transit-chunked-resumable");
    pair.is_the_same();
}

#[tokio::test]
async fn literals_are_compressed_where_that_is_asked_for() {
    let words: Vec<String> = (0..60_000).map(|n| format!("line {} of {n}\n", n % 97)).collect();
    let text = words.concat().into_bytes();
    let old = noise(400_000, 1);
    let new = [&old[..], &text].concat();
    let mut wire = Vec::new();
    for compress in [false, true] {
        let pair = Pair::new(&old, &new).await;
        wire.push(pair.send(|request| request.compress = Some(compress)).await.wire_bytes);
        pair.is_the_same();
    }
    assert!(wire[1] * 3 < wire[0], "{wire:?}");
}

#[tokio::test]
async fn where_nothing_is_there_or_little_is_alike_it_is_sent_whole() {
    let new = noise(300_000, 9);
    let pair = Pair::new(b"", &new).await;
    let reason = |row: &TransferRow| (row.strategy.clone(), row.strategy_reason.clone());
    let row = pair.send(|_| ()).await;
    assert_eq!(reason(&row), ("transit-chunked-resumable".into(), "sent whole: what is there is empty".into()));
    pair.is_the_same();
    fs::remove_file(pair.old_file()).unwrap();
    let row = pair.send(|_| ()).await;
    assert_eq!(reason(&row).1, "sent whole: nothing of that name is there yet");
    pair.is_the_same();
    fs::write(pair.old_file(), &new[..1000]).unwrap();
    let row = pair.send(|_| ()).await;
    assert_eq!(reason(&row).1, "sent whole: what is there is 0.3 % as long");
    pair.is_the_same();
    // Unlike, but short: as well sent at once.
    fs::write(pair.old_file(), noise(300_000, 10)).unwrap();
    let row = pair.send(|_| ()).await;
    assert_eq!(row.delta.unwrap().literal, 300_000);
    assert!(row.wire_bytes < 312_000, "{}", row.wire_bytes);
    pair.is_the_same();
}

#[tokio::test]
async fn a_folder_and_a_refusal_say_what_they_are() {
    let (old, new) = versions();
    let pair = Pair::new(&old, &new).await;
    let id = pair.begin(|request| request.on_taken = OnTaken::Refuse).await;
    let row = pair.from.wait(id, |row| row.error.is_some()).await;
    assert!(row.error.as_ref().unwrap().contains("taken"), "{:?}", row.error);
    assert!(fs::read(pair.old_file()).unwrap() == old);
    let row = pair.send(|request| request.path = pair.dir.path().into()).await;
    assert!(row.strategy_reason.contains("a folder"), "{}", row.strategy_reason);
}
