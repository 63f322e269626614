use tracing::dispatcher::{Dispatch, with_default};
use tracing::{debug, error_span, info, info_span, warn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use super::*;

/// Runs `f` with these logs installed for this thread alone.
fn installed<T>(logs: &Logs, f: impl FnOnce() -> T) -> T {
    with_default(&Dispatch::new(registry().with(logs.layer())), f)
}

fn messages(ring: &LogRing) -> Vec<String> {
    ring.tail().iter().map(|line| line.message.clone()).collect()
}

#[test]
fn each_engine_has_its_own_lines() {
    let logs = Logs::new("info").unwrap();
    let (a, b) = (logs.ring("a"), logs.ring("b"));
    installed(&logs, || {
        a.span().in_scope(|| {
            info!(peer = "h:1", pieces = 3, "to a");
            // An engine started inside another one's task is not inside it.
            b.span().in_scope(|| info!("to b"));
        });
        info!("to all");
    });
    assert_eq!(messages(&a), ["to a peer=h:1 pieces=3", "to all"]);
    assert_eq!(messages(&b), ["to b", "to all"]);
    assert_eq!(a.tail().iter().map(|line| line.seq).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn lines_know_their_transfer() {
    let logs = Logs::new("warn").unwrap();
    let ring = logs.ring("a");
    installed(&logs, || {
        warn!(transfer = 3u64, "a field");
        warn!(transfer = %TransferId(4), "shown");
        // Below the filter's level, and still known.
        info_span!("download", transfer = 5u64).in_scope(|| {
            error_span!("peer").in_scope(|| warn!("around"));
            warn!(transfer = 6u64, "nearer");
        });
        let late = info_span!("later", transfer = tracing::field::Empty);
        late.record("transfer", 7u64);
        late.in_scope(|| warn!("recorded"));
        warn!("none");
    });
    let transfers: Vec<_> = ring.tail().iter().map(|line| line.transfer.map(|id| id.0)).collect();
    assert_eq!(transfers, [Some(3), Some(4), Some(5), Some(6), Some(7), None]);
}

#[test]
fn the_level_changes_while_it_runs() {
    let logs = Logs::new("info").unwrap();
    let ring = logs.ring("a");
    let speak = || {
        debug!(target: "skep_engine::swarm::picker", "swarm");
        debug!(target: "skep_engine::store", "store");
    };
    installed(&logs, || {
        let span = ring.span();
        speak();
        logs.set_filter("skep_engine::swarm=debug").unwrap();
        span.in_scope(speak);
        assert!(logs.set_filter("lots").is_err());
        assert_eq!(logs.filter(), "skep_engine::swarm=debug", "the old one stays");
        ring.set_filter("off").unwrap();
        speak();
        logs.set_filter("debug").unwrap();
        span.in_scope(speak);
    });
    assert_eq!(messages(&ring), ["swarm", "swarm", "store"]);
    let line = &ring.tail()[0];
    assert_eq!((line.target.as_str(), line.level), ("swarm", LogLevel::Debug));
}

#[test]
fn lines_find_their_engine_whatever_the_filter() {
    let logs = Logs::new("other=trace").unwrap();
    let (a, b) = (logs.ring("a"), logs.ring("b"));
    installed(&logs, || a.span().in_scope(|| debug!(target: "other", "x")));
    assert_eq!((messages(&a).len(), messages(&b).len()), (1, 0));
}

#[test]
fn memory_is_bounded_and_text_harmless() {
    struct Endless;
    impl std::fmt::Display for Endless {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            loop {
                f.write_str("ää")?;
            }
        }
    }
    let logs = Logs::new("info").unwrap();
    let ring = logs.ring("a");
    installed(&logs, || {
        for _ in 0..RING_LINES {
            info!("old");
        }
        info!("{}", "\x1b[2Jred");
        info!(what = %Endless, "x");
    });
    let tail = ring.tail();
    assert_eq!((tail.len(), tail[0].seq, ring.generation()), (RING_LINES, 3, RING_LINES as u64 + 2));
    assert_eq!(tail[RING_LINES - 2].message, "\u{fffd}[2Jred");
    let long = &tail[RING_LINES - 1].message;
    assert!(long.len() < line::MAX_MESSAGE + 8 && long.ends_with('…'), "{}", long.len());
}

#[test]
fn the_tail_is_made_once_per_change() {
    let logs = Logs::new("info").unwrap();
    let ring = logs.ring("a");
    let mut news = ring.changes();
    installed(&logs, || {
        info!("one");
        assert!(news.has_changed().unwrap());
        assert_eq!(*news.borrow_and_update(), 1);
        let tail = ring.tail();
        assert!(Arc::ptr_eq(&tail, &ring.tail()));
        info!("two");
        assert!(!Arc::ptr_eq(&tail, &ring.tail()));
        assert_eq!(tail.len(), 1, "what was handed out does not change");
    });
    assert_eq!(ring.generation(), 2);
}

#[tokio::test]
async fn tasks_carry_their_engine() {
    use tracing::Instrument;
    let logs = Logs::new("info").unwrap();
    let (a, b) = (logs.ring("a"), logs.ring("b"));
    let dispatch = Dispatch::new(registry().with(logs.layer()));
    let _guard = tracing::dispatcher::set_default(&dispatch);
    let say = |text: &'static str| async move {
        tokio::task::yield_now().await;
        info!("{text}");
    };
    let tasks = [tokio::spawn(say("of a").instrument(a.span())), tokio::spawn(say("of b").instrument(b.span()))];
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((messages(&a), messages(&b)), (vec!["of a".to_owned()], vec!["of b".to_owned()]));
}

#[test]
fn a_ring_that_nobody_holds_is_forgotten() {
    let logs = Logs::new("info").unwrap();
    drop(logs.ring("a"));
    let kept = logs.ring("b");
    installed(&logs, || info!("x"));
    assert_eq!((lock(&logs.shared.rings).open.len(), messages(&kept).len()), (1, 1));
}

#[test]
fn other_layers_follow_the_same_filter() {
    let (logs, other) = (Logs::new("info").unwrap(), Logs::new("trace").unwrap());
    // A ring of other logs stands for a file.
    let file = other.ring("file");
    let writer = RingLayer { shared: Arc::clone(&other.shared) };
    with_default(&Dispatch::new(registry().with(logs.layer()).with(logs.filtered(writer))), || {
        debug!("before");
        logs.set_filter("debug").unwrap();
        debug!("debugged");
        logs.set_filter("warn").unwrap();
        info!("after");
        warn!("warned");
    });
    assert_eq!(messages(&file), ["debugged", "warned"]);
}
