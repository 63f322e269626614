//! Files that change while they are at work, and receivers that go away.

use std::fs;
use std::io::Write as _;

use skep_engine::control::{Command, DeltaPhase, TransferId, TransferState};

use super::{Pair, left, versions};
use crate::common::noise;

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
