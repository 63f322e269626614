//! `kill -9` of every part of a swarm, again and again.

use std::fs;

use rustix::process::Signal;
use skep_engine::store::{State, TransferRecord};

use super::common::{Lab, Process};
use super::{MB, number, result, until, until_bytes};

/// The only transfer of a state folder on which no node runs, and how much of it is durable.
fn recorded(lab: &Lab) -> (TransferRecord, u64) {
    let state = State::open(&lab.path("state/state.redb")).unwrap();
    let record = state.transfers().unwrap().0.pop().unwrap();
    let manifest = record.content.and_then(|id| state.manifest(&id).unwrap()).unwrap();
    let have = state.bitmap(record.id, manifest.piece_count()).unwrap();
    let bytes = have.map_or(0, |have| have.ones().map(|piece| manifest.piece_size(piece)).sum());
    (record, bytes)
}

fn kill(mut process: Process) {
    process.signal(Signal::KILL);
    process.wait();
}

/// Starts the node again where it was.
fn again(lab: &Lab, url: &str, args: &[&str]) -> Process {
    lab.serve_at(url.strip_prefix("http://").unwrap(), args)
}

#[test]
fn a_killed_leecher_fetches_only_what_was_not_durable() {
    const SIZE: u64 = 20_000_000;
    /// More than a second's worth, so that runs end before and after they have recorded something.
    const STEP: u64 = 3_000_000;
    /// Requests that were cut off are asked again in whole pieces.
    const SLACK: u64 = 1_000_000;
    let from = Lab::new();
    let path = from.data("data.bin", SIZE as usize);
    // Without choking: to it, each run is another peer, and the dead ones would hold its slots for a while.
    let _seeder = from.serve(&["--up", "2500K", "--trusted"]);
    let link = from.share(&path);
    let to = Lab::new();
    let get = || to.spawn(&["--json", "get", &link, "-o", "out"]);

    // Of the runs so far: bytes on record as received, bytes received in truth, bytes that were lost.
    let (mut recorded_down, mut received, mut lost) = (0, 0, 0);
    let (mut durable, mut reached) = (0, 0);
    for _ in 0..6 {
        let mut leecher = get();
        let first = number(&until(&mut leecher, |event| event["state"] == "running"), "bytes_done");
        assert!(first >= durable, "{first} bytes are left of {durable} durable ones");
        lost += reached.max(first) - first;
        let last = until_bytes(&mut leecher, first + STEP);
        kill(leecher);
        reached = number(&last, "bytes_done");
        received += number(&last, "bytes_down") - recorded_down;
        let record;
        (record, durable) = recorded(&to);
        recorded_down = record.bytes_down;
    }
    let mut leecher = get();
    let first = number(&until(&mut leecher, |event| event["state"] == "running"), "bytes_done");
    assert!(first >= durable.max(1), "{first} bytes are left of {durable} durable ones");
    lost += reached.max(first) - first;
    assert_eq!(result(&mut leecher)["verified"], true);
    let last = recorded(&to).0.bytes_down - recorded_down;
    assert!(last <= SIZE - durable + SLACK, "{last} bytes for the {} that were not durable", SIZE - durable);
    let all = received + last;
    assert!(all <= SIZE + lost + 6 * SLACK, "{all} bytes received, of which {lost} were lost");
    assert!(fs::read(path).unwrap() == fs::read(to.path("out/data.bin")).unwrap());
}

#[test]
fn a_swarm_outlives_its_seeder_and_its_tracker() {
    let track = Lab::new();
    let tracker = track.serve(&[]);
    let tracker_url = tracker.url.clone().unwrap();
    let from = Lab::new();
    let path = from.data("data.bin", 8 * MB);
    let shaped = ["--up", "3M", "--tracker", &tracker_url];
    let mut seeder = from.serve(&shaped);
    let seeder_url = seeder.url.clone().unwrap();
    from.share(&path);
    from.run(&["manifest", "data.bin", "-o", "m.json"]).expect(0);

    // Only the tracker knows who has it.
    let to = Lab::new();
    let manifest = from.path("m.json");
    let mut leecher = to.spawn(&["--json", "get", manifest.to_str().unwrap(), "--tracker", &tracker_url, "-o", "out"]);
    let done = number(&until_bytes(&mut leecher, 1), "bytes_done");
    kill(tracker);
    let mut done = number(&until_bytes(&mut leecher, done + 1), "bytes_done");
    for _ in 0..2 {
        kill(seeder);
        seeder = again(&from, &seeder_url, &shaped);
        done = number(&until_bytes(&mut leecher, done + 1_000_000), "bytes_done");
    }
    let _tracker = again(&track, &tracker_url, &[]);
    let result = result(&mut leecher);
    assert_eq!(result["verified"], true);
    assert!(number(&result, "wire_bytes") < 11_000_000, "what was here was not fetched again: {result}");
    assert!(fs::read(path).unwrap() == fs::read(to.path("out/data.bin")).unwrap());
    drop(seeder);
}

/// A node that is killed while others work through it: one of them takes over, all get done.
#[test]
fn many_commands_on_one_state_folder() {
    let from = Lab::new();
    let path = from.data("data.bin", 4 * MB);
    let _seeder = from.serve(&["--up", "3M"]);
    let link = from.share(&path);
    let to = Lab::new();
    let mut gets: Vec<Process> = (0..4).map(|_| to.spawn(&["--json", "get", &link, "-o", "out"])).collect();
    gets.iter_mut().for_each(|get| drop(until_bytes(get, 1)));
    let ls = to.run(&["--json", "ls", "--all"]).expect(0).objects();
    assert_eq!(ls.len(), 1, "all of them watch one transfer");
    let note: serde_json::Value = serde_json::from_slice(&fs::read(to.path("state/node.json")).unwrap()).unwrap();
    let host = gets.iter().position(|get| u64::from(get.child.id()) == note["pid"].as_u64().unwrap()).unwrap();
    kill(gets.remove(host));
    for get in &mut gets {
        assert_eq!(result(get)["verified"], true);
    }
    assert!(fs::read(path).unwrap() == fs::read(to.path("out/data.bin")).unwrap());
}
