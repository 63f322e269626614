//! Pieces, bitmaps, and who gets them.

use std::time::Duration;

use skep_engine::content::Bitmap;
use skep_engine::swarm::choker::ChokerConfig;

use super::support::*;

#[tokio::test]
async fn a_piece_comes_whole_with_its_digest() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 3 * PIECE as usize + 100);
    let held = node.serve(&content);
    let id = content.id();
    for index in [0, 3] {
        let response = node.get(&format!("/swarm/piece/{id}/{index}")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "skep-count"), "1");
        assert!(header(&response, "repr-digest").starts_with("sha-256=:"));
        assert_eq!(response.content_length(), Some(content.piece(index).len() as u64));
        assert!(response.bytes().await.unwrap() == content.piece(index));
    }
    until(|| held.uploaded() == PIECE + 100).await;
    assert_eq!(held.upload_rows()[0].peer.as_ref(), "127.0.0.1");
    assert_eq!(held.upload_rows()[0].bytes, PIECE + 100);
    until(|| node.metrics.pieces_served.get() == 2).await;
    assert_eq!(node.metrics.bytes_up.get(), PIECE + 100);
}

#[tokio::test]
async fn a_run_ends_before_what_is_missing_and_at_the_caps() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 300 * PIECE as usize);
    let all: Vec<u32> = (0..300).filter(|piece| *piece != 5).collect();
    node.serve_with(&content, some_of(&all, 300), ChokerConfig::default());
    for (first, asked, expected) in [(2usize, 10, 3usize), (6, 64, 64), (6, 1000, 64), (298, 64, 2), (0, 0, 1)] {
        let response = node.get(&format!("/swarm/piece/{}/{first}?count={asked}", content.id())).await;
        assert_eq!(header(&response, "skep-count"), expected.to_string(), "{asked} from {first}");
        let bytes = response.bytes().await.unwrap();
        assert!(bytes == content.bytes[first * PIECE as usize..(first + expected) * PIECE as usize]);
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 4 * PIECE as usize);
    node.serve_with(&content, some_of(&[1], 4), ChokerConfig::default());
    let id = content.id();
    problem(node.get(&format!("/swarm/piece/{id}/0")).await, 404, "not-here").await;
    problem(node.get(&format!("/swarm/piece/{id}/4")).await, 416, "out-of-range").await;
    problem(node.get(&format!("/swarm/piece/{id}/99999999999")).await, 400, "bad-request").await;
    problem(node.get(&format!("/swarm/piece/{id}/1?count=x")).await, 400, "bad-request").await;
    problem(node.get(&format!("/swarm/piece/{}/0", "ab".repeat(32))).await, 404, "not-found").await;
    problem(node.get("/swarm/piece/nonsense/0").await, 400, "bad-request").await;
}

#[tokio::test]
async fn a_choked_peer_is_told_and_wakes_when_it_gets_a_slot() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 4 * PIECE as usize);
    let choker = ChokerConfig {
        slots: 1,
        optimistic: 0,
        round: Duration::from_millis(300),
        idle: Duration::from_secs(60),
        ..ChokerConfig::default()
    };
    let held = node.serve_with(&content, Bitmap::full(4), choker);
    let id = content.id();
    let ask = |peer: &'static str| {
        let path = format!("/swarm/piece/{id}/0");
        let node = &node;
        async move { node.get_with(&path, &[("skep-peer", peer)]).await }
    };
    assert_eq!(ask("http://127.0.0.1:1001").await.status(), 200);
    let choked = ask("http://127.0.0.1:1002").await;
    assert_eq!(header(&choked, "skep-choke"), "choked");
    assert!(header(&choked, "retry-after").parse::<u64>().unwrap() >= 1);
    assert!(header(&choked, "skep-retry-ms").parse::<u64>().unwrap() <= 300);
    problem(choked, 503, "choked").await;
    assert_eq!(node.metrics.choked.get(), 1);

    // The holder leaves; the next round gives its slot to the one that waits.
    held.gone("127.0.0.1:1001");
    let generation = format!("\"{}\"", held.generation());
    let headers =
        [("skep-peer", "http://127.0.0.1:1002"), ("if-none-match", generation.as_str()), ("prefer", "wait=30")];
    let news = node.get_with(&format!("/swarm/bitmap/{id}"), &headers).await;
    assert_eq!(news.status(), 304);
    assert_eq!(header(&news, "skep-choke"), "unchoked");
    assert_eq!(ask("http://127.0.0.1:1002").await.status(), 200);
}

