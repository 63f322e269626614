use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"a secret that the nodes of a pool share";

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn sealer(secret: &[u8], session: u8) -> Sealer {
    Sealer::new(secret, [session; SESSION]).unwrap()
}

fn one(datagrams: Vec<Vec<u8>>) -> Vec<u8> {
    assert_eq!(datagrams.len(), 1);
    datagrams.into_iter().next().unwrap()
}

fn reply(opened: Opened) -> Vec<u8> {
    match opened {
        Opened::Reply(datagrams) => one(datagrams),
        other => panic!("no answer: {other:?}"),
    }
}

/// a, at port 1, learns the session of b, at port 2.
fn meet(a: &mut Sealer, b: &mut Sealer) {
    let hello = one(a.seal(at(2), b"this one waits"));
    assert!(!hello.windows(5).any(|five| five == b"waits"));
    let answer = reply(b.open(at(1), &hello));
    assert!(answer.len() <= hello.len(), "nothing is amplified");
    let waited = reply(a.open(at(2), &answer));
    assert_eq!(b.open(at(1), &waited), Opened::Message(b"this one waits".to_vec()));
    assert_eq!(a.open(at(2), &answer), Opened::Refused(Refusal::Replay), "nor is it said twice");
}

fn met() -> (Sealer, Sealer) {
    let (mut a, mut b) = (sealer(SECRET, 1), sealer(SECRET, 2));
    meet(&mut a, &mut b);
    (a, b)
}

#[test]
fn messages_arrive_once_they_have_met() {
    let (mut a, mut b) = met();
    let sealed = one(a.seal(at(2), b"words"));
    assert!(!sealed.windows(5).any(|five| five == b"words"), "nobody else reads it");
    assert_eq!(b.open(at(1), &sealed), Opened::Message(b"words".to_vec()));
    // The other one knows the way back from that.
    let back = one(b.seal(at(1), b"answer"));
    assert_eq!(a.open(at(2), &back), Opened::Message(b"answer".to_vec()));
}

#[test]
fn another_key_opens_and_makes_nothing() {
    let (mut a, mut b) = met();
    let mut stranger = sealer(b"another secret", 3);
    let sealed = one(a.seal(at(2), b"words"));
    assert_eq!(stranger.open(at(1), &sealed), Opened::Refused(Refusal::Key));
    let forged = one(stranger.seal(at(2), b"words"));
    assert_eq!(b.open(at(3), &forged), Opened::Refused(Refusal::Key), "not even an answer");
    assert!(b.sessions.len() == 1 || b.sessions.is_empty(), "and nothing is kept of it");
}

#[test]
fn a_datagram_counts_once() {
    let (mut a, mut b) = met();
    let first = one(a.seal(at(2), b"first"));
    let second = one(a.seal(at(2), b"second"));
    assert_eq!(b.open(at(1), &second), Opened::Message(b"second".to_vec()));
    assert_eq!(b.open(at(1), &first), Opened::Message(b"first".to_vec()), "late is not twice");
    for again in [&first, &second] {
        assert_eq!(b.open(at(1), again), Opened::Refused(Refusal::Replay));
        assert_eq!(b.open(at(9), again), Opened::Refused(Refusal::Replay), "from wherever it comes");
        assert_eq!(a.open(at(2), again), Opened::Refused(Refusal::Replay), "nor is it sent back");
    }
    for _ in 0..WINDOW {
        let sealed = one(a.seal(at(2), b"more"));
        assert_eq!(b.open(at(1), &sealed), Opened::Message(b"more".to_vec()));
    }
    assert_eq!(b.open(at(1), &first), Opened::Refused(Refusal::Replay), "older than the window");
}

