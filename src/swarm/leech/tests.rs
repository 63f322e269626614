use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn leech(pieces: u32, in_flight: u32) -> (Leech, Instant) {
    let config = LeechConfig { in_flight: InFlight::Fixed(in_flight), ..LeechConfig::default() };
    (
        Leech::new(PieceSizes { count: pieces, length: 1000, last: 1000 }, Bitmap::empty(pieces), config, 1),
        Instant::now(),
    )
}

fn bitmap(len: u32, ones: &[u32]) -> Bitmap {
    let mut map = Bitmap::empty(len);
    for piece in ones {
        map.set(*piece);
    }
    map
}

fn peer(leech: &mut Leech, name: &str, pieces: &[u32], now: Instant) -> PeerKey {
    let key = leech.add_peer(name, PeerKind::Swarm, now).unwrap();
    leech.on_bitmap(key, &bitmap(leech.sizes().count, pieces), now);
    key
}

fn deliver(leech: &mut Leech, request: &Request, now: Instant) -> Vec<RequestId> {
    let mut cancel = Vec::new();
    for piece in request.first..request.first + request.count {
        leech.on_bytes(request.id, leech.sizes().size(piece), now);
        cancel.extend(leech.on_piece(request.id, piece, now));
    }
    leech.on_finished(request.id, now);
    cancel
}

#[test]
fn the_worked_example_one_request_at_a_time() {
    let (mut leech, mut now) = leech(4, 1);
    peer(&mut leech, "a", &[0, 1, 2], now);
    peer(&mut leech, "b", &[0, 1, 3], now);
    peer(&mut leech, "c", &[0, 1], now);
    let mut order = Vec::new();
    while let Some(request) = leech.next_request(now) {
        assert_eq!(leech.next_request(now), None, "one at a time");
        now += MS;
        order.extend(request.first..request.first + request.count);
        deliver(&mut leech, &request, now);
    }
    order[..2].sort_unstable();
    order[2..].sort_unstable();
    assert_eq!(order, [2, 3, 0, 1]);
    assert!(leech.is_complete());
    assert_eq!(leech.requests().0, 0);
}

