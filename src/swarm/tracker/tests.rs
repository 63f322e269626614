use super::*;
use crate::content::Bitmap;

struct World {
    table: TrackerTable,
    now: Instant,
    rng: fastrand::Rng,
}

fn world(config: TrackerConfig) -> World {
    World { table: TrackerTable::new(config), now: Instant::now(), rng: fastrand::Rng::with_seed(1) }
}

fn id(n: u32) -> ContentId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    ContentId(bytes)
}

fn address(n: u32) -> IpAddr {
    IpAddr::from([10, (n >> 16) as u8, (n >> 8) as u8, n as u8])
}

fn announce(content: u32, from: u32, port: u16, event: AnnounceEvent) -> Announce {
    let endpoint = Some(format!("http://{}:{port}", address(from)));
    Announce { content_id: id(content), pieces: 16, size: 1600, endpoint, bitmap: Some("gAA=".into()), event }
}

impl World {
    fn tell(
        &mut self,
        content: u32,
        from: u32,
        port: u16,
        event: AnnounceEvent,
    ) -> Result<AnnounceReply, AnnounceError> {
        self.table.announce(&announce(content, from, port, event), address(from), self.now, &mut self.rng)
    }

    fn peers(&mut self, content: u32) -> Vec<AnnouncedPeer> {
        let asks = Announce { endpoint: None, ..announce(content, 999, 1, AnnounceEvent::Started) };
        self.table.announce(&asks, address(999), self.now, &mut self.rng).unwrap().peers
    }
}

#[test]
fn peers_learn_of_one_another() {
    let mut world = world(TrackerConfig::default());
    let first = world.tell(1, 1, 7070, AnnounceEvent::Completed).unwrap();
    assert_eq!(first, AnnounceReply { interval_s: 30, peers: vec![] });
    world.now += Duration::from_secs(7);
    let reply = world.tell(1, 2, 7070, AnnounceEvent::Started).unwrap();
    let seeder =
        AnnouncedPeer { endpoint: "http://10.0.0.1:7070".into(), bitmap: None, last_seen_s: 7, complete: true };
    assert_eq!(reply.peers, [seeder]);
    let peers = world.peers(1);
    assert_eq!(peers.len(), 2, "one that cannot be reached is told, not listed");
    assert!(peers.iter().any(|peer| peer.bitmap.as_deref() == Some("gAA=") && !peer.complete));
    assert_eq!(world.table.counts(&id(1), 16, 1600), SwarmCounts { seeders: 1, leechers: 1 });
    assert_eq!(world.peers(2), []);
}

#[test]
fn who_is_unseen_for_three_intervals_or_stops_is_dropped() {
    let mut world = world(TrackerConfig::default());
    world.tell(1, 1, 1, AnnounceEvent::Started).unwrap();
    for _ in 0..3 {
        world.now += Duration::from_secs(30);
        world.tell(1, 2, 1, AnnounceEvent::Progress).unwrap();
    }
    assert_eq!(world.peers(1).len(), 2);
    world.now += Duration::from_secs(1);
    assert_eq!(world.peers(1).len(), 1);
    world.tell(1, 2, 1, AnnounceEvent::Stopped).unwrap();
    assert_eq!((world.table.contents(), world.table.bytes()), (0, 0));
    world.tell(1, 3, 1, AnnounceEvent::Started).unwrap();
    world.now += Duration::from_secs(91);
    world.table.tidy(world.now);
    assert_eq!((world.table.contents(), world.table.bytes()), (0, 0));
}

#[test]
fn replies_are_a_random_part() {
    let mut world = world(TrackerConfig::default());
    for n in 0..200 {
        world.tell(1, n, 1, AnnounceEvent::Started).unwrap();
    }
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        let reply = world.tell(1, 5, 1, AnnounceEvent::Progress).unwrap();
        assert_eq!(reply.peers.len(), 50);
        assert!(reply.peers.iter().all(|peer| peer.endpoint != "http://10.0.0.5:1"));
        seen.extend(reply.peers.into_iter().map(|peer| peer.endpoint));
    }
    assert_eq!(seen.len(), 199);
}

#[test]
fn a_flood_from_one_source_displaces_only_itself() {
    let mut world = world(TrackerConfig::default());
    for n in 1..=100 {
        world.tell(1, n, 1, AnnounceEvent::Started).unwrap();
    }
    for port in 1..60_000 {
        world.tell(1, 7_000, port, AnnounceEvent::Started).unwrap();
    }
    assert_eq!(world.table.counts(&id(1), 16, 1600).leechers, 100 + 256);
    // And a million contents: half the table at most.
    let mut refused = 0;
    for content in 2..20_000 {
        refused += u32::from(world.tell(content, 7_000, 1, AnnounceEvent::Started).is_err());
    }
    assert_eq!(world.table.contents(), 5_001);
    assert!(refused > 14_000);
    assert!(matches!(world.tell(30_000, 7_000, 1, AnnounceEvent::Started), Err(AnnounceError::TooMany(_))));
    assert!(world.tell(30_000, 8, 1, AnnounceEvent::Started).is_ok());
}