#[test]
fn what_was_recorded_before_a_restart_is_worth_nothing() {
    let (mut a, mut b) = met();
    let recorded = one(a.seal(at(2), b"words"));
    assert_eq!(b.open(at(1), &recorded), Opened::Message(b"words".to_vec()));
    let mut b = sealer(SECRET, 4);
    // It is told the new session, in case it is a live one; nothing is heard.
    assert!(matches!(b.open(at(1), &recorded), Opened::Reply(_)));
    assert!(b.sessions.is_empty() && b.peers.is_empty());
    // The live one learns from that and goes on.
    let stale = one(a.seal(at(2), b"words"));
    let hello = reply(b.open(at(1), &stale));
    assert_eq!(a.open(at(2), &hello), Opened::Nothing);
    let fresh = one(a.seal(at(2), b"words"));
    assert_eq!(b.open(at(1), &fresh), Opened::Message(b"words".to_vec()));
    // A hello that was meant for another life of a does not count either.
    let mut a = sealer(SECRET, 5);
    assert!(matches!(a.open(at(2), &hello), Opened::Reply(_)));
    assert!(a.peers.is_empty());
}

#[test]
fn a_long_message_comes_in_parts_and_whole_or_not_at_all() {
    let (mut a, mut b) = met();
    let message: Vec<u8> = (0..60_000u32).map(|n| (n * 7 % 251) as u8).collect();
    let mut parts = a.seal(at(2), &message);
    assert!(parts.len() > 40 && parts.iter().all(|part| part.len() <= MAX_DATAGRAM));
    parts.reverse();
    let last = parts.pop().unwrap();
    for part in &parts {
        assert_eq!(b.open(at(1), part), Opened::Nothing);
    }
    assert_eq!(b.open(at(1), &last), Opened::Message(message.clone()));
    // One is lost: the next message is whole all the same.
    for part in &a.seal(at(2), &message)[1..] {
        assert_eq!(b.open(at(1), part), Opened::Nothing);
    }
    let whole: Vec<Opened> = a.seal(at(2), &message).iter().map(|part| b.open(at(1), part)).collect();
    assert_eq!(whole.last(), Some(&Opened::Message(message)));
    assert!(a.seal(at(2), &vec![0; 100_000]).is_empty(), "longer than any datagram");
    let empty = one(a.seal(at(2), b""));
    assert_eq!(b.open(at(1), &empty), Opened::Message(Vec::new()));
}

#[test]
fn memory_is_bounded_by_those_who_have_the_key() {
    let (_, mut b) = met();
    for number in 0..MAX_SESSIONS as u32 + 50 {
        let mut id = [0; SESSION];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let mut other = Sealer::new(SECRET, id).unwrap();
        let from = SocketAddr::from((number.to_be_bytes(), 1));
        let hello = one(other.seal(at(2), b""));
        let answer = reply(b.open(from, &hello));
        let sealed = reply(other.open(at(2), &answer));
        assert_eq!(b.open(from, &sealed), Opened::Message(Vec::new()));
        b.seal(SocketAddr::from((number.to_be_bytes(), 2)), b"nobody answers there");
    }
    assert!(b.sessions.len() <= MAX_SESSIONS && b.peers.len() <= MAX_PEERS && b.waiting.len() <= MAX_WAITING);
}

proptest! {
    #[test]
    fn garbage_is_refused(garbage: Vec<u8>, tail: Vec<u8>) {
        let (_, mut b) = met();
        prop_assert!(matches!(b.open(at(1), &garbage), Opened::Refused(_)));
        let marked: Vec<u8> = MAGIC.iter().chain(&[VERSION]).chain(&tail).copied().collect();
        prop_assert!(matches!(b.open(at(1), &marked), Opened::Refused(_)));
    }

    /// Whichever bit is changed on the way: it is not heard.
    #[test]
    fn a_changed_datagram_is_refused(message: Vec<u8>, place: prop::sample::Index, bit in 0u8..8) {
        let (mut a, mut b) = met();
        let mut sealed = one(a.seal(at(2), &message));
        let place = place.index(sealed.len());
        sealed[place] ^= 1 << bit;
        prop_assert!(matches!(b.open(at(1), &sealed), Opened::Refused(_)));
        sealed[place] ^= 1 << bit;
        prop_assert_eq!(b.open(at(1), &sealed), Opened::Message(message));
    }
}
