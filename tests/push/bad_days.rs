//! Bad days of a push: receivers that are busy, fail, lie or forget; paths that go away; answers that get lost.

use axum::http::StatusCode;
use skep_engine::control::{Command, PathState, TransferState};
use skep_engine::push::retry::Pace;

use super::common::{TestNode, noise_file};
use super::receiver::{Receiver, failing};
use super::relay::Relay;
use super::{Halfway, SEGMENT, hasty, is, order, send};

#[tokio::test]
async fn when_all_paths_die_it_waits_says_so_and_goes_on() {
    let push = Halfway::new().await;
    push.relays.iter().for_each(Relay::cut);
    let row = push.node.wait(push.id, |row| row.reason.contains("no path answers")).await;
    assert_eq!(row.state, TransferState::Running);
    push.relays[1].mend();
    push.let_through();
    push.arrives().await;
}

#[tokio::test]
async fn one_that_was_begun_waits_for_its_paths_when_it_is_resumed() {
    let push = Halfway::new().await;
    push.pause().await;
    push.relays.iter().for_each(Relay::cut);
    push.let_through();
    push.resume().await;
    let row = push.node.wait(push.id, |row| row.reason.contains("no path answers")).await;
    assert_eq!((row.strategy.as_str(), row.pieces_done), ("transit-multipath-parallel", 5));
    push.relays[0].mend();
    push.arrives().await;
}

#[tokio::test]
async fn an_upload_that_expired_during_a_pause_starts_over() {
    let push = Halfway::new().await;
    push.pause().await;
    push.receiver.with(|r| {
        r.expire();
        r.puts.clear();
    });
    push.let_through();
    push.resume().await;
    let row = push.arrives().await;
    assert_eq!((row.done, row.pieces_done), (50 * SEGMENT, 50));
    push.receiver.with(|r| {
        let mut puts = r.puts.clone();
        puts.sort_unstable();
        puts.dedup();
        assert_eq!(puts, (0..50).collect::<Vec<u32>>(), "all of it, what was acknowledged before too");
    });
}

#[tokio::test]
async fn an_upload_that_is_dropped_in_the_midst_of_it_is_opened_anew() {
    let push = Halfway::new().await;
    push.receiver.with(|r| {
        r.expire();
        r.puts.clear();
    });
    push.let_through();
    push.arrives().await;
    push.receiver.with(|r| assert_eq!((r.opened, r.held.len()), (2, 50)));
}

#[tokio::test]
async fn a_receiver_that_names_segments_again_and_again_is_not_listened_to() {
    let (node, receiver, dir) = (hasty().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 5 * SEGMENT as usize);
    receiver.with(|r| r.says_held = Some(vec![(0, 5); 1_000]));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    let row = node.wait(id, is(TransferState::Failed)).await;
    assert!(row.error.as_deref().unwrap().contains("names segments in no order"), "{row:#?}");
    receiver.with(|r| assert!(r.puts.is_empty()));
}

#[tokio::test]
async fn what_a_receiver_lost_or_never_had_is_sent_again() {
    let (node, receiver, dir) = (hasty().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 20 * SEGMENT as usize);
    receiver.with(|r| (r.forgets, r.loses_answers, r.expires) = ([3, 4, 19].into(), 1, true));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    node.done(id).await;
    receiver.got(&file);
    receiver.with(|r| assert_eq!(r.opened, 2, "it expired once"));
}

#[tokio::test]
async fn a_receiver_that_claims_what_it_does_not_have_is_not_believed_for_long() {
    let (node, dir) = (hasty().await, tempfile::tempdir().unwrap());
    let file = noise_file(dir.path(), "a", 5 * SEGMENT as usize);
    let boaster = Receiver::default();
    let address = boaster.serve().await;
    boaster.with(|r| r.boasts = true);
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    node.done(id).await;
    boaster.got(&file);
    let forgetful = Receiver::default();
    let address = forgetful.serve().await;
    forgetful.with(|r| r.always_forgets = Some(2));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    let row = node.wait(id, is(TransferState::Failed)).await;
    assert!(row.integrity_failure && row.error.as_ref().unwrap().contains("says again and again"), "{row:#?}");
    forgetful.with(|r| assert!(r.published.is_none()));
}