#[test]
fn a_flood_of_contents_and_endpoints_keeps_nobody_from_an_answer() {
    let mut world = world(TrackerConfig::default());
    world.tell(1, 1, 7070, AnnounceEvent::Completed).unwrap();
    for n in 0..20_000 {
        let _ = world.tell(2 + n, 7_000, (n % 60_000) as u16 + 1, AnnounceEvent::Started);
        let _ = world.tell(1, 7_000, (n % 60_000) as u16 + 1, AnnounceEvent::Started);
    }
    assert!(world.table.contents() <= 5_002 && world.table.bytes() < 8 << 20, "{} bytes", world.table.bytes());
    // Of old and new contents, for those who came before and after.
    world.now += Duration::from_secs(20);
    assert!(world.tell(1, 1, 7070, AnnounceEvent::Progress).is_ok());
    assert_eq!(world.tell(1, 2, 7070, AnnounceEvent::Started).unwrap().peers.len(), 50);
    assert!(world.tell(90_000, 3, 7070, AnnounceEvent::Started).is_ok());
    assert_eq!(world.tell(90_000, 4, 7070, AnnounceEvent::Started).unwrap().peers[0].endpoint, "http://10.0.0.3:7070");
}

#[test]
fn a_full_table_drops_the_old_and_never_the_living() {
    let config = TrackerConfig { max_contents: 10, max_peers_per_content: 10, ..TrackerConfig::default() };
    let mut world = world(config);
    for n in 0..10 {
        world.tell(n, n, 1, AnnounceEvent::Started).unwrap();
        world.tell(0, n, 1, AnnounceEvent::Started).unwrap();
    }
    assert_eq!(world.tell(10, 1, 1, AnnounceEvent::Started), Err(AnnounceError::Full));
    assert_eq!(world.tell(0, 100, 1, AnnounceEvent::Started), Err(AnnounceError::Full));
    world.now += Duration::from_secs(31);
    for n in 1..10 {
        world.tell(n, n, 1, AnnounceEvent::Progress).unwrap();
    }
    assert!(world.tell(10, 1, 1, AnnounceEvent::Started).is_ok());
    assert_eq!((world.table.contents(), world.peers(0).len()), (10, 0));
}

#[test]
fn memory_is_bounded_in_bytes() {
    let mut world = world(TrackerConfig { max_bytes: 1 << 20, ..TrackerConfig::default() });
    let pieces = 100_000;
    let mut bitmap = Bitmap::empty(pieces);
    bitmap.set(0);
    let mut refused = 0;
    for n in 0..20_000u32 {
        let announce = Announce {
            pieces,
            size: 1 << 30,
            bitmap: Announce::encode_bitmap(&bitmap),
            ..announce(n % 50, n, 1, AnnounceEvent::Started)
        };
        refused += u32::from(world.table.announce(&announce, address(n), world.now, &mut world.rng).is_err());
        assert!(world.table.bytes() <= 1 << 20);
    }
    assert!(refused > 0 && refused < 19_000, "{refused}");
    let sum: usize = world.table.contents.values().map(Swarm::bytes).sum();
    assert_eq!(sum, world.table.bytes());
}

#[test]
fn large_bitmaps_are_left_to_the_peer() {
    let mut world = world(TrackerConfig::default());
    let pieces = 200_000;
    let mut bitmap = Bitmap::empty(pieces);
    bitmap.set(0);
    let mut announce = announce(1, 1, 1, AnnounceEvent::Started);
    (announce.pieces, announce.size, announce.bitmap) = (pieces, 1 << 30, Announce::encode_bitmap(&bitmap));
    world.table.announce(&announce, address(1), world.now, &mut world.rng).unwrap();
    announce.endpoint = None;
    let reply = world.table.announce(&announce, address(2), world.now, &mut world.rng).unwrap();
    assert_eq!((&reply.peers[0].bitmap, reply.peers[0].complete), (&None, false));
    announce.pieces = 3;
    let refused = world.table.announce(&announce, address(2), world.now, &mut world.rng);
    assert!(matches!(refused, Err(AnnounceError::Bitmap(_))));
    announce.bitmap = None;
    let refused = world.table.announce(&announce, address(2), world.now, &mut world.rng);
    assert_eq!(refused.unwrap().peers, [], "another shape is another swarm");
}
