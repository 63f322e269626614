//! Bad days of pools that gossip, in memory and in virtual time.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::net::Net;
use super::*;
use crate::pool::seal::{Opened, Sealer};

const KEY: &[u8] = b"a secret that the nodes of a pool share";

/// A node as the network sees it: what it is told.
#[derive(Default)]
struct Seen {
    members: Mutex<Vec<Member>>,
    /// Times that its gossip began.
    began: AtomicU64,
    /// Times that it was told that nobody answers.
    alone: AtomicU64,
}

impl Side for Seen {
    fn report(&self) -> BoxFuture<'_, Figures> {
        Box::pin(async { Figures { cpu_percent: 30.0, ..Figures::default() } })
    }

    fn holds(&self) -> BTreeMap<String, Holding> {
        BTreeMap::new()
    }

    fn drains(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn began(&self) {
        self.began.fetch_add(1, Ordering::Relaxed);
    }

    fn alone(&self, _seeds: &[String], _seconds: u64) {
        self.alone.fetch_add(1, Ordering::Relaxed);
    }

    fn members(&self, members: Vec<Member>) {
        *self.members.lock().unwrap() = members;
    }
}

struct Node {
    at: SocketAddr,
    seen: Arc<Seen>,
    stop: CancellationToken,
}

impl Node {
    fn names(&self) -> BTreeSet<String> {
        self.seen.members.lock().unwrap().iter().map(|member| member.name.to_string()).collect()
    }

