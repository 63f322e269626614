//! Commands with nodes: real processes, real sockets on loopback.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{Ended, Lab, Process};
use rustix::process::Signal;
use serde_json::Value;

const MB: usize = 1_000_000;

fn same(a: &Path, b: &Path) -> bool {
    std::fs::read(a).unwrap() == std::fs::read(b).unwrap()
}

/// A node that shares `data.bin` of `size` bytes.
fn seeder(size: usize) -> (Lab, Process, String) {
    let lab = Lab::new();
    let path = lab.data("data.bin", size);
    let node = lab.serve(&[]);
    let link = lab.share(&path);
    (lab, node, link)
}

/// Starts a `get` that is too slow to end by itself soon, and waits until some of it is there.
fn slow_get(lab: &Lab, link: &str) -> Process {
    let child = lab
        .command(&["--json", "get", link, "-o", "out"])
        .env("SKEP_LIMITS_DOWN", "400K")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut process = Process::new(child);
    until_bytes(&mut process);
    process
}

/// Reads progress until a piece is there.
fn until_bytes(process: &mut Process) -> Value {
    loop {
        let line = process.line();
        assert!(!line.is_empty(), "it ended too early: {}", process.stderr());
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["type"], "progress", "{event}");
        if event["bytes_done"].as_u64().unwrap() > 0 {
            return event;
        }
    }
}

fn rows(lab: &Lab) -> Vec<Value> {
    let ended = lab.run(&["--json", "ls", "--all"]);
    ended.expect(0);
    ended.objects()
}

#[test]
fn share_and_get() {
    let (from, _node, link) = seeder(3 * MB);
    assert!(link.starts_with("skep://127.0.0.1:"), "{link}");
    let to = Lab::new();
    let ended = to.run(&["get", &link, "-o", "out"]);
    ended.expect(0);
    assert!(same(&from.path("data.bin"), &to.path("out/data.bin")));
    let line = ended.stdout();
    assert!(line.contains("out/data.bin") && line.contains("verified") && line.lines().count() == 1, "{line}");

    // Again: it is there, nothing is fetched; and with JSON the result is the last line.
    let result = to.run(&["--json", "get", &link, "-o", "out"]).expect(0).last();
    assert_eq!(
        (&result["type"], &result["verified"], &result["bytes"]),
        (&"result".into(), &true.into(), &3_000_000.into())
    );

    let result = to.run(&["--json", "get", &link, "-o", "other"]).expect(0).last();
    assert_eq!(result["strategy"], "transit-p2p-swarm");
    assert_eq!(result["peers"].as_array().unwrap().len(), 1, "{result}");
    assert_eq!(result["pieces"], 12);
    assert!(result["wire_bytes"].as_u64().unwrap() >= 3_000_000);
    assert!(result["duration_s"].as_f64().is_some() && result["rate_bytes_per_s"].as_u64().unwrap() > 0);
    assert!(result.get("error").is_none());
}

#[test]
fn a_tree_with_everything_in_it() {
    let from = Lab::new();
    from.data("tree/a b", 700_000);
    from.data("tree/sub/empty", 0);
    from.data("tree/sub/naïve", 100);
    std::fs::create_dir(from.path("tree/void")).unwrap();
    std::os::unix::fs::symlink("sub/naïve", from.path("tree/link")).unwrap();
    let _node = from.serve(&[]);
    let link = from.share(&from.path("tree"));
    let to = Lab::new();
    to.run(&["get", &link]).expect(0);
    from.run(&["manifest", "tree", "-o", "m.json"]).expect(0);
    let manifest = from.path("m.json");
    to.run(&["verify", "tree", "--manifest", manifest.to_str().unwrap()]).expect(0);
    assert_eq!(std::fs::read_link(to.path("tree/link")).unwrap(), Path::new("sub/naïve"));
    assert!(to.path("tree/void").is_dir());
}