#[tokio::test]
async fn a_receiver_that_published_something_else_is_found_out() {
    let (node, receiver, dir) = (hasty().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 3 * SEGMENT as usize);
    receiver.with(|r| r.lies = true);
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    let row = node.wait(id, is(TransferState::Failed)).await;
    assert!(row.integrity_failure && !row.verified, "{row:#?}");
    assert!(row.error.unwrap().contains("published other bytes than were sent"));
}

#[tokio::test]
async fn a_busy_receiver_is_asked_again_and_then_given_up_with_what_it_has() {
    let (node, dir) = (hasty().await, tempfile::tempdir().unwrap());
    let file = noise_file(dir.path(), "a", 8 * SEGMENT as usize);
    for (status, after) in [
        (StatusCode::SERVICE_UNAVAILABLE, Some(1)),
        (StatusCode::SERVICE_UNAVAILABLE, None),
        (StatusCode::TOO_MANY_REQUESTS, Some(1)),
        (StatusCode::TOO_MANY_REQUESTS, None),
    ] {
        let receiver = Receiver::default();
        let address = receiver.serve().await;
        receiver.with(|r| r.refuse = Some((3, status, after)));
        let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
        node.done(id).await;
        receiver.got(&file);
    }
    let receiver = Receiver::default();
    let address = receiver.serve().await;
    receiver.with(|r| r.holds_back_from = Some(2));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    node.wait(id, |row| row.pieces_done == 2).await;
    receiver.with(|r| (r.refuse, r.holds_back_from) = (Some((u32::MAX, StatusCode::TOO_MANY_REQUESTS, None)), None));
    let row = node.wait(id, is(TransferState::Failed)).await;
    assert!(row.error.as_deref().unwrap().contains("in 4 tries: the receiver is busy"), "{row:#?}");
    assert_eq!(row.pieces_done, 2, "what was acknowledged is kept");
    receiver.with(|r| r.refuse = None);
    order(&node, Command::Resume { ids: vec![id] }).await;
    node.done(id).await;
    receiver.got(&file);
}

#[tokio::test]
async fn a_full_disk_at_the_receiver_is_told_at_once_and_with_space_it_goes_on() {
    let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
    let address = receiver.serve().await;
    let file = noise_file(dir.path(), "a", 8 * SEGMENT as usize);
    receiver.with(|r| r.holds_back_from = Some(2));
    let id = send(&node, &file, &format!("http://{address}/"), |_| ()).await;
    node.wait(id, |row| row.pieces_done == 2).await;
    let full = StatusCode::INSUFFICIENT_STORAGE;
    receiver.with(|r| (r.refuse, r.holds_back_from) = (Some((u32::MAX, full, None)), None));
    let row = node.wait(id, is(TransferState::Failed)).await;
    assert!(row.error.as_deref().unwrap().contains("no space for it (refused): make space there"), "{row:#?}");
    receiver.with(|r| {
        let (left, ..) = r.refuse.take().unwrap();
        assert!(u32::MAX - left <= 6, "no tries in vain: those that were under way");
    });
    order(&node, Command::Resume { ids: vec![id] }).await;
    node.done(id).await;
    receiver.got(&file);
}

