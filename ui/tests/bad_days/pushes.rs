//! `kill -9` of either side of a push.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::common::{Lab, Process};
use super::disk::cramped;
use super::{number, result, says, until, until_bytes};

const SIZE: u64 = 20_000_000;
/// More than is in flight unrecorded: what was acknowledged in the last quarter of a second, and the
/// segments under way.
const SLACK: u64 = 4_000_000;

fn kill(mut process: Process) {
    process.signal(Signal::KILL);
    process.wait();
}

fn send(lab: &Lab, dest: &str, more: &[&str]) -> Process {
    let mut args = vec!["--json", "send", "data.bin", dest, "--up", "4M", "--segment", "256KiB"];
    args.extend(more);
    lab.spawn(&args)
}

/// Until the sender has looked at everything and moves bytes; what is there already.
fn running(process: &mut Process) -> u64 {
    number(&until(process, |event| event["state"] == "running" && number(event, "pieces_total") > 0), "bytes_done")
}

#[test]
fn a_killed_sender_sends_only_what_was_not_acknowledged() {
    let to = Lab::new();
    let receiver = to.serve(&["--root", "root"]);
    let dest = format!("{}/in/", receiver.url.as_deref().unwrap());
    let from = Lab::new();
    let path = from.data("data.bin", SIZE as usize);
    let mut done = 0;
    for _ in 0..3 {
        let mut sender = send(&from, &dest, &[]);
        running(&mut sender);
        let last = until_bytes(&mut sender, done + 4_000_000);
        kill(sender);
        assert!(!to.path("root/in/data.bin").exists(), "not under its name before it is whole");
        done = number(&last, "bytes_done");
    }
    let mut sender = send(&from, &dest, &[]);
    let result = result(&mut sender);
    assert_eq!((&result["verified"], &result["strategy"]), (&Value::from(true), &"transit-chunked-resumable".into()));
    // Its own record counts the bytes of all runs, as far as they were recorded.
    assert!(fs::read(path).unwrap() == fs::read(to.path("root/in/data.bin")).unwrap());
    let left = fs::read_dir(to.path("root")).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(left, ["in"], "no partial data");
}

#[test]
fn a_killed_receiver_keeps_what_it_acknowledged_as_durable() {
    let to = Lab::new();
    let mut receiver = to.serve(&["--root", "root"]);
    let url = receiver.url.clone().unwrap();
    let from = Lab::new();
    let path = from.data("data.bin", SIZE as usize);
    let mut sender = send(&from, &format!("{url}/copy.bin"), &[]);
    for step in 1..3 {
        until_bytes(&mut sender, step * 5_000_000);
        kill(receiver);
        receiver = to.serve_at(url.strip_prefix("http://").unwrap(), &["--root", "root"]);
    }
    let result = result(&mut sender);
    assert_eq!(result["verified"], true);
    let sent = number(&result, "wire_bytes");
    assert!(sent < SIZE + 2 * (4_000_000 + SLACK), "{result}");
    assert!(fs::read(path).unwrap() == fs::read(to.path("root/copy.bin")).unwrap());
    drop(receiver);
}

#[test]
fn a_receiver_that_is_gone_ends_the_push_which_goes_on_later() {
    let to = Lab::new();
    let receiver = to.serve(&["--root", "root"]);
    let url = receiver.url.clone().unwrap();
    let from = Lab::new();
    let path = from.data("data.bin", SIZE as usize);
    let dest = format!("{url}/copy.bin");
    let mut sender = send(&from, &dest, &[]);
    // Three batches' time at this rate: the first is on the disk.
    until_bytes(&mut sender, 12_000_000);
    kill(receiver);
    let (code, rest) = sender.wait();
    assert_eq!(code, 3, "can be resumed: {rest}");
    let _receiver = to.serve_at(url.strip_prefix("http://").unwrap(), &["--root", "root"]);
    let mut sender = send(&from, &dest, &[]);
    assert!(running(&mut sender) >= 2_000_000, "it goes on");
    assert_eq!(result(&mut sender)["verified"], true);
    assert!(fs::read(path).unwrap() == fs::read(to.path("root/copy.bin")).unwrap());
}

#[test]
fn a_receiver_without_space_says_so_and_with_space_the_push_goes_on() {
    let (from, to) = (Lab::new(), Lab::new());
    let mut node = cramped(&to);
    let url = node.url.clone().unwrap();
    let path = from.data("data.bin", 8 << 20);
    let args = ["send", "data.bin", &format!("{url}/in/"), "--segment", "512KiB"];
    let full = from.run(&args);
    says(full.expect(3), &["data.bin", "the receiver has no space for it", "make space there, then resume"]);
    assert!(!to.path("state/root/in").exists());
    assert_eq!(node.stop(), 0);
    let _node = to.serve_at(url.strip_prefix("http://").unwrap(), &[]);
    from.run(&args).expect(0);
    assert!(fs::read(path).unwrap() == fs::read(to.path("state/root/in/data.bin")).unwrap());
}
