//! Links measured and monitored: real nodes on loopback, and endpoints that have a bad day.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{PATIENCE, TestNode, noise_file};
use reqwest::header::HeaderMap;
use skep_engine::control::link::{ClassChoice, LinkChangeRequest, LinkClass, ProbeRequest};
use skep_engine::control::{Command, CommandErrorKind, Focus, Reply, Snapshot, TransferState};
use skep_engine::link::probe::{ProbeError, Prober};
use skep_engine::link::{Figures, Thresholds, classify};
use skep_engine::schedule::{DAY, Rule, Schedule};
use skep_shaper::{Profile, Shaper};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

const LIMIT: Duration = Duration::from_secs(5);

async fn probe(url: &str) -> Result<skep_engine::link::probe::Probed, ProbeError> {
    Prober::new(url, HeaderMap::new(), 7).unwrap().probe(LIMIT).await
}

/// A server that answers every request with these bytes.
async fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(answer).await;
                }
            });
        }
    });
    url
}

async fn monitored(node: &TestNode, wanted: impl Fn(&Snapshot) -> bool) {
    let mut view = node.control.view(Focus::default());
    let came = tokio::time::timeout(PATIENCE, view.snapshots.wait_for(|snapshot| wanted(snapshot))).await;
    assert!(came.is_ok_and(|seen| seen.is_ok()), "{:#?}", view.snapshots.borrow().links);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_measured() {
    let node = TestNode::start().await;
    let probed = probe(&node.url()).await.unwrap();
    let found = probed.sample.measurement();
    assert!(found.bandwidth_mbps.unwrap() > 10.0, "{found:?}");
    assert!(found.latency_ms.unwrap() < 1_000.0 && found.jitter_ms.is_some(), "{found:?}");
    assert_eq!(found.loss_percent, Some(0.0), "{found:?}");
    assert!(found.probe_bytes > 64 << 10 && probed.exchanges >= 3);
    let Reply::Probed(report) = node.control.command(Command::Probe(ProbeRequest { url: node.url() })).await.unwrap()
    else {
        panic!("another answer")
    };
    assert!(report.class != LinkClass::Unknown && !report.why.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_node_is_told_apart() {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let portal = server(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n").await;
    let sends_on = server(b"HTTP/1.1 302 Found\r\nlocation: http://login.example/\r\ncontent-length: 0\r\n\r\n").await;
    let web = server(b"HTTP/1.1 404 Not Found\r\nserver: web/1\r\ncontent-length: 0\r\n\r\n").await;
    let guarded = server(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    for (url, words) in [
        (refused, "connection refused"),
        ("http://nobody.invalid:7070".into(), "name"),
        (portal, "login page"),
        (sends_on, "http://login.example/"),
        (web, "web/1"),
        (guarded, "--token-file"),
    ] {
        let error = probe(&url).await.unwrap_err().to_string();
        assert!(error.contains(words), "{url}: {error}");
    }
    assert!(matches!(Prober::new("ftp://x", HeaderMap::new(), 1).err(), Some(ProbeError::Url(_)) | None));
    assert!(skep_engine::link::probe::endpoint("10.0.0.1").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_says_nothing_costs_no_more_than_the_time_there_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let error = Prober::new(&url, HeaderMap::new(), 7).unwrap().probe(Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, ProbeError::Silent(_)), "{error}");
}

/// Small exchanges are at once, as of a fiber; what takes more than a moment is slow.
#[tokio::test(flavor = "multi_thread")]
async fn what_answers_fast_and_carries_little_is_known_by_what_it_carries() {
    let node = TestNode::start().await;
    let address = node.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let narrow = Profile { name: "narrow", up: 60_000, down: 60_000, burst: 16_000, ..Profile::IDEAL };
    let link = Shaper::start(address, narrow, 7).await.unwrap();
    let probed = probe(&link.url()).await.unwrap();
    let found = probed.sample.measurement();
    assert!(found.latency_ms.unwrap() < 100.0, "{found:?}");
    assert!(found.bandwidth_mbps.unwrap() < 0.8, "{found:?}");
    let figures = Figures {
        bandwidth_mbps: found.bandwidth_mbps,
        latency_ms: found.latency_ms,
        loss_percent: found.loss_percent,
    };
    assert_eq!(classify(&figures, &Thresholds::default()).class, LinkClass::Satellite, "{found:?}");
}

/// Nobody is on the way there (RFC 6666): refused at once, or nothing comes back.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_route_there_is_an_error_in_time_and_a_monitor_calls_it_intermittent() {
    let nowhere = "http://[100::1]:7070";
    let error = Prober::new(nowhere, HeaderMap::new(), 7).unwrap().probe(Duration::from_millis(500)).await.unwrap_err();
    assert!(
        matches!(error, ProbeError::Silent(_) | ProbeError::Network(_)) && !error.to_string().is_empty(),
        "{error:?}"
    );
    let node = TestNode::start().await;
    node.control.command(Command::StartMonitor { endpoint: nowhere.into() }).await.unwrap();
    monitored(&node, |snapshot| snapshot.links.iter().any(|link| link.class == LinkClass::Intermittent && link.stale))
        .await;
}

/// The port is another's for datagrams, which answers nothing.
#[tokio::test(flavor = "multi_thread")]
async fn where_datagrams_are_blocked_loss_is_not_known() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let listen = silent.local_addr().unwrap();
    let node = TestNode::start_with(|config| config.listen = listen).await;
    let probed = probe(&node.url()).await.unwrap();
    assert_eq!(probed.sample.loss_percent(), None);
    assert!(probed.notes.iter().any(|note| note.contains("UDP is blocked")), "{:?}", probed.notes);
    assert!(probed.sample.latency_ms.is_some() && probed.sample.bandwidth_mbps.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitored_link_is_shown_set_and_kept_over_restarts() {
    let (far, near) = (TestNode::start().await, TestNode::start().await);
    let endpoint = far.url();
    near.control.command(Command::StartMonitor { endpoint: format!("{endpoint}/") }).await.unwrap();
    let is_known =
        |s: &Snapshot| s.links.len() == 1 && s.links[0].class != LinkClass::Unknown && s.links[0].samples >= 3;
    monitored(&near, is_known).await;
    let set = LinkChangeRequest {
        endpoint: endpoint.clone(),
        class: Some(ClassChoice::Fixed(LinkClass::Satellite)),
        metered: Some(true),
    };
    near.control.command(Command::SetLink(set)).await.unwrap();
    let is_set =
        |s: &Snapshot| s.links.iter().any(|row| row.forced && row.class == LinkClass::Satellite && row.metered);
    monitored(&near, is_set).await;
    let history =
        near.control.command(Command::LinkHistory { endpoint: endpoint.clone(), window_s: 3_600 }).await.unwrap();
    let Reply::LinkHistory(history) = history else { panic!("another answer") };
    assert!(history.samples.len() >= 3 && history.changes.iter().any(|change| change.to == LinkClass::Satellite));
    let near = near.restart().await;
    monitored(&near, is_set).await;
    near.control.command(Command::StopMonitor { endpoint: endpoint.clone() }).await.unwrap();
    monitored(&near, |s| s.links.is_empty()).await;
    let error = near.control.command(Command::LinkHistory { endpoint, window_s: 60 }).await.unwrap_err();
    assert_eq!(error.kind, CommandErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_says_why_nobody_answers() {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let portal = server(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n").await;
    let guarded = server(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    let all = [
        (refused, "connection refused"),
        ("http://nobody.invalid:7070".into(), "name"),
        (portal, "login page"),
        (guarded, "--token-file"),
    ];
    let node = TestNode::start().await;
    for (endpoint, _) in &all {
        node.control.command(Command::StartMonitor { endpoint: endpoint.clone() }).await.unwrap();
    }
    let is_told = |snapshot: &Snapshot, endpoint: &str, words: &str| {
        let row = snapshot.links.iter().find(|row| row.endpoint == endpoint);
        row.is_some_and(|row| row.error.as_ref().is_some_and(|error| error.contains(words)) && row.why.contains(words))
    };
    monitored(&node, |snapshot| all.iter().all(|(endpoint, words)| is_told(snapshot, endpoint, words))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_syncs_do_otherwise_is_told_though_the_class_stays() {
    let (far, near) = (TestNode::start().await, TestNode::start().await);
    let set = |class: Option<LinkClass>, metered| {
        let class = class.map(ClassChoice::Fixed);
        near.control.command(Command::SetLink(LinkChangeRequest { endpoint: far.url(), class, metered }))
    };
    set(Some(LinkClass::Fiber), None).await.unwrap();
    monitored(&near, |s| s.links.iter().any(|row| row.class == LinkClass::Fiber)).await;
    set(None, Some(true)).await.unwrap();
    monitored(&near, |s| s.links.iter().any(|row| row.metered)).await;
    let history = near.control.command(Command::LinkHistory { endpoint: far.url(), window_s: 3_600 }).await.unwrap();
    let Reply::LinkHistory(history) = history else { panic!("another answer") };
    let last = history.changes.last().unwrap();
    assert_eq!((last.from, last.to), (LinkClass::Fiber, LinkClass::Fiber), "{history:?}");
    assert!(last.what.contains("delta_only") && last.what.contains("only summaries"), "{last:?}");
}

/// A limit of 0 lets nothing through: what comes is what a bucket holds at first, however fast the machine is.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_link_holds_for_what_is_fetched_over_it() {
    let (far, near, size) = (TestNode::start().await, TestNode::start().await, 600_000);
    let node = TestNode::start_with(|config| {
        let link = Some(far.url().trim_start_matches("http://").to_owned());
        let rule = Rule { days: [true; 7], minutes: (0, DAY), link, up: None, down: Some(Some(0)) };
        config.limits.schedule = Schedule(vec![rule]);
    })
    .await;
    node.control.command(Command::StartMonitor { endpoint: far.url() }).await.unwrap();
    monitored(&node, |s| s.links.iter().any(|row| row.limit_down == Some(0))).await;
    let held = node.get(&far.share(&noise_file(far.dir.path(), "held", size)).await).await;
    node.wait(held, |row| row.state == TransferState::Running && row.peers > 0).await;
    let free = node.get(&near.share(&noise_file(near.dir.path(), "free", 40 * size)).await).await;
    node.done(free).await;
    let row = node.wait(held, |_| true).await;
    assert!(row.state == TransferState::Running && row.bytes_down <= 64 << 10, "{row:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_started_and_stopped_a_thousand_times_leaves_nothing() {
    let (far, near) = (TestNode::start().await, TestNode::start().await);
    let endpoint = far.url();
    let open = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let cycle = async |times: usize| {
        for time in 1..=times {
            near.control.command(Command::StartMonitor { endpoint: endpoint.clone() }).await.unwrap();
            if time % 50 == 0 {
                // It has a connection and a socket for datagrams then.
                monitored(&near, |s| s.links.iter().any(|link| link.newest.latency_ms.is_some())).await;
            }
            near.control.command(Command::StopMonitor { endpoint: endpoint.clone() }).await.unwrap();
        }
    };
    cycle(50).await;
    let (files, alive) = (open(), tasks());
    cycle(1_000).await;
    // What was stopped ends in its own time; that it does is what counts.
    let settled = async {
        while open() > files + 6 || tasks() > alive + 6 {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, settled).await;
    assert!(ended.is_ok(), "{} descriptors, {} before; {} tasks, {alive} before", open(), files, tasks());
}