#[tokio::test]
async fn a_path_that_fails_fast_gets_next_to_nothing() {
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_REQUEST] {
        let (node, receiver, dir) = (TestNode::start().await, Receiver::default(), tempfile::tempdir().unwrap());
        let address = receiver.serve().await;
        let (bad, refused) = failing(status).await;
        let file = noise_file(dir.path(), "a", 400 * SEGMENT as usize);
        let id = send(&node, &file, &format!("http://{address}/"), |request| {
            request.paths = vec![format!("http://{bad}")];
        })
        .await;
        let row = node.done(id).await;
        receiver.got(&file);
        assert_eq!((row.paths[0].bytes, row.paths[1].bytes), (400 * SEGMENT, 0), "{row:#?}");
        assert!(row.paths[1].score < row.paths[0].score, "{row:#?}");
        let refused = refused.load(std::sync::atomic::Ordering::SeqCst);
        assert!((1..=12).contains(&refused), "{status}: {refused} of 400 were tried over it");
    }
}

/// Real nodes: what was received to the last byte is not sent again in vain, nor published twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_get_lost_after_the_last_byte_do_no_harm() {
    let (from, to) = (hasty().await, TestNode::start().await);
    let address = to.url().strip_prefix("http://").unwrap().parse().unwrap();
    let relay = Relay::to(address).await;
    for (request, count) in [("POST /upload", 1), ("PUT /upload", 3), ("POST /assemble", 2)] {
        relay.lose_answers(request, count);
    }
    let file = noise_file(from.dir.path(), "a", 10 * SEGMENT as usize);
    let id = send(&from, &file, &format!("{}/in/", relay.url()), |_| ()).await;
    let row = from.done(id).await;
    assert_eq!((relay.left_to_lose(), row.verified), (0, true));
    assert!(std::fs::read(&file).unwrap() == std::fs::read(to.root().join("in/a")).unwrap());
    let names = |dir: &str| std::fs::read_dir(to.root().join(dir)).unwrap().count();
    assert_eq!((names("."), names("in")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_last_answer_was_lost_for_good_is_done_when_it_is_resumed() {
    let (from, to) = (hasty().await, TestNode::start().await);
    let address = to.url().strip_prefix("http://").unwrap().parse().unwrap();
    let relay = Relay::to(address).await;
    relay.lose_answers("POST /assemble", 4);
    let file = noise_file(from.dir.path(), "a", 10 * SEGMENT as usize);
    let id = send(&from, &file, &format!("{}/in/", relay.url()), |_| ()).await;
    from.wait(id, is(TransferState::Failed)).await;
    assert!(to.root().join("in/a").exists(), "the receiver is done with it");
    // Both were restarted meanwhile.
    let to = TestNode::start_in(to.shutdown().await, |config| config.listen = address).await;
    let from = from.restart().await;
    order(&from, Command::Resume { ids: vec![id] }).await;
    let row = from.done(id).await;
    assert_eq!((row.done, row.bytes_up), (10 * SEGMENT, 10 * SEGMENT), "not sent again: {row:#?}");
    assert_eq!(std::fs::read_dir(to.root().join("in")).unwrap().count(), 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn when_an_interface_disappears_the_others_do_its_work() {
    let (receiver, dir) = (Receiver::default(), tempfile::tempdir().unwrap());
    let node = TestNode::start_with(|config| config.pace = Pace(0.02)).await;
    let relay = Relay::to(receiver.serve().await).await;
    let file = noise_file(dir.path(), "a", 60 * SEGMENT as usize);
    receiver.with(|r| r.holds_back_from = Some(0));
    let id =
        send(&node, &file, &relay.url(), |request| request.via = vec!["127.0.0.1".into(), "127.0.0.2".into()]).await;
    node.wait(id, |row| row.paths.len() == 2 && row.paths.iter().all(|p| p.active > 0)).await;
    relay.cut_from("127.0.0.2".parse().unwrap());
    let row = node.wait(id, |row| matches!(row.paths[1].state, PathState::Dead | PathState::Probing)).await;
    assert!(!row.paths[1].note.is_empty(), "{row:#?}");
    receiver.with(|r| r.holds_back_from = None);
    let row = node.done(id).await;
    receiver.got(&file);
    assert_eq!((row.paths[0].bytes, row.paths[1].bytes), (60 * SEGMENT, 0));
}