#[test]
fn a_manifest_file_needs_a_peer_and_works_with_one() {
    let (from, node, _) = seeder(MB);
    from.run(&["manifest", "data.bin", "-o", "m.json"]).expect(0);
    let manifest = from.path("m.json");
    let to = Lab::new();
    let url = node.url.clone().unwrap();
    to.run(&["get", manifest.to_str().unwrap(), "--peer", url.strip_prefix("http://").unwrap()]).expect(0);
    assert!(same(&from.path("data.bin"), &to.path("data.bin")));
}

#[test]
fn serve_ends_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let lab = Lab::new();
        let mut node = lab.serve(&[]);
        node.signal(signal);
        assert_eq!(node.wait().0, 0, "{signal:?}");
        assert!(lab.run(&["ls"]).expect(1).stderr().contains("no node runs"));
    }
}

#[test]
fn a_killed_node_leaves_nothing_in_the_way() {
    let lab = Lab::new();
    let mut node = lab.serve(&[]);
    node.signal(Signal::KILL);
    node.wait();
    lab.run(&["ls"]).expect(1);
    let mut node = lab.serve(&[]);
    assert_eq!(node.stop(), 0);
}

#[test]
fn one_node_per_state_folder_and_port() {
    let lab = Lab::new();
    let node = lab.serve(&[]);
    let second = lab.run(&["serve", "--listen", "127.0.0.1:0"]);
    second.expect(1);
    let url = node.url.as_deref().unwrap();
    assert!(
        second.stderr().contains(&node.child.id().to_string()) && second.stderr().contains(url),
        "{}",
        second.stderr()
    );

    let port = url.strip_prefix("http://").unwrap();
    let taken = Lab::new().run(&["serve", "--listen", port]);
    assert!(taken.expect(1).stderr().contains(port), "{}", taken.stderr());
}

#[test]
fn get_stopped_by_a_signal_goes_on_later() {
    let (from, _node, link) = seeder(4 * MB);
    for signal in [Signal::INT, Signal::TERM] {
        let to = Lab::new();
        let mut get = slow_get(&to, &link);
        get.signal(signal);
        let (code, rest) = get.wait();
        assert_eq!(code, 3, "{rest}");
        let result: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
        assert_eq!(result["type"], "result");
        assert!(result["error"].as_str().unwrap().contains("resume with: skep --json get"), "{result}");
        assert!(!to.path("out/data.bin").exists(), "nothing half-done stands under the name");

        let result = to.run(&["--json", "get", &link, "-o", "out"]).expect(0).last();
        let fetched_now: u64 = result["peers"][0]["bytes"].as_u64().unwrap();
        assert!(fetched_now < 4_000_000, "what was there is not fetched again: {result}");
        assert!(same(&from.path("data.bin"), &to.path("out/data.bin")));
    }
}

#[test]
fn a_second_process_uses_the_first_ones_node_and_survives_its_end() {
    let (from, _node, link) = seeder(4 * MB);
    let to = Lab::new();
    let mut first = slow_get(&to, &link);
    assert_eq!(rows(&to)[0]["name"], "data.bin", "ls finds the node inside get");
    let mut second = to.spawn(&["--json", "get", &link, "-o", "out"]);
    until_bytes(&mut second);
    first.signal(Signal::KILL);
    first.wait();
    let (code, rest) = second.wait();
    assert_eq!(code, 0, "{rest} {}", second.stderr());
    assert!(same(&from.path("data.bin"), &to.path("out/data.bin")));
}

#[test]
fn transfers_are_paused_resumed_cancelled_removed() {
    let (_from, _node, link) = seeder(8 * MB);
    let to = Lab::new();
    let _here = to.serve(&["--down", "400K"]);
    let mut get = to.spawn(&["--json", "get", &link, "-o", "out"]);
    let id = until_bytes(&mut get)["id"].to_string();
    let state = |lab: &Lab| rows(lab)[0]["state"].as_str().unwrap().to_owned();
    assert_eq!(state(&to), "running");

    assert!(to.run(&["pause", &id]).expect(0).stdout().contains("paused"));
    assert_eq!(state(&to), "paused");
    let (code, rest) = get.wait();
    assert_eq!(code, 3, "{rest}");

    to.run(&["resume", &id]).expect(0);
    assert!(matches!(state(&to).as_str(), "running" | "queued" | "starting" | "checking"));
    let cancelled = to.run(&["--json", "cancel", &id]).expect(0).last();
    assert_eq!((&cancelled["type"], &cancelled["state"]), (&"result".into(), &"cancelled".into()));
    to.run(&["remove", &id]).expect(0);
    assert!(rows(&to).is_empty());
    to.run(&["pause", &id]).expect(1);
}

