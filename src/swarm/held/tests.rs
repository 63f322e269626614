use std::ffi::OsStr;

use super::*;
use crate::content::Digest;
use crate::store::Place;

const PIECES: u32 = 100;

fn held(have: Bitmap, choker: ChokerConfig) -> (tempfile::TempDir, Arc<Held>) {
    let dir = tempfile::tempdir().unwrap();
    let entry = |path: &str, size| FileEntry { mode: 0o644, mtime: None, path: path.into(), size, symlink: None };
    let manifest = Manifest {
        files: vec![entry("a", 50 * 1024), entry("b", 50 * 1024)],
        name: "t".into(),
        piece_length: 1024,
        pieces: vec![Digest([0; 32]); PIECES as usize],
        tree: false,
        version: 1,
    };
    let id = manifest.id();
    let files = ContentFiles::open(dir.path(), OsStr::new("t"), Arc::new(manifest), Place::Fetched, vec![]).unwrap();
    (dir, Arc::new(Held::new(id, Arc::new(files), have, Arc::default(), choker)))
}

fn peer(name: &str) -> Arc<str> {
    name.into()
}

fn watch(held: &Arc<Held>, who: &str) -> tokio::task::JoinHandle<(Watch, Duration)> {
    let (held, who, generation) = (held.clone(), peer(who), held.generation());
    tokio::spawn(async move {
        let start = tokio::time::Instant::now();
        (held.watch(Some(generation), &who, Duration::from_secs(30)).await, start.elapsed())
    })
}

