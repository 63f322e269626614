//! Files that change while they are at work, and receivers that go away.

use std::fs;
use std::io::Write as _;

use axum::body::Body;
use axum::http::Method;
use futures_util::StreamExt as _;
use skep_engine::control::{Command, DeltaPhase, OnTaken, SendRequest, SendStrategy, TransferId, TransferState};
use skep_engine::push::retry::Pace;

use super::{Pair, left, versions};
use crate::common::meddler::{Meddle, Meddler};
use crate::common::{TestNode, noise};

/// A delta of which nothing may leave for now, and which has more to send than is on its way at once; the old file.
async fn held() -> (Pair, Vec<u8>, TransferId) {
    let (old, mut new) = versions();
    new.extend_from_slice(&noise(2_000_000, 5));
    let pair = Pair::new(&old, &new).await;
    let id = pair.begin(|request| request.up = Some(0)).await;
    pair.from.wait(id, |row| row.delta.is_some_and(|delta| delta.phase == DeltaPhase::Sending)).await;
    (pair, old, id)
}

async fn let_through(pair: &Pair, id: TransferId) {
    pair.from.control.command(Command::Limit { id: Some(id), up: Some(None), down: None }).await.unwrap();
}

#[tokio::test]
async fn a_file_that_changes_there_while_it_is_sent_is_never_lost() {
    let (pair, old, id) = held().await;
    assert!(fs::read(pair.old_file()).unwrap() == old);
    let other = noise(4_000_000, 77);
    fs::write(pair.old_file(), &other).unwrap();
    assert!(fs::read(pair.old_file()).unwrap() == other, "theirs, until ours is whole");
    let_through(&pair, id).await;
    let row = pair.from.done(id).await;
    assert_eq!(row.strategy, super::DELTA, "asked for again: {row:?}");
    pair.is_the_same();
}

#[tokio::test]
async fn a_source_that_changes_is_told_and_nothing_of_it_arrives() {
    let (pair, old, id) = held().await;
    fs::OpenOptions::new().append(true).open(pair.new_file()).unwrap().write_all(b"more").unwrap();
    let_through(&pair, id).await;
    let row = pair.from.wait(id, |row| row.state == TransferState::Failed).await;
    assert!(row.error.as_ref().unwrap().contains("changed since the transfer began"), "{:?}", row.error);
    assert!(fs::read(pair.old_file()).unwrap() == old);
    // Again, it is what it is now.
    pair.from.control.command(Command::Resume { ids: vec![id] }).await.unwrap();
    pair.from.done(id).await;
    pair.is_the_same();
}

#[tokio::test]
async fn paused_and_cancelled_it_leaves_the_old_file() {
    let (pair, old, id) = held().await;
    pair.from.control.command(Command::Pause { ids: vec![id] }).await.unwrap();
    pair.from.wait(id, |row| row.state == TransferState::Paused).await;
    assert!(fs::read(pair.old_file()).unwrap() == old);
    let_through(&pair, id).await;
    pair.from.control.command(Command::Resume { ids: vec![id] }).await.unwrap();
    pair.from.done(id).await;
    pair.is_the_same();
}

#[tokio::test]
async fn it_can_be_paused_while_a_signature_stalls() {
    let (old, new) = versions();
    let pair = Pair::new(&old, &new).await;
    let stalls = Meddler::to(&pair.to.url(), |asked| match asked.is(Method::GET, "/delta/signatures/") {
        true => Meddle::changed(|_, mut body| {
            body.truncate(body.len() / 2);
            let half = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from(body))]);
            Body::from_stream(half.chain(futures_util::stream::pending()))
        }),
        false => Meddle::Pass,
    })
    .await;
    let id = pair.begin_to(&stalls.url, |_| ()).await;
    pair.from.wait(id, |row| row.delta.is_some_and(|delta| delta.phase == DeltaPhase::Signatures)).await;
    pair.from.control.command(Command::Pause { ids: vec![id] }).await.unwrap();
    pair.from.wait(id, |row| row.state == TransferState::Paused).await;
    assert!(fs::read(pair.old_file()).unwrap() == old);
    pair.nothing_stays().await;
}

#[tokio::test]
async fn what_a_crash_leaves_is_gone_after_the_next_start() {
    let (old, new) = versions();
    let pair = Pair::new(&old, &new).await;
    fs::write(pair.to.root().join(".skep-0123456789abcdef01234567.delta"), "half").unwrap();
    let Pair { from, to, dir } = pair;
    let pair = Pair { from, to: to.restart().await, dir };
    assert_eq!(left(&pair.to.root()), [""; 0]);
    assert!(fs::read(pair.old_file()).unwrap() == old);
    pair.send(|_| ()).await;
    pair.is_the_same();
}

