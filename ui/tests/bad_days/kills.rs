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
    const SIZE: u64 = 16_000_000;
    const RATE: u64 = 4_000_000;
    /// Requests that were cut off are asked again in whole pieces; headers are not counted.
    const SLACK: u64 = 1_000_000;
    let from = Lab::new();
    let path = from.data("data.bin", SIZE as usize);
    let _seeder = from.serve(&["--up", "4M"]);
    let link = from.share(&path);
    let to = Lab::new();
    let get = || to.spawn(&["--json", "get", &link, "-o", "out"]);

    let (mut durable, mut counted, mut received) = (0, 0, 0);
    for kills in 1..=6 {
        let mut leecher = get();
        let first = until(&mut leecher, |event| event["state"] == "running");
        assert!(number(&first, "bytes_done") >= durable, "what was durable is there again: {first}");
        let last = until_bytes(&mut leecher, SIZE / 8 * (kills + 1));
        kill(leecher);
        let here = number(&last, "bytes_down") - counted;
        received += here;
        let before = durable;
        let (record, now) = recorded(&to);
        (durable, counted) = (now, record.bytes_down);
        assert!(durable >= before, "{durable} of {before} bytes are left");
        // Synced every second: not much more than that is lost.
        let lost = number(&last, "bytes_done").saturating_sub(durable);
        assert!(lost <= RATE * 5 / 2, "{lost} bytes lost by kill {kills}");
    }
    assert!(durable > 0, "something must have become durable in all that time");
    let (before, held) = (counted, durable);
    assert_eq!(result(&mut get())["verified"], true);
    let last = recorded(&to).0.bytes_down - before;
    assert!(last <= SIZE - held + SLACK, "{last} bytes for {} missing ones", SIZE - held);
    assert!(received + last <= SIZE + 6 * (RATE * 5 / 2 + SLACK), "{received} + {last} bytes in all");
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