async fn all_wait(held: &Held, watchers: u32) {
    while held.watchers() < watchers {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn many_watchers_are_told_seldom_and_everything() {
    let (_dir, held) = held(Bitmap::empty(PIECES), ChokerConfig::default());
    let watchers: Vec<_> = (0..40).map(|n| watch(&held, &format!("10.0.0.{n}:1"))).collect();
    all_wait(&held, 40).await;
    for piece in 0..20 {
        held.mark_have(&[piece]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for watcher in watchers {
        let (watch, after) = watcher.await.unwrap();
        assert_eq!(watch.changes, Changes::Added((0..20).collect()), "all in one answer");
        assert!((250..260).contains(&after.as_millis()), "50 ms x 40 / 8 after the first: {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_watcher_waits_the_shortest_time_and_the_last_piece_is_told_at_once() {
    let (_dir, held) = held(Bitmap::empty(PIECES), ChokerConfig::default());
    let one = watch(&held, "10.0.0.1:1");
    all_wait(&held, 1).await;
    held.mark_have(&[5]);
    assert_eq!(one.await.unwrap().1, Duration::from_millis(50));

    held.mark_have(&(1..PIECES).collect::<Vec<_>>());
    let last = watch(&held, "10.0.0.1:1");
    all_wait(&held, 1).await;
    held.mark_have(&[0]);
    let (watch, after) = last.await.unwrap();
    assert!(watch.have.is_full());
    assert_eq!(after, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nothing_new_takes_the_whole_wait() {
    let (_dir, held) = held(Bitmap::empty(PIECES), ChokerConfig::default());
    let (watch, after) = watch(&held, "10.0.0.1:1").await.unwrap();
    assert_eq!((watch.changes, after), (Changes::Added(vec![]), Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_comes_free_wakes_its_peer_only() {
    let config = ChokerConfig { slots: 1, optimistic: 0, idle: Duration::from_secs(600), ..ChokerConfig::default() };
    let (_dir, held) = held(Bitmap::full(PIECES), config);
    assert_eq!(held.admit(&peer("a")), Admission::Serve);
    assert!(matches!(held.admit(&peer("b")), Admission::Choked { .. }));
    let waits = watch(&held, "b");
    let bystander = watch(&held, "c");
    all_wait(&held, 2).await;
    held.gone("a");
    let (told, after) = waits.await.unwrap();
    assert_eq!((told.slot, after), (Slot::Unchoked, Duration::from_secs(10)), "at the next round");
    assert_eq!(bystander.await.unwrap().1, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_gone_when_the_last_connection_on_which_it_waited_broke() {
    let hour = Duration::from_secs(3600);
    let config = ChokerConfig { slots: 1, optimistic: 0, round: hour, idle: hour, ..ChokerConfig::default() };
    let (_dir, held) = held(Bitmap::full(PIECES), config);
    assert_eq!(held.admit(&peer("a")), Admission::Serve);
    let around = |held: &Held| held.upload_rows().iter().filter(|row| row.around).count();
    let (one, two) = (watch(&held, "a"), watch(&held, "a"));
    all_wait(&held, 2).await;
    one.abort();
    assert!(one.await.unwrap_err().is_cancelled());
    assert!(matches!(held.admit(&peer("b")), Admission::Choked { .. }), "it waits on another connection still");

    let body = held.serving(&peer("a"));
    two.abort();
    assert!(two.await.unwrap_err().is_cancelled());
    assert!(matches!(held.admit(&peer("b")), Admission::Choked { .. }), "it is being sent something");
    drop(body);
    let three = watch(&held, "a");
    all_wait(&held, 1).await;
    assert_eq!(around(&held), 2);
    three.abort();
    assert!(three.await.unwrap_err().is_cancelled());
    assert_eq!(around(&held), 1);
    assert_eq!(held.admit(&peer("b")), Admission::Serve);
}

#[tokio::test(start_paused = true)]
async fn who_asked_is_around_for_a_while_and_who_only_gave_is_no_row() {
    let (_dir, held) = held(Bitmap::full(PIECES), ChokerConfig::default());
    held.admit(&peer("a"));
    held.sent(&peer("a"), 10);
    held.received(&peer("a"), 7);
    held.received(&peer("giver"), 5);
    let rows = held.upload_rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].bytes, rows[0].received, rows[0].around), (10, 7, true));
    tokio::time::advance(Duration::from_secs(61)).await;
    held.received(&peer("a"), 1);
    assert!(!held.upload_rows()[0].around);
}

#[tokio::test(start_paused = true)]
async fn uploads_are_counted_and_wake_the_seeder() {
    let (_dir, held) = held(Bitmap::full(PIECES), ChokerConfig::default());
    let woken = tokio::spawn({
        let held = held.clone();
        async move { held.uploaded_more(0).await }
    });
    tokio::task::yield_now().await;
    held.sent(&peer("a"), 1000);
    woken.await.unwrap();
    held.sent(&peer("b"), 3000);
    let rows = held.upload_rows();
    assert_eq!(rows.iter().map(|row| (row.peer.as_ref(), row.bytes)).collect::<Vec<_>>(), [("b", 3000), ("a", 1000)]);
    assert_eq!(held.uploaded(), 4000);
}

#[test]
fn a_lost_piece_costs_itself_a_lost_file_all_of_its_pieces() {
    let (_dir, held) = held(Bitmap::full(PIECES), ChokerConfig::default());
    let io = |kind| FilesError::new("read", "a", std::io::Error::from(kind));
    held.unreadable(&(2048..3072), &io(std::io::ErrorKind::Other));
    assert_eq!(held.have().zeros().collect::<Vec<_>>(), [2]);
    held.unreadable(&(60 * 1024..61 * 1024), &io(std::io::ErrorKind::NotFound));
    assert_eq!(held.have().count(), 49, "all of b");
    assert!(held.trouble().is_some());
    assert_eq!(held.since(held.generation() - 1), Changes::Whole);
}

#[test]
fn the_manifests_json_is_shared_while_it_is_used() {
    let (_dir, held) = held(Bitmap::full(PIECES), ChokerConfig::default());
    let (one, two) = (held.manifest_json(), held.manifest_json());
    assert_eq!(one.as_ptr(), two.as_ptr());
    assert_eq!(Manifest::from_json(&one).unwrap().id(), held.id());
}

#[test]
fn entries_are_found_by_their_path() {
    let (_dir, held) = held(Bitmap::full(PIECES), ChokerConfig::default());
    assert_eq!(held.entry("b").map(|(index, _)| index), Some(1));
    assert!(held.entry("c").is_none());
}

/// Who tells may be who takes the gifts: with as many pieces waiting as may wait, telling waits for nobody.
#[tokio::test]
async fn telling_of_peers_waits_for_nobody() {
    let (_dir, held) = held(Bitmap::empty(PIECES), ChokerConfig::default());
    held.tell_peers(vec!["http://nobody".into()]);
    assert!(held.take_told().is_empty(), "nobody fetches it");
    let mut gifts = held.takes_given();
    let giving: Vec<_> = (0..8)
        .map(|piece| {
            tokio::spawn({
                let held = held.clone();
                async move { held.give(piece, vec![], "a".into()).await }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    held.tell_peers(vec!["http://b".into(), "http://c".into()]);
    held.tell_peers(vec!["http://c".into()]);
    let first = gifts.recv().await.unwrap();
    assert!(matches!(first, super::Gift::Piece(_)));
    assert_eq!(held.take_told(), ["http://b", "http://c"]);
    assert!(held.take_told().is_empty());
    drop((first, gifts));
    for giving in giving {
        assert!(giving.await.unwrap().is_err(), "nobody takes them any more");
    }
}