/// As editors do: another file takes the name; or the name goes, or is something else.
#[tokio::test]
async fn whatever_takes_the_name_meanwhile_is_not_harmed() {
    let outside = tempfile::tempdir().unwrap();
    let theirs = outside.path().join("theirs");
    fs::write(&theirs, "theirs").unwrap();
    for (what, arrives) in [("renamed", true), ("removed", true), ("folder", false), ("link", false)] {
        let (pair, old, id) = held().await;
        assert!(fs::read(pair.old_file()).unwrap() == old);
        let at = pair.old_file();
        fs::remove_file(&at).unwrap();
        match what {
            "renamed" => {
                fs::write(pair.dir.path().join("saved"), noise(3_000_000, 6)).unwrap();
                fs::copy(pair.dir.path().join("saved"), pair.to.root().join("d/.f.swp")).unwrap();
                fs::rename(pair.to.root().join("d/.f.swp"), &at).unwrap();
            }
            "folder" => fs::create_dir(&at).unwrap(),
            "link" => std::os::unix::fs::symlink(&theirs, &at).unwrap(),
            _ => {}
        }
        let_through(&pair, id).await;
        let row = pair.from.wait(id, |row| row.state.is_settled()).await;
        assert_eq!(row.state == TransferState::Done, arrives, "{what}: {row:#?}");
        if arrives {
            pair.is_the_same();
        } else {
            let kind = at.symlink_metadata().unwrap();
            assert!(if what == "folder" { kind.is_dir() } else { kind.is_symlink() }, "{what}");
            assert!(row.error.as_ref().is_some_and(|error| !error.contains("internal")), "{what}: {row:#?}");
            pair.nothing_stays().await;
        }
        assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
    }
}

#[tokio::test]
async fn a_source_that_is_cut_short_or_replaced_is_told() {
    for what in ["cut", "gone"] {
        let (pair, old, id) = held().await;
        match what {
            "cut" => fs::OpenOptions::new().write(true).open(pair.new_file()).unwrap().set_len(1_000_000).unwrap(),
            _ => fs::remove_file(pair.new_file()).unwrap(),
        }
        let_through(&pair, id).await;
        let row = pair.from.wait(id, |row| row.state.is_settled()).await;
        let there = fs::read(pair.old_file()).unwrap();
        match row.state {
            // It was open, and is what it was.
            TransferState::Done => assert!(what == "gone" && there.len() > old.len(), "{what}: {row:#?}"),
            _ => {
                assert!(there == old, "{what}");
                let error = row.error.unwrap();
                assert!(error.contains("changed") || error.contains("No such file"), "{what}: {error}");
            }
        }
        pair.nothing_stays().await;
    }
}

/// The one that is at it has the name; the other is told, or waits for it. What is there in the end is one of the two.
#[tokio::test]
async fn two_senders_of_one_file_do_not_mix() {
    let (pair, old, id) = held().await;
    let second = TestNode::start_with(|config| config.pace = Pace(0.02)).await;
    let path = pair.dir.path().join("second/f");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let theirs = [&old[..], &noise(50_000, 21)].concat();
    fs::write(&path, &theirs).unwrap();
    let request = SendRequest {
        path,
        dest: format!("{}/d/", pair.to.url()),
        strategy: SendStrategy::Delta,
        on_taken: OnTaken::Overwrite,
        ..SendRequest::default()
    };
    let other = second.added(Command::Send(request)).await;
    let row = second.wait(other, |row| row.state.is_settled()).await;
    let there = fs::read(pair.old_file()).unwrap();
    if row.state == TransferState::Done {
        assert!(there == theirs);
    } else {
        assert!(there == old);
        assert!(row.error.as_ref().unwrap().contains("another"), "{row:#?}");
    }
    let_through(&pair, id).await;
    pair.from.done(id).await;
    pair.is_the_same();
}

/// Many at once, without anybody holding anything: each ends, and one of them is what is there.
#[tokio::test]
async fn many_senders_of_one_file_leave_one_of_theirs() {
    let (old, new) = versions();
    let pair = Pair::new(&old, &new).await;
    let mut all = Vec::new();
    for n in 0..4 {
        let path = pair.dir.path().join(format!("{n}/f"));
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, [&new[..], &noise(10_000 * (n + 1), n as u64)].concat()).unwrap();
        all.push((pair.begin(|request| request.path = path.clone()).await, path));
    }
    let mut done = Vec::new();
    for (id, path) in all {
        let row = pair.from.wait(id, |row| row.state.is_settled()).await;
        match row.state {
            TransferState::Done => done.push(fs::read(path).unwrap()),
            _ => assert!(row.error.as_ref().is_some_and(|error| !error.is_empty()), "{row:#?}"),
        }
    }
    let there = fs::read(pair.old_file()).unwrap();
    assert!(!done.is_empty() && done.contains(&there), "{} of {} bytes", done.len(), there.len());
    pair.nothing_stays().await;
}