#[test]
fn remove_with_data_deletes_what_was_fetched_and_nothing_that_is_shared() {
    let (from, _node, link) = seeder(MB);
    let to = Lab::new();
    let _here = to.serve(&[]);
    to.run(&["get", &link, "-o", "out"]).expect(0);
    let id = |lab: &Lab| rows(lab)[0]["id"].to_string();
    to.run(&["remove", &id(&to), "--data"]).expect(0);
    assert!(!to.path("out/data.bin").exists());
    from.run(&["remove", &id(&from), "--data"]).expect(0);
    assert!(from.path("data.bin").exists());
}

#[test]
fn limits_change_while_it_runs() {
    let lab = Lab::new();
    let _node = lab.serve(&[]);
    let shown = lab.run(&["limit"]);
    assert_eq!(shown.expect(0).stdout().trim(), "node: up unlimited, down unlimited");
    let changed = lab.run(&["--json", "limit", "--up", "10M"]).expect(0).last();
    assert_eq!((&changed["up_bytes_per_s"], &changed["down_bytes_per_s"]), (&10_000_000.into(), &Value::Null));
    lab.run(&["limit", "--up", "unlimited", "--down", "1MiB"]).expect(0);
    assert_eq!(lab.run(&["limit"]).stdout().trim(), "node: up unlimited, down 1.05 MB/s");
    lab.run(&["limit", "99", "--up", "1M"]).expect(1);
}

#[test]
fn bans() {
    let lab = Lab::new();
    let _node = lab.serve(&[]);
    assert!(lab.run(&["ban", "list"]).expect(0).stderr().contains("nobody"));
    assert!(lab.run(&["ban", "lift", "10.0.0.1:1"]).expect(1).stderr().contains("10.0.0.1:1"));
    assert!(lab.run(&["ban", "add", "no peer"]).expect(2).stderr().contains("HOST:PORT"));
    lab.run(&["ban", "add", "http://10.0.0.1:1/"]).expect(0);
    let listed = lab.run(&["ban", "list"]).expect(0).stdout();
    assert!(listed.contains("10.0.0.1:1") && listed.contains("by the operator"), "{listed}");
    lab.run(&["ban", "lift", "10.0.0.1:1"]).expect(0);
    assert!(lab.run(&["ban", "list"]).expect(0).stderr().contains("nobody"));
}

#[test]
fn share_keeps_a_node_up_if_asked() {
    let lab = Lab::new();
    let path = lab.data("data.bin", MB);
    let mut share = lab.spawn(&["share", path.to_str().unwrap(), "--serve", "--listen", "127.0.0.1:0"]);
    let link = share.line();
    let to = Lab::new();
    to.run(&["get", &link]).expect(0);
    assert!(same(&path, &to.path("data.bin")));
    assert_eq!(share.stop(), 0);

    // Again, and now with an end; what is set the second time counts.
    let args = ["share", path.to_str().unwrap(), "--serve", "--listen", "127.0.0.1:0", "--seed-time", "1s"];
    let mut share = lab.spawn(&args);
    assert_eq!(share.wait().0, 0, "it ends by itself");
}