#[tokio::test]
async fn a_slot_does_not_stay_with_a_ghost() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 4 * PIECE as usize);
    let hour = Duration::from_secs(3600);
    let choker = ChokerConfig { slots: 1, optimistic: 0, round: hour, idle: hour, ..ChokerConfig::default() };
    let held = node.serve_with(&content, Bitmap::full(4), choker);
    let piece = format!("/swarm/piece/{}/0", content.id());
    let ask = async |peer: &str| {
        let response = node.get_with(&piece, &[("skep-peer", peer)]).await;
        let status = response.status();
        response.bytes().await.unwrap();
        status
    };
    let (ghost, other) = ("http://127.0.0.1:1001", "http://127.0.0.1:1002");
    assert_eq!(ask(ghost).await, 200);
    let wait = client()
        .get(node.at(&format!("/swarm/bitmap/{}", content.id())))
        .header("skep-peer", ghost)
        .header("if-none-match", format!("\"{}\"", held.generation()))
        .header("prefer", "wait=30");
    let waiting = tokio::spawn(wait.send());
    until(|| held.watchers() == 1).await;
    assert_eq!(ask(other).await, 503);
    waiting.abort();
    until(|| held.watchers() == 0).await;
    assert_eq!(ask(other).await, 200, "the slot is free");
    assert!(!held.upload_rows().iter().any(|row| row.peer.as_ref() == "127.0.0.1:1001" && row.around));
}

#[tokio::test]
async fn the_bitmap_says_what_is_here() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 10 * PIECE as usize);
    let held = node.serve_with(&content, some_of(&[0, 9], 10), ChokerConfig::default());
    let path = format!("/swarm/bitmap/{}", content.id());
    let whole = node.get(&path).await;
    assert_eq!(header(&whole, "skep-pieces"), "10");
    assert_eq!(header(&whole, "skep-choke"), "unchoked");
    let etag = header(&whole, "etag");
    assert_eq!(etag, format!("\"{}\"", header(&whole, "skep-generation")));
    assert_eq!(&whole.bytes().await.unwrap()[..], [0x80, 0x40]);

    let same = node.get_with(&path, &[("if-none-match", &etag)]).await;
    assert_eq!((same.status().as_u16(), header(&same, "etag")), (304, etag.clone()));

    held.mark_have(&[4, 2]);
    let accept = ("accept", "application/vnd.skep.haves, application/octet-stream;q=0.5");
    let delta = node.get_with(&path, &[("if-none-match", &etag), accept]).await;
    assert_eq!(header(&delta, "skep-delta"), "1");
    assert_ne!(header(&delta, "etag"), etag);
    assert_eq!(&delta.bytes().await.unwrap()[..], [0, 0, 0, 4, 0, 0, 0, 2]);
    let whole = node.get_with(&path, &[("if-none-match", &etag)]).await;
    assert_eq!(&whole.bytes().await.unwrap()[..], [0xa8, 0x40], "who does not know deltas gets it whole");
    let foreign = node.get_with(&path, &[("if-none-match", "\"5\""), accept]).await;
    assert_eq!(header(&foreign, "skep-delta"), "", "a generation of another life");
    assert_eq!(&foreign.bytes().await.unwrap()[..], [0xa8, 0x40]);
}

#[tokio::test]
async fn a_watcher_gets_news_as_it_comes() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", 10 * PIECE as usize);
    let held = node.serve_with(&content, Bitmap::empty(10), ChokerConfig::default());
    let etag = format!("\"{}\"", held.generation());
    let waiting = tokio::spawn({
        let url = node.at(&format!("/swarm/bitmap/{}", content.id()));
        async move {
            let request = client().get(url).header("if-none-match", etag).header("prefer", "respond-async, wait=30");
            patiently(request.header("accept", "application/vnd.skep.haves").send()).await.unwrap()
        }
    });
    until(|| held.watchers() == 1).await;
    held.mark_have(&[7]);
    held.mark_have(&[3]);
    let news = waiting.await.unwrap();
    assert_eq!(&news.bytes().await.unwrap()[..], [0, 0, 0, 7, 0, 0, 0, 3], "gathered into one answer");
    until(|| held.watchers() == 0).await;
}

#[tokio::test]
async fn a_banned_peer_is_given_nothing_until_the_ban_is_lifted() {
    let node = TestNode::start().await;
    let content = Content::file("f.bin", PIECE as usize);
    node.serve(&content);
    let path = format!("/swarm/piece/{}/0", content.id());
    let me = [("skep-peer", "http://127.0.0.1:4242")];
    node.bans.ban("http://127.0.0.1:4242", "tests it");
    assert!(problem(node.get_with(&path, &me).await, 403, "banned").await.contains("lift"));
    let other = [("skep-peer", "http://127.0.0.1:4243")];
    assert_eq!(node.get_with(&path, &other).await.status(), 200);
    assert!(node.bans.lift("127.0.0.1:4242"));
    assert_eq!(node.get_with(&path, &me).await.status(), 200);
}
