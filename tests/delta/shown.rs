//! What operators of both ends see of a delta.

use std::fs;

use skep_engine::control::{
    Command, DeltaMap, DeltaPhase, Focus, Phase, TransferDetail, TransferId, TransferKind, TransferRow, TransferState,
};

use super::{DELTA, Pair, versions};
use crate::common::{TestNode, noise};

/// The row of the only delta that a node receives, once it is as wanted.
async fn received(node: &TestNode, wanted: impl Fn(&TransferRow) -> bool) -> TransferRow {
    let is_it = |row: &TransferRow| row.kind == TransferKind::Receive && wanted(row);
    let snapshot = node.snapshot(Focus::default(), |s| s.transfers.iter().any(|row| is_it(row))).await;
    TransferRow::clone(snapshot.transfers.iter().find(|row| is_it(row)).unwrap())
}

async fn map(node: &TestNode, id: TransferId, wanted: impl Fn(&DeltaMap) -> bool) -> (TransferDetail, DeltaMap) {
    let is_it = |detail: &TransferDetail| detail.delta.as_ref().is_some_and(|map| wanted(map));
    let focus = Focus { transfer: Some(id) };
    let snapshot = node.snapshot(focus, |s| s.details.get(&id).is_some_and(|detail| is_it(detail))).await;
    let detail = TransferDetail::clone(&snapshot.details[&id]);
    let map = DeltaMap::clone(detail.delta.as_ref().unwrap());
    assert!(map.is_sound());
    (detail, map)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_tell_what_was_found_and_what_was_sent() {
    let (old, new) = versions();
    let pair = Pair::new(&old, &new).await;
    let row = pair.send(|_| ()).await;
    let delta = row.delta.unwrap();
    assert_eq!((delta.matched + delta.literal, delta.sent), (row.size, delta.literal));
    assert!(delta.matched > 0 && delta.savings_percent.unwrap() > 50.0, "{delta:?}");
    assert!(row.phases.iter().all(|phase| !phase.active), "{:?}", row.phases);
    for phase in [Phase::Signatures, Phase::Matching, Phase::Sending, Phase::Patching] {
        let told = row.phases.iter().find(|row| row.phase == phase).unwrap_or_else(|| panic!("{phase:?}"));
        assert!(told.total > 0 && told.done == told.total, "{told:?}");
    }
    // The map stays for whoever looks when all is over.
    let (detail, map_here) = map(&pair.from, row.id, |_| true).await;
    assert_eq!((map_here.matched_bytes + map_here.literal_bytes, map_here.size), (row.size, row.size));
    assert_eq!((map_here.sent_bytes, map_here.unknown_bytes()), (map_here.literal_bytes, 0));
    assert_eq!(detail.have.count() as usize, map_here.len());
    assert!(map_here.literal.iter().any(|share| *share > 0) && map_here.matched.contains(&255));

    let there = received(&pair.to, |row| row.state == TransferState::Done).await;
    assert_eq!((there.name.as_str(), there.strategy.as_str(), there.verified), ("f", DELTA, true));
    assert_eq!((there.done, there.size, there.from.is_empty()), (row.size, row.size, false));
    let told = there.delta.unwrap();
    assert_eq!((told.matched, told.literal), (delta.matched, delta.literal));
    assert!(there.wire_bytes > 0 && there.wire_bytes < row.size / 2, "{}", there.wire_bytes);
    let (_, map_there) = map(&pair.to, there.id, |_| true).await;
    assert_eq!((map_there.matched_bytes, map_there.sent_bytes), (told.matched, told.literal));
    pair.to.control.command(Command::Remove { ids: vec![there.id], data: false }).await.unwrap();
    pair.to.snapshot(Focus::default(), |s| s.transfers.iter().all(|row| row.id != there.id)).await;
    pair.is_the_same();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delta_under_way_is_a_row_that_the_receiver_can_cancel() {
    let (old, mut new) = versions();
    new.extend_from_slice(&noise(2_000_000, 5));
    let pair = Pair::new(&old, &new).await;
    let id = pair.begin(|request| request.up = Some(0)).await;
    let sends = |row: &TransferRow| row.delta.is_some_and(|delta| delta.phase == DeltaPhase::Sending);
    let row = pair.from.wait(id, sends).await;
    assert!(row.phases.iter().any(|phase| phase.phase == Phase::Sending && phase.active), "{:?}", row.phases);
    let (_, seen) = map(&pair.from, id, |map| map.literal_bytes > 0).await;
    assert_eq!((seen.matched_bytes + seen.literal_bytes, seen.unknown_bytes()), (new.len() as u64, 0));
    assert!(seen.sent_bytes < seen.literal_bytes, "{seen:?}");
    let there = received(&pair.to, |row| row.state == TransferState::Running).await;
    assert_eq!((there.via(), there.size), ("delta", new.len() as u64));
    pair.to.control.command(Command::Cancel { ids: vec![there.id] }).await.unwrap();
    pair.from.control.command(Command::Limit { id: Some(id), up: Some(None), down: None }).await.unwrap();
    let row = pair.from.wait(id, |row| row.state == TransferState::Failed).await;
    assert!(row.refused, "{row:?}");
    received(&pair.to, |row| row.state == TransferState::Cancelled).await;
    assert!(fs::read(pair.old_file()).unwrap() == old, "the old file is as it was");
    pair.nothing_is_left();
}