#[test]
fn damage_is_mended_in_place() {
    let (from, _node, link) = seeder(3 * MB);
    from.run(&["manifest", "data.bin", "-o", "m.json"]).expect(0);
    let manifest = from.path("m.json");
    let manifest = manifest.to_str().unwrap();
    let to = Lab::new();
    let mut bytes = std::fs::read(from.path("data.bin")).unwrap();
    bytes[MB] ^= 1;
    bytes.truncate(2 * MB);
    std::fs::write(to.path("data.bin"), bytes).unwrap();
    to.run(&["verify", "data.bin", "--manifest", manifest]).expect(4);
    to.run(&["verify", "data.bin", "--manifest", manifest, "--repair", &link]).expect(0);
    assert!(same(&from.path("data.bin"), &to.path("data.bin")));

    let other = format!("{}{}", &link[..link.len() - 64], "ab".repeat(32));
    std::fs::write(to.path("data.bin"), b"x").unwrap();
    to.run(&["verify", "data.bin", "--manifest", manifest, "--repair", &other]).expect(2);
}

#[test]
fn a_name_that_is_taken_is_not_overwritten_unasked() {
    let (from, _node, link) = seeder(MB);
    let to = Lab::new();
    to.data("out/data.bin", 500);
    let before = std::fs::read(to.path("out/data.bin")).unwrap();
    let refused = to.run(&["get", &link, "-o", "out"]);
    refused.expect(1);
    assert!(refused.stderr().contains("data.bin"), "{}", refused.stderr());
    assert_eq!(std::fs::read(to.path("out/data.bin")).unwrap(), before);
    to.run(&["get", &link, "-o", "out", "--overwrite"]).expect(0);
    assert!(same(&from.path("data.bin"), &to.path("out/data.bin")));
}

#[test]
fn what_cannot_be_had_says_so() {
    let (_from, node, _) = seeder(1000);
    let to = Lab::new();
    let no_manifest = format!("{}/health", node.url.clone().unwrap());
    assert_ne!(to.run(&["get", &no_manifest]).code(), 0);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = to.run(&["get", &format!("http://127.0.0.1:{port}/m.json")]);
    assert!(nobody.expect(1).stderr().contains(&port.to_string()), "{}", nobody.stderr());
}

/// The same command with a peer that the first one lacked must use it.
#[test]
fn a_second_try_may_name_another_peer() {
    let (from, node, _) = seeder(MB);
    from.run(&["manifest", "data.bin", "-o", "m.json"]).expect(0);
    let manifest = from.path("m.json");
    let to = Lab::new();
    let mut alone = to.spawn(&["--json", "get", manifest.to_str().unwrap()]);
    alone.line();
    alone.signal(Signal::INT);
    assert_eq!(alone.wait().0, 3);
    to.run(&["get", manifest.to_str().unwrap(), "--peer", node.url.as_deref().unwrap()]).expect(0);
    assert!(same(&from.path("data.bin"), &to.path("data.bin")));
}

#[test]
fn tokens_are_asked_for() {
    let lab = Lab::new();
    std::fs::write(lab.path("token"), "a".repeat(64)).unwrap();
    std::fs::write(lab.path("wrong"), "b".repeat(64)).unwrap();
    let _node = lab.serve(&["--token-file", "token"]);
    lab.run(&["ls", "--token-file", "token"]).expect(0);
    let refused = lab.run(&["ls", "--token-file", "wrong"]);
    assert!(refused.expect(5).stderr().contains("--token-file"), "{}", refused.stderr());
}

#[test]
fn logs_go_to_files() {
    let lab = Lab::new();
    lab.serve(&["--log-file", "here.log"]).stop();
    assert!(std::fs::metadata(lab.path("here.log")).unwrap().len() > 0);
    lab.serve(&[]).stop();
    let names = std::fs::read_dir(lab.path("state")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().any(|n| n.starts_with("skep.") && n.ends_with(".log")));
}

/// Nothing but the result on stdout, nothing at all on stderr without a terminal.
#[test]
fn scripts_get_what_they_expect() {
    let (_from, _node, link) = seeder(MB);
    let to = Lab::new();
    let Ended(output) = to.run(&["get", &link]);
    assert!(output.stderr.is_empty(), "{:?}", String::from_utf8_lossy(&output.stderr));
}