    fn sees(&self, names: &str) -> bool {
        self.names() == names.split(' ').map(str::to_owned).collect()
    }
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn clock() -> u64 {
    crate::clock::unix_ms()
}

fn an_hour_late() -> u64 {
    clock() - 3_600_000
}

fn an_hour_early() -> u64 {
    clock() + 3_600_000
}

fn start_with(net: &Arc<Net>, port: u16, name: &str, join: &[u16], change: impl FnOnce(&mut Config)) -> Node {
    start_as(KEY, net, port, name, join, change)
}

fn start_as(
    key: &'static [u8],
    net: &Arc<Net>,
    port: u16,
    name: &str,
    join: &[u16],
    change: impl FnOnce(&mut Config),
) -> Node {
    let at = address(port);
    let mut config = Config {
        pool: "pool".to_owned(),
        name: name.to_owned(),
        endpoint: format!("http://{at}"),
        address: at,
        seeds: join.iter().map(|port| address(*port).to_string()).collect(),
        weight: 1.0,
        clock,
    };
    change(&mut config);
    let (seen, stop) = (Arc::new(Seen::default()), CancellationToken::new());
    let (side, stopped, datagrams) = (seen.clone(), stop.clone(), net.open(at));
    tokio::spawn(async move { run(config, key, datagrams, side, stopped).await });
    Node { at, seen, stop }
}

fn start(net: &Arc<Net>, port: u16, name: &str, join: &[u16]) -> Node {
    start_with(net, port, name, join, |_| ())
}

#[tokio::test(start_paused = true)]
async fn who_joins_with_another_token_is_told_that_nobody_answers() {
    let net = Arc::new(Net::default());
    let (a, b) = (start(&net, 1, "a", &[]), start(&net, 2, "b", &[1]));
    let stranger = start_as(b"another token", &net, 3, "c", &[1, 2], |_| ());
    let told = |node: &Node| node.seen.alone.load(Ordering::Relaxed);
    let ms = until(15_000, "it is said", || told(&stranger) > 0).await;
    assert!(ms >= 9_500, "not before it could have been heard: {ms} ms");
    pass(60_000).await;
    assert_eq!((told(&stranger), told(&a), told(&b)), (1, 0, 0), "rarely, and to nobody else");
    // Those to join go: that is said where they are waited for.
    crash(&net, &a);
    until(30_000, "it is said", || told(&b) > 0).await;
}

fn crash(net: &Net, node: &Node) {
    net.close(node.at);
    node.stop.cancel();
}

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Ms until it is so; longer than `limit` is a failure.
async fn until(limit: u64, what: &str, is_so: impl Fn() -> bool) -> u64 {
    for ms in (0..limit).step_by(50) {
        if is_so() {
            return ms;
        }
        pass(50).await;
    }
    panic!("{what}: not within {limit} ms");
}

/// `names` from port 1 on; all but the first join the first one, the first one nobody.
async fn pool(net: &Arc<Net>, names: &str) -> Vec<Node> {
    let started = names.split(' ').zip(1..);
    let nodes: Vec<Node> =
        started.map(|(name, port)| start(net, port, name, if port == 1 { &[] } else { &[1] })).collect();
    until(10_000, "a new pool", || nodes.iter().all(|node| node.sees(names))).await;
    nodes
}

#[tokio::test(start_paused = true)]
async fn a_crashed_node_is_out_within_five_seconds_and_back_within_five() {
    let net = Arc::new(Net::default());
    let nodes = pool(&net, "a b c d e f g h").await;
    for _ in 0..3 {
        crash(&net, &nodes[7]);
        until(5_000, "it is out", || nodes[..7].iter().all(|node| node.sees("a b c d e f g"))).await;
        let back = start(&net, 8, "h", &[1]);
        until(5_000, "it is back", || nodes[..7].iter().chain([&back]).all(|node| node.sees("a b c d e f g h"))).await;
        crash(&net, &back);
        until(5_000, "it is out again", || nodes[..7].iter().all(|node| node.sees("a b c d e f g"))).await;
        pass(1_000).await;
    }
}

#[tokio::test(start_paused = true)]
async fn halves_of_a_split_network_go_on_and_find_each_other_again() {
    let net = Arc::new(Net::default());
    let nodes = pool(&net, "a b c d e f").await;
    // The second time it lasts longer than anything is remembered.
    for seconds in [20, 600] {
        net.cut(|from, to| (from.port() <= 3) != (to.port() <= 3));
        until(6_000, "split", || {
            nodes[..3].iter().all(|node| node.sees("a b c")) && nodes[3..].iter().all(|node| node.sees("d e f"))
        })
        .await;
        for _ in 0..seconds {
            pass(1_000).await;
            assert!(nodes[..3].iter().all(|node| node.sees("a b c")));
            assert!(nodes[3..].iter().all(|node| node.sees("d e f")));
        }
        net.cut(|_, _| false);
        until(10_000, "healed", || nodes.iter().all(|node| node.sees("a b c d e f"))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_between_clocks_is_a_day_like_any_other() {
    let net = Arc::new(Net::default());
    let a = start(&net, 1, "a", &[]);
    let b = start_with(&net, 2, "b", &[1], |config| config.clock = an_hour_early);
    let c = start_with(&net, 3, "c", &[1], |config| config.clock = an_hour_late);
    until(5_000, "all", || [&a, &b, &c].iter().all(|node| node.sees("a b c"))).await;
    // Its clock was set right, which is backwards: it is another start all the same.
    crash(&net, &b);
    let b = start_with(&net, 2, "b", &[1], |config| config.clock = an_hour_late);
    until(5_000, "back", || {
        let is_new = |node: &Node| {
            let members = node.seen.members.lock().unwrap();
            members.iter().filter(|member| &*member.name == "b").map(|member| member.generation).max()
                < Some(clock() - 3_000_000)
        };
        [&a, &b, &c].iter().all(|node| node.sees("a b c") && is_new(node))
    })
    .await;
    for _ in 0..60 {
        pass(1_000).await;
        assert!([&a, &b, &c].iter().all(|node| node.sees("a b c")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_flaps_makes_no_storm() {
    let net = Arc::new(Net::default());
    let nodes = pool(&net, "a b c d e").await;
    let cost = async |seconds: u64| {
        let before = net.sent().0;
        pass(seconds * 1_000).await;
        (net.sent().0 - before) / seconds
    };
    let rest = cost(30).await;
    let before = net.sent().0;
    for _ in 0..120 {
        let node = start(&net, 9, "z", &[1]);
        pass(500).await;
        assert!(
            nodes.iter().all(|node| node.names().is_superset(&["a", "b", "c", "d", "e"].map(str::to_owned).into()))
        );
        crash(&net, &node);
        pass(500).await;
    }
    let flapping = (net.sent().0 - before) / 120;
    assert!(flapping < rest * 4, "{flapping} bytes a second, {rest} at rest");
    until(6_000, "gone", || nodes.iter().all(|node| node.sees("a b c d e"))).await;
    pass(FORGET.as_millis() as u64 + 30_000).await;
    let after = cost(30).await;
    assert!(after < rest + rest / 10, "{after} bytes a second, {rest} before: something is left of it");
    assert!(nodes.iter().all(|node| node.seen.began.load(Ordering::Relaxed) == 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_replayed_or_garbage_changes_nothing() {
    let net = Arc::new(Net::default());
    let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let nodes = pool(&net, "a b c").await;
    // Somebody on the way writes everything down that goes to the first one.
    let mut tapped = net.open(address(9));
    let (ear, tap) = (heard.clone(), net.clone());
    tokio::spawn(async move {
        while let Some((_, datagram)) = tapped.inbox.recv().await {
            ear.lock().unwrap().push(datagram.to_vec());
            tap.send(address(2), address(1), &datagram);
        }
    });
    let d = start(&net, 4, "d", &[9]);
    pass(3_000).await;
    d.stop.cancel();
    net.close(d.at);
    until(6_000, "gone", || nodes.iter().all(|node| node.sees("a b c"))).await;
    let heard = heard.lock().unwrap().clone();
    assert!(!heard.is_empty());
    let sent = net.sent().1;
    for round in 0..2_000u32 {
        for datagram in &heard {
            let mut bent = datagram.clone();
            bent[round as usize % datagram.len()] ^= 1;
            for bytes in [datagram, &bent] {
                net.send(address(20 + (round % 50) as u16), address(1), bytes);
            }
        }
        pass(5).await;
        assert!(nodes.iter().all(|node| node.sees("a b c")), "{:?}", nodes.iter().map(Node::names).collect::<Vec<_>>());
    }
    let (flood, answers) = (2 * 2_000 * heard.len() as u64, net.sent().1 - sent);
    assert!(answers < flood * 2, "at most one answer each: {answers} of {flood}");
    assert!(nodes.iter().all(|node| node.seen.began.load(Ordering::Relaxed) == 1));
}

#[tokio::test(start_paused = true)]
async fn one_who_tells_of_thousands_breaks_nothing() {
    let net = Arc::new(Net::default());
    let nodes = pool(&net, "a b c").await;
    let (hostile, mut datagrams) = (address(9), net.open(address(9)));
    let mut sealer = Sealer::new(KEY, [9; 16]).unwrap();
    for datagram in sealer.seal(address(1), b"hello") {
        net.send(hostile, address(1), &datagram);
    }
    let (from, hello) = datagrams.inbox.recv().await.unwrap();
    assert!(matches!(sealer.open(from, &hello), Opened::Reply(_)), "it has the key");
    for round in 0..20u32 {
        let mut syn = vec![0x53, 0xb0, 0, 0];
        syn.extend(1_500u16.to_le_bytes());
        for number in 0..1_500u32 {
            syn.extend([0, 0]);
            syn.extend(7u64.to_le_bytes());
            syn.push(4);
            syn.extend((round * 1_500 + number).to_be_bytes());
            syn.extend(7_070u16.to_le_bytes());
            syn.extend([1; 24]);
        }
        syn.extend(4u16.to_le_bytes());
        syn.extend(b"pool");
        for datagram in sealer.seal(address(1), &syn) {
            net.send(hostile, address(1), &datagram);
        }
        pass(1_000).await;
        assert!(nodes.iter().all(|node| node.sees("a b c")), "{:?}", nodes.iter().map(Node::names).collect::<Vec<_>>());
    }
    assert!(nodes.iter().all(|node| node.seen.began.load(Ordering::Relaxed) == 1), "gossip never broke");
}