#[test]
fn work_goes_to_the_peer_with_fewest_requests() {
    let (mut leech, now) = leech(32, 8);
    let all: Vec<u32> = (0..32).collect();
    for name in ["a", "b"] {
        peer(&mut leech, name, &all, now);
    }
    let mut active = BTreeMap::<PeerKey, u32>::new();
    while let Some(request) = leech.next_request(now) {
        *active.entry(request.peer).or_default() += 1;
    }
    assert_eq!(active.into_values().collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn the_first_pieces_are_random_and_single() {
    let mut firsts = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let now = Instant::now();
        let sizes = PieceSizes { count: 100, length: 1000, last: 1000 };
        let mut leech = Leech::new(sizes, Bitmap::empty(100), LeechConfig::default(), seed);
        peer(&mut leech, "a", &(0..100).collect::<Vec<_>>(), now);
        peer(&mut leech, "b", &(0..99).collect::<Vec<_>>(), now);
        let request = leech.next_request(now).unwrap();
        assert_eq!((request.why, request.count), (Why::First, 1));
        firsts.insert(request.first);
    }
    assert!(firsts.len() > 10, "{firsts:?}");
}

#[test]
fn a_failed_request_goes_to_another_peer_at_once() {
    let (mut leech, now) = leech(1, 8);
    let a = peer(&mut leech, "a", &[0], now);
    let b = peer(&mut leech, "b", &[0], now);
    let request = leech.next_request(now).unwrap();
    let other = if request.peer == a { b } else { a };
    leech.on_failed(request.id, Failure::Connect, now);
    let retry = leech.next_request(now).unwrap();
    assert_eq!((retry.peer, retry.first, retry.duplicate), (other, 0, false));
    // Both fail: nobody is hammered.
    leech.on_failed(retry.id, Failure::Status(500), now);
    assert_eq!(leech.next_request(now), None);
    assert!(matches!(leech.waiting_reason(now), Some(Reason::AllRest { .. })));
    let next = leech.poll_timeout().unwrap();
    assert!(next > now + MS * 300);
    assert!(leech.next_request(next).is_some());
}

#[test]
fn a_choking_peer_is_asked_when_it_said() {
    let (mut leech, now) = leech(1, 8);
    peer(&mut leech, "a", &[0], now);
    let request = leech.next_request(now).unwrap();
    leech.on_failed(request.id, Failure::Choked(Duration::from_secs(4)), now);
    assert_eq!(leech.next_request(now + MS * 3999), None);
    let reason = leech.waiting_reason(now).unwrap();
    assert_eq!(reason.to_string(), "all peers choke us, next try in 4 s");
    assert_eq!(leech.poll_timeout(), Some(now + Duration::from_secs(4)));
    assert!(leech.next_request(now + MS * 4000).is_some());
}

#[test]
fn what_a_removed_peer_was_to_bring_is_asked_of_another() {
    let (mut leech, now) = leech(8, 8);
    let a = peer(&mut leech, "a", &[0, 1, 2], now);
    let mine: Vec<_> = std::iter::from_fn(|| leech.next_request(now)).collect();
    assert_eq!(mine.len(), 3);
    let mut cancel = leech.remove_peer(a, now);
    cancel.sort_unstable();
    assert_eq!(cancel, mine.iter().map(|r| r.id).collect::<Vec<_>>());
    assert_eq!(leech.next_request(now), None);
    peer(&mut leech, "b", &[0, 1, 2], now);
    assert_eq!(std::iter::from_fn(|| leech.next_request(now)).count(), 3);
    assert!(leech.add_peer("a", PeerKind::Swarm, now).is_some());
}

#[test]
fn the_endgame_copies_the_last_piece_and_cancels_the_loser() {
    let (mut leech, now) = leech(1, 8);
    for name in ["a", "b", "c"] {
        peer(&mut leech, name, &[0], now);
    }
    let first = leech.next_request(now).unwrap();
    let second = leech.next_request(now).unwrap();
    assert!(!first.duplicate && second.duplicate && first.peer != second.peer);
    assert_eq!(second.why, Why::Endgame { of: first.id });
    assert_eq!(leech.next_request(now), None, "never three");
    let cancel = deliver(&mut leech, &second, now + MS);
    assert_eq!(cancel, [first.id]);
    assert!(leech.is_complete() && leech.requests().0 == 0);
    assert!(leech.on_piece(first.id, 0, now + MS).is_empty(), "a late copy is harmless");
    leech.on_failed(first.id, Failure::Broken, now + MS);
}

#[test]
fn a_copy_that_is_left_alone_may_be_copied() {
    let (mut leech, now) = leech(1, 8);
    for name in ["a", "b", "c"] {
        peer(&mut leech, name, &[0], now);
    }
    let first = leech.next_request(now).unwrap();
    let second = leech.next_request(now).unwrap();
    leech.on_failed(first.id, Failure::Broken, now);
    let third = leech.next_request(now).unwrap();
    assert_eq!(third.why, Why::Endgame { of: second.id });
}

#[test]
fn a_stalled_request_is_given_up_and_a_slow_one_only_if_somebody_else_can() {
    let (mut leech, start) = leech(1, 8);
    peer(&mut leech, "a", &[0], start);
    let request = leech.next_request(start).unwrap();
    let mut now = start;
    // A byte each second: slow, but the only one.
    for _ in 0..100 {
        now += Duration::from_secs(1);
        leech.on_bytes(request.id, 1, now);
        assert!(leech.on_timeout(now).is_empty());
    }
    let b = peer(&mut leech, "b", &[0], now);
    assert_eq!(leech.on_timeout(now + MS * 300), [request.id]);
    let retry = leech.next_request(now + MS * 300).unwrap();
    assert_eq!(retry.peer, b);
    // Not a byte for ten seconds.
    let mut last = now + MS * 300;
    let mut late = Vec::new();
    while let Some(next) = leech.poll_timeout().filter(|_| late.is_empty()) {
        assert!(next > last || leech.on_timeout(next).is_empty());
        last = next;
        late = leech.on_timeout(next);
    }
    assert_eq!(late, [retry.id]);
    let silent = last - (now + MS * 300);
    assert!((Duration::from_secs(10)..Duration::from_secs(11)).contains(&silent), "{silent:?}");
}

#[test]
fn a_slow_request_is_copied_before_the_end_and_does_not_block_others() {
    let (mut leech, start) = leech(12, 2);
    let all: Vec<u32> = (0..12).collect();
    peer(&mut leech, "slow", &all, start);
    peer(&mut leech, "fast", &all, start);
    let slow = leech.peer("slow").unwrap();
    let mut now = start;
    let mut under_way: Vec<Request> = Vec::new();
    let mut copied = false;
    for _ in 0..600 {
        now += MS * 10;
        leech.on_timeout(now);
        under_way.extend(std::iter::from_fn(|| leech.next_request(now)));
        copied |= under_way.iter().any(|r| r.duplicate);
        let (stay, come): (Vec<_>, Vec<_>) = under_way.into_iter().partition(|r| r.peer == slow);
        under_way = stay;
        for request in come {
            let cancel = deliver(&mut leech, &request, now);
            under_way.retain(|r| !cancel.contains(&r.id));
        }
    }
    assert!(copied);
    assert!(leech.is_complete(), "{:?}", leech.waiting_reason(now));
    assert!(now - start < Duration::from_secs(10), "before the slow one was given up");
}

#[test]
fn a_peer_that_lied_about_its_bitmap_is_not_asked_for_that_again() {
    let (mut leech, mut now) = leech(3, 1);
    peer(&mut leech, "liar", &[0, 1, 2], now);
    let mut refused = Vec::new();
    for _ in 0..3 {
        let request = leech.next_request(now).unwrap();
        refused.push(request.first);
        leech.on_failed(request.id, Failure::Refused, now);
        assert_eq!(leech.next_request(now), None, "it rests");
        now = leech.poll_timeout().unwrap();
        leech.on_timeout(now);
    }
    refused.sort_unstable();
    assert_eq!(refused, [0, 1, 2]);
    assert_eq!(leech.next_request(now), None);
    assert_eq!(leech.waiting_reason(now).unwrap().to_string(), "no peer has the 3 pieces left");
    // After a while it may have them after all.
    now += Duration::from_secs(120);
    leech.on_timeout(now);
    assert!(leech.next_request(now).is_some());
}

#[test]
fn runs_grow_with_the_measured_rate() {
    let now = Instant::now();
    let sizes = PieceSizes { count: 4096, length: 64 << 10, last: 64 << 10 };
    let mut leech = Leech::new(sizes, Bitmap::empty(4096), LeechConfig::default(), 1);
    let mirror = leech.add_peer("http://mirror/", PeerKind::Mirror, now).unwrap();
    assert!(leech.is_mirror(mirror));
    let mut now = now;
    let mut longest = 0;
    for _ in 0..200 {
        let Some(request) = leech.next_request(now) else { break };
        longest = longest.max(request.count);
        now += MS * 2;
        leech.on_first_byte(request.id, now);
        for piece in request.first..request.first + request.count {
            now += MS / 4; // 256 MB/s
            leech.on_bytes(request.id, 64 << 10, now);
            leech.on_piece(request.id, piece, now);
        }
        leech.on_finished(request.id, now);
    }
    assert_eq!(longest, 64);
    let view = leech.peers(now).next().unwrap();
    assert!(view.window.rate.unwrap() > 5e7 && view.window.rtt == Some(MS * 2), "{:?}", view.window);
}

#[test]
fn the_tail_is_shared_out() {
    let now = Instant::now();
    let sizes = PieceSizes { count: 64, length: 64 << 10, last: 64 << 10 };
    let mut leech = Leech::new(sizes, Bitmap::empty(64), LeechConfig::default(), 1);
    for name in ["a", "b"] {
        let key = leech.add_peer(name, PeerKind::Mirror, now).unwrap();
        let window = &mut leech.book.get_mut(key).unwrap().window;
        window.on_bytes(1, now);
        window.on_bytes(1 << 30, now + Duration::from_secs(1));
    }
    leech.first_random = 0;
    let requests: Vec<_> = std::iter::from_fn(|| leech.next_request(now)).collect();
    assert_eq!(requests.len(), 8);
    assert!(requests.iter().all(|r| r.count <= 4), "{requests:?}");
}

#[test]
fn seeders_are_spared_in_a_crowd_until_patience_ends() {
    let (mut leech, now) = leech(4, 8);
    let seeder = peer(&mut leech, "seeder", &[0, 1, 2, 3], now);
    let crowd: Vec<_> = ["a", "b", "c"].map(|name| peer(&mut leech, name, &[0, 1], now)).into();
    for key in &crowd {
        leech.on_choked(*key, Duration::from_secs(9), now);
    }
    for _ in 0..2 {
        let request = leech.next_request(now).unwrap();
        assert_eq!((request.peer, request.first >= 2), (seeder, true));
        assert_eq!(leech.next_request(now), None, "one after the other");
        deliver(&mut leech, &request, now);
    }
    assert_eq!(leech.next_request(now), None);
    leech.on_unchoked(crowd[0], now);
    let request = leech.next_request(now).unwrap();
    assert_eq!((request.peer, request.first < 2), (crowd[0], true));
    leech.on_failed(request.id, Failure::Choked(Duration::from_secs(9)), now);
    assert_eq!(leech.next_request(now), None);
    assert_eq!(leech.waiting_reason(now), Some(Reason::SparesSources));
    let later = leech.poll_timeout().unwrap();
    assert_eq!(later, now + Duration::from_secs(3));
    leech.on_timeout(later);
    assert_eq!(leech.next_request(later).map(|r| (r.peer, r.why)), Some((seeder, Why::NotSpared)));
}

#[test]
fn a_change_of_order_keeps_what_is_known_and_under_way() {
    let (mut leech, now) = leech(20, 2);
    peer(&mut leech, "a", &(0..20).collect::<Vec<_>>(), now);
    let first = leech.next_request(now).unwrap();
    leech.set_order(Order::Sequential, now);
    let second = leech.next_request(now).unwrap();
    assert_eq!((second.why, second.first), (Why::Sequential, u32::from(first.first == 0)));
}

#[test]
fn nothing_to_fetch_is_complete() {
    let (mut leech, now) = leech(0, 8);
    leech.add_peer("m", PeerKind::Mirror, now);
    assert!(leech.is_complete());
    assert_eq!(leech.next_request(now), None);
    assert_eq!(leech.poll_timeout(), None);
}

#[derive(Debug, Clone)]
enum Event {
    Add(u8, bool),
    Bitmap(u8, Vec<u32>),
    Have(u8, u32),
    Remove(u8),
    Choke(u8),
    Ask,
    Bytes(u16),
    Piece(u16),
    Rush(u16),
    Finish(u16),
    Fail(u16, u8),
    Time(u32),
}

fn event() -> impl Strategy<Value = Event> {
    let peer = || 0u8..7;
    prop_oneof![
        3 => (peer(), any::<bool>()).prop_map(|(p, m)| Event::Add(p, m)),
        3 => (peer(), prop::collection::vec(0..50u32, 0..50)).prop_map(|(p, b)| Event::Bitmap(p, b)),
        4 => (peer(), 0..55u32).prop_map(|(p, i)| Event::Have(p, i)),
        2 => peer().prop_map(Event::Remove),
        1 => peer().prop_map(Event::Choke),
        14 => Just(Event::Ask),
        6 => any::<u16>().prop_map(Event::Bytes),
        10 => any::<u16>().prop_map(Event::Piece),
        6 => any::<u16>().prop_map(Event::Rush),
        4 => any::<u16>().prop_map(Event::Finish),
        3 => (any::<u16>(), 0u8..8).prop_map(|(r, f)| Event::Fail(r, f)),
        5 => (0u32..20_000).prop_map(Event::Time),
    ]
}

fn failure(n: u8) -> Failure {
    match n {
        0 => Failure::Choked(Duration::from_secs(2)),
        1 => Failure::Refused,
        2 => Failure::Timeout,
        3 => Failure::Connect,
        4 => Failure::ShortBody,
        5 => Failure::Status(500),
        6 => Failure::TooMuch,
        _ => Failure::Broken,
    }
}

/// What must hold after every event.
fn check(leech: &Leech) {
    let mut owners: BTreeMap<u32, Vec<bool>> = BTreeMap::new();
    for (id, o) in &leech.requests {
        assert!(leech.book.get(o.peer).is_some(), "a request to nobody");
        for piece in o.unsettled() {
            owners.entry(piece).or_default().push(o.duplicate);
            let Copies(a, b) = leech.copies[&piece];
            assert!(a == *id || b == Some(*id));
        }
    }
    assert_eq!(owners.len(), leech.copies.len());
    for piece in 0..leech.sizes.count {
        let copies = owners.get(&piece).map_or(0, Vec::len);
        let states = [leech.have.get(piece), leech.picker.is_wanted(piece), copies > 0];
        assert_eq!(states.iter().filter(|s| **s).count(), 1, "piece {piece}: {states:?}");
        assert!(copies <= 2);
        let firsts = owners.get(&piece).map_or(0, |o| o.iter().filter(|duplicate| !**duplicate).count());
        assert!(firsts <= 1, "piece {piece} asked for twice");
    }
    for (key, peer) in leech.book.iter() {
        let active = leech.requests.values().filter(|o| o.peer == key).count() as u32;
        assert_eq!(peer.active, active);
    }
    assert_eq!(leech.slow as usize, leech.requests.values().filter(|o| o.slow).count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_piece_is_ever_lost_or_asked_for_twice(
        order in prop_oneof![Just(Order::RarestFirst), Just(Order::Sequential), Just(Order::Random)],
        in_flight in prop_oneof![Just(InFlight::Fixed(1)), Just(InFlight::Fixed(8)), Just(InFlight::Auto)],
        events in prop::collection::vec(event(), 1..200),
        seed: u64,
    ) {
        let start = Instant::now();
        let mut now = start;
        let sizes = PieceSizes { count: 50, length: 200_000, last: 7 };
        let config = LeechConfig { order, in_flight, ..LeechConfig::default() };
        let mut leech = Leech::new(sizes, Bitmap::empty(50), config, seed);
        let mut known: Vec<Request> = Vec::new();
        let pick = |known: &[Request], n: u16| (!known.is_empty()).then(|| known[n as usize % known.len()]);
        for event in events {
            now += MS;
            match event {
                Event::Add(p, mirror) => {
                    leech.add_peer(&p.to_string(), if mirror { PeerKind::Mirror } else { PeerKind::Swarm }, now);
                }
                Event::Bitmap(p, ones) => if let Some(key) = leech.peer(&p.to_string()) {
                    leech.on_bitmap(key, &bitmap(50, &ones), now);
                },
                Event::Have(p, piece) => if let Some(key) = leech.peer(&p.to_string()) {
                    leech.on_have(key, &[piece], now);
                },
                Event::Remove(p) => if let Some(key) = leech.peer(&p.to_string()) { leech.remove_peer(key, now); },
                Event::Choke(p) => if let Some(key) = leech.peer(&p.to_string()) {
                    leech.on_choked(key, Duration::from_secs(5), now);
                },
                Event::Ask => while let Some(request) = leech.next_request(now) {
                    prop_assert!(request.count >= 1 && request.first + request.count <= 50);
                    for piece in request.first..request.first + request.count {
                        prop_assert!(leech.picker.has(request.peer.slot(), piece));
                    }
                    known.push(request);
                },
                Event::Bytes(n) => if let Some(r) = pick(&known, n) { leech.on_bytes(r.id, u64::from(n), now); },
                Event::Piece(n) => if let Some(r) = pick(&known, n) {
                    // In order, as a driver does.
                    let next = leech.requests.get(&r.id).and_then(|o| o.unsettled().next());
                    leech.on_piece(r.id, next.unwrap_or(r.first), now);
                },
                Event::Rush(n) => if let Some(r) = pick(&known, n) { deliver(&mut leech, &r, now); },
                Event::Finish(n) => if let Some(r) = pick(&known, n) { leech.on_finished(r.id, now); },
                Event::Fail(n, f) => if let Some(r) = pick(&known, n) { leech.on_failed(r.id, failure(f), now); },
                Event::Time(ms) => {
                    now += MS * ms;
                    leech.on_timeout(now);
                    known.extend(std::iter::from_fn(|| leech.next_request(now)));
                    // A driver that sleeps until then must not spin.
                    prop_assert!(leech.poll_timeout().is_none_or(|t| t > now));
                }
            }
            check(&leech);
        }
        // Good weather: a mirror joins and everything comes.
        for r in &known {
            leech.on_failed(r.id, Failure::Broken, now);
        }
        for p in 0..7u8 {
            if let Some(key) = leech.peer(&p.to_string()) { leech.remove_peer(key, now); }
        }
        leech.add_peer("good", PeerKind::Mirror, now);
        while let Some(request) = leech.next_request(now) {
            now += MS;
            deliver(&mut leech, &request, now);
            check(&leech);
        }
        prop_assert!(leech.is_complete(), "{:?}", leech.waiting_reason(now));
    }
}
